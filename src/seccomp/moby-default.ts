/**
 * Docker's default profile, for containers that bring none of their own.
 *
 * Source: github.com/moby/profiles seccomp/default.json at cd3bed8061c7 (May 2026), Apache-2.0; here as lines, because that loads at no cost.
 */

import { unreachable } from '../base/errors.ts'
import type { Capability } from '../linux/capabilities.ts'
import type { Seccomp, SeccompArchitecture, SeccompArgument, SeccompOperator, SeccompRule } from '../oci/seccomp.ts'
import { architectureOf } from './architectures.ts'

export interface MobyDefault {
  /** The bounding set of the container: some calls are allowed only with a capability. */
  readonly capabilities: readonly Capability[]
  readonly nativeArchitecture: SeccompArchitecture
  readonly kernel: { readonly major: number; readonly minor: number }
}

/** Docker's default profile for a container with these capabilities on this machine. */
export function mobyDefaultProfile(target: MobyDefault): Seccomp {
  return {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 1,
    architectures: architecturesFor(target.nativeArchitecture),
    syscalls: TABLE.flatMap((row) => ruleOf(row, target)),
  }
}

/** The machine's architecture and those whose programs it runs as well; none where Docker's profile does not name it. */
function architecturesFor(native: SeccompArchitecture): readonly SeccompArchitecture[] {
  switch (native) {
    case 'SCMP_ARCH_X86_64':
      return [native, 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']
    case 'SCMP_ARCH_AARCH64':
      return [native, 'SCMP_ARCH_ARM']
    case 'SCMP_ARCH_MIPS64':
      return [native, 'SCMP_ARCH_MIPS', 'SCMP_ARCH_MIPS64N32']
    case 'SCMP_ARCH_MIPS64N32':
      return [native, 'SCMP_ARCH_MIPS', 'SCMP_ARCH_MIPS64']
    case 'SCMP_ARCH_MIPSEL64':
      return [native, 'SCMP_ARCH_MIPSEL', 'SCMP_ARCH_MIPSEL64N32']
    case 'SCMP_ARCH_MIPSEL64N32':
      return [native, 'SCMP_ARCH_MIPSEL', 'SCMP_ARCH_MIPSEL64']
    case 'SCMP_ARCH_S390X':
      return [native, 'SCMP_ARCH_S390']
    case 'SCMP_ARCH_RISCV64':
    case 'SCMP_ARCH_LOONGARCH64':
      return [native]
    default:
      return []
  }
}

interface Row {
  readonly names: readonly string[]
  readonly terms: readonly (readonly string[])[]
}

function rowOf(line: string): Row {
  const [names = '', ...terms] = line.split('; ')
  return { names: names.split(' '), terms: terms.map((term) => term.split(' ')) }
}

function ruleOf({ names, terms }: Row, target: MobyDefault): readonly SeccompRule[] {
  const args: SeccompArgument[] = []
  let errnoRet: number | undefined
  for (const [word = '', ...rest] of terms) {
    if (word.startsWith('arg')) args.push(argumentOf(Number(word.slice(3)), rest))
    else if (word === 'errno') errnoRet = Number(rest[0])
    else if (!isFor(word, rest, target)) return []
  }
  const action = errnoRet === undefined ? 'SCMP_ACT_ALLOW' : 'SCMP_ACT_ERRNO'
  return [{ names, action, errnoRet, args }]
}

function argumentOf(index: number, [operator = '', value]: readonly string[]): SeccompArgument {
  return { index, op: operatorOf(operator as '<' | '==' | '>' | '&'), value: Number(value), valueTwo: 0 }
}

function operatorOf(operator: '<' | '==' | '>' | '&'): SeccompOperator {
  switch (operator) {
    case '<':
      return 'SCMP_CMP_LT'
    case '==':
      return 'SCMP_CMP_EQ'
    case '>':
      return 'SCMP_CMP_GT'
    case '&':
      return 'SCMP_CMP_MASKED_EQ'
    default:
      return unreachable(operator)
  }
}

/** Whether a condition of the table holds. */
function isFor(
  word: string,
  values: readonly string[],
  { capabilities, nativeArchitecture, kernel }: MobyDefault,
): boolean {
  const has = (name: string): boolean => (capabilities as readonly string[]).includes(name)
  switch (word as 'since' | 'on' | 'not-on' | 'with' | 'without') {
    case 'since': {
      const [major = 0, minor = 0] = (values[0] ?? '').split('.').map(Number)
      return kernel.major > major || (kernel.major === major && kernel.minor >= minor)
    }
    case 'on':
      return values.includes(goArchitecture(nativeArchitecture))
    case 'not-on':
      return !values.includes(goArchitecture(nativeArchitecture))
    case 'with':
      return values.every(has)
    case 'without':
      return !values.some(has)
  }
}

/** Docker writes the names of Go. */
function goArchitecture(name: SeccompArchitecture): string {
  switch (name) {
    case 'SCMP_ARCH_X86_64':
      return 'amd64'
    case 'SCMP_ARCH_AARCH64':
      return 'arm64'
    case 'SCMP_ARCH_LOONGARCH64':
      return 'loong64'
    default:
      return architectureOf(name)
  }
}

/**
 * A rule is its names and then, with `; ` before each: `argN < 38`, `argN & MASK` (all bits of the mask are 0), the errno of a rule that
 * denies, and whom it is for: a kernel since, an architecture, a capability.
 */
const RULES = `accept accept4 access adjtimex alarm bind brk cachestat capget capset chdir chmod chown chown32 clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake futimesat getcpu getcwd getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresgid32 getresuid getresuid32 getrlimit get_robust_list getrusage getsid getsockname getsockopt get_thread_area gettid gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch inotify_init inotify_init1 inotify_rm_watch io_cancel ioctl io_destroy io_getevents io_pgetevents io_pgetevents_time64 ioprio_get ioprio_set io_setup io_submit ipc kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lchown32 lgetxattr link linkat listen listmount listxattr listxattrat llistxattr _llseek lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat _newselect open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl pread64 preadv preadv2 prlimit64 process_mrelease pselect6 pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg remap_file_pages removexattr removexattrat rename renameat renameat2 restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop semtimedop_time64 send sendfile sendfile64 sendmmsg sendmsg sendto setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit set_robust_list setsid setsockopt set_thread_area set_tid_address setuid setuid32 setxattr setxattrat shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn socketcall socketpair splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 waitid waitpid write writev
process_vm_readv process_vm_writev ptrace; since 4.8
socket; arg0 < 38
socket; arg0 == 39
socket; arg0 > 40
personality; arg0 == 0
personality; arg0 == 8
personality; arg0 == 0x20000
personality; arg0 == 0x20008
personality; arg0 == 0xffffffff
sync_file_range2 swapcontext; on ppc64le
arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls; on arm arm64
arch_prctl; on amd64 x32
modify_ldt; on amd64 x32 x86
s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr; on s390 s390x
riscv_flush_icache; on riscv64
open_by_handle_at; with CAP_DAC_READ_SEARCH
bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog umount umount2 unshare; with CAP_SYS_ADMIN
clone; arg0 & 0x7e020000; not-on s390 s390x; without CAP_SYS_ADMIN
clone; arg1 & 0x7e020000; on s390 s390x; without CAP_SYS_ADMIN
clone3; errno 38; without CAP_SYS_ADMIN
reboot; with CAP_SYS_BOOT
chroot; with CAP_SYS_CHROOT
delete_module init_module finit_module; with CAP_SYS_MODULE
acct; with CAP_SYS_PACCT
kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace; with CAP_SYS_PTRACE
iopl ioperm; with CAP_SYS_RAWIO
settimeofday stime clock_settime clock_settime64; with CAP_SYS_TIME
vhangup; with CAP_SYS_TTY_CONFIG
get_mempolicy mbind set_mempolicy set_mempolicy_home_node; with CAP_SYS_NICE
syslog; with CAP_SYSLOG
bpf; with CAP_BPF
perf_event_open; with CAP_PERFMON`

/** Made when the program is built: modules do not run at start. */
const TABLE: readonly Row[] = RULES.split('\n').map(rowOf)
