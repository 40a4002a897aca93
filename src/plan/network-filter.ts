/** Batches of rules for the packet filter of the network namespace that the process is in. nft(8) */

import { buffer, slot } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { AF_NETLINK, receive, SOCK_RAW } from '../linux/netlink.ts'
import { NETLINK_NETFILTER } from '../linux/nftables.ts'
import { sendto, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'
import { heed } from './rtnetlink.ts'

/** A batch is answered once, at its end. */
export function planRules(rules: Uint8Array): readonly Step[] {
  const answer = buffer('filter-answer', 64)
  const filter = slot('packet-filter')
  const why = 'have the packet filter let it pass'
  const see: readonly Ref[] = ['nft(8)', 'netlink(7)']
  return [
    { call: socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), why, see, typed: '', into: filter },
    { call: sendto(filter, rules, rules.length), why, see },
    { call: receive(filter, answer), why, see, typed: '' },
    ...heed(answer, why, see),
    { call: close(filter), why, see: ['close(2)'] },
  ]
}
