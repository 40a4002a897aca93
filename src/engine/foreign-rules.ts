/**
 * Rules of others that keep packets of containers from passing: a chain of the hook forward that drops what none of its rules lets through,
 * as dockerd and firewalls leave it. What another table drops is dropped, whatever ours says, and it is not ours to change: so it is told.
 */

import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { close } from '../executor/embedded-files.ts'
import { AF_NETLINK, NETLINK_NETFILTER, NLMSG_DONE, NLMSG_ERROR, SOCK_RAW } from '../linux/netlink.ts'
import { type Answer, parseAnswers } from '../linux/netlink-read.ts'
import {
  type ForeignChain,
  HOOKS,
  interfaceName,
  listChains,
  listRules,
  NFPROTO_INET,
  NFPROTO_IPV4,
  parseChain,
} from '../linux/nftables.ts'
import { TABLE } from '../plan/network-rules.ts'

/** A sentence for each chain in the way of a bridge; a table whose rules name that device has been told about it. */
export function foreignDrops(native: Native, device: string): readonly string[] {
  const chains = ask(native, listChains)
    .map(({ body }) => parseChain(body))
    .filter(({ table, hook, drops }) => table !== TABLE && drops && hook === HOOKS.forward)
    .filter(({ family }) => family === NFPROTO_INET || family === NFPROTO_IPV4)
  return chains
    .filter((chain) => !knows(native, chain, device))
    .map(
      ({ family, table, name }) =>
        `packets of ${device} may not pass: the chain ${name} of the table ${family === NFPROTO_IPV4 ? 'ip' : 'inet'} ${table} drops ` +
        `what is forwarded; ${
          family === NFPROTO_IPV4 && table === 'filter'
            ? `iptables -I ${name} -i ${device} -j ACCEPT; iptables -I ${name} -o ${device} -j ACCEPT`
            : `accept iifname and oifname ${device} in it`
        }`,
    )
}

function knows(native: Native, { family, table }: ForeignChain, device: string): boolean {
  const name = interfaceName(device).subarray(0, device.length)
  return ask(native, listRules(family, table)).some(({ body }) => holds(body, name))
}

const holds = (bytes: Uint8Array, part: Uint8Array): boolean => {
  for (let at = bytes.indexOf(part[0] ?? 0); at >= 0; at = bytes.indexOf(part[0] ?? 0, at + 1))
    if (part.every((byte, index) => bytes[at + index] === byte)) return true
  return false
}

const ANSWER_BYTES = 32768
const SOCK_CLOEXEC = 0o2000000

/** All parts of the answer; none where the kernel has no such filter, or does not let us ask. */
function ask(native: Native, question: Uint8Array): readonly Answer[] {
  const fd = attempt(native, 'socket', AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)
  if (fd < 0) return []
  const found: Answer[] = []
  try {
    if (attempt(native, 'sendto', fd, question, question.length, 0, null, 0) < 0) return []
    for (;;) {
      const bytes = new Uint8Array(ANSWER_BYTES)
      const got = attempt(native, 'recvfrom', fd, bytes, bytes.length, 0, null, null)
      if (got <= 0) return found
      for (const answer of parseAnswers(bytes.subarray(0, got))) {
        if (answer.type === NLMSG_DONE || answer.type === NLMSG_ERROR) return found
        found.push(answer)
      }
    }
  } finally {
    close(native, fd)
  }
}
