/** The rules of nftables in the network namespace of this process, as netlink tells them. linux/netfilter/nf_tables.h */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { dump } from '../executor/embedded-netlink.ts'
import { NETLINK_NETFILTER } from '../linux/netlink.ts'
import { parseAttributes } from '../linux/netlink-read.ts'

export interface Rule {
  readonly table: string
  readonly chain: string
  /** The expressions of the rule, in hexadecimal. */
  readonly expressions: string
  /** How many packets its counter has seen; 0 without a counter. */
  readonly packets: number
}

/** NFNL_SUBSYS_NFTABLES is 10, NFT_MSG_NEWRULE 6, NFT_MSG_GETRULE 7. */
const NEWRULE = 0x0a06
const GETRULE = 0x0a07
/** struct nfgenmsg, of no family, which is all of them. */
const NFGENMSG_BYTES = 4
const TABLE = 1
const CHAIN = 2
const EXPRESSIONS = 4
/** The packets of a counter, its second attribute, of 8 bytes with the highest first. */
const PACKETS = /636f756e74657200.*?0c000200([0-9a-f]{16})/

/** None on a kernel without nftables. */
export function readRules(native: Native): readonly Rule[] {
  try {
    return dump(native, 'read the rules of nftables', GETRULE, NFGENMSG_BYTES, NETLINK_NETFILTER).flatMap(
      ({ type, body }): readonly Rule[] => {
        if (type !== NEWRULE) return []
        const attributes = parseAttributes(body.subarray(NFGENMSG_BYTES))
        const text = (attribute: number): string => native.decode(attributes.get(attribute) ?? NONE).replace(/\0$/, '')
        const expressions = hexadecimal(attributes.get(EXPRESSIONS) ?? NONE)
        const packets = PACKETS.exec(expressions)?.[1]
        return [{ table: text(TABLE), chain: text(CHAIN), expressions, packets: Number(`0x${packets ?? '0'}`) }]
      },
    )
  } catch (error) {
    if (error instanceof OperationError && WITHOUT.has(error.code ?? '')) return []
    throw error
  }
}

const NONE = new Uint8Array(0)
const WITHOUT: ReadonlySet<string> = new Set(['EPROTONOSUPPORT', 'EOPNOTSUPP', 'EINVAL'])

const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
