/** The number by which this network namespace knows another one. rtnetlink(7) */

import type { Native } from '../base/native.ts'
import { must, mustUnless } from '../executor/embedded-call.ts'
import { close } from '../executor/embedded-files.ts'
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from '../linux/files.ts'
import {
  AF_NETLINK,
  NETLINK_ROUTE,
  NETNSA_FD,
  NETNSA_NSID,
  NLM_F_REQUEST,
  netlinkMessage,
  numberAttribute,
  RTGENMSG_BYTES,
  RTM_GETNSID,
  RTM_NEWNSID,
  SOCK_RAW,
} from '../linux/netlink.ts'
import { parseAnswers, parseAttributes } from '../linux/netlink-read.ts'

/** Undefined for one that is out of reach: its process has ended meanwhile, or its file is in somebody else's directory. */
export function readNetnsId(native: Native, file: string): number | 'unassigned' | undefined {
  const operation = `learn the number of ${file}`
  const out = { native, operation, expected: ['ENOENT', 'EACCES', 'EPERM'] } as const
  const namespace = mustUnless(out, 'openat', AT_FDCWD, file, O_RDONLY | O_CLOEXEC, 0)
  if (namespace === undefined) return undefined
  const socket = must(native, operation, 'socket', AF_NETLINK, SOCK_RAW | O_CLOEXEC, NETLINK_ROUTE)
  try {
    const { struct } = netlinkMessage({
      type: RTM_GETNSID,
      flags: NLM_F_REQUEST,
      body: { bytes: new Uint8Array(RTGENMSG_BYTES) },
      attributes: [numberAttribute(NETNSA_FD, namespace)],
    })
    must(native, operation, 'sendto', socket, struct, struct.length, 0, null, 0)
    const bytes = new Uint8Array(1024)
    const length = must(native, operation, 'recvfrom', socket, bytes, bytes.length, 0, null, null)
    const answer = parseAnswers(bytes.subarray(0, length)).find(({ type }) => type === RTM_NEWNSID)
    const value =
      answer === undefined ? undefined : parseAttributes(answer.body.subarray(RTGENMSG_BYTES)).get(NETNSA_NSID)
    const id = value === undefined ? -1 : new DataView(value.buffer, value.byteOffset).getInt32(0, true)
    return id < 0 ? 'unassigned' : id
  } finally {
    close(native, socket)
    close(native, namespace)
  }
}
