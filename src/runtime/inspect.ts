/** state and list. */

import { usage } from '../base/flags.ts'
import { type ListedState, stateOf } from '../container/inspect.ts'
import { findContainer, listContainers } from '../container/store.ts'
import { type Command, operand } from './context.ts'

export const stateCommand: Command = {
  name: 'state',
  operands: 'CONTAINER',
  summary: 'print the state of a container as JSON',
  flags: [],
  count: [1, 1],
  run: ({ machine, print }, given) => {
    const container = findContainer(machine.files, machine.root, operand(given))
    print(`${JSON.stringify(stateOf(container), undefined, 2)}\n`)
    return 0
  },
}

export const listCommand: Command = {
  name: 'list',
  operands: '',
  summary: 'list the containers of the run root',
  flags: [
    { name: 'format', short: 'f', type: 'string', value: 'table|json', help: 'how to print them' },
    { name: 'quiet', short: 'q', type: 'bool', help: 'print ids alone' },
  ],
  count: [0, 0],
  run: ({ machine, print, warn }, given) => {
    const format = given.string('format') ?? 'table'
    const states = listContainers(machine.files, machine.root, warn).map(stateOf)
    if (given.bool('quiet')) print(states.map(({ id }) => `${id}\n`).join(''))
    else if (format === 'json') print(`${states.length === 0 ? 'null' : JSON.stringify(states)}\n`)
    else if (format === 'table') print(table(states))
    else throw usage('coffer-runc list', `--format is "${format}"`, 'use table or json')
    return 0
  },
}

/** The columns of Go's tabwriter with a padding of three and a least width of twelve, which scripts that parse runc's list expect. */
function table(states: readonly ListedState[]): string {
  const rows = [
    ['ID', 'PID', 'STATUS', 'BUNDLE', 'CREATED', 'OWNER'],
    ...states.map(({ id, pid, status, bundle, created, owner }) => [id, `${pid}`, status, bundle, created, owner]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(12, ...rows.map((row) => (row[column] ?? '').length + 3)))
  return rows.map((row) => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('')}\n`).join('')
}
