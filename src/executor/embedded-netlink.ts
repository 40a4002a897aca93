/** Questions over netlink that are answered with a list. netlink(7) */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { errnoName } from '../linux/errno.ts'
import { O_CLOEXEC } from '../linux/files.ts'
import {
  AF_NETLINK,
  NETLINK_ROUTE,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  netlinkMessage,
  SOCK_RAW,
} from '../linux/netlink.ts'
import { type Answer, parseAnswers } from '../linux/netlink-read.ts'
import { kindOf } from '../linux/system-error.ts'
import { must } from './embedded-call.ts'

/** A page or two at a time is what the kernel sends; it never sends more than 32 KiB: net/netlink/af_netlink.c, netlink_dump. */
const ANSWER_BYTES = 32 << 10

/** All that the kernel has of what `type` asks `protocol` for, e.g. RTM_GETADDR; `bodyBytes` zeros are the body of the question. */
export function dump(
  native: Native,
  operation: string,
  type: number,
  bodyBytes: number,
  protocol: number = NETLINK_ROUTE,
): readonly Answer[] {
  const socket = must(native, operation, 'socket', AF_NETLINK, SOCK_RAW | O_CLOEXEC, protocol)
  try {
    const body = { bytes: new Uint8Array(bodyBytes) }
    const { struct } = netlinkMessage({ type, flags: NLM_F_REQUEST | NLM_F_DUMP, body, attributes: [] })
    must(native, operation, 'sendto', socket, struct, struct.length, 0, null, 0)
    const answers: Answer[] = []
    for (;;) {
      const bytes = new Uint8Array(ANSWER_BYTES)
      const length = must(native, operation, 'recvfrom', socket, bytes, bytes.length, 0, null, null)
      for (const answer of parseAnswers(bytes.subarray(0, length))) {
        if (answer.type === NLMSG_DONE) return answers
        if (answer.type === NLMSG_ERROR) throw refusal(operation, answer)
        answers.push(answer)
      }
    }
  } finally {
    must(native, operation, 'close', socket)
  }
}

function refusal(operation: string, { body }: Answer): OperationError {
  const code = errnoName(-new DataView(body.buffer, body.byteOffset).getInt32(0, true))
  return new OperationError({
    kind: kindOf(code),
    operation,
    code,
    syscall: 'recvfrom(AF_NETLINK)',
    see: ['netlink(7)'],
  })
}
