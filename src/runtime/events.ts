/** events and ps: what a container uses, and who is in it. */

import { durationMs } from '../base/duration.ts'
import { usage } from '../base/flags.ts'
import { readMembers } from '../container/members.ts'
import { listProcesses } from '../container/processes.ts'
import { findContainer, liveContainer } from '../container/store.ts'
import { watchContainer } from '../container/watch.ts'
import { readStats } from '../observe/stats.ts'
import { oomEvent, statsEvent } from '../observe/stats-event.ts'
import { type Command, operand } from './context.ts'

export const eventsCommand: Command = {
  name: 'events',
  operands: 'CONTAINER',
  summary: 'print use of resources and out-of-memory kills as JSON lines',
  flags: [
    { name: 'interval', type: 'string', value: 'TIME', help: 'between two prints, e.g. 500ms; 5s if not given' },
    { name: 'stats', type: 'bool', help: 'print the use once' },
  ],
  count: [1, 1],
  run: ({ machine, print }, given) => {
    const id = operand(given)
    const container = liveContainer(findContainer(machine.files, machine.root, id), `watch ${id}`)
    const { paths } = container.record.cgroup
    const printStats = (): void => print(`${statsEvent(id, readStats(paths, machine.files))}\n`)
    if (given.bool('stats')) {
      printStats()
      return 0
    }
    const intervalMs = durationMs(given.string('interval') ?? '5s')
    if (intervalMs === undefined)
      throw usage(
        'coffer-runc events',
        `--interval is "${given.string('interval')}"`,
        'give a time such as 5s or 500ms',
      )
    watchContainer(machine, container, {
      intervalMs,
      onInterval: printStats,
      onOutOfMemory: () => print(`${oomEvent(id)}\n`),
    })
    return 0
  },
}

export const psCommand: Command = {
  name: 'ps',
  operands: 'CONTAINER',
  summary: 'list the processes of a container',
  flags: [{ name: 'format', short: 'f', type: 'string', value: 'table|json', help: 'table, or pids alone as JSON' }],
  count: [1, 64],
  // Those of ps(1), which runc runs.
  passesArguments: true,
  run: ({ machine, print }, given) => {
    const id = operand(given)
    const pids = readMembers(machine.files, findContainer(machine.files, machine.root, id))
    const format = given.string('format') ?? 'table'
    // As of Go, where no list is null.
    if (format === 'json') print(`${pids.length === 0 ? 'null' : JSON.stringify(pids)}\n`)
    else if (format === 'table') print(listProcesses(machine, pids))
    else throw usage('coffer-runc ps', `--format is "${format}"`, 'use table or json')
    return 0
  },
}
