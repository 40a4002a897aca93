/** network create, ls, inspect, rm, prune. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { nearest } from '../base/nearest.ts'
import { networksOf, readConnection } from '../engine/container-network.ts'
import { findContainer } from '../engine/containers.ts'
import { withNamesLock } from '../engine/lock.ts'
import { newId } from '../engine/make.ts'
import { makeDirectories, writeText } from '../executor/embedded-files.ts'
import {
  createNetwork,
  DEFAULT_NETWORK,
  findNetwork,
  listNetworks,
  type NetworkRecord,
  readLeases,
  removeNetwork,
} from '../network/networks.ts'
import type { Command } from './command.ts'
import type { Session } from './open.ts'

const say = ({ native }: Session, text: string): void => writeText(native, 1, text)

/** `coffer network COMMAND`. */
export const network: Command = (session, [word = 'help', ...rest]) => {
  const run = SUBCOMMANDS.get(word)
  if (run !== undefined) return run(session, rest)
  const near = nearest(word, [...SUBCOMMANDS.keys()])
  throw usage(
    'coffer network',
    `it has no command ${word}`,
    near === undefined ? `it has ${[...SUBCOMMANDS.keys()].join(', ')}` : `did you mean ${near}?`,
  )
}

const CREATE: readonly Flag[] = [
  { name: 'driver', short: 'd', type: 'string', value: 'bridge', help: 'how its containers are connected' },
  { name: 'subnet', type: 'list', value: 'ADDRESS/PREFIX', help: 'its addresses; a free network if not given' },
  { name: 'gateway', type: 'list', value: 'ADDRESS', help: 'that of this machine in it; the first if not given' },
  { name: 'internal', type: 'bool', help: 'nobody outside is reached' },
  { name: 'label', type: 'list', value: 'NAME=VALUE', help: 'a note for filters' },
  { name: 'ipv6', type: 'bool', help: 'also with addresses of IPv6', refused: 'coffer gives addresses of IPv4 only' },
]

const create: Command = (session, words) => {
  const command = 'coffer network create'
  const given = parseFlags(words, CREATE, command, { mixed: true })
  const [name, ...others] = given.rest
  if (name === undefined || others.length > 0) throw usage(command, 'it takes one name')
  const driver = given.string('driver') ?? 'bridge'
  if (driver !== 'bridge')
    throw new OperationError({
      kind: 'unsupported',
      operation: `create network ${name}`,
      reason: `coffer has no driver ${driver}`,
      hint: 'leave --driver away: containers are connected by a bridge',
    })
  const { engine, native } = session
  makeDirectories(native, `${engine.dataRoot}/names`, 0o711)
  const made = withNamesLock(engine, () =>
    createNetwork(networksOf(engine), {
      id: newId(native),
      name,
      created: engine.machine.now().toISOString(),
      subnet: given.list('subnet')[0],
      gateway: given.list('gateway')[0],
      isInternal: given.bool('internal'),
      labels: Object.fromEntries(given.list('label').map(labelOf)),
    }),
  )
  say(session, `${made.id}\n`)
  return 0
}

const labelOf = (word: string): readonly [string, string] => {
  const equals = word.indexOf('=')
  return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)]
}

const LS: readonly Flag[] = [
  { name: 'quiet', short: 'q', type: 'bool', help: 'ids only' },
  { name: 'no-trunc', type: 'bool', help: 'whole ids' },
]

const ls: Command = (session, words) => {
  const given = parseFlags(words, LS, 'coffer network ls')
  const all = listNetworks(networksOf(session.engine))
  const id = (text: string): string => (given.bool('no-trunc') ? text : text.slice(0, 12))
  if (given.bool('quiet')) {
    say(session, all.map((one) => `${id(one.id)}\n`).join(''))
    return 0
  }
  const rows = [
    ['NETWORK ID', 'NAME', 'DRIVER', 'SUBNET'],
    ...all.map((one) => [id(one.id), one.name, 'bridge', one.subnet]),
  ]
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  say(
    session,
    rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('   ')}\n`).join(''),
  )
  return 0
}

/** docker's document, without what coffer has not. */
const inspect: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer network inspect')
  if (given.rest.length === 0) throw usage('coffer network inspect', 'it takes one network or more')
  const found = given.rest.map((name) => inspected(session, findNetwork(networksOf(session.engine), name)))
  say(session, `${JSON.stringify(found, null, 4)}\n`)
  return 0
}

function inspected({ engine }: Session, network: NetworkRecord): object {
  const containers = [...readLeases(networksOf(engine), network.name).values()].flatMap((id) => {
    const connection = readConnection(engine, id)
    if (connection === undefined) return []
    const { address, prefixLength, hardwareAddress } = connection
    const { name } = findContainer(engine, id).record
    return [
      [id, { Name: name, MacAddress: hardwareAddress, IPv4Address: `${address}/${prefixLength}`, IPv6Address: '' }],
    ]
  })
  return {
    Name: network.name,
    Id: network.id,
    Created: network.created,
    Scope: 'local',
    Driver: 'bridge',
    EnableIPv6: false,
    IPAM: { Driver: 'default', Config: [{ Subnet: network.subnet, Gateway: network.gateway }] },
    Internal: network.isInternal,
    Containers: Object.fromEntries(containers),
    Options: { 'com.docker.network.bridge.name': network.device },
    Labels: network.labels,
  }
}

const rm: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer network rm')
  if (given.rest.length === 0) throw usage('coffer network rm', 'it takes one network or more')
  for (const name of given.rest) {
    removeOne(session, findNetwork(networksOf(session.engine), name))
    say(session, `${name}\n`)
  }
  return 0
}

function removeOne({ engine }: Session, found: NetworkRecord): void {
  withNamesLock(engine, () => removeNetwork(networksOf(engine), found))
}

const prune: Command = (session, words) => {
  parseFlags(
    words,
    [{ name: 'force', short: 'f', type: 'bool', help: 'as without: coffer does not ask' }],
    'coffer network prune',
  )
  const networks = networksOf(session.engine)
  for (const one of listNetworks(networks)) {
    if (one.name === DEFAULT_NETWORK || readLeases(networks, one.name).size > 0) continue
    removeOne(session, one)
    say(session, `${one.name}\n`)
  }
  return 0
}

const SUBCOMMANDS: ReadonlyMap<string, Command> = new Map(
  Object.entries({ create, ls, list: ls, inspect, rm, remove: rm, prune }),
)
