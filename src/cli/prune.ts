/** `coffer container prune`: all containers that do not run go. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { momentMs } from '../base/moment.ts'
import { sizeText } from '../base/size.ts'
import type { EngineContainer } from '../engine/containers.ts'
import { listMended } from '../engine/mend.ts'
import { removeContainer } from '../engine/remove.ts'
import { writtenSize } from '../engine/size.ts'
import { agrees, type Command, eachOf, say, warn } from './command.ts'
import { containerFilter } from './container-filter.ts'
import type { GroupCommand } from './group.ts'
import type { Session } from './open.ts'

const COMMAND = 'coffer container prune'

const FLAGS: readonly Flag[] = [
  { name: 'filter', type: 'list', value: 'KEY=VALUE', help: 'only those: until=TIME, label=KEY[=VALUE]' },
  { name: 'force', short: 'f', type: 'bool', help: 'do not ask' },
]

const pruneContainers: Command = (session, words) => {
  const given = parseFlags(words, FLAGS, COMMAND, { mixed: true })
  const isWanted = agrees(session, 'all stopped containers.', given)
  const { status, freedBytes } = isWanted ? dropStopped(session, given.list('filter')) : { status: 0, freedBytes: 0 }
  say(session, `Total reclaimed space: ${sizeText(freedBytes)}\n`)
  return status
}

export const CONTAINER_PRUNE: GroupCommand = {
  name: 'container prune',
  operands: '',
  summary: 'remove containers that do not run',
  flags: FLAGS,
  run: pruneContainers,
}

export interface Dropped {
  readonly status: number
  readonly freedBytes: number
}

/** Says which. */
export function dropStopped(session: Session, filters: readonly string[]): Dropped {
  const { engine } = session
  const all = listMended(engine, (text) => warn(session, text))
  const isOld = olderThan(session, filters)
  const labels = filters.filter((filter) => !filter.startsWith('until='))
  const passes = containerFilter(engine, COMMAND, labels, all)
  const chosen = all.filter((one) => (one.status === 'exited' || one.status === 'created') && isOld(one) && passes(one))
  let freed = 0
  const gone: string[] = []
  const byId = new Map(chosen.map((one) => [one.record.id, one]))
  const status = eachOf(session, COMMAND, [...byId.keys()], (id) => {
    const found = byId.get(id)
    if (found === undefined) return
    const { written } = writtenSize(engine, found.record)
    removeContainer(engine, found, { force: false, warn: (text) => warn(session, text) })
    freed += written
    gone.push(id)
  })
  const list = gone.length === 0 ? '' : `Deleted Containers:\n${gone.map((id) => `${id}\n`).join('')}\n`
  say(session, list)
  return { status, freedBytes: freed }
}

function olderThan({ engine }: Session, filters: readonly string[]): (one: EngineContainer) => boolean {
  const limits = filters
    .filter((filter) => filter.startsWith('until='))
    .map((filter) => {
      const ms = momentMs(filter.slice('until='.length), engine.machine.now().getTime())
      if (ms === undefined) throw usage(COMMAND, `--filter is "${filter}"`, 'give a time, e.g. until=24h')
      return ms
    })
  return ({ record }) => limits.every((ms) => Date.parse(record.created) < ms)
}
