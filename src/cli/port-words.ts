/** Ports as --publish and --expose have them. */

import { usage } from '../base/flags.ts'
import type { PortWish } from '../engine/record.ts'
import { addressText } from '../linux/address-text.ts'
import { parseAddress } from '../network/address.ts'

export interface PortFlag {
  readonly command: string
  readonly flag: string
}

type Refuse = (reason: string) => never

const refusal =
  ({ command, flag }: PortFlag, text: string): Refuse =>
  (reason) => {
    throw usage(
      command,
      `--${flag} is "${text}": ${reason}`,
      'write [[ADDRESS:]PORT:]PORT[/tcp|udp|sctp], e.g. 8080:80, 127.0.0.1:53:53/udp or [::1]:8000-8009:80',
    )
  }

/** `[[ADDRESS:]PORT:]PORT[/PROTOCOL]`, where PORT may be a range; docker's long form is pairs: `published=8080,target=80`. */
export function portsOf(text: string, flag: PortFlag): readonly PortWish[] {
  const refuse = refusal(flag, text)
  const word = text.includes('=') ? shortOf(text, refuse) : text
  const match = /^(?:(?:(\[[^\]]*\]|[^:[\]]*):)?([^:[\]]*):)?([^:/[\]]+)(?:\/(tcp|udp|sctp))?$/.exec(word)
  if (match === null) return refuse('Invalid proto, port or address')
  const [, place = '', outsideText = '', insideText = '', protocol = 'tcp'] = match
  const inside = range(insideText) ?? refuse(`Invalid containerPort: ${insideText}`)
  const outside = outsideText === '' ? undefined : (range(outsideText) ?? refuse(`Invalid hostPort: ${outsideText}`))
  if (addressIn(place) === '::1') return refuse('the kernel takes no answers to ::1; use 127.0.0.1')
  const hostAddress = place === '' ? {} : { hostAddress: addressIn(place) ?? refuse(`Invalid ip address: ${place}`) }
  const wish = (port: number, hostPort: number): PortWish => ({
    ...hostAddress,
    hostPort,
    port,
    protocol: protocol as PortWish['protocol'],
  })
  // One port of many: the first that is free.
  const [only] = inside
  const last = outside?.[outside.length - 1]
  if (outside !== undefined && last !== undefined && outside.length > 1 && inside.length === 1 && only !== undefined)
    return [{ ...wish(only, outside[0] ?? 0), hostPortLast: last }]
  if (outside !== undefined && outside.length !== inside.length)
    return refuse('Invalid ranges: they are not equally long')
  return inside.map((port, index) => wish(port, outside?.[index] ?? 0))
}

function addressIn(place: string): string | undefined {
  const bytes = parseAddress(place.replace(/^\[(.*)\]$/, '$1'))
  return bytes === undefined || place.startsWith('[') !== (bytes.length === 16) ? undefined : addressText(bytes)
}

/** The long form in words of the short one. */
function shortOf(text: string, refuse: Refuse): string {
  const pairs = new Map(
    text.split(',').map((pair): readonly [string, string] => {
      const [key = '', value = ''] = pair.split('=')
      if (!['published', 'target', 'protocol', 'mode'].includes(key)) return refuse(`it has no ${key}`)
      return [key, value]
    }),
  )
  const target = pairs.get('target') ?? refuse('it has no target')
  return `${pairs.get('published') ?? ''}:${target}/${pairs.get('protocol') ?? 'tcp'}`
}

/** `PORT[/PROTOCOL]` of an image or of --expose, on any port of this machine. */
export function portWord(text: string, flag: PortFlag): PortWish {
  const [wish] = exposedPorts(text, flag)
  return { hostPort: 0, port: Number(wish?.split('/')[0]), protocol: (wish?.split('/')[1] ?? 'tcp') as 'tcp' }
}

/** `PORT[-PORT][/PROTOCOL]` → `PORT/PROTOCOL` each. */
export function exposedPorts(text: string, flag: PortFlag): readonly string[] {
  const [, ports = '', protocol = 'tcp'] = /^([\d-]+)(?:\/(tcp|udp|sctp))?$/.exec(text.toLowerCase()) ?? []
  const found = range(ports) ?? refusal(flag, text)('it is no port')
  return found.map((port) => `${port}/${protocol}`)
}

function range(text: string): readonly number[] | undefined {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (match === null) return undefined
  const first = Number(match[1])
  const last = Number(match[2] ?? match[1])
  if (first < 1 || last > 65535 || last < first) return undefined
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
