/** Whether a port of this machine is free: a program that has it would not be told if packets went into a container instead. bind(2), ip(7) */

import type { Native } from '../base/native.ts'
import { errnoNumber } from '../linux/errno.ts'
import { AF_INET, AF_INET6, inetAddress, SOCK_DGRAM, SOCK_STREAM } from '../linux/sockets.ts'
import { attempt, must } from './embedded-call.ts'
import { close } from './embedded-files.ts'

const SOL_SOCKET = 1
const SO_REUSEADDR = 2
const IPPROTO_IPV6 = 41
const IPV6_V6ONLY = 26
const SOCK_CLOEXEC = 0o2000000

export interface LocalPort {
  /** 4 bytes, or 16; zeros are all addresses. */
  readonly address: Uint8Array
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
}

/** Answers why it is not, in the words of strerror(3); undefined if it is, or if nobody can tell. */
export function whyTaken(native: Native, { address, port, protocol }: LocalPort): string | undefined {
  if (protocol === 'sctp') return undefined
  const isSix = address.length === 16
  const type = protocol === 'tcp' ? SOCK_STREAM : SOCK_DGRAM
  const fd = attempt(native, 'socket', isSix ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0)
  if (fd < 0) return undefined
  try {
    const yes = Uint32Array.of(1)
    // What is left of old connections is in nobody's way.
    if (protocol === 'tcp') must(native, 'try a port', 'setsockopt', fd, SOL_SOCKET, SO_REUSEADDR, yes, 4)
    if (isSix) must(native, 'try a port', 'setsockopt', fd, IPPROTO_IPV6, IPV6_V6ONLY, yes, 4)
    const place = inetAddress(address, port)
    const result = attempt(native, 'bind', fd, place, place.length)
    if (result === -errnoNumber('EADDRINUSE')) return 'address already in use'
    return result === -errnoNumber('EADDRNOTAVAIL') ? 'cannot assign requested address' : undefined
  } finally {
    close(native, fd)
  }
}
