/** The network of a container in docker's words. Source: docker: api/swagger.yaml, NetworkSettings */

import type { Json } from '../base/json.ts'
import { sorted } from '../base/sorted.ts'
import { DEFAULT_NETWORK } from '../network/networks.ts'
import type { Connection, Endpoint } from './connection.ts'
import { placeText } from './network-take.ts'
import type { ContainerRecord, EndpointWish, PortWish } from './record.ts'

const wishesOf = ({ network }: Pick<ContainerRecord, 'network'>): readonly EndpointWish[] =>
  network.kind === 'networks' ? network.networks : []

/** `bridge`, another network, `none`, `host`, or the path of the namespace that it joins. */
export function networkMode(record: Pick<ContainerRecord, 'network' | 'intent'>): string {
  const [first] = wishesOf(record)
  if (first !== undefined) return first.network
  const { kind } = record.network
  if (kind === 'egress' || kind === 'pasta' || kind === 'slirp4netns') return kind
  const { network: choice } = record.intent.namespaces
  return choice.kind === 'path' ? `ns:${choice.path}` : choice.kind === 'host' ? 'host' : 'none'
}

/** As `ps` has them. One that joins the network of another shows none, as with docker. */
export function networkNames(record: Pick<ContainerRecord, 'network' | 'intent'>): string {
  const names = wishesOf(record).map(({ network }) => network)
  if (names.length > 0) return names.join(',')
  const mode = networkMode(record)
  return mode.startsWith('ns:') ? '' : mode
}

/** `PORT/PROTOCOL` → where this machine has it, as they were asked for. */
export const wantedBindings = (ports: readonly PortWish[]): { readonly [port: string]: Json } =>
  bindings(ports, ({ hostAddress = '' }) => [hostAddress])

/** The same, as they are. */
const portBindings = (ports: readonly PortWish[], hasSix: boolean): { readonly [port: string]: Json } =>
  bindings(ports, (port) => placesOf(port, hasSix))

/** One of all addresses is one of each family that the container has. */
const placesOf = ({ hostAddress }: PortWish, hasSix: boolean): readonly string[] =>
  hostAddress === undefined ? ['0.0.0.0', ...(hasSix ? ['::'] : [])] : [hostAddress]

/** In the order in which Go prints a map. */
const bindings = (
  ports: readonly PortWish[],
  placesOf: (port: PortWish) => readonly string[],
): { readonly [port: string]: Json } =>
  Object.fromEntries(
    [...ports]
      .sort(byName)
      .map(({ port, protocol }) => [
        `${port}/${protocol}`,
        ports
          .filter((one) => one.port === port && one.protocol === protocol)
          .flatMap((one) =>
            placesOf(one).map((place) => ({ HostIp: place, HostPort: one.hostPort === 0 ? '' : `${one.hostPort}` })),
          ),
      ]),
  )

const byName = (a: PortWish, b: PortWish): number => (`${a.port}/${a.protocol}` < `${b.port}/${b.protocol}` ? -1 : 1)

const hasIpv6 = ({ endpoints }: Connection): boolean =>
  endpoints.some(({ addresses }) => addresses.some(({ address }) => address.includes(':')))

/** `connection` is undefined while it does not run; `idOf` answers that of a network. */
export function networkSettings(
  record: Pick<ContainerRecord, 'id' | 'network' | 'intent' | 'typed'>,
  connection: Connection | undefined,
  { sandboxKey, idOf }: { readonly sandboxKey: string; readonly idOf: (network: string) => string },
): { readonly [name: string]: Json } {
  const networks = [...wishesOf(record), ...withoutNetwork(record)].map((wish) => {
    const endpoint = connection?.endpoints.find(({ network }) => network === wish.network)
    // While it is connected, as with docker.
    const own = endpoint === undefined || wish.network === DEFAULT_NETWORK ? [] : [record.id.slice(0, 12)]
    const aliases = [...wish.aliases, ...own]
    const links = wish.network === DEFAULT_NETWORK ? [] : (record.typed?.links ?? []).map(linkWord)
    const named = { Links: links.length === 0 ? null : links }
    return [
      wish.network,
      { ...wishSettings({ ...wish, aliases }, idOf), ...named, ...addressSettings(endpoint), DriverOpts: null },
    ] as const
  })
  const [first] = networks
  // Where docker had them when there was one network: scripts ask for them there.
  const legacy = first?.[0] === DEFAULT_NETWORK ? first[1] : addressSettings(undefined)
  return {
    Bridge: '',
    SandboxID: '',
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    Ports: connection === undefined ? {} : portBindings(connection.ports, hasIpv6(connection)),
    SandboxKey: sandboxKey,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: '',
    Gateway: legacy.Gateway,
    GlobalIPv6Address: legacy.GlobalIPv6Address,
    GlobalIPv6PrefixLen: legacy.GlobalIPv6PrefixLen,
    IPAddress: legacy.IPAddress,
    IPPrefixLen: legacy.IPPrefixLen,
    IPv6Gateway: legacy.IPv6Gateway,
    MacAddress: legacy.MacAddress,
    Networks: sorted(Object.fromEntries(networks)),
  }
}

/** As docker writes it: with the alias. */
export const linkWord = (word: string): string => (word.includes(':') ? word : `${word}:${word}`)

/** docker has networks of these names. Who was disconnected of all is in none of them either. */
function withoutNetwork(record: Pick<ContainerRecord, 'network' | 'intent'>): readonly EndpointWish[] {
  if (record.network.kind === 'networks') return []
  const mode = networkMode(record)
  return mode === 'host' || mode === 'none' ? [{ network: mode, aliases: [] }] : []
}

interface AddressSettings {
  readonly MacAddress: string
  readonly Gateway: string
  readonly IPAddress: string
  readonly IPPrefixLen: number
  readonly IPv6Gateway: string
  readonly GlobalIPv6Address: string
  readonly GlobalIPv6PrefixLen: number
  readonly DNSNames: readonly string[]
}

function addressSettings(endpoint: Endpoint | undefined): AddressSettings & { readonly [name: string]: Json } {
  const none = { address: '', prefixLength: 0, gateway: '' }
  const [four, six] = [false, true].map(
    (isSix) => endpoint?.addresses.find(({ address }) => address.includes(':') === isSix) ?? none,
  )
  return {
    Gateway: four?.gateway ?? '',
    IPAddress: four?.address ?? '',
    IPPrefixLen: four?.prefixLength ?? 0,
    IPv6Gateway: six?.gateway ?? '',
    GlobalIPv6Address: six?.address ?? '',
    GlobalIPv6PrefixLen: six?.prefixLength ?? 0,
    MacAddress: endpoint?.hardwareAddress ?? '',
    DNSNames: endpoint?.names ?? [],
  }
}

function wishSettings(
  { network, address, address6, aliases }: EndpointWish,
  idOf: (network: string) => string,
): { readonly [name: string]: Json } {
  const asked = {
    ...(address === undefined ? {} : { IPv4Address: address }),
    ...(address6 === undefined ? {} : { IPv6Address: address6 }),
  }
  return {
    IPAMConfig: Object.keys(asked).length === 0 ? null : asked,
    Links: null,
    Aliases: aliases.length === 0 ? null : aliases,
    NetworkID: idOf(network),
    EndpointID: '',
  }
}

/**
 * As `ps` has it, in the order of docker: ports that are exposed, or the same on this machine, and those next to each other together; then
 * those that are others there. `80/tcp, 0.0.0.0:8000-8002->8000-8002/tcp, 0.0.0.0:8080->81/tcp`. docker: cli/command/formatter/container.go,
 * DisplayablePorts
 */
export function portText(connection: Connection, exposed: readonly string[]): string {
  const groups = new Map<string, PortGroup>()
  const [done, mapped]: [string[], string[]] = [[], []]
  for (const { port, protocol, hostPort, outside } of shownPorts(connection, exposed)) {
    if (outside !== undefined && hostPort !== port) {
      mapped.push(`${outside}:${hostPort}->${port}/${protocol}`)
      continue
    }
    const key = `${outside}/${protocol}`
    const group = groups.get(key)
    if (group !== undefined && group.last + 1 === port) group.last = port
    else {
      if (group !== undefined) done.push(groupText(group))
      const prefix = outside === undefined ? '' : `${outside}:`
      // A key that was there keeps its place.
      groups.set(key, { prefix, first: port, last: port, protocol })
    }
  }
  return [...done, ...[...groups.values()].map(groupText), ...mapped].join(', ')
}

interface PortGroup {
  readonly prefix: string
  readonly protocol: string
  readonly first: number
  last: number
}

interface Shown {
  readonly port: number
  readonly protocol: string
  readonly hostPort: number
  /** Undefined for one that is exposed alone. */
  readonly outside?: string
}

/** By the port of the container. */
function shownPorts(connection: Connection, exposed: readonly string[]): readonly Shown[] {
  const published = connection.ports.flatMap((one) =>
    placesOf(one, hasIpv6(connection)).map((hostAddress): Shown => ({ ...one, outside: placeText({ hostAddress }) })),
  )
  const others = exposed
    .filter((text) => !connection.ports.some(({ port, protocol }) => `${port}/${protocol}` === text))
    .map((text): Shown => ({ port: Number.parseInt(text, 10), hostPort: 0, protocol: text.split('/')[1] ?? 'tcp' }))
  const byName = (a: Shown, b: Shown): number => (a.protocol < b.protocol ? -1 : a.protocol > b.protocol ? 1 : 0)
  return [...published, ...others].sort((a, b) => a.port - b.port || byName(a, b))
}

function groupText({ prefix, first, last, protocol }: PortGroup): string {
  const range = first === last ? `${first}` : `${first}-${last}`
  return prefix === '' ? `${range}/${protocol}` : `${prefix}${range}->${range}/${protocol}`
}

/** `0.0.0.0:8080` and `80/tcp`; one of each family of addresses. */
export const publishedPorts = (
  connection: Connection,
): readonly { readonly outside: string; readonly inside: string }[] =>
  connection.ports.flatMap((one) =>
    placesOf(one, hasIpv6(connection)).map((hostAddress) => ({
      outside: `${placeText({ hostAddress })}:${one.hostPort}`,
      inside: `${one.port}/${one.protocol}`,
    })),
  )
