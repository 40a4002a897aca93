/** --network and --publish of `coffer run`: words become a wish. */

import { usage } from '../base/flags.ts'
import type { NetworkWish, PortWish } from '../engine/record.ts'
import { parseAddress } from '../network/address.ts'
import { DEFAULT_NETWORK } from '../network/networks.ts'
import { type Asked, wrong } from './values.ts'

/** The word that --network was given; docker has --net for it too. */
export function networkWord(asked: Asked, isRootless: boolean): string {
  const words = [...asked.given.list('network'), ...asked.given.list('net')]
  const [word, ...others] = words
  if (others.length > 0) throw wrong(asked, 'network', words.join(' '), 'give one network')
  return word ?? (isRootless ? 'none' : DEFAULT_NETWORK)
}

/** Words of the grammar that all namespaces share. */
export const isJoined = (word: string): boolean => /^(?:host|container:.*|ns:.*)$/.test(word)

export function networkOf(asked: Asked, isRootless: boolean): NetworkWish {
  const { given, command } = asked
  const word = networkWord(asked, isRootless)
  const ports = given.list('publish').flatMap((text) => portsOf(text, command))
  const isPlain = isJoined(word) || word === 'none' || word === 'private'
  if (!isPlain) {
    const aliases = [...given.list('network-alias'), ...given.list('net-alias')]
    const network = word === 'default' ? DEFAULT_NETWORK : word
    return { kind: 'bridge', network, address: given.string('ip'), aliases, ports }
  }
  if (ports.length > 0 && word !== 'host')
    throw usage(
      command,
      `--publish and --network ${word} exclude each other`,
      'a port leads to the bridge of a network',
    )
  return { kind: isJoined(word) ? 'joined' : 'none' }
}

/** `[[ADDRESS:]PORT:]PORT[/PROTOCOL]`, where PORT may be a range. */
export function portsOf(text: string, command: string): readonly PortWish[] {
  const wrong = (reason: string): never => {
    throw usage(
      command,
      `--publish is "${text}": ${reason}`,
      'write [[ADDRESS:]PORT:]PORT[/tcp|udp|sctp], e.g. 8080:80 or 127.0.0.1:53:53/udp',
    )
  }
  const match = /^(?:(?:([^:[\]]*):)?([^:[\]]*):)?([^:/[\]]+)(?:\/(tcp|udp|sctp))?$/.exec(text)
  if (match === null) return wrong('it is none of these, or has an address of IPv6, which is not supported')
  const [, address = '', outsideText = '', insideText = '', protocol = 'tcp'] = match
  const inside = range(insideText) ?? wrong(`${insideText} is no port`)
  const outside = outsideText === '' ? undefined : (range(outsideText) ?? wrong(`${outsideText} is no port`))
  if (outside !== undefined && outside.length !== inside.length) return wrong('the ranges are not equally long')
  if (address !== '' && parseAddress(address) === undefined) return wrong(`${address} is no address`)
  return inside.map((port, index) => ({
    ...(address === '' || address === '0.0.0.0' ? {} : { hostAddress: address }),
    hostPort: outside?.[index] ?? 0,
    port,
    protocol: protocol as PortWish['protocol'],
  }))
}

function range(text: string): readonly number[] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  if (first < 1 || last > 65535 || last < first) return undefined
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
