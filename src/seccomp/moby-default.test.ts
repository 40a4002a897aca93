import { expect, test } from 'bun:test'
import type { Capability } from '../linux/capabilities.ts'
import { syscallNumber } from '../linux/syscalls.ts'
import type { SeccompArchitecture } from '../oci/seccomp.ts'
import { architectureOf, auditArch } from './architectures.ts'
import { compileSeccomp } from './compile.ts'
import { verdictText } from './disassemble.ts'
import { runFilter } from './interpret.ts'
import { type MobyDefault, mobyDefaultProfile } from './moby-default.ts'

const kernel = { major: 6, minor: 1 }

const dockerCapabilities: readonly Capability[] = [
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FSETID',
  'CAP_FOWNER',
  'CAP_MKNOD',
  'CAP_NET_RAW',
  'CAP_SETGID',
  'CAP_SETUID',
  'CAP_SETFCAP',
  'CAP_SETPCAP',
  'CAP_NET_BIND_SERVICE',
  'CAP_SYS_CHROOT',
  'CAP_KILL',
  'CAP_AUDIT_WRITE',
]

function verdicts(
  target: Partial<MobyDefault> = {},
  on?: SeccompArchitecture,
): (name: string, ...args: readonly number[]) => string {
  const nativeArchitecture = target.nativeArchitecture ?? 'SCMP_ARCH_X86_64'
  const profile = mobyDefaultProfile({ capabilities: dockerCapabilities, kernel, nativeArchitecture, ...target })
  const { filter } = compileSeccomp(profile, { nativeArchitecture })
  const architecture = architectureOf(on ?? nativeArchitecture)
  return (name, ...args) => {
    const nr = syscallNumber(architecture, name) ?? Number.NaN
    return verdictText(runFilter(filter, { nr, arch: auditArch(architecture), args }).value)
  }
}

test('292 calls of x86_64 are allowed whatever their arguments, 66 are denied (S73)', () => {
  const of = verdicts()
  const denied =
    '_sysctl acct add_key afs_syscall bpf clock_settime create_module delete_module fanotify_init finit_module fsconfig fsmount fsopen fspick get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise putpmsg query_module quotactl quotactl_fd reboot request_key security set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs syslog tuxcall umount2 unshare uselib userfaultfd ustat vhangup vserver'.split(
      ' ',
    )
  expect(denied).toHaveLength(66)
  expect(denied.filter((name) => of(name) !== 'ERRNO(EPERM)')).toEqual([])
  const some =
    'read openat2 statmount mseal ptrace process_vm_readv chroot seccomp landlock_create_ruleset futex_waitv setxattrat'
  expect(some.split(' ').filter((name) => of(name) !== 'ALLOW')).toEqual([])
})

test('a capability allows its calls, and nothing else', () => {
  expect(verdicts({ capabilities: ['CAP_SYSLOG'] })('syslog')).toBe('ALLOW')
  expect(verdicts({ capabilities: ['CAP_SYSLOG'] })('mount')).toBe('ERRNO(EPERM)')
  expect(verdicts({ capabilities: [] })('chroot')).toBe('ERRNO(EPERM)')
  const admin = verdicts({ capabilities: ['CAP_SYS_ADMIN'] })
  expect(['mount', 'clone3', 'unshare', 'bpf'].map((name) => admin(name))).toEqual(Array(4).fill('ALLOW'))
  expect(admin('clone', 0x1000_0000)).toBe('ALLOW')
})

test('clone makes no namespaces, and clone3 does not exist', () => {
  const of = verdicts()
  for (const flag of [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000]) {
    expect(of('clone', flag)).toBe('ERRNO(EPERM)')
  }
  expect(of('clone', 0x003d_0f00)).toBe('ALLOW')
  expect(of('clone3')).toBe('ERRNO(ENOSYS)')
})

test('AF_ALG and AF_VSOCK sockets are denied, all others are not', () => {
  const of = verdicts()
  expect([1, 2, 10, 16, 37, 39, 41, 44].map((family) => of('socket', family))).toEqual(Array(8).fill('ALLOW'))
  expect([38, 40].map((family) => of('socket', family))).toEqual(Array(2).fill('ERRNO(EPERM)'))
})

test('personality allows five values', () => {
  const of = verdicts()
  expect([0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].map((value) => of('personality', value))).toEqual(
    Array(5).fill('ALLOW'),
  )
  expect([1, 0x4_0000, 0x1_0000_0008].map((value) => of('personality', value))).toEqual(Array(3).fill('ERRNO(EPERM)'))
})

test('32-bit programs of the machine have the same rules', () => {
  const x86 = verdicts({}, 'SCMP_ARCH_X86')
  expect([x86('mount'), x86('clone', 0x1000_0000), x86('read'), x86('socketcall', 1)]).toEqual([
    'ERRNO(EPERM)',
    'ERRNO(EPERM)',
    'ALLOW',
    'ALLOW',
  ])
  const arm = verdicts({ nativeArchitecture: 'SCMP_ARCH_AARCH64' }, 'SCMP_ARCH_ARM')
  expect([arm('set_tls'), arm('cacheflush'), arm('sync_file_range2'), arm('mount')]).toEqual([
    'ALLOW',
    'ALLOW',
    'ALLOW',
    'ERRNO(EPERM)',
  ])
})

test('calls of one architecture are allowed there only', () => {
  expect(verdicts()('arch_prctl')).toBe('ALLOW')
  expect(verdicts({ nativeArchitecture: 'SCMP_ARCH_RISCV64' })('riscv_flush_icache')).toBe('ALLOW')
})

test('ptrace needs Linux 4.8', () => {
  expect(verdicts({ kernel: { major: 4, minor: 7 } })('ptrace')).toBe('ERRNO(EPERM)')
  expect(verdicts({ kernel: { major: 4, minor: 8 } })('ptrace')).toBe('ALLOW')
})

test('s390 has the flags of clone in its second argument', () => {
  const profile = mobyDefaultProfile({ capabilities: [], nativeArchitecture: 'SCMP_ARCH_S390X', kernel })
  const { filter } = compileSeccomp(profile, { nativeArchitecture: 'SCMP_ARCH_S390X' })
  const of = (...args: readonly number[]): string =>
    verdictText(
      runFilter(filter, { nr: syscallNumber('s390x', 'clone') ?? Number.NaN, arch: auditArch('s390x'), args }, 'big')
        .value,
    )
  expect([of(0x1000_0000, 0), of(0, 0x1000_0000)]).toEqual(['ALLOW', 'ERRNO(EPERM)'])
})
