/** Calls that shape a process before it becomes the container's program. */

import { BPF_INSTRUCTION_BYTES, SECCOMP_SET_MODE_FILTER } from './bpf.ts'
import type { Argument, Buffer, Call, Pointer, Slot, Strings } from './call.ts'

export const P_PIDFD = 3
export const P_PID = 1
export const WEXITED = 4
export const WNOHANG = 1
/** The end is still there for another waitid(2). */
export const WNOWAIT = 0x1000000
/** struct siginfo as waitid(2) fills it: si_code at 8 (CLD_EXITED 1, CLD_KILLED 2, CLD_DUMPED 3), si_pid at 16, si_status at 24. */
export const SIGINFO_BYTES = 128
/** Where si_status is: the code of exit(2), or the signal. */
export const SI_STATUS = 24
export const SI_CODE = 8
export const SI_PID = 16
export const CLD_EXITED = 1

export const waitid = (idType: number, id: Argument, info: Buffer, options: number = WEXITED): Call => ({
  name: 'waitid',
  args: [idType, id, info, options, 0],
})
/** The same, and what the process and the children that it has waited for have used: struct rusage. getrusage(2) */
export const waitidUsage = (idType: number, id: Argument, info: Buffer, usage: Buffer, options: number): Call => ({
  name: 'waitid',
  args: [idType, id, info, options, usage],
})
/** struct rusage: ru_utime at 0, ru_stime at 16 (seconds and microseconds, 8 bytes each), ru_maxrss at 32 (KiB). */
export const RUSAGE_BYTES = 144
export const pidfdOpen = (pid: Argument): Call => ({ name: 'pidfd_open', args: [pid, 0] })
export const pidfdSendSignal = (pidfd: Argument, signal: number): Call => ({
  name: 'pidfd_send_signal',
  args: [pidfd, signal, 0, 0],
})
/** Signals the process group of that process. Linux 6.9, EINVAL before. pidfd_send_signal(2) */
export const pidfdSendGroupSignal = (pidfd: Argument, signal: number): Call => ({
  name: 'pidfd_send_signal',
  args: [pidfd, signal, 0, PIDFD_SIGNAL_PROCESS_GROUP],
})
const PIDFD_SIGNAL_PROCESS_GROUP = 4
export const getpid = (): Call => ({ name: 'getpid', args: [] })
export const setpgid = (pid: number, group: number | Slot): Call => ({ name: 'setpgid', args: [pid, group] })
export const setsid = (): Call => ({ name: 'setsid', args: [] })
export const umask = (mask: number): Call => ({ name: 'umask', args: [mask] })
export const exitGroup = (status: number): Call => ({ name: 'exit_group', args: [status] })

export const setresuid = (real: number, effective: number, saved: number): Call => ({
  name: 'setresuid',
  args: [real, effective, saved],
})
export const setresgid = (real: number, effective: number, saved: number): Call => ({
  name: 'setresgid',
  args: [real, effective, saved],
})
export const setgroups = (count: number, gids: Uint8Array): Call => ({
  name: 'setgroups',
  args: [count, count === 0 ? 0 : gids],
})

export const PR_SET_PDEATHSIG = 1
export const PR_SET_DUMPABLE = 4
export const PR_SET_KEEPCAPS = 8
export const PR_SET_NO_NEW_PRIVS = 38
export const PR_CAPBSET_DROP = 24
export const PR_CAP_AMBIENT = 47
export const PR_CAP_AMBIENT_RAISE = 2
export const PR_CAP_AMBIENT_CLEAR_ALL = 4
export const PR_SET_SECUREBITS = 28

export const prctl = (option: number, ...rest: readonly Argument[]): Call => ({
  name: 'prctl',
  args: [option, ...rest, ...[0, 0, 0, 0].slice(rest.length)],
})

/** 64 bits, signal n is bit n - 1. */
export function signalMask(signals: readonly number[]): Uint8Array {
  const mask = new Uint8Array(8)
  for (const signal of signals) {
    const byte = (signal - 1) >> 3
    mask[byte] = (mask[byte] ?? 0) | (1 << ((signal - 1) & 7))
  }
  return mask
}

/** A signal mask of 64 bits; all zero blocks nothing. rt_sigprocmask(2) */
export const setSignalMask = (mask: Uint8Array): Call => ({
  name: 'rt_sigprocmask',
  args: [2, mask, 0, 8],
})

/** What the process was started with, where it becomes a program that keeps it: executor/run-here.ts knows where that lies. */
export const INHERITED_ENVIRONMENT: Slot = { slot: 'environment' }

export const SIG_BLOCK = 0
export const SIG_SETMASK = 2
/** As setSignalMask, and keeps the mask of before. rt_sigprocmask(2) */
export const changeSignalMask = (how: number, mask: Uint8Array | Buffer, before?: Buffer): Call => ({
  name: 'rt_sigprocmask',
  args: [how, mask, before ?? 0, 8],
})

export const execve = (path: Pointer, args: Strings, env: Strings | Slot): Call => ({
  name: 'execve',
  args: [path, args, env],
})
export const execveat = (dir: Slot | number, path: Pointer, args: Strings, env: Strings, flags: number): Call => ({
  name: 'execveat',
  args: [dir, path, args, env, flags],
})

/**
 * Makes a child process like clone3 without flags. For a process whose seccomp filter may know only the older call: filters cannot read the
 * structure of clone3, so many of them deny it.
 *
 * flags, stack, where to store the pidfd, tls and child_tid in the order of the architecture. clone(2) "CLONE_PIDFD"
 */
export const fork = (pidfd: Buffer): Call => ({ name: 'clone', args: [CLONE_PIDFD | SIGCHLD, 0, pidfd, 0, 0] })
const CLONE_PIDFD = 0x1000
export const SIGCHLD = 17

/** Copies the descriptor with this number out of another process, close-on-exec. pidfd_getfd(2), Linux 5.6 */
export const pidfdGetfd = (pidfd: Slot, fd: Argument): Call => ({ name: 'pidfd_getfd', args: [pidfd, fd, 0] })

/**
 * Loads a filter of `struct sock_filter[]`; answers a descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER.
 *
 * struct sock_fprog: the number of instructions (2 bytes), their address at 8. seccomp(2)
 */
export function seccompFilter(filter: Uint8Array, flags: number): Call {
  const program = new Uint8Array(16)
  new DataView(program.buffer).setUint16(0, filter.length / BPF_INSTRUCTION_BYTES, true)
  return {
    name: 'seccomp',
    args: [SECCOMP_SET_MODE_FILTER, flags, { struct: program, fields: [{ offset: 8, sizeBytes: 8, value: filter }] }],
  }
}
