/**
 * Networks as files. What a network is; who is in it is in members.ts.
 *
 *     networks/NAME/network.json        the network; it exists from the moment this file does
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { parseJson } from '../base/json.ts'
import type { Native } from '../base/native.ts'
import { makeDirectories, replaceFile } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { addressText } from '../linux/address-text.ts'
import {
  isInside,
  isIpv6,
  nth,
  overlaps,
  parseAddress,
  parseSubnet,
  routedSubnets,
  routedSubnets6,
  type Subnet,
  subnetText,
} from './address.ts'
import type { Foreseen } from './foreseen.ts'

/** Addresses that a network gives: one of IPv4, and one of IPv6 if it was asked for. */
export interface Pool {
  /** `172.30.0.0/16`, and the address of this machine in it. */
  readonly subnet: string
  readonly gateway: string
  /** A part of the subnet from which addresses are given that nobody chose. */
  readonly range?: string | undefined
  /** Names and addresses of others, which no container gets. */
  readonly reserved?: Readonly<Record<string, string>> | undefined
}

/** How containers are connected: to a bridge of this machine, or by one of its devices directly. */
export type Driver = 'bridge' | 'macvlan' | 'ipvlan'

export interface NetworkRecord {
  readonly version: 1
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  /** RFC 3339. */
  readonly created: string
  /** IPv4 first. */
  readonly pools: readonly Pool[]
  readonly driver: Driver
  /** The name of its bridge; for macvlan and ipvlan that of the device of this machine which it is on. */
  readonly device: string
  readonly isInternal: boolean
  /** Its containers reach each other. */
  readonly hasNeighbours: boolean
  readonly labels: Readonly<Record<string, string>>
  /** As they were given, with docker's names. */
  readonly options: Readonly<Record<string, string>>
}

export interface Networks {
  readonly native: Native
  readonly files: Files
  readonly dataRoot: string
  /** Where everything goes that would be written; it is among `files`. */
  readonly foreseen?: Foreseen | undefined
}

/** The network of containers that ask for none. Names are not resolved in it, as with docker. */
export const DEFAULT_NETWORK = 'bridge'
/** Also of other names in networks: they are looked up as names of files. */
export const NETWORK_NAME: RegExp = /^[a-zA-Z0-9][\w.-]*$/

export const networksPath = ({ dataRoot }: Pick<Networks, 'dataRoot'>): string => `${dataRoot}/networks`
export const networkPath = (networks: Pick<Networks, 'dataRoot'>, name: string): string =>
  `${networksPath(networks)}/${name}`
export const recordPath = (networks: Pick<Networks, 'dataRoot'>, name: string): string =>
  `${networkPath(networks, name)}/network.json`

export function readNetwork(networks: Networks, name: string): NetworkRecord | undefined {
  const text = NETWORK_NAME.test(name) ? networks.files.readText(recordPath(networks, name)) : undefined
  return text === undefined ? undefined : parseNetwork(text, recordPath(networks, name))
}

/** Records are renamed into place, so one that is not whole was written by something else. */
function parseNetwork(text: string, path: string): NetworkRecord {
  const record = parseJson(text, path)
  if (isNetwork(record)) return record
  throw new OperationError({
    kind: 'invalid',
    operation: `read ${path}`,
    reason: 'it is no network of this version of coffer',
    hint: `remove its directory, and make the network again: rm -r ${path.slice(0, path.lastIndexOf('/'))}`,
  })
}

const isNetwork = (value: unknown): value is NetworkRecord =>
  typeof value === 'object' && value !== null && 'pools' in value && Array.isArray(value.pools)

export const listNetworks = (networks: Networks): readonly NetworkRecord[] =>
  (networks.files.list(networksPath(networks)) ?? [])
    .map((name) => readNetwork(networks, name))
    .filter((network): network is NetworkRecord => network !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1))

/** By name, or the beginning of an id. Throws `missing`. */
export function findNetwork(networks: Networks, text: string): NetworkRecord {
  const found =
    readNetwork(networks, text) ?? listNetworks(networks).find(({ id }) => text !== '' && id.startsWith(text))
  if (found !== undefined) return found
  throw missingNetwork(text)
}

export const missingNetwork = (text: string): OperationError =>
  new OperationError({
    kind: 'missing',
    operation: `find network ${text}`,
    reason: `network ${text} not found`,
    hint: 'coffer network ls lists them; coffer network create makes one',
  })

/** Words that mean a network whether it is there or not. Throws `conflict`. */
export function refusePredefined(name: string): void {
  if (name !== DEFAULT_NETWORK && name !== 'host' && name !== 'none') return
  throw new OperationError({
    kind: 'conflict',
    operation: `create network ${name}`,
    reason: `operation is not permitted on predefined ${name} network`,
    hint: 'choose another name',
  })
}

export interface NewNetwork {
  readonly id: string
  readonly name: string
  readonly created: string
  readonly driver: Driver
  readonly subnets: readonly string[]
  readonly gateways: readonly string[]
  readonly ranges: readonly string[]
  /** `--aux-address`, by name. */
  readonly reserved: Readonly<Record<string, string>>
  readonly hasIpv6: boolean
  readonly isInternal: boolean
  readonly labels: Readonly<Record<string, string>>
  readonly options: Readonly<Record<string, string>>
}

/** The default network, which is made when it is first wanted. */
export const defaultNetwork = (id: string, created: string): NewNetwork => ({
  id,
  name: DEFAULT_NETWORK,
  created,
  driver: 'bridge',
  subnets: [],
  gateways: [],
  ranges: [],
  reserved: {},
  hasIpv6: false,
  isInternal: false,
  labels: {},
  options: {},
})

/** To be called by one at a time. Throws `conflict` for a name or a subnet that is taken, `invalid` for what can be neither. */
export function createNetwork(networks: Networks, wanted: NewNetwork): NetworkRecord {
  const { name, isInternal, labels, id, created, options } = wanted
  if (!NETWORK_NAME.test(name) || name === 'host' || name === 'none' || name.length > 255)
    throw new OperationError({
      kind: 'invalid',
      operation: `create network ${name}`,
      reason: 'it cannot have this name',
      hint: 'begin with a letter or digit, and use letters, digits, "_", "." and "-"; host and none have a meaning',
    })
  if (readNetwork(networks, name) !== undefined)
    throw new OperationError({
      kind: 'conflict',
      operation: `create network ${name}`,
      reason: `network with name ${name} already exists`,
      hint: 'choose another name, or remove it: coffer network rm',
    })
  checkMtu(wanted)
  checkBinding(wanted)
  const record: NetworkRecord = {
    version: 1,
    id,
    name,
    created,
    pools: poolsOf(networks, wanted),
    driver: wanted.driver,
    device: deviceOf(networks, wanted),
    isInternal,
    hasNeighbours: options[ICC] !== 'false',
    labels,
    options,
  }
  const path = recordPath(networks, name)
  if (networks.foreseen !== undefined) {
    networks.foreseen.texts.set(path, JSON.stringify(record))
    return record
  }
  makeDirectories(networks.native, networkPath(networks, name), 0o711)
  replaceFile(networks.native, { path, temporary: `${path}.new`, text: JSON.stringify(record), mode: 0o644 })
  return record
}

export const BRIDGE_NAME = 'com.docker.network.bridge.name'
export const ICC = 'com.docker.network.bridge.enable_icc'
/** An address of IPv4 of this machine: where ports are published of which it is not said. */
export const HOST_BINDING = 'com.docker.network.bridge.host_binding_ipv4'
export const MTU = 'com.docker.network.driver.mtu'

/** In bytes; that of the kernel, 1500, if undefined. RFC 791, RFC 8200 */
export const mtuOf = ({ options }: Pick<NetworkRecord, 'options'>): number | undefined =>
  options[MTU] === undefined ? undefined : Number(options[MTU])

function checkMtu({ name, options, hasIpv6 }: NewNetwork): void {
  const text = options[MTU]
  const least = hasIpv6 ? 1280 : 68
  if (text === undefined || (/^[1-9]\d{1,4}$/.test(text) && Number(text) >= least && Number(text) <= 65_535)) return
  throw new OperationError({
    kind: 'invalid',
    operation: `create network ${name}`,
    reason: `${MTU} is ${JSON.stringify(text)}`,
    hint: `give a number of bytes from ${least} to 65535`,
  })
}

function checkBinding({ name, options }: NewNetwork): void {
  const text = options[HOST_BINDING]
  if (text === undefined || parseAddress(text)?.length === 4) return
  throw new OperationError({
    kind: 'invalid',
    operation: `create network ${name}`,
    reason: `${HOST_BINDING} is ${JSON.stringify(text)}`,
    hint: 'give an address of IPv4 that this machine has, as 127.0.0.1',
  })
}

function deviceOf(networks: Networks, { name, id, driver, options }: NewNetwork): string {
  if (driver !== 'bridge') return parentOf(networks, name, options.parent)
  const device = options[BRIDGE_NAME]
  if (device !== undefined) return namedDevice(networks, name, device)
  return name === DEFAULT_NETWORK ? 'coffer0' : `cof-${id.slice(0, 11)}`
}

/** A device of this machine. */
function parentOf({ files }: Networks, name: string, parent: string | undefined): string {
  if (parent !== undefined && hasDevice(files, parent)) return parent
  throw new OperationError({
    kind: parent === undefined ? 'invalid' : 'missing',
    operation: `create network ${name}`,
    reason: parent === undefined ? 'it needs a device of this machine' : `this machine has no device ${parent}`,
    hint: 'give one with -o parent=DEVICE; ip link lists them',
  })
}

const hasDevice = (files: Files, device: string): boolean =>
  (files.readText('/proc/net/dev') ?? '').split('\n').some((line) => line.trim().startsWith(`${device}:`))

/** The kernel's rules, without what it takes as a pattern; and nothing that is there. dev_valid_name in net/core/dev.c */
function namedDevice(networks: Networks, name: string, device: string): string {
  const refuse = (reason: string): never => {
    throw new OperationError({
      kind: 'invalid',
      operation: `create network ${name}`,
      reason: `${BRIDGE_NAME} is ${JSON.stringify(device)}: ${reason}`,
      hint: 'use up to 15 letters, digits, "_", "." and "-", beginning with a letter',
    })
  }
  if (!/^[a-zA-Z][\w.-]{0,14}$/.test(device)) return refuse('no device can be called that')
  if (hasDevice(networks.files, device)) return refuse('there is such a device')
  if (listNetworks(networks).some((other) => other.device === device)) return refuse('another network has it')
  return device
}

function poolsOf(networks: Networks, wanted: NewNetwork): readonly Pool[] {
  const refuse = (reason: string): never => {
    throw new OperationError({ kind: 'invalid', operation: `create network ${wanted.name}`, reason })
  }
  const given = wanted.subnets.map((text) => ownSubnet(networks, text, wanted.driver))
  const [one, six] = [false, true].map((isSix) => given.filter(({ network }) => isIpv6(network) === isSix))
  if ((one?.length ?? 0) > 1 || (six?.length ?? 0) > 1) return refuse('it has one subnet of IPv4, and one of IPv6')
  if ((six?.length ?? 0) > 0 && !wanted.hasIpv6) return refuse('a subnet of IPv6 goes with --ipv6')
  const subnets = [one?.[0] ?? freeSubnet(networks), ...(wanted.hasIpv6 ? [six?.[0] ?? localSubnet(wanted.id)] : [])]
  const gateways = wanted.gateways.map((text) => ({ text, bytes: parseAddress(text) }))
  const ranges = wanted.ranges.map((text) => ({ text, part: parseSubnet(text, '--ip-range') }))
  const outer = gateways.find(({ bytes }) => bytes === undefined || !subnets.some((subnet) => isInside(subnet, bytes)))
  if (outer !== undefined) return refuse(`no matching subnet: the gateway ${outer.text} is no address of the network`)
  const wide = ranges.find(({ part }) => !subnets.some((subnet) => isWithin(subnet, part)))
  if (wide !== undefined) return refuse(`the range ${wide.text} is no part of the network`)
  const reserved = Object.entries(wanted.reserved).map(([name, text]) => ({ name, text, bytes: parseAddress(text) }))
  const strange = reserved.find(
    ({ bytes }) => bytes === undefined || !subnets.some((subnet) => isInside(subnet, bytes)),
  )
  if (strange !== undefined) return refuse(`no matching subnet for aux-address ${strange.text}`)
  return subnets.map((subnet) => ({
    subnet: subnetText(subnet),
    gateway: addressText(
      gateways.find(({ bytes }) => isInside(subnet, bytes ?? subnet.network))?.bytes ?? nth(subnet, 1),
    ),
    range: ranges.find(({ part }) => isWithin(subnet, part))?.text,
    ...reservedIn(subnet, reserved),
  }))
}

function reservedIn(
  subnet: Subnet,
  reserved: readonly { readonly name: string; readonly bytes: Uint8Array | undefined }[],
): Pick<Pool, 'reserved'> {
  const own = reserved.flatMap(({ name, bytes }) =>
    bytes !== undefined && isInside(subnet, bytes) ? [[name, addressText(bytes)] as const] : [],
  )
  return own.length === 0 ? {} : { reserved: Object.fromEntries(own) }
}

const isWithin = (subnet: Subnet, part: Subnet): boolean =>
  part.prefixLength >= subnet.prefixLength && isInside(subnet, part.network)

const givenSubnets = (networks: Networks): readonly Subnet[] =>
  listNetworks(networks).flatMap(({ pools }) => pools.map(({ subnet }) => parseSubnet(subnet, 'a network')))

const takenSubnets = (networks: Networks): readonly Subnet[] => [
  ...givenSubnets(networks),
  ...routedSubnets(networks.files.readText('/proc/net/route') ?? ''),
  ...routedSubnets6(networks.files.readText('/proc/net/ipv6_route') ?? ''),
]

/** Private ranges that few others use: RFC 1918. docker begins with 172.17. */
function freeSubnet(networks: Networks): Subnet {
  const taken = takenSubnets(networks)
  for (let second = 31; second >= 18; second--) {
    const subnet = { network: Uint8Array.of(172, second, 0, 0), prefixLength: 16 }
    if (!taken.some((other) => overlaps(subnet, other))) return subnet
  }
  for (let third = 0; third < 256; third++) {
    const subnet = { network: Uint8Array.of(192, 168, third, 0), prefixLength: 24 }
    if (!taken.some((other) => overlaps(subnet, other))) return subnet
  }
  throw new OperationError({
    kind: 'exhausted',
    operation: 'create the network',
    reason: 'all private networks are in use',
    hint: 'choose one with --subnet, or remove one: coffer network prune',
  })
}

/** 40 random bits, as RFC 4193 has it: those of the id. */
const localSubnet = (id: string): Subnet =>
  parseSubnet(`fd${id.slice(0, 2)}:${id.slice(2, 6)}:${id.slice(6, 10)}::/64`, 'the network')

/** On a device of this machine it is the network of that, to which there is a route. */
function ownSubnet(networks: Networks, text: string, driver: Driver): Subnet {
  const subnet = parseSubnet(text, '--subnet')
  const taken = driver === 'bridge' ? takenSubnets(networks) : givenSubnets(networks)
  const other = taken.find((one) => overlaps(subnet, one))
  if (other === undefined) return subnet
  throw new OperationError({
    kind: 'conflict',
    operation: 'create the network',
    reason: `Pool overlaps with other one on this address space: ${text} overlaps with ${subnetText(other)}`,
    hint: 'choose another one',
  })
}

/** For who has seen that nobody is in it. */
export function dropNetwork(networks: Networks, { name }: Pick<NetworkRecord, 'name'>): void {
  removeTree(networks.native, networkPath(networks, name))
}
