/** `--filter` of the commands that list containers. Values of one key are alternatives, but those of `label`, which must all hold. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { networksOf, readConnection } from '../engine/connection.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { healthOf } from '../engine/health.ts'
import { networkNames } from '../engine/inspect-network.ts'
import type { IntentMount } from '../engine/intent.ts'
import type { Engine } from '../engine/place.ts'
import { findImage } from '../image/layout.ts'
import { listNetworks } from '../network/networks.ts'
import { patternOf } from './pattern.ts'

type Test = (container: EngineContainer) => boolean

const FILTERS = 'name id status exited ancestor label before since health volume network publish expose'

const STATUSES = ['created', 'restarting', 'running', 'removing', 'paused', 'exited', 'dead']
const HEALTHS = ['starting', 'healthy', 'unhealthy', 'none']

/** Whether who asks so means those that do not run as well. */
export const showsAll = (filters: readonly string[]): boolean =>
  filters.some((filter) => /^(status|exited)=/.test(filter))

/** Throws `invalid` for a filter that there is not, and `missing` for a container that it names and is not there. */
export function containerFilter(
  engine: Engine,
  command: string,
  filters: readonly string[],
  all: readonly EngineContainer[],
): Test {
  const tests = new Map<string, Test[]>()
  for (const filter of filters) {
    const equals = filter.indexOf('=')
    if (equals < 1) throw usage(command, `--filter is "${filter}"`, 'give KEY=VALUE, e.g. --filter status=exited')
    const key = filter.slice(0, equals).trim().toLowerCase()
    const value = filter.slice(equals + 1).trim()
    tests.set(key, [...(tests.get(key) ?? []), testOf(engine, command, key, value, all)])
  }
  return (container) =>
    [...tests].every(([key, alternatives]) =>
      key.startsWith('label')
        ? alternatives.every((test) => test(container))
        : alternatives.some((test) => test(container)),
    )
}

function testOf(engine: Engine, command: string, key: string, value: string, all: readonly EngineContainer[]): Test {
  switch (key) {
    case 'name': {
      const pattern = patternOf(command, value)
      return ({ record }) => pattern.test(record.name) || pattern.test(`/${record.name}`)
    }
    case 'id': {
      const pattern = patternOf(command, value)
      return ({ record }) => pattern.test(record.id)
    }
    case 'status':
      if (!STATUSES.includes(value)) throw usage(command, `there is no status "${value}"`, STATUSES.join(' '))
      return ({ status }) => status === value
    case 'exited':
      if (!/^\d+$/.test(value)) throw usage(command, `exited is "${value}"`, 'give an exit status, e.g. exited=0')
      return (one) => one.status === 'exited' && one.exit?.status === Number(value)
    case 'ancestor':
      return ancestorTest(engine, value)
    case 'label':
      return labelTest(value)
    case 'label!': {
      const has = labelTest(value)
      return (one) => !has(one)
    }
    case 'before':
    case 'since':
      return ageTest(engine, key, value, all)
    case 'health':
      if (!HEALTHS.includes(value)) throw usage(command, `there is no health "${value}"`, HEALTHS.join(' '))
      return (one) => (healthOf(engine, one)?.status ?? 'none') === value
    case 'volume':
      return ({ record: { intent } }) => intent.mounts.some((mount) => placesOf(mount).includes(value))
    case 'network':
      return networkTest(engine, value)
    case 'publish':
    case 'expose':
      return portTest(engine, command, key, value)
    default:
      throw usage(command, `invalid filter '${key}'`, FILTERS)
  }
}

/** An image, or one that it was made of: its layers are the lowest of the other, which has more of them, or a longer history. */
function ancestorTest({ machine, dataRoot }: Engine, value: string): Test {
  const image = findImage(machine.files, dataRoot, value)
  const isMadeOf = (id: string): boolean => {
    const own = findImage(machine.files, dataRoot, id)?.config
    if (own === undefined || image === undefined) return false
    const { diffIds, history } = image.config
    const isBelow = diffIds.every((diffId, index) => own.diffIds[index] === diffId)
    return isBelow && (diffIds.length < own.diffIds.length || history.length < own.history.length)
  }
  return ({ record: { image: own } }) =>
    own.name === value || (image !== undefined && own.id !== undefined && (own.id === image.id || isMadeOf(own.id)))
}

/** A volume is known by its name, a directory of this machine by its path, and each by where the container has it. */
const placesOf = (mount: IntentMount): readonly string[] =>
  mount.kind === 'tmpfs' ? [] : [mount.kind === 'volume' ? mount.name : mount.source, mount.destination]

/** By name, or by the beginning of an id. */
function networkTest(engine: Engine, value: string): Test {
  const byId = listNetworks(networksOf(engine)).find(({ id }) => value !== '' && id.startsWith(value))
  return ({ record }) =>
    networkNames(record)
      .split(',')
      .some((name) => name === value || name === byId?.name)
}

/** While it runs, ports of this machine for `publish`, and of the container for `expose`: `80`, `80/udp`, `8000-8010/tcp`. */
function portTest(engine: Engine, command: string, key: 'publish' | 'expose', value: string): Test {
  const [, from = '', to = from, protocol = 'tcp'] = /^(\d+)(?:-(\d+))?(?:\/(tcp|udp|sctp))?$/.exec(value) ?? []
  if (from === '') throw usage(command, `${key} is "${value}"`, 'give PORT[/PROTOCOL] or FIRST-LAST[/PROTOCOL]')
  const fits = (port: number, of: string): boolean => of === protocol && port >= Number(from) && port <= Number(to)
  return ({ record: { id, exposed = [] } }) => {
    const connection = readConnection(engine, id)
    if (connection === undefined) return false
    if (key === 'publish') return connection.ports.some(({ hostPort, protocol }) => fits(hostPort, protocol))
    const named = exposed.map((text) => text.split('/'))
    return (
      connection.ports.some(({ port, protocol }) => fits(port, protocol)) ||
      named.some(([port, of = 'tcp']) => fits(Number(port), of))
    )
  }
}

function labelTest(value: string): Test {
  const equals = value.indexOf('=')
  const name = equals < 0 ? value : value.slice(0, equals)
  return ({ record: { labels } }) =>
    Object.keys(labels).includes(name) && (equals < 0 || labels[name] === value.slice(equals + 1))
}

function ageTest(engine: Engine, key: 'before' | 'since', value: string, all: readonly EngineContainer[]): Test {
  const { id } = findContainer(engine, value).record
  const position = new Map(all.map(({ record }, index) => [record.id, index]))
  const at = position.get(id)
  if (at === undefined)
    throw new OperationError({ kind: 'missing', operation: `find container ${value}`, reason: 'it is gone' })
  // The newest is the first of the list.
  return ({ record }) => {
    const index = position.get(record.id) ?? at
    return key === 'before' ? index > at : index < at
  }
}
