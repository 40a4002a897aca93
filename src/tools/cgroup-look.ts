/** What coffer cgroup only looks at: get, list, tree, stat, top, watch. */

import type { Files } from '../base/files.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'
import { stringifyExact } from '../observe/count.ts'
import { readStats } from '../observe/stats.ts'
import { directoryOf, labelOf, type Tree } from '../plan/cgroup-tool.ts'
import { bytesText, type Sample, sampleOf, secondsText } from './cgroup-samples.ts'
import { allTrees, CONTROLLER_FLAG, cgroupName, pidsAt, pidsIn, treesOf, wantedControllers } from './cgroup-trees.ts'
import { readAllValues, readValue } from './cgroup-values.ts'
import { columns } from './help.ts'
import type { Caller, Tool } from './tool.ts'

const JSON_FLAG: Flag = { name: 'json', short: 'j', type: 'bool', help: 'as JSON' }
const INTERVAL: Flag = { name: 'interval', short: 'd', type: 'string', value: 'SECONDS', help: 'how often; 1' }
const COUNT: Flag = { name: 'count', short: 'n', type: 'int', value: 'N', help: 'how many times; without it for ever' }

const lookTool = (
  word: string,
  rest: Pick<Tool, 'operands' | 'summary'> & { readonly flags?: readonly Flag[] },
  run: (given: Parsed, caller: Caller, tool: string) => number,
): Tool => ({
  name: `cgroup ${word}`,
  operands: rest.operands,
  summary: rest.summary,
  flags: [...(rest.flags ?? []), CONTROLLER_FLAG],
  failureStatus: 1,
  does: { kind: 'print', run: (given, caller) => run(given, caller, `coffer cgroup ${word}`) },
})

const get = lookTool(
  'get',
  { operands: 'NAME [SETTING...]', summary: 'print settings, by the names of set, or any file', flags: [JSON_FLAG] },
  (given, { files, print }, tool) => {
    const name = cgroupName(given.rest[0], tool)
    const trees = treesOf(files, name, wantedControllers(given))
    const wanted = given.rest.slice(1)
    const values =
      wanted.length === 0 ? readAllValues(files, trees) : wanted.map((setting) => readValue(files, trees, setting))
    const missing = values.find(({ value }) => value === undefined)
    if (missing !== undefined)
      throw usage(
        tool,
        `${name} has no ${missing.name}: there is no ${missing.file}`,
        `${tool} ${name} shows what it has`,
      )
    if (given.bool('json'))
      print(`${JSON.stringify(Object.fromEntries(values.map(({ name, value }) => [name, value])))}\n`)
    else if (wanted.length === 1) print(`${values[0]?.value ?? ''}\n`)
    else print(values.map(({ name, value }) => `${name}=${value}\n`).join(''))
    return 0
  },
)

/** Names below a cgroup, or the root, with the trees that have each. */
function namesBelow(files: Files, path: string, wanted: readonly string[]): ReadonlyMap<string, readonly Tree[]> {
  const names = new Map<string, readonly Tree[]>()
  for (const tree of path === '' ? allTrees(files, '', wanted) : treesOf(files, path, wanted))
    for (const directory of listCgroupsBelow(files, directoryOf(tree))) {
      const name = directory.slice(tree.mountPoint.length + 1)
      names.set(name, [...(names.get(name) ?? []), { ...tree, path: name }])
    }
  return new Map([...names].sort(([a], [b]) => (a < b ? -1 : 1)))
}

const startOf = (given: Parsed, tool: string): string =>
  given.rest[0] === undefined || given.rest[0] === '/' ? '' : cgroupName(given.rest[0], tool)

const list = lookTool(
  'list',
  { operands: '[NAME]', summary: 'list cgroups with their hierarchies and processes', flags: [JSON_FLAG] },
  (given, { files, print }, tool) => {
    const rows = [...namesBelow(files, startOf(given, tool), wantedControllers(given))].map(([name, trees]) => ({
      name,
      hierarchies: trees.map(labelOf),
      processes: new Set(trees.flatMap((tree) => pidsAt(files, directoryOf(tree)))).size,
    }))
    if (given.bool('json')) print(`${JSON.stringify(rows)}\n`)
    else
      for (const line of columns(
        rows.map((row) => [row.name, `${String(row.processes).padStart(4)}  ${row.hierarchies.join(' ')}`]),
      ))
        print(`${line.trim()}\n`)
    return 0
  },
)

const tree = lookTool(
  'tree',
  {
    operands: '[NAME]',
    summary: 'print cgroups as a tree, with their processes',
    flags: [{ name: 'pids', short: 'p', type: 'bool', help: 'with the pids' }],
  },
  (given, { files, print }, tool) => {
    const start = startOf(given, tool)
    const names = namesBelow(files, start, wantedControllers(given))
    const lines = [start === '' ? '/' : start]
    const walk = (parent: string, indent: string): void => {
      const children = [...names].filter(([name]) => name.replace(/\/?[^/]*$/, '') === parent)
      children.forEach(([name, trees], index) => {
        const isLast = index === children.length - 1
        const pids = [...new Set(trees.flatMap((one) => pidsAt(files, directoryOf(one))))]
        const count = pids.length === 0 ? '' : ` (${given.bool('pids') ? pids.join(' ') : pids.length})`
        lines.push(`${indent}${isLast ? '└─' : '├─'} ${name.replace(/^.*\//, '')}${count}`)
        walk(name, `${indent}${isLast ? '   ' : '│  '}`)
      })
    }
    walk(start, '')
    print(`${lines.join('\n')}\n`)
    return 0
  },
)

const pathsOf = (trees: readonly Tree[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    trees.flatMap((one) => (one.version === 2 ? [''] : one.controllers).map((name) => [name, directoryOf(one)])),
  )

const stat = lookTool(
  'stat',
  { operands: 'NAME', summary: 'print what a cgroup has used', flags: [JSON_FLAG] },
  (given, { files, print }, tool) => {
    const name = cgroupName(given.rest[0], tool)
    const trees = treesOf(files, name, wantedControllers(given))
    const stats = readStats(pathsOf(trees), files)
    if (given.bool('json')) {
      const plain = { ...stats, hugetlb: entries(stats.hugetlb), rdma: entries(stats.rdma), misc: entries(stats.misc) }
      const memory = { ...stats.memory, raw: entries(stats.memory.raw) }
      print(`${stringifyExact({ ...plain, memory })}\n`)
      return 0
    }
    const sample = sampleOf(files, pathsOf(trees), 0)
    const { throttling } = stats.cpu
    const rows: readonly (readonly [string, string])[] = [
      ['processes', String(pidsIn(files, trees).length)],
      [
        'cpu',
        `${secondsText(sample.cpuNanos)} (user ${secondsText(Number(stats.cpu.userNanos))}, kernel ${secondsText(Number(stats.cpu.kernelNanos))})`,
      ],
      [
        'throttled',
        `${secondsText(Number(throttling.throttledNanos))} in ${throttling.throttledPeriods} of ${throttling.periods} periods`,
      ],
      [
        'memory',
        `${bytesText(sample.memoryBytes)}, at most ${bytesText(Number(stats.memory.memory.maxUsageBytes))}, limit ${bytesText(Number(stats.memory.memory.limitBytes))}, met ${stats.memory.memory.failures} times`,
      ],
      ['pids', `${stats.pids.current}${Number(stats.pids.limit) === 0 ? '' : ` of ${stats.pids.limit}`}`],
      ['read', bytesText(sample.readBytes)],
      ['written', bytesText(sample.writtenBytes)],
    ]
    print(
      `${columns(rows)
        .map((line) => line.trim())
        .join('\n')}\n`,
    )
    return 0
  },
)

const entries = (map: ReadonlyMap<string, unknown>): object => Object.fromEntries(map)

function intervalMs(given: Parsed, tool: string): number {
  const word = given.string('interval') ?? '1'
  const seconds = Number(word)
  if (seconds >= 0.01 && seconds <= 86_400) return seconds * 1000
  throw usage(tool, `--interval is "${word}"`, 'give seconds, from 0.01 on')
}

/** Calls `round` so often; false from it ends. */
function repeat(given: Parsed, caller: Caller, tool: string, round: (index: number) => void): number {
  const [ms, count] = [intervalMs(given, tool), given.int('count') ?? Number.POSITIVE_INFINITY]
  for (let index = 0; index < count; index++) {
    if (index > 0) caller.sleepMs(ms)
    round(index)
  }
  return 0
}

const watch = lookTool(
  'watch',
  { operands: 'NAME', summary: 'print a line of what a cgroup uses, again and again', flags: [INTERVAL, COUNT] },
  (given, caller, tool) => {
    const { files, print } = caller
    const name = cgroupName(given.rest[0], tool)
    let before: Sample | undefined
    return repeat(given, caller, tool, () => {
      const trees = treesOf(files, name, wantedControllers(given))
      const now = sampleOf(files, pathsOf(trees), caller.nanos())
      const used = before === undefined ? 0 : share(before, now)
      const limit = now.failures - (before?.failures ?? now.failures)
      print(
        `cpu ${used.toFixed(1).padStart(6)} %  memory ${bytesText(now.memoryBytes).padStart(9)}  pids ${String(now.pids).padStart(4)}  throttled ${secondsText(now.throttledNanos - (before?.throttledNanos ?? now.throttledNanos))}${limit > 0 ? `  met its memory limit ${limit} times` : ''}\n`,
      )
      before = now
    })
  },
)

/** Percent of one CPU. */
const share = (before: Sample, now: Sample): number =>
  (100 * (now.cpuNanos - before.cpuNanos)) / Math.max(1, now.atNanos - before.atNanos)

const top = lookTool(
  'top',
  { operands: '[NAME]', summary: 'the cgroups that use most, again and again', flags: [INTERVAL, COUNT] },
  (given, caller, tool) => {
    const { files, print } = caller
    const start = startOf(given, tool)
    let before = new Map<string, Sample>()
    const look = (): Map<string, Sample> =>
      new Map(
        [...namesBelow(files, start, wantedControllers(given))].map(([name, trees]) => [
          name,
          sampleOf(files, pathsOf(trees), caller.nanos()),
        ]),
      )
    before = look()
    caller.sleepMs(Math.min(200, intervalMs(given, tool)))
    return repeat(given, caller, tool, () => {
      const now = look()
      const rows = [...now]
        .map(([name, sample]) => ({ name, sample, cpu: share(before.get(name) ?? sample, sample) }))
        .sort((a, b) => b.cpu - a.cpu || b.sample.memoryBytes - a.sample.memoryBytes)
      const lines = rows.map(
        ({ name, sample, cpu }) =>
          `${cpu.toFixed(1).padStart(7)} ${bytesText(sample.memoryBytes).padStart(10)} ${String(sample.pids).padStart(6)}  ${name}`,
      )
      // A terminal shows the latest alone.
      print(
        `${caller.isTerminal() ? '\u001b[H\u001b[2J' : ''}${['  CPU %     MEMORY   PIDS  CGROUP', ...lines].join('\n')}\n`,
      )
      before = now
    })
  },
)

export const lookTools: readonly Tool[] = [get, list, tree, stat, top, watch]
