/** `--filter` of the commands on networks. Values of one key are alternatives, but those of `label`, which must all hold. */

import { usage } from '../base/flags.ts'
import { momentMs } from '../base/moment.ts'
import { isUsed } from '../engine/network-remove.ts'
import { DEFAULT_NETWORK, type NetworkRecord } from '../network/networks.ts'
import type { Session } from './open.ts'
import { patternOf } from './pattern.ts'

type Test = (network: NetworkRecord) => boolean

export function networkFilter(session: Session, command: string, filters: readonly string[]): Test {
  const tests = new Map<string, Test[]>()
  for (const filter of filters) {
    const equals = filter.indexOf('=')
    if (equals < 1) throw usage(command, `--filter is "${filter}"`, 'give KEY=VALUE, e.g. --filter driver=bridge')
    const [key, value] = [filter.slice(0, equals), filter.slice(equals + 1)]
    tests.set(key, [...(tests.get(key) ?? []), testOf(session, { command, key, value })])
  }
  return (network) =>
    [...tests].every(([key, alternatives]) =>
      key.startsWith('label')
        ? alternatives.every((test) => test(network))
        : alternatives.some((test) => test(network)),
    )
}

interface Filter {
  readonly command: string
  readonly key: string
  readonly value: string
}

function testOf({ engine }: Session, { command, key, value }: Filter): Test {
  const refuse = (hint: string): never => {
    throw usage(command, `invalid filter '${key}=${value}'`, hint)
  }
  switch (key) {
    case 'name':
    case 'id': {
      const pattern = patternOf(command, value)
      return (network) => pattern.test(network[key])
    }
    case 'driver':
      return ({ driver }) => driver === value
    case 'scope':
      return () => value === 'local'
    case 'type':
      if (value !== 'custom' && value !== 'builtin') return refuse('there are type=custom and type=builtin')
      return ({ name }) => (name === DEFAULT_NETWORK) === (value === 'builtin')
    case 'dangling':
      if (!/^(true|false|1|0)$/.test(value)) return refuse('give dangling=true or dangling=false')
      return (network) => (network.name !== DEFAULT_NETWORK && !isUsed(engine, network)) === /^(true|1)$/.test(value)
    case 'label':
      return hasLabel(value)
    case 'label!':
      return (network) => !hasLabel(value)(network)
    case 'until': {
      const limit = momentMs(value, engine.machine.now().getTime()) ?? refuse('give a time, e.g. until=24h')
      return ({ created }) => Date.parse(created) < limit
    }
    default:
      throw usage(
        command,
        `invalid filter '${key}'`,
        'it takes dangling, driver, id, label, name, scope, type and until',
      )
  }
}

function hasLabel(text: string): Test {
  const [name = '', ...value] = text.split('=')
  return ({ labels }) => labels[name] !== undefined && (value.length === 0 || labels[name] === value.join('='))
}
