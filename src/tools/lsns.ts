/** lsns: namespaces, who is in them and who shares them, with the flags of lsns(8). */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { openMachine } from '../container/open.ts'
import { listContainers } from '../container/store.ts'
import {
  type KnownContainers,
  type NamespaceRow,
  type NamespaceTable,
  readNamespaceTable,
  TYPES,
  type Type,
} from './lsns-table.ts'
import { readNetnsId } from './netns-id.ts'
import type { Caller, Tool } from './tool.ts'
import { countOf } from './words.ts'

const TOOL = 'coffer lsns'
const COLUMNS = [
  'NS',
  'TYPE',
  'PATH',
  'NPROCS',
  'PID',
  'PPID',
  'COMMAND',
  'UID',
  'USER',
  'NETNSID',
  'NSFS',
  'PNS',
  'ONS',
  'CONTAINER',
] as const
type Column = (typeof COLUMNS)[number]

const FLAGS: readonly Flag[] = [
  { name: 'json', short: 'J', type: 'bool', help: 'as JSON' },
  { name: 'list', short: 'l', type: 'bool', help: 'as a list, which is the default' },
  { name: 'noheadings', short: 'n', type: 'bool', help: 'without headings' },
  { name: 'output', short: 'o', type: 'string', value: 'COLUMN,...', help: `of ${COLUMNS.join(' ')}` },
  { name: 'output-all', type: 'bool', help: 'all columns' },
  { name: 'task', short: 'p', type: 'int', value: 'PID', help: 'the namespaces of this process' },
  { name: 'raw', short: 'r', type: 'bool', help: 'one blank between columns' },
  { name: 'notruncate', short: 'u', type: 'bool', help: 'do not cut long commands' },
  { name: 'nowrap', short: 'W', type: 'bool', help: 'taken and ignored: a row is a line' },
  { name: 'type', short: 't', type: 'list', value: 'TYPE,...', help: `of ${TYPES.join(' ')}` },
  {
    name: 'tree',
    short: 'T',
    type: 'optional',
    value: 'parent|owner|process',
    help: 'as a tree: by process; by owner; pid and user by parent',
  },
  {
    name: 'shares',
    short: 's',
    type: 'bool',
    help: 'who shares with whom: of PIDs and containers, or of all containers',
  },
]

export const lsnsTool: Tool = {
  name: 'lsns',
  operands: '[NAMESPACE | PID... | CONTAINER...]',
  summary: 'list namespaces, their processes, owners and containers',
  flags: FLAGS,
  details: `With the number of a namespace: the processes in it. CONTAINER is there for coffer, docker and podman: coffer:web, docker:db.

  coffer lsns -t net -o NS,NPROCS,PID,CONTAINER,NSFS
  coffer lsns --tree=owner -t user,net
  coffer lsns --shares 1 4711 coffer:web`,
  failureStatus: 1,
  does: { kind: 'print', run: list },
}

function list(given: Parsed, caller: Caller): number {
  const table = readNamespaceTable(caller.native, caller.files, knownContainers(caller))
  if (given.bool('shares')) {
    caller.print(sharesText(table, given.rest))
    return 0
  }
  const [isAfterTree, tree] = treeOf(given)
  const [word, ...more] = isAfterTree ? given.rest.slice(1) : given.rest
  if (more.length > 0)
    throw usage(TOOL, `it takes one namespace, and was given ${given.rest.length} words`, `${TOOL} --shares PID...`)
  if (word !== undefined) {
    caller.print(membersText(table, word))
    return 0
  }
  const wanted = wantedRows(table, given)
  const columns = columnsOf(given, wanted, table)
  const ordered = tree !== undefined ? treeOrder(wanted, table, tree) : wanted.map((row) => ({ row, prefix: '' }))
  const rows = ordered.map(({ row, prefix }) => columns.map((column) => cell(row, column, table, caller, prefix)))
  caller.print(given.bool('json') ? jsonText(columns, rows) : tableText(columns, rows, given))
  return 0
}

const knownContainers = ({ native, files, env, containerNames }: Caller): KnownContainers => {
  const { machine } = openMachine(native, {
    root: env.get('COFFER_RUN_ROOT'),
    runtimeDirectory: env.get('XDG_RUNTIME_DIR'),
  })
  const names = containerNames()
  const containers = listContainers(files, machine.root, () => undefined)
  return new Map(
    containers.flatMap((one) =>
      'init' in one ? [[one.init.pid, `coffer:${names.get(one.id) ?? one.id}`] as const] : [],
    ),
  )
}

function wantedRows({ namespaces, processes }: NamespaceTable, given: Parsed): readonly NamespaceRow[] {
  const types = given.list('type').flatMap((words) => words.split(','))
  const wrong = types.find((type) => !TYPES.some((one) => one === type))
  if (wrong !== undefined) throw usage(TOOL, `--type is "${wrong}"`, `use ${TYPES.join(', ')}`)
  const pid = countOf(given, 'task', TOOL, 1)
  const own = pid === undefined ? undefined : processes.get(pid)
  if (pid !== undefined && own === undefined)
    throw usage(TOOL, `--task is ${pid}, and there is no such process, or none whose namespaces you may see`, 'ps -e')
  return namespaces.filter(
    ({ ns, type }) =>
      (types.length === 0 || types.includes(type)) && (own === undefined || own.namespaces[type] === ns),
  )
}

function columnsOf(given: Parsed, rows: readonly NamespaceRow[], table: NamespaceTable): readonly Column[] {
  if (given.bool('output-all')) return COLUMNS
  const isNet = given.list('type').join() === 'net'
  const hasContainers = rows.some((row) => containersOf(row, table) !== '')
  const usual: readonly Column[] = [
    'NS',
    'TYPE',
    'NPROCS',
    'PID',
    'USER',
    ...(isNet ? (['NETNSID', 'NSFS'] as const) : []),
    ...(hasContainers ? (['CONTAINER'] as const) : []),
    'COMMAND',
  ]
  const words = given.string('output')
  if (words === undefined) return usual
  const asked = words
    .replace(/^\+/, '')
    .split(',')
    .map((word) => {
      const column = COLUMNS.find((one) => one === word.toUpperCase())
      if (column === undefined) throw usage(TOOL, `--output has "${word}"`, `use ${COLUMNS.join(', ')}`)
      return column
    })
  return words.startsWith('+') ? [...usual, ...asked] : asked
}

/** All that are in it; many may share one. */
const containersOf = ({ pids }: NamespaceRow, { processes }: NamespaceTable): string =>
  [...new Set(pids.flatMap((pid) => processes.get(pid)?.container ?? []))].join(',')

function cell(row: NamespaceRow, column: Column, table: NamespaceTable, { native }: Caller, prefix: string): string {
  const first = row.pids[0] === undefined ? undefined : table.processes.get(row.pids[0])
  switch (column) {
    case 'NS':
      return `${prefix}${row.ns}`
    case 'TYPE':
      return row.type
    case 'PATH':
      return row.path
    case 'NPROCS':
      return String(row.pids.length)
    case 'PID':
      return String(first?.pid ?? '')
    case 'PPID':
      return String(first?.ppid ?? '')
    case 'COMMAND':
      return (first?.command ?? '').replace(/[\n\t]/g, ' ')
    case 'UID':
      return String(first?.uid ?? '')
    case 'USER':
      return first?.user ?? ''
    case 'NETNSID':
      return row.type === 'net' ? String(readNetnsId(native, row.path) ?? '') : ''
    case 'NSFS':
      return row.nsfs.join(',')
    case 'PNS':
      return String(row.parent ?? '')
    case 'ONS':
      return String(row.owner ?? '')
    case 'CONTAINER':
      return containersOf(row, table)
  }
}

const NUMBERS: readonly Column[] = ['NS', 'NPROCS', 'PID', 'PPID', 'UID', 'PNS', 'ONS']

/** The keys and types of lsns --json. */
function jsonText(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const namespaces = rows.map((row) =>
    Object.fromEntries(
      columns.map((column, index) => {
        const text = (row[index] ?? '').replace(/^[│├└─ ]+/, '')
        const isNumber = NUMBERS.includes(column)
        return [column.toLowerCase(), text === '' ? null : isNumber ? Number(text) : text]
      }),
    ),
  )
  return `${JSON.stringify({ namespaces }, undefined, 3)}\n`
}

const COMMAND_WIDTH = 100

function tableText(columns: readonly Column[], rows: readonly (readonly string[])[], given: Parsed): string {
  const all = [...(given.bool('noheadings') ? [] : [[...columns]]), ...rows]
  const cut = (text: string): string =>
    given.bool('notruncate') || given.bool('raw') || text.length <= COMMAND_WIDTH
      ? text
      : `${text.slice(0, COMMAND_WIDTH - 1)}…`
  if (given.bool('raw'))
    return all.map((row) => `${row.map((text) => text.replace(/ /g, '\\x20')).join(' ')}\n`).join('')
  const widths = columns.map((_, index) => Math.max(...all.map((row) => cut(row[index] ?? '').length), 0))
  const isLeft = (index: number): boolean => {
    const column = columns[index]
    return column === undefined || !NUMBERS.includes(column) || (column === 'NS' && given.isSet('tree'))
  }
  return all
    .map((row) =>
      row.map((text, index) =>
        isLeft(index) ? cut(text).padEnd(widths[index] ?? 0) : text.padStart(widths[index] ?? 0),
      ),
    )
    .map((row) => `${row.join(' ').trimEnd()}\n`)
    .join('')
}

type TreeKind = 'parent' | 'owner' | 'process'

const TREES: readonly TreeKind[] = ['parent', 'owner', 'process']

/** The page of lsns(8) has the kind as a word of its own, so that is taken as well; true if it was. */
function treeOf(given: Parsed): readonly [boolean, TreeKind | undefined] {
  const word = given.string('tree')
  const after = TREES.find((one) => one === given.rest[0])
  if (word === '') return after === undefined ? [false, 'process'] : [true, after]
  const kind = TREES.find((one) => one === word)
  if (word !== undefined && kind === undefined) throw usage(TOOL, `--tree is "${word}"`, `use ${TREES.join(', ')}`)
  return [false, kind]
}

interface Placed {
  readonly row: NamespaceRow
  readonly prefix: string
}

/** What a namespace hangs below: the one above it, its owner, or that of the nearest ancestor of its first process that is another one. */
function aboveOf(row: NamespaceRow, { processes }: NamespaceTable, kind: TreeKind): number | undefined {
  if (kind === 'parent') return row.parent
  if (kind === 'owner') return row.owner
  for (let at = processes.get(row.pids[0] ?? -1); at !== undefined; at = processes.get(at.ppid)) {
    const ns = at.namespaces[row.type]
    if (ns !== undefined && ns !== row.ns) return ns
  }
  return undefined
}

function treeOrder(rows: readonly NamespaceRow[], table: NamespaceTable, kind: TreeKind): readonly Placed[] {
  const present = new Set(rows.map(({ ns }) => ns))
  const below = new Map<number | undefined, NamespaceRow[]>()
  for (const row of rows) {
    const above = aboveOf(row, table, kind)
    const key = above !== undefined && above !== row.ns && present.has(above) ? above : undefined
    below.set(key, [...(below.get(key) ?? []), row])
  }
  const placed: Placed[] = []
  const walk = (key: number | undefined, indent: string): void => {
    const children = below.get(key) ?? []
    children.forEach((row, index) => {
      const isLast = index === children.length - 1
      placed.push({ row, prefix: key === undefined ? '' : `${indent}${isLast ? '└─' : '├─'}` })
      walk(row.ns, key === undefined ? '' : `${indent}${isLast ? '  ' : '│ '}`)
    })
  }
  walk(undefined, '')
  return placed
}

function membersText({ namespaces, processes }: NamespaceTable, word: string): string {
  const row = namespaces.find(({ ns }) => String(ns) === word)
  if (row === undefined) throw usage(TOOL, `no namespace in sight has the number ${word}`, `${TOOL} lists them`)
  const rows = row.pids.map((pid) => {
    const process = processes.get(pid)
    return [
      String(pid),
      String(process?.ppid ?? ''),
      process?.user ?? '',
      (process?.command ?? '').replace(/[\n\t]/g, ' '),
    ]
  })
  const all = [['PID', 'PPID', 'USER', 'COMMAND'], ...rows]
  const widths = [0, 1, 2].map((index) => Math.max(...all.map((one) => (one[index] ?? '').length)))
  return all
    .map(([pid = '', ppid = '', user = '', command = '']) =>
      `${pid.padStart(widths[0] ?? 0)} ${ppid.padStart(widths[1] ?? 0)} ${user.padEnd(widths[2] ?? 0)} ${command}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join('')
}

/** A letter for each namespace: equal letters in a column are one namespace. Without words: process 1 and all containers. */
function sharesText({ processes }: NamespaceTable, words: readonly string[]): string {
  const firstOf = (container: string): number | undefined =>
    [...processes.values()].find((process) => process.container === container)?.pid
  const containers = [...new Set([...processes.values()].flatMap(({ container }) => container ?? []))]
  const asked = words.length > 0 ? words : [...(processes.has(1) ? ['1'] : []), ...containers]
  const rows = asked.map((word) => {
    const pid = /^\d+$/.test(word) ? Number(word) : firstOf(word)
    const process = pid === undefined ? undefined : processes.get(pid)
    if (process === undefined)
      throw usage(
        TOOL,
        `"${word}" is neither a process nor a container in sight`,
        containers.length === 0 ? 'ps -e' : `containers: ${containers.join(' ')}`,
      )
    return { word, namespaces: process.namespaces }
  })
  const letter = (type: Type, ns: number | undefined): string => {
    const seen = [...new Set(rows.map((row) => row.namespaces[type]))]
    return ns === undefined ? '?' : String.fromCharCode(97 + (seen.indexOf(ns) % 26))
  }
  const width = Math.max(...rows.map(({ word }) => word.length), 0)
  const lines = rows.map(({ word, namespaces }) =>
    [word.padEnd(width), ...TYPES.map((type) => letter(type, namespaces[type]).padEnd(type.length))].join('  '),
  )
  return `${[`${' '.repeat(width)}  ${TYPES.join('  ')}`, ...lines].map((line) => line.trimEnd()).join('\n')}\n`
}
