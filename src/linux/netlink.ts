/**
 * Messages of rtnetlink, by which network devices are configured. Source: netlink(7), rtnetlink(7)
 *
 * A message is struct nlmsghdr (length, type, flags, sequence number, port id), a body that its type decides, and attributes: struct rtattr
 * (length, type) and a value, at multiples of 4. Numbers are little-endian on the machines that coffer knows.
 */

import { utf8 } from './bytes.ts'
import type { Buffer, Call, Slot, Struct, StructField } from './call.ts'

export const AF_NETLINK = 16
export const SOCK_RAW = 3
export const NETLINK_ROUTE = 0
export const NETLINK_NETFILTER = 12

export const NLMSG_ERROR = 2
export const NLMSG_DONE = 3
export const RTM_NEWLINK = 16
export const RTM_GETLINK = 18
export const RTM_NEWADDR = 20
export const RTM_GETADDR = 22

export const RTM_NEWNSID = 88
export const RTM_GETNSID = 90

export const NLM_F_REQUEST = 1
export const NLM_F_ACK = 4
export const NLM_F_REPLACE = 0x100
export const NLM_F_EXCL = 0x200
export const NLM_F_DUMP = 0x300
export const NLM_F_CREATE = 0x400

export const RTM_DELLINK = 17
export const RTM_NEWROUTE = 24

export const IFLA_ADDRESS = 1
export const IFLA_IFNAME = 3
export const IFLA_MTU = 4
export const IFLA_LINK = 5
export const IFLA_MASTER = 10
export const IFLA_LINKINFO = 18
export const IFLA_INFO_KIND = 1
export const IFLA_INFO_DATA = 2
export const IFLA_INFO_SLAVE_KIND = 4
export const IFLA_INFO_SLAVE_DATA = 5
export const IFLA_BRPORT_MODE = 4
export const IFLA_BRPORT_ISOLATED = 33
export const IFLA_MACVLAN_MODE = 1
export const IFLA_IPVLAN_MODE = 1
export const VETH_INFO_PEER = 1
export const RTA_OIF = 4
export const RTA_GATEWAY = 5
export const RTA_PRIORITY = 6
export const IFLA_NET_NS_FD = 28
/** Since Linux 6.3. */
export const IFLA_GSO_IPV4_MAX_SIZE = 63
export const IFA_ADDRESS = 1
export const IFA_LOCAL = 2
export const IFA_BROADCAST = 4
export const IFA_FLAGS = 8
export const IFA_F_NODAD = 2
export const IFA_RT_PRIORITY = 9

export const NETNSA_NSID = 1
export const NETNSA_FD = 3
/** struct rtgenmsg: a family, padded to 4 bytes. */
export const RTGENMSG_BYTES = 4

export const NLMSG_HEADER_BYTES = 16
/** struct ifinfomsg: family, padding, type (2 bytes), index, flags, change (4 bytes each). */
const IFINFOMSG_BYTES = 16
/** struct ifaddrmsg: family, prefix length, flags, scope (1 byte each), index (4 bytes). */
export const IFADDRMSG_BYTES = 8
const RTATTR_BYTES = 4

/** Where, from the start of an answer, its type, the errno of NLMSG_ERROR (negative, 0 for success) and the index of a link are. */
export const ANSWER_TYPE = 4
export const ANSWER_ERROR: number = NLMSG_HEADER_BYTES
export const LINK_INDEX: number = NLMSG_HEADER_BYTES + 4

export interface Attribute {
  readonly type: number
  /** A slot is a number of 4 bytes. */
  readonly value: Uint8Array | Slot | Nested
}

/** Attributes as the value of another one, behind a structure if there is one. */
export interface Nested {
  readonly head?: Uint8Array
  readonly nested: readonly Attribute[]
}

export interface Message {
  readonly type: number
  readonly flags: number
  readonly body: Body
  readonly attributes: readonly Attribute[]
}

interface Body {
  readonly bytes: Uint8Array
  readonly fields?: readonly StructField[]
}

/** `index` is the interface; 0 where an attribute names it. With `flags` and `change` the flags in `change` become those. */
export function linkBody(index: number | Slot, flags = 0, change = 0): Body {
  const bytes = new Uint8Array(IFINFOMSG_BYTES)
  const view = new DataView(bytes.buffer)
  view.setUint32(8, flags, true)
  view.setUint32(12, change, true)
  return withNumber(bytes, 4, index)
}

export interface AddressBody {
  readonly family: number
  readonly prefixLength: number
  readonly scope: number
  readonly index: number | Slot
}

/** Flags go into IFA_FLAGS, as there are more than 8 of them. */
export function addressBody({ family, prefixLength, scope, index }: AddressBody): Body {
  return withNumber(new Uint8Array([family, prefixLength, 0, scope, 0, 0, 0, 0]), 4, index)
}

const RT_TABLE_MAIN = 254
const RTPROT_BOOT = 3
const RTN_UNICAST = 1

/** struct rtmsg of a route that an administrator adds: family, lengths of destination and source, tos, table, protocol, scope, type, flags. */
export const routeBody = (family: number, destinationLength: number): Body => ({
  bytes: Uint8Array.of(family, destinationLength, 0, 0, RT_TABLE_MAIN, RTPROT_BOOT, 0, RTN_UNICAST, 0, 0, 0, 0),
})

const RT_TABLE_LOCAL = 255
const RT_SCOPE_HOST = 254
const RTN_LOCAL = 2

/** The same of a route to the machine itself: all addresses of the destination are its own. kernel:fib_frontend.c, "AnyIP" */
export const localRouteBody = (family: number, destinationLength: number): Body => ({
  bytes: Uint8Array.of(
    ...[family, destinationLength, 0, 0],
    ...[RT_TABLE_LOCAL, RTPROT_BOOT, RT_SCOPE_HOST, RTN_LOCAL],
    ...[0, 0, 0, 0],
  ),
})

function withNumber(bytes: Uint8Array, offset: number, value: number | Slot): Body {
  if (typeof value !== 'number') return { bytes, fields: [{ offset, sizeBytes: 4, value }] }
  new DataView(bytes.buffer).setUint32(offset, value, true)
  return { bytes }
}

export const textAttribute = (type: number, text: string): Attribute => ({ type, value: utf8(`${text}\0`) })

export function numberAttribute(type: number, value: number): Attribute {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return { type, value: bytes }
}

const isNested = (value: Attribute['value']): value is Nested => 'nested' in value

function sizeOf({ value }: Attribute): number {
  if (value instanceof Uint8Array) return RTATTR_BYTES + value.length
  return RTATTR_BYTES + (isNested(value) ? (value.head?.length ?? 0) + sizeOfAll(value.nested) : 4)
}

const sizeOfAll = (attributes: readonly Attribute[]): number =>
  attributes.reduce((sum, attribute) => sum + aligned(sizeOf(attribute)), 0)

export const aligned = (size: number): number => (size + 3) & ~3

/** The message as bytes and what is filled in when it is sent. */
export function netlinkMessage({ type, flags, body, attributes }: Message): Struct {
  const total = NLMSG_HEADER_BYTES + body.bytes.length + sizeOfAll(attributes)
  const struct = new Uint8Array(total)
  const view = new DataView(struct.buffer)
  view.setUint32(0, total, true)
  view.setUint16(4, type, true)
  view.setUint16(6, flags, true)
  struct.set(body.bytes, NLMSG_HEADER_BYTES)
  const fields: StructField[] = (body.fields ?? []).map((field) => ({
    ...field,
    offset: field.offset + NLMSG_HEADER_BYTES,
  }))
  putAttributes({ struct, view, fields }, NLMSG_HEADER_BYTES + body.bytes.length, attributes)
  return { struct, fields }
}

interface Putting {
  readonly struct: Uint8Array
  readonly view: DataView
  readonly fields: StructField[]
}

function putAttributes(putting: Putting, start: number, attributes: readonly Attribute[]): void {
  const { struct, view, fields } = putting
  let at = start
  for (const attribute of attributes) {
    const { type, value } = attribute
    const inside = at + RTATTR_BYTES
    view.setUint16(at, sizeOf(attribute), true)
    view.setUint16(at + 2, type, true)
    if (value instanceof Uint8Array) struct.set(value, inside)
    else if (isNested(value)) {
      if (value.head !== undefined) struct.set(value.head, inside)
      putAttributes(putting, inside + (value.head?.length ?? 0), value.nested)
    } else fields.push({ offset: inside, sizeBytes: 4, value })
    at += aligned(sizeOf(attribute))
  }
}

/** The kernel has answered by the time that a message is sent. recvfrom(2) */
export const receive = (socket: Slot, into: Buffer): Call => ({
  name: 'recvfrom',
  args: [socket, into, into.sizeBytes, 0, 0, 0],
})
