/** `coffer ps`, with docker's columns. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { listMended } from '../engine/mend.ts'
import { clientSetting } from './client-settings.ts'
import { type Command, say, warn } from './command.ts'
import { containerFilter, showsAll } from './container-filter.ts'
import { CONTAINER_HEADERS, containerView } from './container-view.ts'

const COMMAND = 'coffer ps'

export const PS_FLAGS: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'also those that do not run' },
  { name: 'filter', short: 'f', type: 'list', value: 'KEY=VALUE', help: 'only those of which this is true' },
  { name: 'format', type: 'string', value: 'TEMPLATE', help: 'table, json, or a template of Go' },
  { name: 'last', short: 'n', type: 'int', value: 'N', help: 'the N that were made last, whether they run or not' },
  { name: 'latest', short: 'l', type: 'bool', help: 'the one that was made last' },
  { name: 'no-trunc', type: 'bool', help: 'whole ids and commands' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'ids only' },
  { name: 'size', short: 's', type: 'bool', help: 'what each has written, and its root together' },
]

const COLUMNS = ['ID', 'Image', 'Command', 'RunningFor', 'Status', 'Ports', 'Names']

export const ps: Command = (session, words) => {
  const given = parseFlags(words, PS_FLAGS, COMMAND, { mixed: true })
  if (given.rest.length > 0) throw usage(COMMAND, 'it takes flags only')
  const { engine } = session
  const all = listMended(engine, (text) => warn(session, text))
  const filters = given.list('filter')
  const passes = containerFilter(engine, COMMAND, filters, all)
  const last = given.bool('latest') ? 1 : (given.int('last') ?? -1)
  const every = given.bool('all') || last > 0 || showsAll(filters)
  const shown = all
    .filter(
      (one) =>
        (every || one.status === 'running' || one.status === 'paused' || one.status === 'restarting') && passes(one),
    )
    .slice(0, last > 0 ? last : undefined)
  const format = given.string('format') ?? (given.bool('quiet') ? undefined : clientSetting(session, 'psFormat'))
  const withSize = given.bool('size') || /\.Size\b/.test(format ?? '')
  const options = { truncates: !given.bool('no-trunc'), withSize, nowMs: engine.machine.now().getTime() }
  const rows = shown.map((one) => containerView(engine, one, options))
  const columns = given.bool('size') ? [...COLUMNS, 'Size'] : COLUMNS
  if (given.bool('quiet')) say(session, rows.map(({ ID }) => `${ID}\n`).join(''))
  else say(session, printRows({ rows, headers: CONTAINER_HEADERS, columns }, format))
  return 0
}
