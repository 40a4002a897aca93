/**
 * The network of a container of the engine, from its start to its end.
 *
 *     connectContainer      an address, a namespace with a way to the bridge, its ports, and its name in the hosts files of its neighbours
 *     disconnectContainer   all of that taken back; whatever of it is there
 *
 * What was taken is written to network.json before it is made, so that whoever comes behind a killed command knows what to take back.
 */

import { OperationError } from '../base/errors.ts'
import { close, makeDirectory, open, remove, replaceFile, writeText } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { O_TRUNC, O_WRONLY } from '../linux/files.ts'
import { parseAddress, parseSubnet } from '../network/address.ts'
import {
  createNetwork,
  DEFAULT_NETWORK,
  findNetwork,
  listNetworks,
  type NetworkRecord,
  type Networks,
  readLeases,
  readNetwork,
  releaseAddress,
  takeAddress,
} from '../network/networks.ts'
import { type Bridge, type NetworkRemoval, planNetwork, planNetworkRemoval } from '../plan/network.ts'
import {
  addBridge,
  type BridgeRules,
  type PublishedPort,
  publish,
  removeBridge,
  removeRules,
  unpublish,
} from '../plan/network-rules.ts'
import { ownHosts } from './container-files.ts'
import { withNamesLock } from './lock.ts'
import { newId, randomHex } from './make.ts'
import { containerPath, type Engine, networkDirectory, networkFile } from './place.ts'
import { type ContainerRecord, isTorn, type NetworkWish, type PortWish, parseRecord, RECORD_FILE } from './record.ts'

/** What a container has while it runs: network.json. */
export interface Connection {
  readonly network: string
  readonly address: string
  readonly prefixLength: number
  readonly gateway: string
  readonly hardwareAddress: string
  /** The name of the outer end of its pair of devices. */
  readonly device: string
  readonly ports: readonly PortWish[]
}

const CONNECTION_FILE = 'network.json'

export const networksOf = ({ machine, dataRoot }: Engine): Networks => ({
  native: machine.native,
  files: machine.files,
  dataRoot,
})

export function readConnection({ machine, dataRoot }: Engine, id: string): Connection | undefined {
  const text = machine.files.readText(`${containerPath({ dataRoot }, id)}/${CONNECTION_FILE}`)
  return text === undefined ? undefined : (JSON.parse(text) as Connection)
}

type BridgeWish = Extract<NetworkWish, { readonly kind: 'bridge' }>

/** Answers the file of its network namespace. */
export function connectContainer(engine: Engine, record: ContainerRecord, wish: BridgeWish): string {
  const { native, files } = engine.machine
  disconnectContainer(engine, record.id)
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectory(native, directory, 0o700)
  const network = networkNamed(engine, wish.network)
  const connection = withNamesLock(engine, () => take(engine, record, network, wish))
  try {
    makeIt(engine, record, network, connection)
  } catch (error) {
    disconnectContainer(engine, record.id)
    throw error
  }
  tellNeighbours(engine, network.name)
  return networkFile(engine, record.id)
}

/** The default one is made when it is first wanted. */
function networkNamed(engine: Engine, name: string): NetworkRecord {
  const networks = networksOf(engine)
  if (name !== DEFAULT_NETWORK || readNetwork(networks, name) !== undefined) return findNetwork(networks, name)
  return withNamesLock(
    engine,
    () =>
      readNetwork(networks, name) ??
      createNetwork(networks, {
        id: newId(engine.machine.native),
        name,
        created: engine.machine.now().toISOString(),
        isInternal: false,
        labels: {},
      }),
  )
}

function take(engine: Engine, record: ContainerRecord, network: NetworkRecord, wish: BridgeWish): Connection {
  const ports = choosePorts(engine, wish.ports)
  const address = takeAddress(networksOf(engine), network, record.id, wish.address)
  const bytes = bytesOf(address)
  const connection: Connection = {
    network: network.name,
    address,
    prefixLength: parseSubnet(network.subnet, 'the network').prefixLength,
    gateway: network.gateway,
    // Locally administered, and as unique in the network as the address.
    hardwareAddress: [2, 0x42, ...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':'),
    // Another one at each start: the kernel takes its time with the devices of a namespace that is gone.
    device: `cof${randomHex(engine.machine.native, 6)}`,
    ports,
  }
  const path = `${containerPath(engine, record.id)}/${CONNECTION_FILE}`
  replaceFile(engine.machine.native, { path, temporary: `${path}.new`, text: JSON.stringify(connection), mode: 0o600 })
  return connection
}

const FIRST_FREE_PORT = 32768
const LAST_FREE_PORT = 60999

/** Throws `conflict` for a port that another container has, with docker's words. */
function choosePorts(engine: Engine, wishes: readonly PortWish[]): readonly PortWish[] {
  if (wishes.length === 0) return []
  const taken = new Set(connectionsOf(engine).flatMap(({ ports }) => ports.map(portKey)))
  const isTaken = (port: PortWish): boolean =>
    taken.has(portKey(port)) || taken.has(portKey({ ...port, hostAddress: undefined }))
  return wishes.map((wish) => {
    let port = wish
    if (wish.hostPort === 0) {
      port = { ...wish, hostPort: FIRST_FREE_PORT }
      while (isTaken(port) && port.hostPort <= LAST_FREE_PORT) port = { ...port, hostPort: port.hostPort + 1 }
    }
    if (isTaken(port))
      throw new OperationError({
        kind: 'conflict',
        operation: `publish port ${port.hostPort}`,
        reason: `Bind for ${port.hostAddress ?? '0.0.0.0'}:${port.hostPort} failed: port is already allocated`,
        hint: 'coffer ps shows which container has it',
      })
    taken.add(portKey(port))
    return port
  })
}

const portKey = ({ hostAddress = '', hostPort, protocol }: PortWish): string => `${hostAddress} ${hostPort} ${protocol}`

const connectionsOf = (engine: Engine): readonly Connection[] =>
  (engine.machine.files.list(networkDirectory(engine)) ?? [])
    .map((id) => readConnection(engine, id))
    .filter((connection): connection is Connection => connection !== undefined)

function makeIt(engine: Engine, record: ContainerRecord, network: NetworkRecord, connection: Connection): void {
  const bridge: Bridge = {
    device: network.device,
    address: bytesOf(network.gateway),
    prefixLength: connection.prefixLength,
    isInternal: network.isInternal,
  }
  const endpoint = {
    outside: connection.device,
    inside: 'eth0',
    address: bytesOf(connection.address),
    hardwareAddress: Uint8Array.from(connection.hardwareAddress.split(':'), (byte) => Number.parseInt(byte, 16)),
  }
  const ports = portsOf(connection)
  const plan = planNetwork({
    name: record.name,
    file: networkFile(engine, record.id),
    attachment: { bridge, endpoint },
    rules: [addBridge(rulesOf(network)), ...(ports.length === 0 ? [] : [publish(ports)])],
    settings: settingsFor(engine, network, ports),
  })
  runPlan(engine.machine.native, plan, { advise: (_, errno) => (errno === 'EPERM' ? NEEDS_PRIVILEGE : undefined) })
}

const NEEDS_PRIVILEGE = {
  hint: 'a bridge needs CAP_NET_ADMIN over the network of this machine; without it: --network none, or --network host',
  see: ['capabilities(7)'],
}

const portsOf = ({ address, ports }: Connection): readonly PublishedPort[] =>
  ports.map(({ hostAddress, hostPort, port, protocol }) => ({
    address: hostAddress === undefined ? undefined : bytesOf(hostAddress),
    port: hostPort,
    protocol,
    to: { address: bytesOf(address), port },
  }))

function rulesOf({ device, subnet, isInternal }: NetworkRecord): BridgeRules {
  const { network, prefixLength } = parseSubnet(subnet, 'the network')
  return { device, network, prefixLength, isInternal }
}

/** This machine routes for its containers, and answers on its loopback addresses what they publish. kernel:networking/ip-sysctl.rst */
function settingsFor(
  { machine: { files } }: Engine,
  { device }: NetworkRecord,
  ports: readonly PublishedPort[],
): readonly (readonly [string, string])[] {
  const forward = '/proc/sys/net/ipv4/ip_forward'
  return [
    ...(files.readText(forward)?.trim() === '1' ? [] : [[forward, '1'] as const]),
    ...(ports.length === 0 ? [] : [[`/proc/sys/net/ipv4/conf/${device}/route_localnet`, '1'] as const]),
  ]
}

/** Whatever of a connection is there. */
export function disconnectContainer(engine: Engine, id: string): void {
  const { native, files } = engine.machine
  const connection = readConnection(engine, id)
  const file = networkFile(engine, id)
  if (connection === undefined) {
    if (files.status(file) !== undefined) runPlan(native, planNetworkRemoval({ name: id, file, rules: [] }))
    return
  }
  const networks = networksOf(engine)
  withNamesLock(engine, () => {
    runPlan(native, planNetworkRemoval({ name: id, file, ...lastOnes(engine, connection, id) }))
    releaseAddress(networks, connection.network, connection.address)
    remove(native, `${containerPath(engine, id)}/${CONNECTION_FILE}`)
  })
  tellNeighbours(engine, connection.network)
}

/** The last container of a network takes the bridge along, and the last of all the rules. */
function lastOnes(engine: Engine, connection: Connection, id: string): Pick<NetworkRemoval, 'bridge' | 'rules'> {
  const networks = networksOf(engine)
  const network = readNetwork(networks, connection.network)
  const isLast = network !== undefined && !hasOthers(engine, network, id)
  if (isLast) releaseStale(engine, network, id)
  const ports = portsOf(connection)
  const rules = listNetworks(networks).some((one) => hasOthers(engine, one, id))
    ? [...(ports.length === 0 ? [] : [unpublish(ports)]), ...(isLast ? [removeBridge(rulesOf(network))] : [])]
    : [removeRules()]
  return { rules, bridge: isLast ? network.device : undefined }
}

const hasOthers = (engine: Engine, { name }: NetworkRecord, id: string): boolean =>
  [...readLeases(networksOf(engine), name).values()].some((other) => other !== id && isConnected(engine, other))

const isConnected = (engine: Engine, id: string): boolean =>
  engine.machine.files.status(`${containerPath(engine, id)}/${CONNECTION_FILE}`) !== undefined

/** What a start took that was killed before it could write it down. */
function releaseStale(engine: Engine, { name }: NetworkRecord, id: string): void {
  const networks = networksOf(engine)
  for (const [address, other] of readLeases(networks, name)) if (other !== id) releaseAddress(networks, name, address)
}

/** Names of neighbours: the hosts file of each container in the network, written in place, as it is mounted into the container. */
function tellNeighbours(engine: Engine, network: string): void {
  const { files, native } = engine.machine
  const networks = networksOf(engine)
  const leases = readLeases(networks, network)
  const lines = [...leases].flatMap(([address, id]) => {
    const record = readWhole(engine, id)
    return record === undefined ? [] : [`${address}\t${namesOf(record).join(' ')}\n`]
  })
  for (const id of leases.values()) {
    const path = `${containerPath(engine, id)}/hosts`
    const record = readWhole(engine, id)
    if (record === undefined || files.status(path) === undefined) continue
    const text = `${ownHosts(record.intent)}${lines.join('')}`
    const fd = open(native, path, O_WRONLY | O_TRUNC)
    writeText(native, fd, text)
    close(native, fd)
  }
}

/** A neighbour whose record is damaged has no names, and must not keep others from theirs. */
function readWhole(engine: Engine, id: string): ContainerRecord | undefined {
  const path = `${containerPath(engine, id)}/${RECORD_FILE}`
  const text = engine.machine.files.readText(path)
  try {
    return text === undefined ? undefined : parseRecord(text, path)
  } catch (error) {
    if (isTorn(error)) return undefined
    throw error
  }
}

function namesOf({ name, id, intent, network }: ContainerRecord): readonly string[] {
  const aliases = network.kind === 'bridge' ? network.aliases : []
  return [...new Set([name, id.slice(0, 12), intent.hostname, ...aliases])]
}

const bytesOf = (address: string): Uint8Array => parseAddress(address) ?? new Uint8Array(4)
