/** Questions to the kernel about its network devices, and what becomes of its answers. rtnetlink(7) */

import { type Buffer, buffer, type Slot } from '../linux/call.ts'
import {
  AF_NETLINK,
  ANSWER_ERROR,
  ANSWER_TYPE,
  IFLA_IFNAME,
  LINK_INDEX,
  linkBody,
  type Message,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_REQUEST,
  netlinkMessage,
  RTM_GETLINK,
  RTM_NEWLINK,
  receive,
  SOCK_RAW,
  textAttribute,
} from '../linux/netlink.ts'
import { getpid } from '../linux/process.ts'
import { sendto, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'

const SEE: readonly Ref[] = ['rtnetlink(7)']

/** The beginning of an answer; what is longer is cut off. */
export const ANSWER: Buffer = buffer('answer', 64)

/** It stays in the network namespace that it was opened in. */
export const openRoute = (into: Slot): Step => ({
  call: socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
  why: 'configure network devices',
  see: SEE,
  into,
})

/** A name is looked up once; after that its index says which device is meant. Fails with ENODEV. */
export function find(route: Slot, name: string, why: string, index: Slot): readonly [Step, Step] {
  const message = netlinkMessage({
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    body: linkBody(0),
    attributes: [textAttribute(IFLA_IFNAME, name)],
  })
  return [
    { call: sendto(route, message, message.struct.length), why, see: SEE, typed: '' },
    {
      call: receive(route, ANSWER),
      why,
      see: SEE,
      typed: '',
      check: { in: ANSWER, offset: ANSWER_TYPE, sizeBytes: 2, equals: RTM_NEWLINK, errno: 'ENODEV' },
      keep: [{ slot: index, in: ANSWER, offset: LINK_INDEX, sizeBytes: 4 }],
    },
  ]
}

type Question = Omit<Message, 'flags'> & { readonly flags?: number }

interface Shown {
  readonly see?: readonly Ref[]
  /** A command that does the same. */
  readonly typed?: string | undefined
}

/** Sends a message, and fails with what the kernel answers. */
export const ask = (route: Slot, message: Question, why: string, shown: Shown = {}): readonly Step[] => [
  ...tell(route, message, why, shown),
  ...heed(ANSWER, why, shown.see ?? SEE),
]

/** Sends a message that the kernel may refuse. */
export function tell(route: Slot, message: Question, why: string, { see = SEE, typed }: Shown = {}): readonly Step[] {
  const bytes = netlinkMessage({ ...message, flags: (message.flags ?? 0) | NLM_F_REQUEST | NLM_F_ACK })
  return [
    { call: sendto(route, bytes, bytes.struct.length), why, see, typed },
    { call: receive(route, ANSWER), why, see, typed: '' },
  ]
}

/** Fails with the error of an answer. The errno of a check is fixed, so there is one for each that says something, and one for all others. */
export function heed(answer: Buffer, why: string, see: readonly Ref[]): readonly Step[] {
  const error = { in: answer, offset: ANSWER_ERROR, sizeBytes: 4 } as const
  return [
    ...REFUSALS.map(
      ([errno, number]): Step => ({
        call: getpid(),
        why,
        see,
        typed: '',
        check: { ...error, differs: 2 ** 32 - number, errno },
      }),
    ),
    { call: getpid(), why, see, typed: '', check: { ...error, equals: 0, errno: 'EIO' } },
  ]
}

const REFUSALS = [
  ['EPERM', 1],
  ['ENOENT', 2],
  ['ENODEV', 19],
  ['EEXIST', 17],
  ['EBUSY', 16],
  ['EINVAL', 22],
  ['EOPNOTSUPP', 95],
] as const
