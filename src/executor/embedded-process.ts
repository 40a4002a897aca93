/** Processes as the front program sees and ends them, and what it knows of itself. */

import type { Native } from '../base/native.ts'
import { packU64 } from '../linux/bytes.ts'
import type { CapabilityMask } from '../linux/capabilities.ts'
import { P_PID, P_PIDFD, PR_SET_PDEATHSIG, SIGINFO_BYTES, WEXITED } from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import { attempt, must, mustUnless } from './embedded-call.ts'

/** A descriptor that names this process even after its pid has been given to another; undefined if it is gone. pidfd_open(2) */
export const openPidfd = (native: Native, pid: number): number | undefined =>
  mustUnless({ native, operation: `open process ${pid}`, expected: ['ESRCH'] }, 'pidfd_open', pid, 0)

/** Sends a signal; answers false if the process is gone. pidfd_send_signal(2) */
export const signalPidfd = (native: Native, pidfd: number, signal: number): boolean =>
  mustUnless(
    { native, operation: `send signal ${signal}`, expected: ['ESRCH'] },
    'pidfd_send_signal',
    pidfd,
    signal,
    null,
    0,
  ) !== undefined

/**
 * Sends a signal by number; answers false if there is no such process. A negative pid is a process group. kill(2)
 *
 * Only for pids that cannot be given to another: the caller's own children before they are waited for.
 */
export const kill = (native: Native, pid: number, signal: number): boolean =>
  mustUnless({ native, operation: `send signal ${signal} to ${pid}`, expected: ['ESRCH'] }, 'kill', pid, signal) !==
  undefined

export type Exit =
  | { readonly pid: number; readonly by: 'code'; readonly code: number }
  | { readonly pid: number; readonly by: 'signal'; readonly signal: number; readonly hasDumpedCore: boolean }

const WNOHANG = 1
const CLD_EXITED = 1
const CLD_DUMPED = 3

/** Waits until a child ends, and reaps it. `pid` is that of a child, and not of any process. waitid(2) */
export function waitForPid(native: Native, pid: number): Exit {
  const info = new Int32Array(SIGINFO_BYTES / 4)
  must(native, `wait for process ${pid}`, 'waitid', P_PID, pid, info, WEXITED, null)
  return exitOf(info)
}

/** Waits until the child behind a pidfd ends, and reaps it. */
export function waitForPidfd(native: Native, pidfd: number): Exit {
  const info = new Int32Array(SIGINFO_BYTES / 4)
  must(native, 'wait for a process', 'waitid', P_PIDFD, pidfd, info, WEXITED, null)
  return exitOf(info)
}

const P_ALL = 0

/** Reaps one child that has ended, any of them; undefined if none has, or there is none. */
export function reapAny(native: Native): Exit | undefined {
  const info = new Int32Array(SIGINFO_BYTES / 4)
  const options = { native, operation: 'wait for any process', expected: ['ECHILD'] } as const
  if (mustUnless(options, 'waitid', P_ALL, 0, info, WEXITED | WNOHANG, null) === undefined) return undefined
  return info[4] === 0 ? undefined : exitOf(info)
}

/** struct siginfo in words: si_code is 2, si_pid 4, si_status 6; the union of details is aligned to 8 bytes. */
/** `info` is struct siginfo of waitid(2). */
export function exitOf(info: Int32Array): Exit {
  const [, , code = 0, , pid = 0, , status = 0] = info
  if (code === CLD_EXITED) return { pid, by: 'code', code: status }
  return { pid, by: 'signal', signal: status, hasDumpedCore: code === CLD_DUMPED }
}

/** The status that a shell shows: the code, or 128 and the signal. */
export const exitStatus = (exit: Exit): number => (exit.by === 'code' ? exit.code : 128 + exit.signal)

/** Ends this process, with all its threads, at once. */
export function exit(native: Native, status: number): never {
  attempt(native, 'exit_group', status)
  throw new RangeError('exit_group(2) does not return')
}

export interface Ids {
  readonly uid: number
  readonly gid: number
}

/** What permissions are checked against. */
export const effectiveIds = (native: Native): Ids => ({
  uid: attempt(native, 'geteuid'),
  gid: attempt(native, 'getegid'),
})

export const ownPid = (native: Native): number => attempt(native, 'getpid')

const CAPABILITY_VERSION_3 = 0x20080522

/** struct __user_cap_data_struct, twice: effective, permitted, inheritable of the low, then of the high word. capget(2) */
export function effectiveCapabilities(native: Native): CapabilityMask {
  const header = Uint32Array.of(CAPABILITY_VERSION_3, 0)
  const sets = new Uint32Array(6)
  must(native, 'read own capabilities', 'capget', header, sets)
  return { low: sets[0] ?? 0, high: sets[3] ?? 0 }
}

const UTS_FIELD_BYTES = 65

export interface KernelName {
  /** `6.1.0-18-amd64` */
  readonly release: string
  readonly hostname: string
}

/** struct new_utsname: sysname, nodename, release, version, machine, domainname; 65 bytes each, NUL-terminated. uname(2) */
export function kernelName(native: Native): KernelName {
  const names = new Uint8Array(6 * UTS_FIELD_BYTES)
  must(native, 'read the name of the kernel', 'uname', names)
  const field = (index: number): string => {
    const start = index * UTS_FIELD_BYTES
    return native.decode(names, start, names.indexOf(0, start) - start)
  }
  return { hostname: field(1), release: field(2) }
}

export const CLOCK_REALTIME = 0
export const CLOCK_MONOTONIC = 1
export const CLOCK_BOOTTIME = 7

/** Nanoseconds of one of the clocks; exact to 2^53, which the time of day passed in 1970: for that take `timeMs`. clock_gettime(2) */
export function clockNanos(native: Native, clock: number): number {
  const [seconds, nanos] = clockTime(native, clock)
  return seconds * 1_000_000_000 + nanos
}

/** Milliseconds since 1970, as Date takes them. */
export function timeMs(native: Native): number {
  const [seconds, nanos] = clockTime(native, CLOCK_REALTIME)
  return seconds * 1000 + Math.floor(nanos / 1_000_000)
}

function clockTime(native: Native, clock: number): readonly [number, number] {
  const time = new Uint32Array(4)
  must(native, 'read the clock', 'clock_gettime', clock, time)
  const [low = 0, high = 0, nanos = 0] = time
  return [high * 0x1_0000_0000 + low, nanos]
}

/** This process becomes another program, with its descriptors but for those with close-on-exec. Returns only if it cannot. execve(2) */
export function become(native: Native, path: string, args: readonly string[], env: readonly string[]): void {
  const [argv, envp] = [pointersTo(native, args), pointersTo(native, env)]
  attempt(native, 'execve', path, argv.list, envp.list)
}

/** The texts have to stay reachable as long as the list is in use. */
function pointersTo(
  native: Native,
  texts: readonly string[],
): { readonly list: Uint8Array; readonly texts: readonly Uint8Array[] } {
  const bytes = texts.map((text) => Uint8Array.of(...native.encode(text), 0))
  return { list: packU64([...bytes.map((one) => native.address(one)), 0]), texts: bytes }
}

/** This process ends with the one that made it, whose pid is `parent`, from now on. PR_SET_PDEATHSIG(2const) */
export function endWith(native: Native, parent: number): void {
  must(native, 'end with the caller', 'prctl', PR_SET_PDEATHSIG, signalNumber('SIGKILL'), 0, 0, 0)
  if (attempt(native, 'getppid') !== parent) exit(native, 1)
}

export const outlive = (native: Native): void =>
  void must(native, 'outlive the caller', 'prctl', PR_SET_PDEATHSIG, 0, 0, 0, 0)
