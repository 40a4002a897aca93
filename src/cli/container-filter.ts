/** `--filter` of the commands that list containers. Values of one key are alternatives, but those of `label`, which must all hold. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { healthOf } from '../engine/health.ts'
import type { Engine } from '../engine/place.ts'
import { findImage } from '../image/layout.ts'

type Test = (container: EngineContainer) => boolean

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
      key === 'label' ? alternatives.every((test) => test(container)) : alternatives.some((test) => test(container)),
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
    case 'before':
    case 'since':
      return ageTest(engine, key, value, all)
    case 'health':
      if (!HEALTHS.includes(value)) throw usage(command, `there is no health "${value}"`, HEALTHS.join(' '))
      return (one) => (healthOf(engine, one)?.status ?? 'none') === value
    default:
      throw usage(command, `there is no filter "${key}"`, 'name id status exited ancestor label before since health')
  }
}

/** Of Go, where most patterns that people write mean the same. */
function patternOf(command: string, text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(command, `"${text}" is no regular expression`)
    throw error
  }
}

/** An image, or one that it is made of: its layers are the lowest of the container's. */
function ancestorTest({ machine, dataRoot }: Engine, value: string): Test {
  const image = findImage(machine.files, dataRoot, value)
  return ({ record }) => record.image.name === value || (image !== undefined && record.image.id === image.id)
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
