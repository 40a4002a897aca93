/**
 * Messages of nf_tables, the packet filter: tables, chains, sets and rules, sent as one batch that is taken whole or not at all.
 *
 * Numbers in attributes are big-endian, unlike those of rtnetlink. Source: include/uapi/linux/netfilter/nf_tables.h, nfnetlink.h, nft(8)
 */

import { utf8 } from './bytes.ts'
import { parseAttributes } from './netlink-read.ts'

export const NETLINK_NETFILTER = 12

/** Of tables: IPv4 and IPv6 at once. */
export const NFPROTO_INET = 1
export const NFPROTO_IPV4 = 2
export const NFPROTO_IPV6 = 10

/** A part of a message that is complete; they are strung together. */
export type Bytes = Uint8Array

const NLA_F_NESTED = 0x8000
const HEADER_BYTES = 16
const aligned = (size: number): number => (size + 3) & ~3

export function joined(parts: readonly Bytes[]): Bytes {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    all.set(part, at)
    at += part.length
  }
  return all
}

function attribute(type: number, value: Bytes): Bytes {
  const bytes = new Uint8Array(aligned(4 + value.length))
  const view = new DataView(bytes.buffer)
  view.setUint16(0, 4 + value.length, true)
  view.setUint16(2, type, true)
  bytes.set(value, 4)
  return bytes
}

const nested = (type: number, ...parts: readonly Bytes[]): Bytes => attribute(type | NLA_F_NESTED, joined(parts))
const text = (type: number, value: string): Bytes => attribute(type, utf8(`${value}\0`))
const number = (type: number, value: number): Bytes => attribute(type, bigEndian32(value))

export function bigEndian32(value: number): Bytes {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value >>> 0)
  return bytes
}

export function bigEndian16(value: number): Bytes {
  const bytes = new Uint8Array(2)
  new DataView(bytes.buffer).setUint16(0, value)
  return bytes
}

/** The name of an interface as the kernel compares it: 16 bytes. */
export function interfaceName(name: string): Bytes {
  const bytes = new Uint8Array(16)
  bytes.set(utf8(name).subarray(0, 15))
  return bytes
}

const NLM_F_REQUEST = 1
const NLM_F_CREATE = 0x400
const NLM_F_APPEND = 0x800
const SUBSYSTEM = 10

function message(type: number, flags: number, family: number, resource: number, attributes: Bytes): Bytes {
  const bytes = new Uint8Array(HEADER_BYTES + 4 + attributes.length)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, bytes.length, true)
  view.setUint16(4, type, true)
  view.setUint16(6, flags | NLM_F_REQUEST, true)
  bytes[HEADER_BYTES] = family
  view.setUint16(HEADER_BYTES + 2, resource)
  bytes.set(attributes, HEADER_BYTES + 4)
  return bytes
}

const NLM_F_ACK = 4
const BATCH_BEGIN = 0x10
const BATCH_END = 0x11

/**
 * Changes that are made together. The kernel answers with 0, or first of all with the first error.
 *
 * The last change asks for the answer: before Linux 6.10 the end of a batch was not answered. net/netfilter/nfnetlink.c
 */
export const batch = (changes: readonly Bytes[]): Bytes =>
  joined([
    message(BATCH_BEGIN, 0, 0, SUBSYSTEM, new Uint8Array(0)),
    ...changes.slice(0, -1),
    ...changes.slice(-1).map(answered),
    message(BATCH_END, 0, 0, SUBSYSTEM, new Uint8Array(0)),
  ])

function answered(change: Bytes): Bytes {
  const asking = change.slice()
  const view = new DataView(asking.buffer)
  view.setUint16(6, view.getUint16(6, true) | NLM_F_ACK, true)
  return asking
}

const change = (type: number, flags: number, ...attributes: readonly Bytes[]): Bytes =>
  message((SUBSYSTEM << 8) | type, flags, NFPROTO_INET, 0, joined(attributes))

const NLM_F_DUMP = 0x300

/** Asks for all chains of all tables; NFT_MSG_GETCHAIN. What comes is `parseChain`'s. */
export const listChains: Bytes = message((SUBSYSTEM << 8) | 4, NLM_F_DUMP, 0, 0, new Uint8Array(0))
/** Asks for all rules of a table; NFT_MSG_GETRULE. */
export const listRules = (family: number, table: string): Bytes =>
  message((SUBSYSTEM << 8) | 7, NLM_F_DUMP, family, 0, text(1, table))

export interface ForeignChain {
  /** NFPROTO_…. */
  readonly family: number
  readonly table: string
  readonly name: string
  readonly hook: number | undefined
  /** What becomes of a packet that no rule of it decides about. */
  readonly drops: boolean
}

/** Of the body of an answer, which begins with struct nfgenmsg: family, version, resource. */
export function parseChain(body: Bytes): ForeignChain {
  const attributes = attributesOf(body.subarray(4))
  const hook = attributesOf(attributes.get(4) ?? new Uint8Array(0)).get(1)
  const policy = attributes.get(5)
  return {
    family: body[0] ?? 0,
    table: nameOf(attributes.get(1)),
    name: nameOf(attributes.get(3)),
    hook: hook?.[3],
    drops: policy !== undefined && policy[3] === NF_DROP,
  }
}

/** By type, without the bit that says that there are more inside. */
const attributesOf = (bytes: Bytes): ReadonlyMap<number, Bytes> =>
  new Map([...parseAttributes(bytes)].map(([type, value]) => [type & ~NLA_F_NESTED, value]))

const nameOf = (bytes: Bytes = new Uint8Array(0)): string =>
  String.fromCharCode(...bytes.subarray(0, Math.max(0, bytes.length - 1)))

/** No error if it is there. */
export const newTable = (table: string): Bytes => change(0, NLM_F_CREATE, text(1, table))
export const deleteTable = (table: string): Bytes => change(2, 0, text(1, table))

export interface BaseChain {
  readonly table: string
  readonly name: string
  readonly type: 'filter' | 'nat' | 'route'
  readonly hook: keyof typeof HOOKS
  readonly priority: number
}

export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const
const NF_DROP = 0
const NF_ACCEPT = 1

/** No error if it is there. */
export const newChain = ({ table, name, type, hook, priority }: BaseChain): Bytes =>
  change(
    3,
    NLM_F_CREATE,
    text(1, table),
    text(3, name),
    nested(4, number(1, HOOKS[hook]), number(2, priority)),
    number(5, NF_ACCEPT),
    text(7, type),
  )

/** Takes all rules of a chain away. */
export const flushChain = (table: string, chain: string): Bytes => change(8, 0, text(1, table), text(2, chain))

export const newRule = (table: string, chain: string, expressions: readonly Bytes[]): Bytes =>
  change(6, NLM_F_CREATE | NLM_F_APPEND, text(1, table), text(2, chain), nested(4, ...expressions))

export interface NewSet {
  readonly table: string
  readonly name: string
  /** The types of the parts of a key, and of what it leads to where this is a map. */
  readonly key: readonly KeyType[]
  readonly value?: readonly KeyType[]
  readonly isInterval?: boolean
}

/** Numbers of nft(8), which shows sets by them, and sizes. A key of several parts is their types in 6 bits each. */
const KEY_TYPES = {
  ipv4_addr: [7, 4],
  ipv6_addr: [8, 16],
  inet_proto: [12, 1],
  inet_service: [13, 2],
  ifname: [41, 16],
} as const

export type KeyType = keyof typeof KEY_TYPES

const typeOf = (parts: readonly KeyType[]): number => parts.reduce((type, part) => type * 64 + KEY_TYPES[part][0], 0)
/** Each part takes whole registers of 4 bytes. */
const sizeOf = (parts: readonly KeyType[]): number =>
  parts.reduce((size, part) => size + aligned(KEY_TYPES[part][1]), 0)

const SET_INTERVAL = 4
const SET_MAP = 8

/** For nft(8), which would show names backwards: the byte order of keys, and its number in 4 bytes. libnftnl, udata.h */
const HOST_BYTE_ORDER = Uint8Array.of(0, 4, 1, 0, 0, 0)

/** No error if it is there. `id` is for elements and rules of the same batch. */
export function newSet({ table, name, key, value, isInterval = false }: NewSet, id: number): Bytes {
  const flags = (isInterval ? SET_INTERVAL : 0) | (value === undefined ? 0 : SET_MAP)
  return change(
    9,
    NLM_F_CREATE,
    text(1, table),
    text(2, name),
    number(3, flags),
    number(4, typeOf(key)),
    number(5, sizeOf(key)),
    ...(value === undefined ? [] : [number(6, typeOf(value)), number(7, sizeOf(value))]),
    number(10, id),
    ...(key.length === 1 && key[0] === 'ifname' ? [attribute(13, HOST_BYTE_ORDER)] : []),
  )
}

export interface Element {
  /** The parts, each filled up to whole registers: `keyOf`. */
  readonly key: Bytes
  readonly value?: Bytes
  /** The first one behind an interval. */
  readonly isEnd?: boolean
}

/** Parts of a key, each in whole registers. */
export const keyOf = (...parts: readonly Bytes[]): Bytes =>
  joined(
    parts.map((part) => {
      const filled = new Uint8Array(aligned(part.length))
      filled.set(part)
      return filled
    }),
  )

const INTERVAL_END = 1

const elements = (list: readonly Element[]): Bytes =>
  nested(
    3,
    ...list.map(({ key, value, isEnd = false }) =>
      nested(
        1,
        nested(1, attribute(1, key)),
        ...(value === undefined ? [] : [nested(2, attribute(1, value))]),
        ...(isEnd ? [number(3, INTERVAL_END)] : []),
      ),
    ),
  )

/** No error for one that is there, with the same value. */
export const addElements = (table: string, set: string, list: readonly Element[]): Bytes =>
  change(12, NLM_F_CREATE, text(1, table), text(2, set), elements(list))

/** ENOENT for one that is not there. */
export const deleteElements = (table: string, set: string, list: readonly Element[]): Bytes =>
  change(14, 0, text(1, table), text(2, set), elements(list))

// Expressions of rules. Registers are those of 4 bytes, 8 to 23; a value of 16 takes four.

const expression = (name: string, ...attributes: readonly Bytes[]): Bytes =>
  nested(1, text(1, name), nested(2, ...attributes))

/** The first register of the first expression of a rule; a second value goes behind the first. */
export const REGISTER = 8

const META = { iif: 4, oif: 5, iifname: 6, oifname: 7, nfproto: 15, l4proto: 16 } as const

export const meta = (key: keyof typeof META, register: number = REGISTER): Bytes =>
  expression('meta', number(1, register), number(2, META[key]))

const HEADERS = { network: 1, transport: 2 } as const

/** Bytes of a header of the packet. */
export const payload = (
  header: keyof typeof HEADERS,
  offset: number,
  sizeBytes: number,
  register: number = REGISTER,
): Bytes =>
  expression('payload', number(1, register), number(2, HEADERS[header]), number(3, offset), number(4, sizeBytes))

/** Where RFC 791, RFC 8200 and the transport protocols have them. */
export const sourceAddress = (register?: number): Bytes => payload('network', 12, 4, register)
export const destinationAddress = (register?: number): Bytes => payload('network', 16, 4, register)
export const sourceAddress6 = (register?: number): Bytes => payload('network', 8, 16, register)
export const destinationAddress6 = (register?: number): Bytes => payload('network', 24, 16, register)
export const destinationPort = (register?: number): Bytes => payload('transport', 2, 2, register)

export const equals = (value: Bytes, register: number = REGISTER): Bytes => compare(0, value, register)
export const differs = (value: Bytes, register: number = REGISTER): Bytes => compare(1, value, register)

const compare = (operator: number, value: Bytes, register: number): Bytes =>
  expression('cmp', number(1, register), number(2, operator), nested(3, attribute(1, value)))

/** The register and a mask. */
export const masked = (mask: Bytes, register: number = REGISTER): Bytes =>
  expression(
    'bitwise',
    number(1, register),
    number(2, register),
    number(3, mask.length),
    nested(4, attribute(1, mask)),
    nested(5, attribute(1, new Uint8Array(mask.length))),
  )

/** Goes on if the set has what is in the registers. */
export const isIn = (set: string, id: number, register: number = REGISTER): Bytes =>
  expression('lookup', text(1, set), number(2, register), number(4, id))

export const isNotIn = (set: string, id: number, register: number = REGISTER): Bytes =>
  expression('lookup', text(1, set), number(2, register), number(4, id), number(5, 1))

/** Goes on if the map has what is in the registers, with what that leads to. */
export const lookUp = (map: string, id: number, register: number = REGISTER, into: number = REGISTER): Bytes =>
  expression('lookup', text(1, map), number(2, register), number(3, into), number(4, id))

/** A value of its own. */
export const load = (value: Bytes, register: number): Bytes =>
  expression('immediate', number(1, register), nested(2, attribute(1, value)))

/** Goes on for packets to an address of this machine. */
export const toLocalAddress: readonly Bytes[] = [
  expression('fib', number(1, REGISTER), number(2, 3), number(3, 2)),
  // The type of an address is a number of this machine's byte order: RTN_LOCAL.
  equals(Uint8Array.of(2, 0, 0, 0)),
]

const CT_STATUS = 2
const IPS_DST_NAT = 1 << 5

/** Goes on for packets whose destination was changed. */
export const wasRedirected: readonly Bytes[] = [
  expression('ct', number(1, REGISTER), number(2, CT_STATUS)),
  masked(Uint8Array.of(IPS_DST_NAT, 0, 0, 0)),
  differs(Uint8Array.of(0, 0, 0, 0)),
]

const CT_STATE = 0
/** include/uapi/linux/netfilter/nf_conntrack_common.h: NF_CT_STATE_BIT of IP_CT_ESTABLISHED and IP_CT_RELATED */
const ESTABLISHED_OR_RELATED = 2 | 4

/** Goes on for packets of connections that were let through, and for errors about them. */
export const isKnown: readonly Bytes[] = [
  expression('ct', number(1, REGISTER), number(2, CT_STATE)),
  masked(Uint8Array.of(ESTABLISHED_OR_RELATED, 0, 0, 0)),
  differs(Uint8Array.of(0, 0, 0, 0)),
]

/** Sends the packet to the address in one register and the port in another. */
export const redirect = (family: number, address: number, port: number): Bytes =>
  expression('nat', number(1, 1), number(2, family), number(3, address), number(5, port))

export const masquerade: Bytes = expression('masq')

export const drop: Bytes = verdict(NF_DROP)
export const accept: Bytes = verdict(NF_ACCEPT)

function verdict(code: number): Bytes {
  return expression('immediate', number(1, 0), nested(2, nested(2, number(1, code))))
}
