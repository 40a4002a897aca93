/** --network, --publish and their like: words become a wish. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { usage } from '../base/flags.ts'
import { missingConnector } from '../engine/connector.ts'
import { EGRESS_FIELD } from '../engine/egress.ts'
import type { NamespaceChoice } from '../engine/intent.ts'
import { boundPorts } from '../engine/network-plan.ts'
import type { EndpointWish, NetworkWish, PortWish } from '../engine/record.ts'
import { addressText } from '../linux/address-text.ts'
import { isIpv6, parseAddress } from '../network/address.ts'
import { parseRules } from '../network/egress-rules.ts'
import { DEFAULT_NETWORK, NETWORK_NAME } from '../network/networks.ts'
import { CONNECTORS, type Connector, installedConnectors } from '../observe/connectors.ts'
import { warn } from './command.ts'
import { portsOf, portWord } from './port-words.ts'
import { type Asked, wrong } from './values.ts'

/** Words of the grammar that all namespaces share. */
export const isJoined = (word: string): boolean => /^(?:host|container:.*|ns:.*)$/.test(word)
const isPlain = (word: string): boolean => isJoined(word) || word === 'none' || word === 'private'

/** The words that --network was given; docker has --net for it too. One that is no network stands alone. */
export function networkWords(asked: Asked, isRootless: boolean): readonly string[] {
  const words = [...asked.given.list('network'), ...asked.given.list('net')]
  const plain = words.find(isPlain)
  if (plain !== undefined && words.length > 1)
    throw wrong(
      asked,
      'network',
      words.join(' '),
      `conflicting options: a container with ${plain} cannot be connected to a network as well`,
    )
  if (words.length > 0) return words
  return [isRootless && !isAsked(asked) && installedConnectors(filesOf(asked)).length === 0 ? 'none' : DEFAULT_NETWORK]
}

const filesOf = ({ session }: Asked): Files => session.engine.machine.files

/** Whether a network is asked for, in whichever words. */
const isAsked = ({ given }: Asked): boolean =>
  ['network', 'net', 'publish', 'egress'].some((name) => given.isSet(name)) || given.bool('publish-all')

/** What a caller is told who did not ask for a network, and gets none where docker has one. */
export function whyNone(asked: Asked, { isRootless, pid }: Omit<NetworkFacts, 'exposed'>): string | undefined {
  if (!isRootless || isAsked(asked)) return undefined
  const [best] = installedConnectors(filesOf(asked))
  if (best === undefined) return 'the container has no network: install the package passt, or give --network none'
  return isUnsafe(asked, best, pid) ? `the container has no network: ${SEES_IT}` : undefined
}

/** Whether it is in a network whose names are resolved. */
export const isNamed = ({ given }: Asked): boolean =>
  [...given.list('network'), ...given.list('net')].some(
    (word) => !isPlain(word) && !['default', DEFAULT_NETWORK].includes(word),
  )

export interface NetworkFacts {
  readonly isRootless: boolean
  /** What the image says of its ports, and --expose. */
  readonly exposed: readonly string[]
  /** The pid namespace that it will have. */
  readonly pid: NamespaceChoice
}

export function networkOf(asked: Asked, { isRootless, exposed, pid }: NetworkFacts): NetworkWish {
  const { given, command } = asked
  if (given.isSet('egress')) return egressOf(asked)
  const words = networkWords(asked, isRootless)
  const ports = [
    ...given.list('publish').flatMap((text) => portsOf(text, { command, flag: 'publish' })),
    ...(given.bool('publish-all') ? exposed.map((text) => portWord(text, { command, flag: 'expose' })) : []),
  ]
  const word = whyNone(asked, { isRootless, pid }) === undefined ? (words[0] ?? '') : 'none'
  if (isRootless && !isPlain(word)) return connectedBy(asked, word, { ports, pid })
  refuseOfJoined(asked, word)
  if (isPlain(word)) return plainOf(asked, word)
  const networks = words.map((text, index) => endpointOf(asked, text, index === 0))
  const twice = networks.find(({ network }, index) => networks.findIndex((one) => one.network === network) < index)
  if (twice !== undefined)
    throw wrong(asked, 'network', twice.network, `network "${twice.network}" is specified multiple times`)
  return { kind: 'networks', networks, ports: boundPorts(asked.session.engine, networks, ports) }
}

/** A network that is not coffer's to make. */
function plainOf(asked: Asked, word: string): NetworkWish {
  const { given, command, session } = asked
  if (given.list('publish').length > 0) {
    if (word !== 'host')
      throw usage(
        command,
        `--publish and --network ${word} exclude each other`,
        'a port leads to the bridge of a network',
      )
    warn(session, 'Published ports are discarded when using host network mode')
  }
  refuseEndpointFlags(asked, word)
  return { kind: isJoined(word) ? 'joined' : 'none' }
}

/** A list of hosts is all that a container has of networks: nothing leads into it, and there are no neighbours. */
function egressOf({ given, command }: Asked): NetworkWish {
  const set = ['network', 'net', 'publish', 'publish-all', ...ENDPOINT_FLAGS].find((name) => given.isSet(name))
  if (set !== undefined)
    throw usage(
      command,
      `--egress and --${set} exclude each other`,
      'a container with a list of hosts has no network beside them: leave one of the two away',
    )
  const hosts = given.list('egress')
  parseRules(hosts, EGRESS_FIELD)
  return { kind: 'egress', hosts }
}

/** A bridge with one container, so to speak. Throws `unsupported` for what a program without privilege cannot do. */
function connectedBy(
  asked: Asked,
  word: string,
  { ports, pid }: Pick<NetworkFacts, 'pid'> & { readonly ports: readonly PortWish[] },
): NetworkWish {
  const refuse = (reason: string, hint: string): never => {
    throw new OperationError({ kind: 'unsupported', operation: `connect the container to ${word}`, reason, hint })
  }
  const wanted = CONNECTORS.find((one) => one === word)
  if (wanted === undefined && ![DEFAULT_NETWORK, 'default'].includes(word))
    refuse(
      'without root there are no networks of several containers',
      'use --network bridge for a way out, or --network container:NAME to share that of another container',
    )
  if (networkWords(asked, true).length > 1) refuse('without root a container has one network', 'give --network once')
  const flag = [...ENDPOINT_FLAGS].find((name) => asked.given.isSet(name))
  if (flag !== undefined) refuse('without root it has the addresses of this machine', `leave --${flag} away`)
  if (ports.some(({ protocol }) => protocol === 'sctp'))
    refuse('without root tcp and udp are forwarded', 'leave the sctp port away')
  const kind = installedConnector(asked, wanted)
  if (kind === undefined) throw missingConnector(wanted)
  if (kind === 'slirp4netns') {
    if (ports.some(({ hostAddress }) => hostAddress?.includes(':')))
      refuse('slirp4netns forwards IPv4', 'publish on an address of IPv4, or install the package passt')
    if (isUnsafe(asked, kind, pid)) refuse(SEES_IT, 'leave one of the two away, or install the package passt')
  }
  return { kind, ports, isDefault: isAsked(asked) ? undefined : true }
}

/** It has left its privilege for that of the container's user namespace, and can be traced from there. ptrace(2) */
const SEES_IT = 'with --pid host its root could take slirp4netns over, which is in the network of this machine'

const isUnsafe = (asked: Asked, connector: Connector, pid: NamespaceChoice): boolean =>
  connector === 'slirp4netns' &&
  (pid.kind === 'host' ||
    (pid.kind === 'path' && filesOf(asked).readLink(pid.path) === filesOf(asked).readLink('/proc/self/ns/pid')))

/** The one that is wanted, if it is there; else the best that is. */
const installedConnector = (asked: Asked, wanted: Connector | undefined): Connector | undefined =>
  installedConnectors(filesOf(asked)).find((one) => wanted === undefined || one === wanted)

/** What belongs to the container whose network is joined, with docker's words. Source: docker: runconfig/hostconfig_unix.go */
const OF_JOINED: Readonly<Record<string, string>> = {
  hostname: 'hostname and the network mode',
  dns: 'dns and the network mode',
  'add-host': 'custom host-to-IP mapping and the network mode',
  'mac-address': 'mac-address and the network mode',
  publish: 'port publishing and the container type network mode',
  'publish-all': 'port publishing and the container type network mode',
  expose: 'port exposing and the container type network mode',
}

function refuseOfJoined({ given, command }: Asked, word: string): void {
  if (!word.startsWith('container:')) return
  const set = Object.keys(OF_JOINED).find((name) => given.isSet(name))
  if (set !== undefined)
    throw usage(
      command,
      `conflicting options: ${OF_JOINED[set]}`,
      `leave --${set} away, or give it to the other container`,
    )
}

const ENDPOINT_FLAGS = ['ip', 'ip6', 'mac-address', 'network-alias', 'net-alias'] as const

function refuseEndpointFlags({ given, command }: Asked, word: string): void {
  const set = ENDPOINT_FLAGS.find((name) => given.isSet(name))
  if (set !== undefined)
    throw usage(command, `--${set} and --network ${word} exclude each other`, 'it is about a network of its own')
}

/** `NETWORK`, or `name=NETWORK,alias=NAME,ip=ADDRESS`; flags beside it are about the first. */
function endpointOf(asked: Asked, text: string, isFirst: boolean): EndpointWish {
  const { given } = asked
  const said = text.includes('=') ? pairsIn(asked, text) : [['name', text] as const]
  const valuesOf = (key: string): readonly string[] => said.filter(([name]) => name === key).map(([, value]) => value)
  const one = (key: string, flag: string): string | undefined => {
    const [value] = valuesOf(key)
    if (value !== undefined && isFirst && given.isSet(flag))
      throw wrong(asked, 'network', text, `conflicting options: --${flag} says it as well`)
    return value ?? (isFirst ? given.string(flag) : undefined)
  }
  const name = valuesOf('name')[0] ?? ''
  const network = name === 'default' ? DEFAULT_NETWORK : name
  if (!NETWORK_NAME.test(network)) throw wrong(asked, 'network', text, 'give the name of a network')
  const aliases = [
    ...valuesOf('alias'),
    ...(isFirst ? [...given.list('network-alias'), ...given.list('net-alias')] : []),
  ]
  return {
    network,
    address: addressOf(asked, 'ip', one('ip', 'ip')),
    address6: addressOf(asked, 'ip6', one('ip6', 'ip6')),
    hardwareAddress: hardwareAddressOf(asked, one('mac-address', 'mac-address')),
    aliases: aliasesOf(asked, network, aliases),
  }
}

const KEYS = ['name', 'alias', 'ip', 'ip6', 'mac-address']

function pairsIn(asked: Asked, text: string): readonly (readonly [string, string])[] {
  return text.split(',').map((pair) => {
    const equals = pair.indexOf('=')
    const [key, value] = [pair.slice(0, equals), pair.slice(equals + 1)]
    if (equals < 1 || !KEYS.includes(key))
      throw wrong(asked, 'network', text, `it takes ${KEYS.join(', ')}, e.g. name=web,alias=front`)
    return [key, value] as const
  })
}

/** Names of networks and containers are names of files: others are refused (S246). */
export function aliasesOf(asked: Asked, network: string, aliases: readonly string[]): readonly string[] {
  const bad = aliases.find((alias) => !NETWORK_NAME.test(alias) || alias.length > 253)
  if (bad !== undefined)
    throw wrong(asked, 'network-alias', bad, 'begin with a letter or digit, and use letters, digits, "_", "." and "-"')
  if (aliases.length > 0 && network === DEFAULT_NETWORK)
    throw wrong(
      asked,
      'network-alias',
      aliases.join(' '),
      'network-scoped alias is supported only for containers in user defined networks: coffer network create',
    )
  return aliases
}

export function addressOf(asked: Asked, flag: 'ip' | 'ip6', word: string | undefined): string | undefined {
  if (word === undefined) return undefined
  const bytes = parseAddress(word)
  if (bytes !== undefined && isIpv6(bytes) === (flag === 'ip6')) return addressText(bytes)
  throw wrong(asked, flag, word, flag === 'ip' ? 'write it like 172.30.0.9' : 'write it like fd00::9')
}

/** Six bytes, of which the first is that of one machine: no group. */
function hardwareAddressOf(asked: Asked, word: string | undefined): string | undefined {
  if (word === undefined) return undefined
  const bytes = word.toLowerCase().replace(/-/g, ':')
  if (/^[0-9a-f][02468ace](?::[0-9a-f]{2}){5}$/.test(bytes) && bytes !== '00:00:00:00:00:00') return bytes
  throw wrong(
    asked,
    'mac-address',
    word,
    'it is not a valid mac address: write six bytes of which the first is even, e.g. 02:42:ac:1e:00:09',
  )
}
