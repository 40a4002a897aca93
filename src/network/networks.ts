/**
 * Networks as files: what a network is, and which container has which of its addresses.
 *
 *     networks/NAME/network.json        the network; it exists from the moment this file does
 *     networks/NAME/leases/ADDRESS      a symbolic link whose text is the id of the container; making it is what takes the address
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { makeDirectories, remove, removeDirectory, replaceFile } from '../executor/embedded-files.ts'
import { AT_FDCWD } from '../linux/files.ts'
import {
  addressText,
  isInside,
  nth,
  overlaps,
  parseAddress,
  parseSubnet,
  routedSubnets,
  type Subnet,
  sizeOf,
} from './address.ts'

export interface NetworkRecord {
  readonly version: 1
  /** 64 hexadecimal digits. */
  readonly id: string
  readonly name: string
  /** RFC 3339. */
  readonly created: string
  /** `172.30.0.0/16`, and the address of this machine in it. */
  readonly subnet: string
  readonly gateway: string
  /** The name of its bridge. */
  readonly device: string
  readonly isInternal: boolean
  readonly labels: Readonly<Record<string, string>>
}

export interface Networks {
  readonly native: Native
  readonly files: Files
  readonly dataRoot: string
}

/** The network of containers that ask for none. */
export const DEFAULT_NETWORK = 'bridge'
const NAME = /^[a-zA-Z0-9][\w.-]*$/

const directoryOf = ({ dataRoot }: Pick<Networks, 'dataRoot'>, name: string): string => `${dataRoot}/networks/${name}`
const recordPath = (networks: Pick<Networks, 'dataRoot'>, name: string): string =>
  `${directoryOf(networks, name)}/network.json`

export function readNetwork(networks: Networks, name: string): NetworkRecord | undefined {
  const text = NAME.test(name) ? networks.files.readText(recordPath(networks, name)) : undefined
  return text === undefined ? undefined : (JSON.parse(text) as NetworkRecord)
}

export const listNetworks = (networks: Networks): readonly NetworkRecord[] =>
  (networks.files.list(`${networks.dataRoot}/networks`) ?? [])
    .map((name) => readNetwork(networks, name))
    .filter((network): network is NetworkRecord => network !== undefined)
    .sort((a, b) => (a.name < b.name ? -1 : 1))

/** By name, or the beginning of an id. Throws `missing`. */
export function findNetwork(networks: Networks, text: string): NetworkRecord {
  const found =
    readNetwork(networks, text) ?? listNetworks(networks).find(({ id }) => text !== '' && id.startsWith(text))
  if (found !== undefined) return found
  throw new OperationError({
    kind: 'missing',
    operation: `find network ${text}`,
    reason: `network ${text} not found`,
    hint: 'coffer network ls lists them; coffer network create makes one',
  })
}

export interface NewNetwork {
  readonly id: string
  readonly name: string
  readonly created: string
  readonly subnet?: string | undefined
  readonly gateway?: string | undefined
  readonly isInternal: boolean
  readonly labels: Readonly<Record<string, string>>
}

/** To be called by one at a time. Throws `conflict` for a name or a subnet that is taken, `invalid` for what can be neither. */
export function createNetwork(networks: Networks, wanted: NewNetwork): NetworkRecord {
  const { name, isInternal, labels, id, created } = wanted
  if (!NAME.test(name) || name === 'host' || name === 'none')
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
  const subnet = wanted.subnet === undefined ? freeSubnet(networks) : ownSubnet(networks, wanted.subnet)
  const gateway = wanted.gateway === undefined ? nth(subnet, 1) : parseAddress(wanted.gateway)
  if (gateway === undefined || !isInside(subnet, gateway))
    throw new OperationError({
      kind: 'invalid',
      operation: `create network ${name}`,
      reason: `the gateway ${wanted.gateway} is no address of the network`,
    })
  const record: NetworkRecord = {
    version: 1,
    id,
    name,
    created,
    subnet: `${addressText(subnet.network)}/${subnet.prefixLength}`,
    gateway: addressText(gateway),
    device: name === DEFAULT_NETWORK ? 'coffer0' : `cof-${id.slice(0, 11)}`,
    isInternal,
    labels,
  }
  makeDirectories(networks.native, `${directoryOf(networks, name)}/leases`, 0o711)
  const path = recordPath(networks, name)
  replaceFile(networks.native, { path, temporary: `${path}.new`, text: JSON.stringify(record), mode: 0o644 })
  return record
}

const takenSubnets = (networks: Networks): readonly Subnet[] => [
  ...listNetworks(networks).map(({ subnet }) => parseSubnet(subnet, 'a network')),
  ...routedSubnets(networks.files.readText('/proc/net/route') ?? ''),
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

function ownSubnet(networks: Networks, text: string): Subnet {
  const subnet = parseSubnet(text, '--subnet')
  const other = takenSubnets(networks).find((taken) => overlaps(subnet, taken))
  if (other === undefined) return subnet
  throw new OperationError({
    kind: 'conflict',
    operation: 'create the network',
    reason: `${text} overlaps with ${addressText(other.network)}/${other.prefixLength}, which is in use`,
    hint: 'choose another one',
  })
}

const leasePath = (networks: Networks, network: string, address: string): string =>
  `${directoryOf(networks, network)}/leases/${address}`

/** The wanted address, or one that is free. Throws `conflict` if it is taken, `exhausted` if all are. */
export function takeAddress(
  networks: Networks,
  network: NetworkRecord,
  id: string,
  wanted: string | undefined,
): string {
  const subnet = parseSubnet(network.subnet, 'the network')
  if (wanted !== undefined) {
    const address = parseAddress(wanted)
    if (address === undefined || !isInside(subnet, address))
      throw new OperationError({
        kind: 'invalid',
        operation: `take the address ${wanted}`,
        reason: `it is none of ${network.subnet}`,
      })
    if (wanted !== network.gateway && lease(networks, network.name, wanted, id)) return wanted
    throw new OperationError({
      kind: 'conflict',
      operation: `take the address ${wanted}`,
      reason: 'Address already in use',
    })
  }
  const taken = new Set(networks.files.list(`${directoryOf(networks, network.name)}/leases`) ?? [])
  for (let index = 1; index < sizeOf(subnet) - 1; index++) {
    const address = addressText(nth(subnet, index))
    if (address !== network.gateway && !taken.has(address) && lease(networks, network.name, address, id)) return address
  }
  throw new OperationError({
    kind: 'exhausted',
    operation: `take an address of ${network.name}`,
    reason: `all of ${network.subnet} are in use`,
  })
}

const lease = (networks: Networks, network: string, address: string, id: string): boolean =>
  attempt(networks.native, 'symlinkat', id, AT_FDCWD, leasePath(networks, network, address)) >= 0

export function releaseAddress(networks: Networks, network: string, address: string): void {
  remove(networks.native, leasePath(networks, network, address))
}

/** Who has an address in it: ids by address. */
export function readLeases(networks: Networks, network: string): ReadonlyMap<string, string> {
  const directory = `${directoryOf(networks, network)}/leases`
  return new Map(
    (networks.files.list(directory) ?? []).flatMap((address): readonly (readonly [string, string])[] => {
      const id = networks.files.readLink(`${directory}/${address}`)
      return id === undefined ? [] : [[address, id]]
    }),
  )
}

/** Throws `conflict` if somebody is in it. */
export function removeNetwork(networks: Networks, { name }: NetworkRecord): void {
  const { native } = networks
  if (readLeases(networks, name).size > 0)
    throw new OperationError({
      kind: 'conflict',
      operation: `remove network ${name}`,
      reason: `network ${name} has active endpoints`,
      hint: 'remove its containers before: coffer network inspect lists them',
    })
  remove(native, recordPath(networks, name))
  removeDirectory(native, `${directoryOf(networks, name)}/leases`)
  removeDirectory(native, directoryOf(networks, name))
}
