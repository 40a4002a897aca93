/**
 * What a container may reach: `NAME:PORT`, `*.NAME:PORT`, `ADDRESS:PORT`, `[ADDRESS]:PORT`, each with a port or a range of them, `8000-8010`.
 *
 * Inside, a name stands for an address of its own, of a range that no host has (for benchmarks: RFC 2544, RFC 5180). So the address that a
 * program connects to says which name it means, and what the name stands for outside is not known there.
 */

import { OperationError } from '../base/errors.ts'
import type { Place } from './egress-frames.ts'
import { type HostAddress, hostAddressText, parseHostAddress, placeText } from './host-address.ts'

export interface Ports {
  readonly first: number
  readonly last: number
}

export interface Rule {
  /** A name in lower case. With `isWildcard` any name that ends with a dot and this, and not this one itself. */
  readonly host: string | HostAddress
  readonly isWildcard: boolean
  readonly ports: Ports
}

export interface Rules {
  readonly all: readonly Rule[]
  /** Names that are known from the beginning; the place of one is its number in addressOfName. */
  readonly names: readonly string[]
  /** Where the relay listens inside. */
  readonly listeners: readonly Place[]
}

/** How many sockets native/relay.c listens on: two for a name and a port, one for an address. */
const MAX_LISTENERS = 240

/** Throws `invalid`, with `field` as the name of what was given. */
export function parseRules(given: readonly string[], field: string): Rules {
  const all = given.map((text) => parseRule(text, field))
  const names = [
    ...new Set(all.flatMap(({ host, isWildcard }) => (typeof host === 'string' && !isWildcard ? [host] : []))),
  ]
  const listeners = listenersOf(all, names)
  if (listeners.length > MAX_LISTENERS)
    throw new OperationError({
      kind: 'invalid',
      operation: `read ${field}`,
      reason: `it takes ${listeners.length} listening sockets, two for each name and port, and there are ${MAX_LISTENERS}`,
      hint: 'name fewer hosts or ports',
    })
  return { all, names, listeners }
}

function parseRule(text: string, field: string): Rule {
  const refuse = (reason: string, hint: string): OperationError =>
    new OperationError({
      kind: 'invalid',
      operation: `read ${field}`,
      reason: `${JSON.stringify(text)} ${reason}`,
      hint,
    })
  const match = typeof text === 'string' ? /^(?:\[([^\]]*)\]|([^:]*)):([^:]*)$/.exec(text) : null
  if (match === null)
    throw refuse('is no host with a port', "write 'example.com:443', '192.0.2.1:80' or '[2001:db8::1]:443'")
  const [, six, other = '', port = ''] = match
  const ports = parsePorts(port)
  if (ports === undefined)
    throw refuse('has no port from 1 to 65535 behind the colon', 'name each port, or a range: 8000-8010')
  const address = parseHostAddress(six ?? other)
  if (six !== undefined && address?.family !== 6)
    throw refuse('has no address of IPv6 in the brackets', "write '[2001:db8::1]:443'")
  if (address !== undefined) return { host: address, isWildcard: false, ports }
  const isWildcard = other.startsWith('*.')
  const host = nameOf(isWildcard ? other.slice(2) : other)
  if (host === undefined)
    throw refuse(
      'has neither a name nor an address before the colon',
      'a name is letters, digits, dashes and dots; others are written as xn--…',
    )
  // RFC 6761 section 6.3
  if (host === 'localhost' || host.endsWith('.localhost'))
    throw refuse('is the container itself', 'for what listens on the loopback of this machine write 127.0.0.1:PORT')
  return { host, isWildcard, ports }
}

function parsePorts(text: string): Ports | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const [first, last] = [Number(match[1]), Number(match[2] ?? match[1])]
  return first >= 1 && first <= last && last <= 65_535 ? { first, last } : undefined
}

const LABEL = /^[a-z\d_](?:[a-z\d_-]{0,61}[a-z\d_])?$/

/** In lower case. A last label of digits is of an address in one of its other notations (0x7f.1, 2130706433), so it is no name's. */
function nameOf(text: string): string | undefined {
  const name = text.toLowerCase().replace(/\.$/, '')
  const labels = name.split('.')
  if (name.length > 253 || !labels.every((label) => LABEL.test(label))) return undefined
  return /^(?:\d+|0x[\da-f]*)$/.test(labels[labels.length - 1] ?? '') ? undefined : name
}

export const hasPort = ({ ports: { first, last } }: Rule, port: number): boolean => port >= first && port <= last

/** Whether a rule is about this name, whatever the port. */
export const namesHost = ({ host, isWildcard }: Rule, name: string): boolean =>
  isWildcard ? typeof host === 'string' && name.endsWith(`.${host}`) : host === name

export const isSameAddress = (one: HostAddress, other: HostAddress): boolean =>
  one.family === other.family && hostAddressText(one) === hostAddressText(other)

/**
 * A name that is not known yet has no address to listen at, so a port that such names have is listened on at all addresses; two sockets cannot
 * listen at the same one.
 */
function listenersOf(all: readonly Rule[], names: readonly string[]): readonly Place[] {
  const wide = new Set(all.flatMap((rule) => (rule.isWildcard ? portsOf(rule) : [])))
  const places = [
    ...[...wide].flatMap((port) => [ANY_4, ANY_6].map((address) => ({ address, port }))),
    ...all
      .filter(({ isWildcard }) => !isWildcard)
      .flatMap((rule) =>
        portsOf(rule)
          .filter((port) => !wide.has(port))
          .flatMap((port) => addressesOf(rule, names).map((address) => ({ address, port }))),
      ),
  ]
  return [...new Map(places.map((place) => [placeText(place.address, place.port), place])).values()]
}

const addressesOf = ({ host }: Rule, names: readonly string[]): readonly HostAddress[] =>
  typeof host === 'string' ? ([4, 6] as const).map((family) => addressOfName(names.indexOf(host), family)) : [host]

const ANY_4: HostAddress = { family: 4, bytes: new Uint8Array(4) }
const ANY_6: HostAddress = { family: 6, bytes: new Uint8Array(16) }

/** Up to one more than is refused in the end: a list of ranges may be long. */
const portsOf = ({ ports: { first, last } }: Rule): readonly number[] =>
  Array.from({ length: Math.min(last - first, MAX_LISTENERS) + 1 }, (_, index) => first + index)

/** 198.18.0.0/15 and 2001:2::/48; the first 256 are not for names. */
const FIRST_NAME = 256
const NAMES_4 = Uint8Array.of(198, 18, 0, 0)
const NAMES_6 = Uint8Array.of(0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

/** What a name stands for inside; `index` is below 65,280. */
export function addressOfName(index: number, family: 4 | 6): HostAddress {
  const bytes = (family === 4 ? NAMES_4 : NAMES_6).slice()
  new DataView(bytes.buffer).setUint16(bytes.length - 2, FIRST_NAME + index)
  return { family, bytes }
}

/** Which name an address stands for; undefined for one that is none of a name's. */
export function nameIndexOf({ family, bytes }: HostAddress): number | undefined {
  const prefix = family === 4 ? NAMES_4 : NAMES_6
  const at = bytes.length - 2
  if (bytes.some((byte, index) => index < at && byte !== prefix[index])) return undefined
  const index = new DataView(bytes.buffer, bytes.byteOffset).getUint16(at) - FIRST_NAME
  return index < 0 ? undefined : index
}
