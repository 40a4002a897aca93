/** The hosts, hostname and resolv.conf of a container, which are mounted over those of its image. hosts(5), resolv.conf(5) */

import { must } from '../executor/embedded-call.ts'
import { close, open, replaceFile, writeAll } from '../executor/embedded-files.ts'
import { O_WRONLY } from '../linux/files.ts'
import { NAME_SERVER as RELAYS_SERVER } from '../plan/egress.ts'
import { NAMED_FILES } from './config-mounts.ts'
import type { Connection } from './connection.ts'
import { USER_NETWORKS } from './connector.ts'
import type { ContainerNames, Intent } from './intent.ts'
import { linkLines } from './links.ts'
import type { Engine } from './place.ts'

type Named = Pick<Intent, 'hostname' | 'domainname' | 'namespaces'>
type WithNames = Named & Pick<Intent, 'names'>

/** What `names` asks for, on a machine with this hosts and resolv.conf. */
export function namedFiles(
  { hostname, domainname, namespaces }: Named,
  names: Pick<ContainerNames, 'hosts' | 'servers' | 'search' | 'options'>,
  host: { readonly hosts: string; readonly resolvConf: string },
  connection?: Connection,
): Readonly<Record<(typeof NAMED_FILES)[number], string>> {
  const isHosts = namespaces.network.kind === 'host'
  const server = nameServerOf(connection)
  const user = connection?.program === undefined ? undefined : USER_NETWORKS[connection.program]
  const own = domainname === undefined ? hostname : `${hostname}.${domainname} ${hostname}`
  return {
    hosts:
      (isHosts ? withNewline(host.hosts) : LOCAL_HOSTS) +
      hostLines(names, isHosts ? '127.0.0.1' : gatewayOf(connection)) +
      ownLines(own, connection, user?.own),
    hostname: `${hostname}\n`,
    'resolv.conf': resolvConf(host.resolvConf, names, { isHosts, server, forwarder: user?.nameServer }),
  }
}

/** As docker has it: this machine, as who is in the container reaches it. */
export const HOST_GATEWAY = 'host-gateway'

/** Of the first network that has one; undefined before it is connected, and where it is not. */
const gatewayOf = (connection: Connection | undefined): string | undefined =>
  connection?.endpoints
    .flatMap(({ addresses }) => addresses)
    .map(({ gateway }) => gateway)
    .find((gateway) => gateway !== '')

const hostLines = ({ hosts }: Pick<ContainerNames, 'hosts'>, machine: string | undefined): string =>
  hosts
    .map(({ address, name }) => ({ name, address: address === HOST_GATEWAY ? machine : address }))
    .map(({ name, address }) => (address === undefined ? '' : `${address}\t${name}\n`))
    .join('')

/** The one beside it. */
function nameServerOf(connection: Connection | undefined): string | undefined {
  if (connection?.egress !== undefined) return RELAYS_SERVER
  return connection?.endpoints.some(({ names }) => names.length > 0) ? RESOLVER : undefined
}

const RESOLVER = '127.0.0.11'

/** Its own addresses; those of others it asks for. The whole name comes first: hosts(5). */
const ownLines = (names: string, connection: Connection | undefined, own?: string): string =>
  [
    ...(connection?.endpoints ?? []).flatMap(({ addresses }) => addresses.map(({ address }) => address)),
    ...(own === undefined ? [] : [own]),
  ]
    .map((address) => `${address}\t${names}\n`)
    .join('')

const withNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

const LOCAL_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::0\tip6-localnet',
  'ff00::0\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
  '',
].join('\n')

interface Servers {
  readonly isHosts: boolean
  /** The one that it asks for all. */
  readonly server: string | undefined
  /** What leads to a server on the loopback of the host. */
  readonly forwarder: string | undefined
}

/** What is asked for takes the place of what the host has. A server on the loopback of the host is not there for a container of its own. */
function resolvConf(
  text: string,
  { servers, search, options }: Pick<ContainerNames, 'servers' | 'search' | 'options'>,
  { isHosts, server, forwarder }: Servers,
): string {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const valuesOf = (keyword: string): readonly string[] =>
    lines.filter(([first]) => first === keyword).flatMap(([, ...rest]) => rest)
  const ofHost = valuesOf('nameserver')
  const found = ofHost.filter((address) => isHosts || !/^(127\.|::1$)/.test(address))
  const reachable = found.length === 0 && ofHost.length > 0 && forwarder !== undefined ? [forwarder] : found
  const domains = search.length > 0 ? search.filter((domain) => domain !== '.') : valuesOf('search')
  const wanted = options.length > 0 ? options : valuesOf('options')
  if (server !== undefined) return resolvedConf(server, domains, wanted)
  const serverLines = (servers.length > 0 ? servers : reachable).map((address) => `nameserver ${address}\n`)
  const searchLine = domains.length > 0 ? [`search ${domains.join(' ')}\n`] : []
  // The order of docker, which leaves the host's own as it is if nothing was asked for.
  const isAsked = servers.length > 0 || search.length > 0 || options.length > 0
  return [
    ...(isAsked ? [...searchLine, ...serverLines] : [...serverLines, ...searchLine]),
    ...(wanted.length > 0 ? [`options ${wanted.join(' ')}\n`] : []),
  ].join('')
}

/** The name server beside the container asks all others. Names of neighbours have no dots. */
const resolvedConf = (server: string, domains: readonly string[], options: readonly string[]): string =>
  [
    ...(domains.length > 0 ? [`search ${domains.join(' ')}\n`] : []),
    `nameserver ${server}\n`,
    `options ${[...options.filter((option) => !option.startsWith('ndots:')), ...ndots(options)].join(' ')}\n`,
  ].join('')

const ndots = (options: readonly string[]): readonly string[] => {
  const asked = options.filter((option) => option.startsWith('ndots:'))
  return asked.length > 0 ? asked : ['ndots:0']
}

/** Into the directory of the container, before it is mounted from there. */
export function writeNamedFiles(engine: Engine, intent: WithNames): void {
  const { machine } = engine
  if (intent.names === undefined || intent.names.isBorrowed === true) return
  const texts = textsOf(engine, intent, intent.names)
  for (const name of NAMED_FILES) {
    const path = `${intent.names.directory}/${name}`
    replaceFile(machine.native, { path, temporary: `${path}.new`, text: texts[name], mode: 0o644 })
  }
}

/** What a connection changes of them, in place: a file that is mounted stays the same one. */
export function rewriteNamedFiles(engine: Engine, intent: WithNames, connection: Connection): void {
  const { machine } = engine
  if (intent.names === undefined || intent.names.isBorrowed === true) return
  const texts = textsOf(engine, intent, intent.names, connection)
  for (const name of ['hosts', 'resolv.conf'] as const) {
    const fd = open(machine.native, `${intent.names.directory}/${name}`, O_WRONLY)
    try {
      const bytes = machine.native.encode(texts[name])
      writeAll(machine.native, fd, bytes)
      must(machine.native, `write ${name}`, 'ftruncate', fd, bytes.length)
    } finally {
      close(machine.native, fd)
    }
  }
}

function textsOf(
  engine: Engine,
  intent: Named,
  names: ContainerNames,
  connection?: Connection,
): ReturnType<typeof namedFiles> {
  const { files } = engine.machine
  const host = { hosts: files.readText('/etc/hosts') ?? '', resolvConf: files.readText('/etc/resolv.conf') ?? '' }
  const texts = namedFiles(intent, names, host, connection)
  if (names.links === undefined || connection === undefined) return texts
  return { ...texts, hosts: texts.hosts + linkLines(engine, names.links, connection) }
}
