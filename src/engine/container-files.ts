/** The hosts, hostname and resolv.conf of a container, which are mounted over those of its image. hosts(5), resolv.conf(5) */

import { replaceFile } from '../executor/embedded-files.ts'
import { NAMED_FILES } from './config-mounts.ts'
import type { ContainerNames, Intent } from './intent.ts'
import type { Engine } from './place.ts'

type Named = Pick<Intent, 'hostname' | 'domainname' | 'namespaces'>

/** What `names` asks for, on a machine with this hosts and resolv.conf. */
export function namedFiles(
  { hostname, domainname, namespaces }: Named,
  names: Pick<ContainerNames, 'hosts' | 'servers' | 'search' | 'options'>,
  host: { readonly hosts: string; readonly resolvConf: string },
): Readonly<Record<(typeof NAMED_FILES)[number], string>> {
  const isHosts = namespaces.network.kind === 'host'
  return {
    hosts: (isHosts ? withNewline(host.hosts) : LOCAL_HOSTS) + hostLines(names),
    hostname: `${hostname}${domainname === undefined ? '' : `.${domainname}`}\n`,
    'resolv.conf': resolvConf(host.resolvConf, names, isHosts),
  }
}

const hostLines = ({ hosts }: Pick<ContainerNames, 'hosts'>): string =>
  hosts.map(({ address, name }) => `${address}\t${name}\n`).join('')

/** The hosts of one in a network, without the lines of its neighbours. */
export const ownHosts = ({ names }: Pick<Intent, 'names'>): string =>
  LOCAL_HOSTS + (names === undefined ? '' : hostLines(names))

const withNewline = (text: string): string => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

const LOCAL_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
  '',
].join('\n')

/** What is asked for takes the place of what the host has. A server on the loopback of the host is not there for a container of its own. */
function resolvConf(
  text: string,
  { servers, search, options }: Pick<ContainerNames, 'servers' | 'search' | 'options'>,
  isHosts: boolean,
): string {
  const lines = text.split('\n').map((line) => line.trim().split(/\s+/))
  const valuesOf = (keyword: string): readonly string[] =>
    lines.filter(([first]) => first === keyword).flatMap(([, ...rest]) => rest)
  const reachable = valuesOf('nameserver').filter((address) => isHosts || !/^(127\.|::1$)/.test(address))
  const domains = search.length > 0 ? search.filter((domain) => domain !== '.') : valuesOf('search')
  const wanted = options.length > 0 ? options : valuesOf('options')
  return [
    ...(servers.length > 0 ? servers : reachable).map((address) => `nameserver ${address}\n`),
    ...(domains.length > 0 ? [`search ${domains.join(' ')}\n`] : []),
    ...(wanted.length > 0 ? [`options ${wanted.join(' ')}\n`] : []),
  ].join('')
}

/** Into the directory of the container; each file changes at once. */
export function writeNamedFiles({ machine }: Engine, intent: Intent): void {
  const { native, files } = machine
  if (intent.names === undefined) return
  const { directory } = intent.names
  const texts = namedFiles(intent, intent.names, {
    hosts: files.readText('/etc/hosts') ?? '',
    resolvConf: files.readText('/etc/resolv.conf') ?? '',
  })
  for (const name of NAMED_FILES) {
    const path = `${directory}/${name}`
    replaceFile(native, { path, temporary: `${path}.new`, text: texts[name], mode: 0o644 })
  }
}
