/** Sockets: the pair by which parent and child talk, messages that carry descriptors, and what switches a network device on. */

import { BPF_INSTRUCTION_BYTES } from './bpf.ts'
import { structOf64, utf8 } from './bytes.ts'
import type { Argument, Buffer, Call, Pointer, Slot, Struct } from './call.ts'

export const AF_UNIX = 1
export const AF_INET = 2
export const AF_INET6 = 10
export const SOCK_STREAM = 1
export const SOCK_DGRAM = 2
export const SOCK_SEQPACKET = 5
const SOCK_CLOEXEC = 0o2000000
export const SOCK_NONBLOCK = 0o4000
const MSG_NOSIGNAL = 0x4000

export const socket = (family: number, type: number, protocol = 0): Call => ({
  name: 'socket',
  args: [family, type | SOCK_CLOEXEC, protocol],
})
/** Two connected sockets; the descriptors are the two 4-byte halves of `into`. socketpair(2) */
export const socketpair = (family: number, type: number, into: Buffer): Call => ({
  name: 'socketpair',
  args: [family, type | SOCK_CLOEXEC, 0, into],
})

/** struct sockaddr_un with a path of at most 107 bytes; the caller checks the length. unix(7) */
export function unixAddress(path: string): Uint8Array {
  const name = utf8(path)
  const address = new Uint8Array(110)
  address[0] = AF_UNIX
  address.set(name.subarray(0, 107), 2)
  return address
}

const SOL_IPV6 = 41
const IPV6_V6ONLY = 26
/** It takes no connections over IPv4 in the guise of IPv6. ipv6(7) */
export const onlyIpv6 = (fd: Slot): Call => ({
  name: 'setsockopt',
  args: [fd, SOL_IPV6, IPV6_V6ONLY, Uint8Array.of(1, 0, 0, 0), 4],
})

const IPV6_FREEBIND = 78
/** It may be bound to an address that no interface has, as one that only a route makes the machine's. Linux 4.15, ipv6(7) */
export const freeBind = (fd: Slot): Call => ({
  name: 'setsockopt',
  args: [fd, SOL_IPV6, IPV6_FREEBIND, Uint8Array.of(1, 0, 0, 0), 4],
})

const SO_REUSEADDR = 2
/** What is left of connections of somebody before is in nobody's way. socket(7) */
export const reuseAddress = (fd: Slot): Call => ({
  name: 'setsockopt',
  args: [fd, SOL_SOCKET, SO_REUSEADDR, Uint8Array.of(1, 0, 0, 0), 4],
})

const SO_ATTACH_FILTER = 26
/** Only what the filter of classic BPF lets through is received. struct sock_fprog: as for seccomp(2). socket(7) */
export function attachFilter(fd: Slot, filter: Uint8Array): Call {
  const program = new Uint8Array(16)
  new DataView(program.buffer).setUint16(0, filter.length / BPF_INSTRUCTION_BYTES, true)
  const struct: Struct = { struct: program, fields: [{ offset: 8, sizeBytes: 8, value: filter }] }
  return { name: 'setsockopt', args: [fd, SOL_SOCKET, SO_ATTACH_FILTER, struct, program.length] }
}

export const connect = (fd: Slot, address: Uint8Array): Call => ({
  name: 'connect',
  args: [fd, address, address.length],
})
/** struct sockaddr_in, or sockaddr_in6 for 16 bytes: family, port and address in the byte order of the network. ip(7), ipv6(7) */
export function inetAddress(address: Uint8Array, port: number): Uint8Array {
  const isFour = address.length === 4
  const bytes = new Uint8Array(isFour ? 16 : 28)
  bytes[0] = isFour ? AF_INET : AF_INET6
  new DataView(bytes.buffer).setUint16(2, port)
  bytes.set(address, isFour ? 4 : 8)
  return bytes
}

export const bind = (fd: Slot, address: Uint8Array): Call => ({ name: 'bind', args: [fd, address, address.length] })
export const listen = (fd: Slot, backlog: number): Call => ({ name: 'listen', args: [fd, backlog] })
export const sendto = (fd: Slot, bytes: Pointer, sizeBytes: Argument): Call => ({
  name: 'sendto',
  args: [fd, bytes, sizeBytes, MSG_NOSIGNAL, 0, 0],
})

/** Sends bytes and one descriptor. unix(7), cmsg(3) */
export const sendDescriptor = (socketFd: Slot, fd: Slot, bytes: Uint8Array): Call =>
  sendDescriptorWith(socketFd, fd, { payload: bytes, sizeBytes: bytes.length })

/**
 * Sends the first `sizeBytes` of `payload` and one descriptor.
 *
 * struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; 8 bytes each with their padding.
 */
export function sendDescriptorWith(
  socketFd: Slot,
  fd: Slot,
  { payload, sizeBytes }: { readonly payload: Pointer; readonly sizeBytes: number },
): Call {
  const control = new Uint8Array(RIGHTS_BYTES)
  const view = new DataView(control.buffer)
  view.setUint32(0, RIGHTS_LENGTH, true)
  view.setUint32(8, SOL_SOCKET, true)
  view.setUint32(12, SCM_RIGHTS, true)
  const cmsg: Struct = { struct: control, fields: [{ offset: RIGHTS_FD, sizeBytes: 4, value: fd }] }
  const iovec = structOf64([payload, sizeBytes])
  return { name: 'sendmsg', args: [socketFd, structOf64([0, 0, iovec, 1, cmsg, RIGHTS_BYTES, 0]), MSG_NOSIGNAL] }
}

/**
 * Receives a byte into `payload` and a descriptor into `rights`, at RIGHTS_FD if RIGHTS_LENGTH is at its start; several where `rights` has
 * rightsBytes of them, behind each other, and rightsLength is at its start. They are close-on-exec.
 *
 * struct cmsghdr: len (8 bytes), level, type (4 each), and the descriptor (4). recvmsg(2), cmsg(3)
 */
export const receiveDescriptor = (socketFd: Slot | number, payload: Buffer, rights: Buffer): Call => ({
  name: 'recvmsg',
  args: [
    socketFd,
    structOf64([0, 0, structOf64([payload, payload.sizeBytes]), 1, rights, rights.sizeBytes, 0]),
    MSG_CMSG_CLOEXEC,
  ],
})

/** Sends a byte and up to 253 descriptors. unix(7) "SCM_RIGHTS", cmsg(3) */
export function sendDescriptors(socketFd: Slot | number, fds: readonly Slot[], byte: Uint8Array): Call {
  const control = new Uint8Array(rightsBytes(fds.length))
  const view = new DataView(control.buffer)
  view.setUint32(0, rightsLength(fds.length), true)
  view.setUint32(8, SOL_SOCKET, true)
  view.setUint32(12, SCM_RIGHTS, true)
  const fields = fds.map((value, index) => ({ offset: RIGHTS_FD + 4 * index, sizeBytes: 4 as const, value }))
  const cmsg: Struct = { struct: control, fields }
  const header = structOf64([0, 0, structOf64([byte, byte.length]), 1, cmsg, control.length, 0])
  return { name: 'sendmsg', args: [socketFd, header, MSG_NOSIGNAL] }
}

/** The size of a control message with so many descriptors, with and without the padding behind it. */
export const rightsBytes = (count: number): number => (rightsLength(count) + 7) & ~7
export const rightsLength = (count: number): number => RIGHTS_FD + 4 * count

const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const MSG_CMSG_CLOEXEC = 0x4000_0000
/** The size of a control message with one descriptor, with and without the padding behind it, and where the descriptor is. */
export const RIGHTS_BYTES = 24
export const RIGHTS_LENGTH = 20
export const RIGHTS_FD = 16

/** Receives what is there already; EAGAIN if that is nothing. recv(2) */
export const receiveNow = (socketFd: Slot, into: Buffer): Call => ({
  name: 'recvfrom',
  args: [socketFd, into, into.sizeBytes, MSG_DONTWAIT, 0, 0],
})
const MSG_DONTWAIT = 0x40

/** For all who have it open, in both directions. shutdown(2) */
export const shutdownSocket = (socketFd: Slot): Call => ({ name: 'shutdown', args: [socketFd, SHUT_RDWR] })
const SHUT_RDWR = 2
export const SHUT_WR = 1
