/** Addresses of hosts, and which of them are of this machine or its neighbourhood. RFC 6890, RFC 4291 */

import { addressText } from '../linux/address-text.ts'
import { isIpv6, parseAddress } from './address.ts'

export interface HostAddress {
  readonly family: 4 | 6
  /** 4 or 16. */
  readonly bytes: Uint8Array
}

/** `192.0.2.1`, `2001:db8::1`; undefined for what is neither. A scope (`%eth0`) is none that another machine knows. */
export function parseHostAddress(text: string): HostAddress | undefined {
  const bytes = parseAddress(text)
  return bytes === undefined ? undefined : { family: isIpv6(bytes) ? 6 : 4, bytes }
}

export const hostAddressText = ({ bytes }: HostAddress): string => addressText(bytes)

/** `192.0.2.1:80`, `[2001:db8::1]:80`. */
export const placeText = (address: HostAddress, port: number): string =>
  address.family === 4 ? `${hostAddressText(address)}:${port}` : `[${hostAddressText(address)}]:${port}`

/**
 * Whether it is of this machine, of its own network, or of none: no name of the internet has to lead there, and one that does may be meant to
 * (DNS rebinding; 169.254.169.254 answers with keys of a cloud). An address of IPv6 that stands for one of IPv4 is what that is.
 */
export function isNearby({ family, bytes }: HostAddress): boolean {
  if (family === 4) return NEARBY_4.some((range) => startsWith(bytes, range))
  const four = embedded(bytes)
  if (four !== undefined && isNearby({ family: 4, bytes: four })) return true
  return NEARBY_6.some((range) => startsWith(bytes, range))
}

/** The first bits of an address. */
interface Prefix {
  readonly bytes: Uint8Array
  readonly bits: number
}

const prefix = (text: string): Prefix => {
  const [address = '', bits = ''] = text.split('/')
  return { bytes: parseHostAddress(address)?.bytes ?? new Uint8Array(), bits: Number(bits) }
}

/** This network, private, shared, loopback, link-local, protocols, benchmarks (egress-names.ts uses them), multicast, reserved. */
const NEARBY_4 =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4'
    .split(' ')
    .map(prefix)

/** Unspecified and loopback, local NAT64, discard, Teredo, benchmarks, unique local, link-local, site-local, multicast. */
const NEARBY_6 = '::/127 64:ff9b:1::/48 100::/64 2001::/32 2001:2::/48 fc00::/7 fe80::/10 fec0::/10 ff00::/8'
  .split(' ')
  .map(prefix)

/** Mapped, compatible, translated, 6to4: the prefix, and where the address of IPv4 is. */
const EMBEDDING: readonly (readonly [Prefix, number])[] = [
  [prefix('::ffff:0:0/96'), 12],
  [prefix('::/96'), 12],
  [prefix('::ffff:0:0:0/96'), 12],
  [prefix('64:ff9b::/96'), 12],
  [prefix('2002::/16'), 2],
]

function embedded(bytes: Uint8Array): Uint8Array | undefined {
  const found = EMBEDDING.find(([range]) => startsWith(bytes, range))
  return found === undefined ? undefined : bytes.slice(found[1], found[1] + 4)
}

function startsWith(address: Uint8Array, { bytes, bits }: Prefix): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : (0xff << (8 - (bits - bit))) & 0xff
    if ((((address[bit >> 3] ?? 0) ^ (bytes[bit >> 3] ?? 0)) & mask) !== 0) return false
  }
  return true
}
