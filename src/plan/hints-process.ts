/** Hints for programs, privileges and limits: hints.ts. */

import type { Rule } from './hints-rule.ts'

/** What keeps a program from starting as it is asked to. */
export const programRules = (): readonly Rule[] => [
  {
    calls: 'execve execveat',
    errnos: 'ENOENT',
    when: ({ missingInterpreter }) => missingInterpreter !== undefined,
    hint: ({ missingInterpreter }) =>
      `the file is there, but its interpreter ${missingInterpreter} is not in the image; link it statically, or use an image that has it`,
    see: ['execve(2)'],
  },
  {
    calls: 'execve execveat',
    errnos: 'EACCES',
    hint: 'it has to be a regular file that this user may execute, on a mount without noexec, in directories that this user may search',
    see: ['execve(2)', 'path_resolution(7)'],
  },
  {
    calls: 'execve execveat',
    errnos: 'ENOEXEC',
    hint: 'the kernel does not know this format: a program has to be for this architecture, and a script has to begin with #!',
    see: ['execve(2)', 'kernel:admin-guide/binfmt-misc.rst'],
  },
  {
    calls: 'execve execveat',
    errnos: 'E2BIG',
    hint: 'one argument or variable may have 128 KiB, all together a quarter of RLIMIT_STACK; pass large data in a file',
    see: ['execve(2)'],
  },
  {
    calls: 'execve execveat',
    errnos: 'ETXTBSY',
    hint: 'somebody has the program open for writing; wait until it is closed: fuser -v FILE',
    see: ['execve(2)'],
  },
  {
    calls: 'execve execveat',
    errnos: 'EAGAIN',
    hint: 'this user has as many processes as RLIMIT_NPROC allows; raise it in process.rlimits',
    see: ['execve(2)'],
  },
  {
    calls: 'chdir',
    errnos: 'ENOENT',
    about: / start in /,
    hint: 'make that directory in the image, or name another by process.cwd or --workdir',
    see: ['oci:runtime-spec/config.md#process'],
  },
  {
    calls: 'chdir',
    errnos: 'EACCES',
    about: / start in /,
    hint: 'the user of the container may not enter that directory; name another by process.cwd or --workdir, or change its mode',
    see: ['chdir(2)'],
  },
  {
    calls: 'capset',
    errnos: 'EPERM',
    hint: 'nobody can give capabilities that he does not have; take those that coffer itself lacks out of process.capabilities: capsh --print',
    see: ['capset(2)', 'capabilities(7)'],
  },
  {
    calls: 'prctl',
    errnos: 'EPERM',
    about: /PR_CAP_AMBIENT_RAISE/,
    hint: 'an ambient capability has to be permitted and inheritable, too',
    see: ['capabilities(7)'],
  },
  {
    calls: 'seccomp',
    errnos: 'EACCES',
    hint: 'without privilege a filter needs process.noNewPrivileges to be true',
    see: ['seccomp(2)'],
  },
  {
    calls: 'seccomp',
    errnos: 'EBUSY',
    hint: 'a process can have one seccomp listener, and an outer filter has one already; take SCMP_ACT_NOTIFY out of the profile',
    see: ['seccomp_unotify(2)'],
  },
  {
    calls: 'seccomp',
    errnos: 'EINVAL',
    about: /SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV/,
    hint: 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs Linux 5.19; take it out of linux.seccomp.flags',
    see: ['seccomp(2)'],
  },
]

/** What the caller may not give, or has no more of. */
export const limitRules = (): readonly Rule[] => [
  {
    calls: 'prlimit64',
    errnos: 'EPERM',
    hint: 'the hard limit can be raised only with CAP_SYS_RESOURCE, and that of RLIMIT_NOFILE not above fs.nr_open; choose one no higher than that of coffer itself: prlimit',
    see: ['getrlimit(2)'],
  },
  {
    calls: 'prlimit64',
    errnos: 'EINVAL',
    hint: 'the soft limit must not be higher than the hard one',
    see: ['getrlimit(2)'],
  },
  {
    calls: 'sched_setattr sched_setscheduler',
    errnos: 'EBUSY',
    hint: 'the CPUs cannot give SCHED_DEADLINE that much time; ask for less runtime in each period',
    see: ['sched(7)'],
  },
  {
    calls: 'sched_setattr sched_setscheduler ioprio_set setpriority',
    errnos: 'EPERM EACCES',
    hint: 'that priority needs CAP_SYS_NICE; run as root, or leave process.scheduler and process.ioPriority out',
    see: ['sched(7)', 'ioprio_set(2)'],
  },
  {
    calls: 'sched_setaffinity',
    errnos: 'EINVAL',
    hint: 'none of these CPUs is online and in the cpuset of the container; compare process.execCPUAffinity with linux.resources.cpu.cpus',
    see: ['sched_setaffinity(2)'],
  },
  {
    calls: 'write',
    errnos: 'EACCES',
    about: /oom_score_adj/,
    hint: 'without CAP_SYS_RESOURCE the score can only be raised; choose a process.oomScoreAdj no lower than that of coffer itself: cat /proc/self/oom_score_adj',
    see: ['proc_pid_oom_score_adj(5)'],
  },
  {
    calls: 'keyctl',
    errnos: 'EDQUOT',
    hint: 'this user has as many keys as kernel.keys.maxkeys allows; raise it, or use --no-new-keyring',
    see: ['keyctl(2)', 'keyrings(7)'],
  },
  {
    calls: 'clone clone3',
    errnos: 'EAGAIN',
    hint: 'no more processes are allowed by one of: pids.max of the cgroup, RLIMIT_NPROC (ulimit -u), kernel.pid_max, kernel.threads-max',
    see: ['clone(2)'],
  },
  {
    calls: 'connect',
    errnos: 'ECONNREFUSED ENOENT',
    hint: 'nobody listens at that socket; start the program that does first',
    see: ['unix(7)'],
  },
]

/** The versions of Linux that brought a call. Source: the manual page of each. */
const SINCE =
  'clone3 5.3,close_range 5.9,faccessat2 5.8,fsconfig 5.2,fsmount 5.2,fsopen 5.2,mount_setattr 5.12,move_mount 5.2,open_tree 5.2,openat2 5.6,pidfd_getfd 5.6,pidfd_open 5.3,pidfd_send_signal 5.1'

const sinceOf = (call: string): string =>
  SINCE.split(',')
    .find((entry) => entry.startsWith(`${call} `))
    ?.slice(call.length + 1) ?? ''

/** Errnos that mean the same for every call. */
export const generalRules = (): readonly Rule[] => [
  {
    calls: SINCE.replace(/ [\d.]+,?/g, ' '),
    errnos: 'ENOSYS',
    hint: (_, { name }) =>
      `${name} needs Linux ${sinceOf(name)}; if this kernel is newer, the seccomp profile of an outer container hides the call`,
    see: ['seccomp(2)'],
  },
  {
    calls: '*',
    errnos: 'EMFILE',
    hint: 'coffer has as many files open as RLIMIT_NOFILE allows; raise it: ulimit -n',
    see: ['getrlimit(2)'],
  },
  {
    calls: '*',
    errnos: 'ENFILE',
    hint: 'the whole machine has as many files open as fs.file-max allows; raise it, or close some',
    see: ['kernel:admin-guide/sysctl/fs.rst "file-max"'],
  },
]
