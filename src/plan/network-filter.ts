/** Batches of rules for the packet filter of the network namespace that the process is in. nft(8) */

import { buffer, slot } from '../linux/call.ts'
import { close, closeRange, dup3, LAST_FD } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { AF_NETLINK, receive, SOCK_RAW } from '../linux/netlink.ts'
import { NETLINK_NETFILTER } from '../linux/nftables.ts'
import { sendto, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'
import { heed } from './rtnetlink.ts'

const FILTER = slot('packet-filter')

/** A batch is answered once, at its end. */
export function planRules(rules: Uint8Array): readonly Step[] {
  const answer = buffer('filter-answer', 64)
  const why = 'have the packet filter let it pass'
  const see: readonly Ref[] = ['nft(8)', 'netlink(7)']
  return [
    { call: socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER), why, see, typed: '', into: FILTER },
    { call: sendto(FILTER, rules, rules.length), why, see },
    { call: receive(FILTER, answer), why, see, typed: '' },
    ...heed(answer, why, see),
    { call: close(FILTER), why, see: ['close(2)'] },
  ]
}

/**
 * The same for a process that is not to wait for the end of the socket: behind a batch closing it takes a grace period of RCU, milliseconds. A
 * child that has nothing else closes it. Where none can be made we do. nf_tables_trans_destroy_flush_work in net/netfilter/nf_tables_api.c
 */
export function planRulesAhead(rules: Uint8Array): readonly Step[] {
  const [leave, ...before] = [...planRules(rules)].reverse()
  if (leave === undefined) return []
  const why = 'have somebody else wait until the packet filter is done'
  const see: readonly Ref[] = ['clone(2)']
  const hand: Step = {
    call: clone3({ flags: 0, pidfd: buffer('filter-pidfd', 4) }),
    why,
    see,
    typed: '',
    tolerate: ['EAGAIN', 'ENOMEM'],
    child: [
      { call: dup3(FILTER, 3), why, see: ['dup(2)'] },
      { call: closeRange(0, 2), why, see: ['close_range(2)'] },
      { call: closeRange(4, LAST_FD), why, see: ['close_range(2)'] },
    ],
  }
  return [...before.reverse(), hand, leave]
}
