/** Addresses of IPv4 and IPv6 and the networks that they are in, as text and as 4 or 16 bytes. RFC 4632, RFC 4291, RFC 5952 */

import { OperationError } from '../base/errors.ts'
import { addressText } from '../linux/address-text.ts'

/** Undefined for what is no address: four decimal numbers without leading zeros, or up to eight hexadecimal ones. */
export const parseAddress = (text: string): Uint8Array | undefined =>
  text.includes(':') ? parseIpv6(text) : parseIpv4(text)

function parseIpv4(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined
  return Uint8Array.from(parts, Number)
}

function parseIpv6(text: string): Uint8Array | undefined {
  const halves = text.split('::')
  const [left = [], right = []] = halves.map((half) => (half === '' ? [] : half.split(':')))
  const missing = 8 - left.length - right.length
  if (halves.length > 2 || (halves.length === 2 ? missing < 1 : missing !== 0)) return undefined
  const groups = [...left, ...Array<string>(missing).fill('0'), ...right]
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined
  return Uint8Array.from(
    groups.flatMap((group) => {
      const number = Number.parseInt(group, 16)
      return [number >> 8, number & 0xff]
    }),
  )
}

export const isIpv6 = ({ length }: Uint8Array): boolean => length === 16

/** 8 or 32 digits. */
export const addressHex = (address: Uint8Array): string =>
  [...address].map((byte) => byte.toString(16).padStart(2, '0')).join('')

export interface Subnet {
  /** The address of the network itself: bits behind the prefix are 0. */
  readonly network: Uint8Array
  readonly prefixLength: number
}

const bitsOf = ({ length }: Uint8Array): number => length * 8

/** `172.30.0.0/16`, `fd00::/64`. Throws `invalid`, with `what` as the name of the field. */
export function parseSubnet(text: string, what: string): Subnet {
  const [address = '', length = ''] = text.split('/')
  const bytes = parseAddress(address)
  const prefixLength = /^\d{1,3}$/.test(length) ? Number(length) : -1
  if (bytes === undefined || prefixLength < 8 || prefixLength > bitsOf(bytes) - 2)
    throw invalid(what, text, 'write an address and a prefix from 8 to 30, or to 126 of IPv6, e.g. 172.30.0.0/16')
  const subnet = { network: masked(bytes, prefixLength), prefixLength }
  if (addressText(subnet.network) !== addressText(bytes))
    throw invalid(what, text, `the network is ${subnetText(subnet)}`)
  return subnet
}

const invalid = (what: string, text: string, hint: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `read ${what}`,
    reason: `invalid CIDR address: ${JSON.stringify(text)} is no network`,
    hint,
  })

export const subnetText = ({ network, prefixLength }: Subnet): string => `${addressText(network)}/${prefixLength}`

export const sizeOf = ({ network, prefixLength }: Subnet): number => 2 ** (bitsOf(network) - prefixLength)

const masked = (address: Uint8Array, prefixLength: number): Uint8Array =>
  address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixLength - index * 8))))

/** The address at this place in a network; 0 is the network itself. Below 2^32. */
export function nth({ network }: Subnet, index: number): Uint8Array {
  const bytes = network.slice()
  let rest = index
  for (let at = bytes.length - 1; at >= 0 && rest > 0; at--) {
    const sum = (bytes[at] ?? 0) + (rest % 256)
    bytes[at] = sum & 0xff
    rest = Math.floor(rest / 256) + (sum > 0xff ? 1 : 0)
  }
  return bytes
}

export const isInside = ({ network, prefixLength }: Subnet, address: Uint8Array): boolean =>
  address.length === network.length && masked(address, prefixLength).every((byte, index) => byte === network[index])

export const overlaps = (one: Subnet, other: Subnet): boolean =>
  one.prefixLength <= other.prefixLength ? isInside(one, other.network) : isInside(other, one.network)

/** The networks of the routes of this machine. `/proc/net/route`: destination and mask are hexadecimal, in the byte order of the machine. */
export function routedSubnets(table: string): readonly Subnet[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.split('\t')
      const [destination, mask] = [fields[1], fields[7]].map((field) => littleEndian(field))
      if (destination === undefined || mask === undefined) return []
      const prefixLength = mask.reduce((bits, byte) => bits + bitsIn(byte), 0)
      return prefixLength === 0 ? [] : [{ network: destination, prefixLength }]
    })
}

function littleEndian(hex: string | undefined): Uint8Array | undefined {
  const match = /^([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})$/.exec(hex ?? '')
  return match === null ? undefined : Uint8Array.from(match.slice(1).reverse(), (byte) => Number.parseInt(byte, 16))
}

const bitsIn = (byte: number): number => byte.toString(2).replace(/0/g, '').length

/** `/proc/net/ipv6_route`: 32 digits of the destination and 2 of its prefix. Those of each link, to groups and to everywhere are left out. */
export const routedSubnets6 = (table: string): readonly Subnet[] =>
  [...table.matchAll(/^((?!fe80|ff00)[0-9a-f]{32}) (?!00)([0-9a-f]{2}) /gm)].map(([, digits = '', prefix = '']) => ({
    network: Uint8Array.from(digits.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16)),
    prefixLength: Number.parseInt(prefix, 16),
  }))
