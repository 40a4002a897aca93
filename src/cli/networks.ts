/** `coffer network`: create, ls, rm, prune; network-inspect.ts and network-connect.ts have the others. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { sorted } from '../base/sorted.ts'
import { hostOf } from '../container/host.ts'
import { networksOf } from '../engine/connection.ts'
import { tell, tellNetwork } from '../engine/events.ts'
import { withNamesLock } from '../engine/lock.ts'
import { listMended } from '../engine/mend.ts'
import { IPVLAN_MODES, MACVLAN_MODES, wordIn } from '../engine/network-plan.ts'
import { removeIdleBridge, removeNetwork } from '../engine/network-remove.ts'
import type { Engine } from '../engine/place.ts'
import { newId } from '../engine/random.ts'
import {
  BRIDGE_NAME,
  createNetwork,
  DEFAULT_NETWORK,
  type Driver,
  findNetwork,
  HOST_BINDING,
  ICC,
  listNetworks,
  MTU,
  type NetworkRecord,
  refusePredefined,
} from '../network/networks.ts'
import { clientSetting } from './client-settings.ts'
import { agrees, type Command, eachOf, say, warn } from './command.ts'
import { ALIASES, type CommandGroup } from './group.ts'
import { CONNECT, DISCONNECT } from './network-connect.ts'
import { networkFilter } from './network-filter.ts'
import { INSPECT } from './network-inspect.ts'
import { type Asked, labelOf, pairsOf, wrong } from './values.ts'

const refused = (name: string, type: Flag['type'], reason: string): Flag => ({ name, type, help: '', refused: reason })

const CREATE: readonly Flag[] = [
  { name: 'driver', short: 'd', type: 'string', value: 'bridge', help: 'how its containers are connected' },
  { name: 'subnet', type: 'list', value: 'ADDRESS/PREFIX', help: 'its addresses; a free network if not given' },
  { name: 'gateway', type: 'list', value: 'ADDRESS', help: 'that of this machine in it; the first if not given' },
  { name: 'ip-range', type: 'list', value: 'ADDRESS/PREFIX', help: 'the part that addresses are given from' },
  { name: 'aux-address', type: 'list', value: 'NAME=ADDRESS', help: 'an address that another has' },
  { name: 'internal', type: 'bool', help: 'nobody outside is reached' },
  { name: 'ipv6', type: 'bool', help: 'also with addresses of IPv6' },
  { name: 'opt', short: 'o', type: 'list', value: 'NAME=VALUE', help: 'an option of its driver' },
  { name: 'label', type: 'list', value: 'NAME=VALUE', help: 'a note for filters' },
  { name: 'attachable', type: 'bool', help: 'it always is' },
  { name: 'scope', type: 'string', value: 'local', help: 'there is one' },
  refused('ipv4', 'bool', 'each network has addresses of IPv4'),
  refused('config-from', 'string', 'a network has its configuration itself'),
  refused('config-only', 'bool', 'a network has its configuration itself'),
  refused('ingress', 'bool', 'it is of swarms; coffer runs containers of one machine'),
  refused('ipam-driver', 'string', 'addresses are given by coffer itself'),
  refused('ipam-opt', 'list', 'addresses are given by coffer itself'),
]

const OPTIONS: Readonly<Record<Driver, readonly string[]>> = {
  bridge: [BRIDGE_NAME, ICC, HOST_BINDING, MTU],
  macvlan: ['parent', 'macvlan_mode'],
  ipvlan: ['parent', 'ipvlan_mode'],
}

function driverOf(name: string, word: string): Driver {
  if (word === 'bridge' || word === 'macvlan' || word === 'ipvlan') return word
  throw new OperationError({
    kind: 'unsupported',
    operation: `create network ${name}`,
    reason: `coffer has no driver ${word}`,
    hint: `it has ${Object.keys(OPTIONS).join(', ')}`,
  })
}

function optionsOf(asked: Asked, driver: Driver): Readonly<Record<string, string>> {
  const options = pairsOf(asked, 'opt')
  const unknown = Object.keys(options).find((one) => !OPTIONS[driver].includes(one))
  if (unknown !== undefined) throw wrong(asked, 'opt', unknown, `${driver} takes ${OPTIONS[driver].join(', ')}`)
  const { macvlan_mode: macvlan, ipvlan_mode: ipvlan } = options
  if (macvlan !== undefined && wordIn(MACVLAN_MODES, macvlan) === undefined)
    throw wrong(asked, 'opt', `macvlan_mode=${macvlan}`, `it is one of ${Object.keys(MACVLAN_MODES).join(', ')}`)
  if (ipvlan !== undefined && wordIn(IPVLAN_MODES, ipvlan) === undefined)
    throw wrong(asked, 'opt', `ipvlan_mode=${ipvlan}`, `it is one of ${Object.keys(IPVLAN_MODES).join(', ')}`)
  return options
}

const create: Command = (session, words) => {
  const command = 'coffer network create'
  const asked: Asked = { command, given: parseFlags(words, CREATE, command, { mixed: true }), session }
  const { given } = asked
  const [name, ...others] = given.rest
  if (name === undefined || others.length > 0) throw usage(command, 'it takes one name')
  const driver = driverOf(name, given.string('driver') ?? 'bridge')
  const options = optionsOf(asked, driver)
  const { engine, native } = session
  refuseRootless(engine, name)
  refusePredefined(name)
  const made = withNamesLock(engine, () =>
    createNetwork(networksOf(engine), {
      id: newId(native),
      name,
      created: engine.machine.now().toISOString(),
      driver,
      subnets: given.list('subnet'),
      gateways: given.list('gateway'),
      ranges: given.list('ip-range'),
      reserved: pairsOf(asked, 'aux-address'),
      hasIpv6: given.bool('ipv6'),
      isInternal: given.bool('internal'),
      labels: Object.fromEntries(given.list('label').map(labelOf)),
      options,
    }),
  )
  tellNetwork(engine, made.name, 'create')
  say(session, `${made.id}\n`)
  return 0
}

function refuseRootless({ machine }: Engine, name: string): void {
  if (!hostOf(machine).isRootless) return
  throw new OperationError({
    kind: 'unsupported',
    operation: `make the network ${name}`,
    reason: 'bridges and rules take privilege over the machine',
    hint: 'a container has a way out with --network bridge, and shares one with --network container:NAME',
  })
}

const LS: readonly Flag[] = [
  { name: 'filter', short: 'f', type: 'list', value: 'KEY=VALUE', help: 'only those that fit' },
  { name: 'format', type: 'string', value: 'TEMPLATE', help: 'table, table TEMPLATE, json, or a Go template' },
  { name: 'no-trunc', type: 'bool', help: 'whole ids' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'ids only' },
]

const HEADERS = {
  CreatedAt: 'CREATED AT',
  Driver: 'DRIVER',
  ID: 'NETWORK ID',
  Internal: 'INTERNAL',
  IPv4: 'IPV4',
  IPv6: 'IPV6',
  Labels: 'LABELS',
  Name: 'NAME',
  Scope: 'SCOPE',
} as const

const ls: Command = (session, words) => {
  const given = parseFlags(words, LS, 'coffer network ls', { mixed: true })
  if (given.rest.length > 0) throw usage('coffer network ls', 'it takes no names', 'give --filter name=NAME')
  const fits = networkFilter(session, 'coffer network ls', given.list('filter'))
  const all = listNetworks(networksOf(session.engine)).filter(fits)
  const id = (text: string): string => (given.bool('no-trunc') ? text : text.slice(0, 12))
  if (given.bool('quiet')) {
    say(session, all.map((one) => `${id(one.id)}\n`).join(''))
    return 0
  }
  const rows = all.map((one) => ({
    CreatedAt: one.created.replace('T', ' ').replace(/\.?0{0,9}Z$/, ' +0000 UTC'),
    Driver: one.driver,
    ID: id(one.id),
    Internal: `${one.isInternal}`,
    IPv4: 'true',
    IPv6: `${one.pools.length > 1}`,
    Labels: Object.entries(sorted(one.labels))
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    Name: one.name,
    Scope: 'local',
  }))
  const format = given.string('format') ?? clientSetting(session, 'networksFormat')
  say(session, printRows({ rows, headers: HEADERS, columns: ['ID', 'Name', 'Driver', 'Scope'] }, format))
  return 0
}

const RM: readonly Flag[] = [{ name: 'force', short: 'f', type: 'bool', help: 'no error for one that is not there' }]

const rm: Command = (session, words) => {
  const command = 'coffer network rm'
  const given = parseFlags(words, RM, command, { mixed: true })
  if (given.rest.length === 0) throw usage(command, 'it takes one network or more')
  return eachOf(session, command, given.rest, (name) => {
    try {
      dropOne(session, findNetwork(networksOf(session.engine), name))
    } catch (error) {
      if (!given.bool('force') || !(error instanceof OperationError) || error.kind !== 'missing') throw error
    }
    say(session, `${name}\n`)
  })
}

const PRUNE: readonly Flag[] = [
  { name: 'filter', type: 'list', value: 'KEY=VALUE', help: 'only those: until=TIME, label=KEY[=VALUE]' },
  { name: 'force', short: 'f', type: 'bool', help: 'do not ask' },
]

function dropOne({ engine }: Parameters<Command>[0], one: NetworkRecord): void {
  removeNetwork(engine, one)
  tell(engine, 'network', 'destroy', one.id, { name: one.name, type: 'bridge' })
}

const prune: Command = (session, words) => {
  const command = 'coffer network prune'
  const given = parseFlags(words, PRUNE, command, { mixed: true })
  const fits = networkFilter(session, command, given.list('filter'))
  if (!agrees(session, 'all custom networks not used by at least one container.', given)) return 0
  const gone: string[] = []
  for (const one of listNetworks(networksOf(session.engine))) {
    if (one.name !== DEFAULT_NETWORK && fits(one) && isDropped(session, one)) gone.push(one.name)
  }
  if (given.list('filter').length === 0) removeIdleBridge(session.engine)
  if (gone.length > 0) say(session, `Deleted Networks:\n${gone.map((name) => `${name}\n`).join('')}\n`)
  return 0
}

/** One that is in use, or that somebody else removes, is left alone. */
function isDropped(session: Parameters<Command>[0], one: NetworkRecord): boolean {
  try {
    dropOne(session, one)
    return true
  } catch (error) {
    if (error instanceof OperationError && (error.kind === 'conflict' || error.kind === 'missing')) return false
    throw error
  }
}

export const NETWORK: CommandGroup = {
  name: 'network',
  summary: 'networks of containers',
  aliases: ALIASES,
  prepares: (session) => {
    listMended(session.engine, (text) => warn(session, text))
  },
  commands: [
    CONNECT,
    { name: 'network create', operands: 'NAME', summary: 'make a network', flags: CREATE, run: create },
    DISCONNECT,
    INSPECT,
    { name: 'network ls', operands: '', summary: 'list networks', flags: LS, run: ls },
    { name: 'network prune', operands: '', summary: 'remove networks that nobody uses', flags: PRUNE, run: prune },
    { name: 'network rm', operands: 'NETWORK...', summary: 'remove networks', flags: RM, run: rm },
  ],
}
