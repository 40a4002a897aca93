/** `coffer stats`: what containers use, with docker's columns, and how long they waited for it. */

import { binarySizeText } from '../base/binary-size.ts'
import { type Flag, parseFlags } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { sizeText } from '../base/size.ts'
import { type EngineContainer, findContainer, listEngineContainers } from '../engine/containers.ts'
import { type Usage, usages } from '../engine/usage.ts'
import { poll } from '../executor/embedded-events.ts'
import { clientSetting } from './client-settings.ts'
import { type Command, say } from './command.ts'
import type { Row } from './container-view.ts'
import type { Session } from './open.ts'

const COMMAND = 'coffer stats'

export const STATS_FLAGS: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'also those that do not run' },
  { name: 'format', type: 'string', value: 'TEMPLATE', help: 'table, json, or a template of Go' },
  { name: 'no-stream', type: 'bool', help: 'once, instead of each second' },
  { name: 'no-trunc', type: 'bool', help: 'whole ids' },
]

/** What stands above the columns, in their order. */
const HEADERS: Row = {
  ID: 'CONTAINER ID',
  Name: 'NAME',
  CPUPerc: 'CPU %',
  MemUsage: 'MEM USAGE / LIMIT',
  MemPerc: 'MEM %',
  NetIO: 'NET I/O',
  BlockIO: 'BLOCK I/O',
  PIDs: 'PIDS',
  CPUPressure: 'CPU WAIT',
  MemPressure: 'MEM WAIT',
  IOPressure: 'IO WAIT',
}
const COLUMNS = Object.keys(HEADERS)

const INTERVAL_MS = 1000
const CLEAR_SCREEN = '\x1b[2J\x1b[H'

export const stats: Command = (session, words) => {
  const given = parseFlags(words, STATS_FLAGS, COMMAND, { mixed: true })
  const truncates = !given.bool('no-trunc')
  const format = given.string('format') ?? clientSetting(session, 'statsFormat')
  let before: ReadonlyMap<string, Usage> = new Map()
  for (;;) {
    const shown = chosen(session, given.rest, given.bool('all'))
    const now = usages(session.engine, shown)
    const rows = shown.map((one, index) => ({
      ...rowOf(one, now.get(one.record.id), before.get(one.record.id), truncates),
      // As docker: by the word with which it was asked for.
      ...(given.rest.length > 0 ? { Container: given.rest[index] ?? '' } : {}),
    }))
    say(
      session,
      `${given.bool('no-stream') ? '' : CLEAR_SCREEN}${printRows({ rows, headers: { ...HEADERS, Container: 'CONTAINER' }, columns: COLUMNS }, format)}`,
    )
    if (given.bool('no-stream')) return 0
    before = now
    poll(session.native, [], INTERVAL_MS)
  }
}

function chosen({ engine }: Session, names: readonly string[], all: boolean): readonly EngineContainer[] {
  if (names.length > 0) return names.map((name) => findContainer(engine, name))
  return listEngineContainers(engine).filter(({ status }) => all || status === 'running' || status === 'paused')
}

const percent = (part: number, whole: number): string => `${(whole > 0 ? (part / whole) * 100 : 0).toFixed(2)}%`
const wait = (avg10: number | undefined): string => (avg10 === undefined ? '--' : `${avg10.toFixed(2)}%`)

function rowOf(
  container: EngineContainer,
  usage: Usage | undefined,
  before: Usage | undefined,
  truncates: boolean,
): Row {
  const { id, name } = container.record
  const shownId = truncates ? id.slice(0, 12) : id
  if (usage === undefined) return { ...EMPTY, ID: shownId, Container: shownId, Name: name }
  const { cpuNanos, atNanos } = before ?? { cpuNanos: 0, atNanos: usage.startedNanos }
  return {
    ID: shownId,
    Container: shownId,
    Name: name,
    CPUPerc: percent(usage.cpuNanos - cpuNanos, usage.atNanos - atNanos),
    MemUsage: `${binarySizeText(usage.memoryBytes)} / ${binarySizeText(usage.memoryLimitBytes)}`,
    MemPerc: percent(usage.memoryBytes, usage.memoryLimitBytes),
    NetIO: `${sizeText(usage.receivedBytes)} / ${sizeText(usage.sentBytes)}`,
    BlockIO: `${sizeText(usage.readBytes)} / ${sizeText(usage.writtenBytes)}`,
    PIDs: `${usage.pids}`,
    CPUPressure: wait(usage.pressure.cpu),
    MemPressure: wait(usage.pressure.memory),
    IOPressure: wait(usage.pressure.io),
  }
}

const EMPTY: Row = { ...Object.fromEntries(COLUMNS.map((column) => [column, '--'])), MemUsage: '-- / --' }
