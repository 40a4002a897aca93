/** Unix sockets of the front program, and descriptors sent over them. unix(7) */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { setU64, utf8Length } from '../linux/bytes.ts'
import { O_CLOEXEC } from '../linux/files.ts'
import { AF_UNIX, SOCK_STREAM, unixAddress } from '../linux/sockets.ts'
import { must, mustUnless } from './embedded-call.ts'

/** struct sockaddr_un has 108 bytes for the path, one of which is the NUL. */
const MAX_PATH_BYTES = 107
const BACKLOG = 64
const MSG_NOSIGNAL = 0x4000
const MSG_CMSG_CLOEXEC = 0x4000_0000
const MSG_CTRUNC = 8
const SOL_SOCKET = 1
const SCM_RIGHTS = 1
const CMSG_HEADER_BYTES = 16
/** The kernel passes at most 253 in one message: SCM_MAX_FD. */
const MAX_DESCRIPTORS = 253

/** Waits for connections at `path`, which must not exist; the caller removes it. `type` is SOCK_STREAM if not given. */
export function listenUnix(native: Native, path: string, type: number = SOCK_STREAM): number {
  const operation = `listen at ${path}`
  const address = addressOf(path, operation)
  const fd = must(native, operation, 'socket', AF_UNIX, type | O_CLOEXEC, 0)
  must(native, operation, 'bind', fd, address, address.length)
  must(native, operation, 'listen', fd, BACKLOG)
  return fd
}

/** The next connection; undefined if the socket does not block and none waits. `flags` adds SOCK_NONBLOCK. */
export const acceptUnix = (native: Native, fd: number, flags = 0): number | undefined =>
  mustUnless(
    { native, operation: 'accept a connection', expected: ['EAGAIN', 'ECONNABORTED'] },
    'accept4',
    fd,
    null,
    null,
    flags | O_CLOEXEC,
  )

/** `type` is SOCK_STREAM if not given. */
export function connectUnix(native: Native, path: string, type: number = SOCK_STREAM): number {
  const operation = `connect to ${path}`
  const address = addressOf(path, operation)
  const fd = must(native, operation, 'socket', AF_UNIX, type | O_CLOEXEC, 0)
  must(native, operation, 'connect', fd, address, address.length)
  return fd
}

/** Two connected sockets. socketpair(2) */
export function socketPair(native: Native, type: number = SOCK_STREAM): readonly [number, number] {
  const ends = new Int32Array(2)
  must(native, 'make a pair of sockets', 'socketpair', AF_UNIX, type | O_CLOEXEC, 0, ends)
  const [one = -1, other = -1] = ends
  return [one, other]
}

function addressOf(path: string, operation: string): Uint8Array {
  if (utf8Length(path) <= MAX_PATH_BYTES) return unixAddress(path)
  throw new OperationError({
    kind: 'invalid',
    operation,
    reason: `its path has more than ${MAX_PATH_BYTES} bytes`,
    path,
    hint: 'use a shorter path: the kernel has no room for a longer one (unix(7))',
  })
}

/** Sends bytes, at least one, and with them copies of descriptors. Answers how many bytes went. */
export function sendDescriptors(native: Native, socket: number, bytes: Uint8Array, fds: readonly number[]): number {
  const length = CMSG_HEADER_BYTES + fds.length * 4
  const message = messageOf(native, bytes, length)
  setU64(message, CONTROL, length)
  message.setInt32(CONTROL + 8, SOL_SOCKET, true)
  message.setInt32(CONTROL + 12, SCM_RIGHTS, true)
  fds.forEach((fd, index) => {
    message.setInt32(CONTROL + CMSG_HEADER_BYTES + index * 4, fd, true)
  })
  return must(native, 'send descriptors', 'sendmsg', socket, message, MSG_NOSIGNAL)
}

export interface Received {
  /** 0: the other end has closed. */
  readonly sizeBytes: number
  /** Close-on-exec; the caller closes them. */
  readonly fds: readonly number[]
}

/** Receives bytes into `into`, and the descriptors that came with them; undefined if the socket does not block and has nothing. */
export function receiveDescriptors(native: Native, socket: number, into: Uint8Array): Received | undefined {
  const message = messageOf(native, into, CMSG_HEADER_BYTES + MAX_DESCRIPTORS * 4)
  const operation = 'receive descriptors'
  const options = { native, operation, expected: ['EAGAIN'] } as const
  const sizeBytes = mustUnless(options, 'recvmsg', socket, message, MSG_CMSG_CLOEXEC)
  if (sizeBytes === undefined) return undefined
  const fds = descriptorsIn(message, CONTROL + message.getUint32(40, true))
  if ((message.getInt32(48, true) & MSG_CTRUNC) === 0) return { sizeBytes, fds }
  for (const fd of fds) must(native, operation, 'close', fd)
  throw new OperationError({ kind: 'exhausted', operation, reason: 'this process has no room for more descriptors' })
}

/** struct cmsghdr: length (8 bytes), level, type (4 each), then the data; each starts at a multiple of 8. cmsg(3) */
function descriptorsIn(message: DataView, end: number): readonly number[] {
  const fds: number[] = []
  for (let at = CONTROL; at + CMSG_HEADER_BYTES <= end; ) {
    const length = message.getUint32(at, true)
    if (length < CMSG_HEADER_BYTES) break
    const isRights = message.getInt32(at + 8, true) === SOL_SOCKET && message.getInt32(at + 12, true) === SCM_RIGHTS
    for (let fd = at + CMSG_HEADER_BYTES; isRights && fd + 4 <= at + length; fd += 4) {
      fds.push(message.getInt32(fd, true))
    }
    at += aligned(length)
  }
  return fds
}

/** struct msghdr is 56 bytes, struct iovec 16; behind them begins what is sent beside the bytes. */
const IOVEC = 56
const CONTROL = 72

/**
 * All structures of a message in one buffer, so that they live as long as each other. recvmsg(2)
 *
 * struct msghdr: name at 0, its length 8, iovec 16, how many 24, control 32, its length 40, flags 48. struct iovec: address, length.
 */
function messageOf(native: Native, bytes: Uint8Array, controlBytes: number): DataView {
  const message = new DataView(new ArrayBuffer(CONTROL + aligned(controlBytes)))
  const address = native.address(message)
  setU64(message, 16, address + IOVEC)
  setU64(message, 24, 1)
  setU64(message, 32, address + CONTROL)
  setU64(message, 40, controlBytes)
  setU64(message, IOVEC, native.address(bytes))
  setU64(message, IOVEC + 8, bytes.length)
  return message
}

const aligned = (length: number): number => (length + 7) & ~7
