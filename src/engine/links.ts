/**
 * `--link`: another container under an alias of one's own, in the hosts file, and in the default network in variables as well.
 *
 *     containers/ID/linked/OTHER     an empty file in the container that is linked, for each that links it: linked.ts
 *
 * Source: docker: daemon/links/links.go, daemon/container_operations_unix.go
 */

import { OperationError } from '../base/errors.ts'
import { DEFAULT_NETWORK } from '../network/networks.ts'
import { type Connection, readConnection } from './connection.ts'
import { readEngineContainer } from './containers.ts'
import type { ContainerLink, Intent } from './intent.ts'
import type { Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

/** Of hosts(5), for those that are in a network with it now. */
export function linkLines(engine: Engine, links: readonly ContainerLink[], { endpoints }: Connection): string {
  const lines = links.flatMap(({ id, alias }) => {
    const other = readEngineContainer(engine, id)?.record
    if (other === undefined) return []
    const names = [...new Set([alias, other.intent.hostname, other.name])].join(' ')
    const common = (readConnection(engine, id)?.endpoints ?? []).filter(({ network }) =>
      endpoints.some((one) => one.network === network),
    )
    return common.flatMap(({ addresses }) => addresses.map(({ address }) => `${address}\t${names}\n`))
  })
  return lines.join('')
}

const linksOf = ({ names }: Pick<Intent, 'names'>): readonly ContainerLink[] => names?.links ?? []

const isInDefault = ({ network }: Pick<ContainerRecord, 'network'>): boolean =>
  network.kind === 'networks' && network.networks.some((one) => one.network === DEFAULT_NETWORK)

/** Throws `conflict`, with docker's words, for one that does not run: in the default network nothing else would tell its address later. */
export function refuseUnlinked(engine: Engine, { name, intent, network }: ContainerRecord): void {
  if (!isInDefault({ network })) return
  for (const { id, alias } of linksOf(intent)) {
    const other = readEngineContainer(engine, id)
    if (other?.status === 'running' || other?.status === 'paused') continue
    const called = other?.record.name ?? id
    throw new OperationError({
      kind: 'conflict',
      operation: `start ${name}`,
      reason: `Cannot link to a non running container: /${called} AS /${name}/${alias}`,
      hint: other === undefined ? `it was removed: make ${name} again` : `coffer start ${called}`,
    })
  }
}

/** What the linked containers serve and have in their environment; what was asked for with --env counts more. */
export function withLinkVariables(engine: Engine, record: ContainerRecord, intent: Intent): Intent {
  if (!isInDefault(record)) return intent
  const own = new Set(intent.env.map((entry) => entry.split('=')[0]))
  const linked = linksOf(intent).flatMap((link) => variablesOf(engine, record, link))
  return { ...intent, env: [...linked.filter((entry) => !own.has(entry.split('=')[0])), ...intent.env] }
}

function variablesOf(engine: Engine, { name }: ContainerRecord, { id, alias }: ContainerLink): readonly string[] {
  const other = readEngineContainer(engine, id)?.record
  const endpoint = readConnection(engine, id)?.endpoints.find(({ network }) => network === DEFAULT_NETWORK)
  const address = endpoint?.addresses[0]?.address
  if (other === undefined || address === undefined) return []
  const prefix = alias.toUpperCase().replace(/-/g, '_')
  const published = 'ports' in other.network ? other.network.ports : []
  const words = [...(other.exposed ?? []), ...published.map(({ port, protocol }) => `${port}/${protocol}`)]
  const ports = [...new Set(words)]
    .map((word) => ({ port: Number.parseInt(word, 10), protocol: word.split('/')[1] ?? 'tcp' }))
    .sort((a, b) => a.port - b.port || (a.protocol === 'tcp' ? -1 : 1))
  const [first] = ports
  return [
    ...(first === undefined ? [] : [`${prefix}_PORT=${first.protocol}://${address}:${first.port}`]),
    ...ports.flatMap(({ port, protocol }) => {
      const key = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`
      const url = `${protocol}://${address}:${port}`
      return [`${key}=${url}`, `${key}_ADDR=${address}`, `${key}_PORT=${port}`, `${key}_PROTO=${protocol}`]
    }),
    `${prefix}_NAME=/${name}/${alias}`,
    ...other.intent.env
      .filter((entry) => !/^(?:HOME|PATH)=/.test(entry) && entry.includes('='))
      .map((entry) => `${prefix}_ENV_${entry}`),
  ]
}
