/** Addresses of IPv4 and the networks that they are in, as text and as four bytes. RFC 4632 */

import { OperationError } from '../base/errors.ts'

/** Undefined for what is no address: four decimal numbers without leading zeros. */
export function parseAddress(text: string): Uint8Array | undefined {
  const parts = text.split('.')
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256))
    return undefined
  return Uint8Array.from(parts, Number)
}

export const addressText = (address: Uint8Array): string => address.join('.')

export interface Subnet {
  /** The address of the network itself: bits behind the prefix are 0. */
  readonly network: Uint8Array
  readonly prefixLength: number
}

/** `172.30.0.0/16`. Throws `invalid`, with `what` as the name of the field. */
export function parseSubnet(text: string, what: string): Subnet {
  const [address = '', length = ''] = text.split('/')
  const bytes = parseAddress(address)
  const prefixLength = /^\d{1,2}$/.test(length) ? Number(length) : -1
  if (bytes === undefined || prefixLength < 8 || prefixLength > 30)
    throw invalid(what, text, 'write an address and a prefix from 8 to 30, e.g. 172.30.0.0/16')
  const subnet = { network: nth({ network: bytes, prefixLength }, 0), prefixLength }
  if (numberOf(subnet.network) !== numberOf(bytes)) throw invalid(what, text, `the network is ${subnetText(subnet)}`)
  return subnet
}

const invalid = (what: string, text: string, hint: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `read ${what}`,
    reason: `${JSON.stringify(text)} is no network`,
    hint,
  })

export const subnetText = ({ network, prefixLength }: Subnet): string => `${addressText(network)}/${prefixLength}`

export const sizeOf = ({ prefixLength }: Subnet): number => 2 ** (32 - prefixLength)

/** The address at this place in a network; 0 is the network itself. */
export function nth({ network, prefixLength }: Subnet, index: number): Uint8Array {
  const size = 2 ** (32 - prefixLength)
  const start = Math.floor(numberOf(network) / size) * size
  return bytesOf(start + index)
}

export const isInside = (subnet: Subnet, address: Uint8Array): boolean =>
  numberOf(address) >= numberOf(subnet.network) && numberOf(address) < numberOf(subnet.network) + sizeOf(subnet)

export const overlaps = (one: Subnet, other: Subnet): boolean =>
  isInside(one, other.network) || isInside(other, one.network)

const numberOf = (address: Uint8Array): number => address.reduce((number, byte) => number * 256 + byte, 0)

function bytesOf(number: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, number)
  return bytes
}

/** The networks of the routes of this machine. `/proc/net/route`: destination and mask are hexadecimal, in the byte order of the machine. */
export function routedSubnets(table: string): readonly Subnet[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const fields = line.split('\t')
      const [destination, mask] = [fields[1], fields[7]].map((field) => littleEndian(field))
      if (destination === undefined || mask === undefined || numberOf(mask) === 0) return []
      return [{ network: destination, prefixLength: mask.reduce((bits, byte) => bits + bitsIn(byte), 0) }]
    })
}

function littleEndian(hex: string | undefined): Uint8Array | undefined {
  const match = /^([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})([0-9A-F]{2})$/.exec(hex ?? '')
  return match === null ? undefined : Uint8Array.from(match.slice(1).reverse(), (byte) => Number.parseInt(byte, 16))
}

const bitsIn = (byte: number): number => byte.toString(2).replace(/0/g, '').length
