import { type Lab, missing } from '../../src/lab/lab.ts'
import { NETNS_DIRECTORY } from '../../src/plan/netns.ts'

const NAME = 'coffer-lab-netns'
/** The data that a rule compares the port with: its length, its type, and two bytes, the high one first. */
const HTTP = '060001000050'
const HTTPS = '0600010001bb'
/** The same for iptables without a translation of it: struct xt_tcp has the lowest and the highest port in the machine's order. */
const HTTP_XT = '50005000'

export const netns: Lab = {
  name: 'netns',
  check: ({ files, rules, started }) => {
    const path = `${NETNS_DIRECTORY}/${NAME}`
    if (files.status(path) === undefined) return [`there is no network namespace ${NAME}: ip netns add ${NAME}`]
    const inside = rules(path)
    const host = rules('/proc/self/ns/net').length
    return missing(
      [
        inside.some(
          ({ table, chain, expressions }) =>
            table === 'filter' && chain === 'INPUT' && (expressions.includes(HTTP) || expressions.includes(HTTP_XT)),
        ),
        `the chain INPUT of iptables has no rule for port 80 in ${NAME} (iptables-legacy keeps its rules out of sight)`,
      ],
      [
        inside.some(({ table, expressions }) => table !== 'filter' && expressions.includes(HTTPS)),
        `no table of nft has a rule for port 443 in ${NAME}`,
      ],
      [host <= started.rules, `the host has ${host - started.rules} more rules than before: take them back there`],
    )
  },
}
