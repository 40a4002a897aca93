/** Waiting for something to happen: descriptors that become ready, signals, changes of files. */

import { bug } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { packU64 } from '../linux/bytes.ts'
import { O_CLOEXEC, O_NONBLOCK } from '../linux/files.ts'
import { must, mustUnless } from './embedded-call.ts'

export const POLLIN = 1
export const POLLOUT = 4
export const POLLERR = 8
export const POLLHUP = 16

export interface Watched {
  readonly fd: number
  /** POLLIN, POLLOUT; an error or a hang-up is always reported. */
  readonly events: number
}

/**
 * Waits until one of the descriptors is ready; answers what each is ready for, in the same order, 0 for nothing.
 *
 * Undefined behind the time-out; without one it waits for ever. struct pollfd: fd (4 bytes), events (2), revents (2). ppoll(2)
 */
export function poll(native: Native, watched: readonly Watched[], timeoutMs?: number): readonly number[] | undefined {
  const view = new DataView(new ArrayBuffer(watched.length * 8))
  watched.forEach(({ fd, events }, index) => {
    view.setInt32(index * 8, fd, true)
    view.setInt16(index * 8 + 4, events, true)
  })
  const timeout = timeoutMs === undefined ? null : timespec(timeoutMs)
  // The kernel writes what is left of the time into `timeout`, so that a call which a signal interrupts goes on with that.
  const ready = must(native, 'wait for an event', 'ppoll', view, watched.length, timeout, null, 8)
  return ready === 0 ? undefined : watched.map((_, index) => view.getInt16(index * 8 + 6, true))
}

/** struct timespec: seconds and nanoseconds, 8 bytes each. */
const timespec = (ms: number): Uint8Array => packU64([Math.floor(ms / 1000), Math.floor((ms % 1000) * 1_000_000)])

const SIG_BLOCK = 0
const SIG_SETMASK = 2

/** Keeps the signals of a mask from being delivered, and answers the mask from before, for `setSignalMask`. rt_sigprocmask(2) */
export function blockSignals(native: Native, signals: Uint8Array): Uint8Array {
  const before = new Uint8Array(8)
  must(native, 'block signals', 'rt_sigprocmask', SIG_BLOCK, signals, before, 8)
  return before
}

export function setSignalMask(native: Native, mask: Uint8Array): void {
  must(native, 'set the signal mask', 'rt_sigprocmask', SIG_SETMASK, mask, null, 8)
}

/** A descriptor from which blocked signals are read instead of delivered; it does not block. signalfd(2) */
export const openSignalFd = (native: Native, signals: Uint8Array): number =>
  must(native, 'wait for signals', 'signalfd4', -1, signals, 8, O_CLOEXEC | O_NONBLOCK)

const SIGNALFD_SIGINFO_BYTES = 128

/** The number of the next signal; undefined if there is none now. struct signalfd_siginfo: ssi_signo at 0, 4 bytes. */
export function readSignal(native: Native, signalFd: number): number | undefined {
  const record = new Uint32Array(SIGNALFD_SIGINFO_BYTES / 4)
  const options = { native, operation: 'read a signal', expected: ['EAGAIN'] } as const
  const count = mustUnless(options, 'read', signalFd, record, SIGNALFD_SIGINFO_BYTES)
  return count === undefined ? undefined : record[0]
}

/** Ends this process by a signal that was held back, so that who waits for it sees which: signal(7). Returns if the signal ends nobody. */
export function endBySignal(native: Native, signal: number): void {
  must(native, 'send a signal', 'kill', must(native, 'know the own pid', 'getpid'), signal)
  setSignalMask(native, new Uint8Array(8))
}

/** A counter that can be polled; it does not block. eventfd(2) */
export const openEventFd = (native: Native): number =>
  must(native, 'make an event counter', 'eventfd2', 0, O_CLOEXEC | O_NONBLOCK)

/** How often it was signalled since the last time. */
export function readEventFd(native: Native, eventFd: number): number {
  const count = new Uint32Array(2)
  const options = { native, operation: 'read an event counter', expected: ['EAGAIN'] } as const
  const bytes = mustUnless(options, 'read', eventFd, count, 8)
  if (bytes === undefined) return 0
  const [low, high] = count
  if (low === undefined || high === undefined) throw bug('an event counter has 8 bytes')
  return high * 0x1_0000_0000 + low
}

/** A descriptor that becomes readable when one of the files changes as `mask` says (IN_MODIFY, …). inotify(7) */
export function watchFiles(native: Native, paths: readonly string[], mask: number): number {
  const operation = `watch ${paths.join(' and ')}`
  const fd = must(native, operation, 'inotify_init1', O_CLOEXEC | O_NONBLOCK)
  for (const path of paths) must(native, operation, 'inotify_add_watch', fd, path, mask)
  return fd
}

const EVENTS_BYTES = 4096

/** Takes the events that have come away, so that the descriptor becomes ready anew; answers whether there were any. */
export function drain(native: Native, fd: number): boolean {
  const events = new Uint8Array(EVENTS_BYTES)
  const options = { native, operation: 'read events', expected: ['EAGAIN'] } as const
  let some = false
  while ((mustUnless(options, 'read', fd, events, EVENTS_BYTES) ?? 0) > 0) some = true
  return some
}
