/** Waiting for descriptors, for so long. */

import { packU64 } from './bytes.ts'
import type { Call, Slot } from './call.ts'

const POLLIN = 1

/** Answers once one of two descriptors is readable, or has ended. */
export const ppollEither = (one: Slot, other: Slot): Call => {
  const poll = new Uint8Array(16)
  poll[4] = POLLIN
  poll[12] = POLLIN
  const fields = [one, other].map((value, index) => ({ offset: 8 * index, sizeBytes: 4 as const, value }))
  return { name: 'ppoll', args: [{ struct: poll, fields }, 2, 0, 0, 8] }
}

/** Answers at once: 1 if a pipe has nobody at its other end any more, else 0. ppoll(2) "POLLERR" */
export const ppollBroken = (fd: number): Call => {
  const poll = new Uint8Array(8)
  new DataView(poll.buffer).setInt32(0, fd, true)
  return { name: 'ppoll', args: [poll, 1, packU64([0, 0]), 0, 8] }
}

/**
 * Answers 1 once `fd` is readable, 0 when `seconds` are over; without them it waits for ever. A pidfd is readable when its process ends.
 *
 * struct pollfd: fd (4 bytes), events, revents (2 each); struct timespec: seconds, nanoseconds (8 each). ppoll(2), pidfd_open(2)
 */
export function ppollReadable(fd: Slot | number, seconds?: number): Call {
  const poll = new Uint8Array(8)
  poll[4] = POLLIN
  const timeout = seconds === undefined ? 0 : packU64([seconds, 0])
  if (typeof fd === 'number') {
    new DataView(poll.buffer).setInt32(0, fd, true)
    return { name: 'ppoll', args: [poll, 1, timeout, 0, 8] }
  }
  return { name: 'ppoll', args: [{ struct: poll, fields: [{ offset: 0, sizeBytes: 4, value: fd }] }, 1, timeout, 0, 8] }
}

/**
 * Answers how many of `fds` are readable or have nobody at the other end, or 0 when the time is over; without a time it waits for ever.
 *
 * struct pollfd and struct timespec as above. ppoll(2)
 */
export function ppollAny(fds: readonly Slot[], timeoutMs?: number): Call {
  const polls = new Uint8Array(fds.length * 8)
  for (let at = 4; at < polls.length; at += 8) polls[at] = POLLIN
  const fields = fds.map((value, index) => ({ offset: index * 8, sizeBytes: 4 as const, value }))
  const time =
    timeoutMs === undefined ? 0 : packU64([Math.floor(timeoutMs / 1000), Math.round((timeoutMs % 1000) * 1e6)])
  return { name: 'ppoll', args: [{ struct: polls, fields }, fds.length, time, 0, 8] }
}
