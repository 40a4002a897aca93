/**
 * What the kernel refused inside of a container, from the packet that says so: plan/egress-refusals.ts lets no other packets through.
 *
 * A TCP reset comes from the address and port that were asked for. An ICMP message "port unreachable" has the packet that it is about in it.
 * Source: RFC 791 3.1, RFC 792, RFC 8200 3, RFC 4443 3.1, RFC 9293 3.1
 */

import type { Frame, Place } from './egress-frames.ts'
import type { HostAddress } from './host-address.ts'

export interface Refusal extends Place {
  readonly protocol: 'tcp' | 'udp'
}

/** By the number of the socket. One of IPv4 brings packets with their header, one of IPv6 what is behind it. raw(7) */
const READERS: readonly ((frame: Frame) => Refusal | undefined)[] = [
  ({ bytes }) => resetIn(readHeader(bytes)),
  ({ bytes }) => unreachableIn(readHeader(bytes)?.rest),
  ({ bytes, place }) => (place === undefined ? undefined : resetIn({ source: place.address, rest: bytes })),
  ({ bytes }) => unreachableIn(bytes),
]

/** Undefined for another packet, and for one that was cut off too early. */
export const readRefusal = (frame: Frame): Refusal | undefined => READERS[frame.id]?.(frame)

const UDP = 17

function resetIn(packet: Pick<Header, 'source' | 'rest'> | undefined): Refusal | undefined {
  const port = packet === undefined ? undefined : portAt(packet.rest, 0)
  return packet === undefined || port === undefined ? undefined : { protocol: 'tcp', address: packet.source, port }
}

function unreachableIn(message: Uint8Array | undefined): Refusal | undefined {
  const packet = message === undefined ? undefined : readHeader(message.subarray(8))
  const port = packet === undefined ? undefined : portAt(packet.rest, 2)
  if (packet?.protocol !== UDP || port === undefined) return undefined
  return { protocol: 'udp', address: packet.destination, port }
}

const portAt = (bytes: Uint8Array, at: number): number | undefined =>
  bytes.length < at + 2 ? undefined : new DataView(bytes.buffer, bytes.byteOffset).getUint16(at)

interface Header {
  readonly protocol: number
  readonly source: HostAddress
  readonly destination: HostAddress
  readonly rest: Uint8Array
}

function readHeader(packet: Uint8Array): Header | undefined {
  const [first = 0] = packet
  const family = first >> 4
  const address = (from: number, to: number): HostAddress => ({
    family: family === 4 ? 4 : 6,
    bytes: packet.slice(from, to),
  })
  if (family === 4 && packet.length >= 20)
    return {
      protocol: packet[9] ?? 0,
      source: address(12, 16),
      destination: address(16, 20),
      rest: packet.subarray((first & 15) * 4),
    }
  if (family === 6 && packet.length >= 40)
    return {
      protocol: packet[6] ?? 0,
      source: address(8, 24),
      destination: address(24, 40),
      rest: packet.subarray(40),
    }
  return undefined
}
