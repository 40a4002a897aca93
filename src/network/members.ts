/**
 * Who is in a network: addresses, names and ports, each taken by making a symbolic link, which only one can make. The kernel finds one by its
 * name, so that what a start costs does not grow with how many there are, and native/resolver.c reads the same files.
 *
 *     networks/NAME/leases/HEX         the text is the id and the name of the container that has this address
 *     networks/NAME/names/NAME/ID      the text is its addresses, as they are called in leases, with a space between
 *     networks/.ports/PROTOCOL-PORT/X  the text is the id; X is the address of this machine, `any`, `any4` or `any6`
 *     networks/.taking                 the text is the id of who is taking addresses or ports that are not written down yet
 */

import { OperationError } from '../base/errors.ts'
import { attempt, mustUnless } from '../executor/embedded-call.ts'
import { makeDirectories, remove, rename } from '../executor/embedded-files.ts'
import { addressText } from '../linux/address-text.ts'
import { AT_FDCWD, AT_REMOVEDIR } from '../linux/files.ts'
import { addressHex, isInside, isIpv6, nth, parseAddress, parseSubnet, sizeOf } from './address.ts'
import { type NetworkRecord, type Networks, networkPath, networksPath, type Pool } from './networks.ts'

export interface Member {
  readonly id: string
  /** Of the container, which the answer to a question for its address has. */
  readonly name: string
}

const leasesPath = (networks: Networks, network: string): string => `${networkPath(networks, network)}/leases`

/** The wanted address, or one that is free. Throws `conflict` if it is taken, `exhausted` if all are. */
export function takeAddress(
  networks: Networks,
  { network, pool }: { readonly network: NetworkRecord; readonly pool: Pool },
  member: Member,
  wanted: string | undefined,
): string {
  const directory = leasesPath(networks, network.name)
  prepare(networks, directory, 0o755)
  const lease = (address: Uint8Array): boolean =>
    link(networks, `${member.id} ${member.name}`, `${directory}/${addressHex(address)}`)
  if (wanted !== undefined) return takeWanted(pool, wanted, lease)
  const subnet = parseSubnet(pool.range ?? pool.subnet, 'the network')
  const taken = new Set(networks.files.list(directory) ?? [])
  // The first and the last address of IPv4 are the network's own; places beyond 2^31 are out of reach of a list of files.
  const size = Math.min(sizeOf(subnet), 2 ** 31)
  for (let round = 0; round < size; round++) {
    const index = 1 + ((taken.size + round) % (size - 1))
    const address = nth(subnet, index)
    const isFree = !isOfOthers(pool, address) && (index < size - 1 || isIpv6(address))
    if (isFree && !taken.has(addressHex(address)) && lease(address)) return addressText(address)
  }
  throw new OperationError({
    kind: 'exhausted',
    operation: `take an address of ${network.name}`,
    reason: `no available addresses: all of ${pool.range ?? pool.subnet} are in use`,
  })
}

/** That of this machine, or one that --aux-address keeps. */
const isOfOthers = ({ gateway, reserved = {} }: Pool, address: Uint8Array): boolean =>
  [gateway, ...Object.values(reserved)].includes(addressText(address))

function takeWanted(pool: Pool, wanted: string, lease: (address: Uint8Array) => boolean): string {
  const address = parseAddress(wanted)
  const operation = `take the address ${wanted}`
  if (address === undefined || !isInside(parseSubnet(pool.subnet, 'the network'), address))
    throw new OperationError({ kind: 'invalid', operation, reason: `it is none of ${pool.subnet}` })
  if (!isOfOthers(pool, address) && lease(address)) return addressText(address)
  throw new OperationError({ kind: 'conflict', operation, reason: 'Address already in use' })
}

/** Answers whether nobody has it. */
function link({ native, files, foreseen }: Networks, text: string, path: string): boolean {
  if (foreseen === undefined) return attempt(native, 'symlinkat', text, AT_FDCWD, path) >= 0
  if (files.readLink(path) !== undefined) return false
  foreseen.links.set(path, text)
  return true
}

function unlink({ native, foreseen }: Networks, path: string): void {
  if (foreseen === undefined) remove(native, path)
  else foreseen.links.delete(path)
}

function prepare({ native, foreseen }: Networks, directory: string, mode: number): void {
  if (foreseen === undefined) makeDirectories(native, directory, mode)
}

export function releaseAddress(networks: Networks, network: string, address: string): void {
  const bytes = parseAddress(address)
  if (bytes !== undefined) unlink(networks, `${leasesPath(networks, network)}/${addressHex(bytes)}`)
}

const takingPath = (networks: Networks): string => `${networksPath(networks)}/.taking`

/** Who takes addresses now, or was killed at it. */
export const whoTakes = (networks: Networks): string | undefined => networks.files.readLink(takingPath(networks))
export function beginTaking(networks: Networks, id: string): void {
  if (link(networks, id, takingPath(networks))) return
  // It is the first of this machine.
  prepare(networks, networksPath(networks), 0o711)
  link(networks, id, takingPath(networks))
}
export const endTaking = (networks: Networks): void => unlink(networks, takingPath(networks))

/** The ids of those that have an address, each as it is asked for: the first one often suffices. */
export function* leaseHolders(networks: Networks, network: string): Generator<string> {
  const directory = leasesPath(networks, network)
  for (const name of networks.files.list(directory) ?? []) {
    const text = networks.files.readLink(`${directory}/${name}`)
    if (text !== undefined) yield text.split(' ')[0] ?? ''
  }
}

/** What a start took that was killed before it could write it down: all leases of those that `keeps` does not. */
export function releaseOthers(networks: Networks, network: string, keeps: (id: string) => boolean): void {
  const directory = leasesPath(networks, network)
  for (const name of networks.files.list(directory) ?? []) {
    const id = networks.files.readLink(`${directory}/${name}`)?.split(' ')[0]
    if (id !== undefined && !keeps(id)) unlink(networks, `${directory}/${name}`)
  }
}

/** Names in a network, and the addresses that they lead to. */
export interface Named {
  readonly network: string
  readonly names: readonly string[]
  readonly addresses: readonly string[]
}

const namePath = (networks: Networks, network: string, name: string): string =>
  `${networkPath(networks, network)}/names/${name.toLowerCase()}`

export function addNames(networks: Networks, id: string, { network, names, addresses }: Named): void {
  const text = addresses.map((address) => addressHex(parseAddress(address) ?? new Uint8Array(4))).join(' ')
  for (const name of names) {
    const directory = namePath(networks, network, name)
    prepare(networks, directory, 0o755)
    link(networks, text, `${directory}/${id}`)
  }
}

export function removeNames(networks: Networks, id: string, { network, names }: Omit<Named, 'addresses'>): void {
  for (const name of names) {
    const directory = namePath(networks, network, name)
    unlink(networks, `${directory}/${id}`)
    dropEmpty(networks, directory)
  }
}

/** A directory that others have an entry in stays. */
function dropEmpty({ native, foreseen }: Networks, path: string): void {
  if (foreseen !== undefined) return
  const options = { native, operation: `remove ${path}`, expected: ['ENOENT', 'ENOTEMPTY'] } as const
  mustUnless(options, 'unlinkat', AT_FDCWD, path, AT_REMOVEDIR)
}

/** A port of this machine. */
export interface HostPort {
  /** Undefined for all addresses. */
  readonly hostAddress?: string | undefined
  readonly hostPort: number
  readonly protocol: string
}

const portsPath = (networks: Networks): string => `${networksPath(networks)}/.ports`
const portName = ({ protocol, hostPort }: HostPort): string => `${protocol}-${hostPort}`
const portDirectory = (networks: Networks, port: HostPort): string => `${portsPath(networks)}/${portName(port)}`

const placeOf = ({ hostAddress }: HostPort): string => {
  const address = hostAddress === undefined ? undefined : parseAddress(hostAddress)
  if (address === undefined) return 'any'
  if (address.some((byte) => byte !== 0)) return addressHex(address)
  return isIpv6(address) ? 'any6' : 'any4'
}

/** `any4` is all addresses of 8 digits. */
const meet = (one: string, other: string): boolean => {
  const isSix = (place: string): boolean => place === 'any6' || place.length === 32
  const isAll = one.startsWith('any') || other.startsWith('any')
  if (one === other || one === 'any' || other === 'any') return true
  return isAll && isSix(one) === isSix(other)
}

const holds = (ports: readonly HostPort[], name: string, place: string): boolean =>
  ports.some((one) => portName(one) === name && placeOf(one) === place)

/** As releaseOthers: ports that no container has. */
export function releaseOtherPorts(networks: Networks, heldBy: (id: string) => readonly HostPort[]): void {
  const { files } = networks
  for (const name of files.list(portsPath(networks)) ?? []) {
    const directory = `${portsPath(networks)}/${name}`
    for (const place of files.list(directory) ?? []) {
      const holder = files.readLink(`${directory}/${place}`)
      if (holder === undefined || !holds(heldBy(holder), name, place)) unlink(networks, `${directory}/${place}`)
    }
    dropEmpty(networks, directory)
  }
}

/** Answers whether it was free; `heldBy` has the ports of a container: a link that says more is what a killed command left. */
export function takePort(
  networks: Networks,
  id: string,
  port: HostPort,
  heldBy: (id: string) => readonly HostPort[],
): boolean {
  const { files } = networks
  const directory = portDirectory(networks, port)
  const place = placeOf(port)
  for (const other of files.list(directory) ?? []) {
    const holder = files.readLink(`${directory}/${other}`)
    if (holder === undefined) continue
    if (!holds(heldBy(holder), portName(port), other)) unlink(networks, `${directory}/${other}`)
    else if (meet(place, other)) return false
  }
  prepare(networks, directory, 0o711)
  return link(networks, id, `${directory}/${place}`)
}

export function releasePort(networks: Networks, id: string, port: HostPort): void {
  const directory = portDirectory(networks, port)
  const path = `${directory}/${placeOf(port)}`
  if (networks.files.readLink(path) === id) unlink(networks, path)
  dropEmpty(networks, directory)
}

/** The name that the container with this address has now. */
export function relabelAddress(networks: Networks, network: string, address: string, { id, name }: Member): void {
  const bytes = parseAddress(address)
  if (bytes === undefined) return
  const path = `${leasesPath(networks, network)}/${addressHex(bytes)}`
  unlink(networks, `${path}.new`)
  if (link(networks, `${id} ${name}`, `${path}.new`)) rename(networks.native, `${path}.new`, path)
}
