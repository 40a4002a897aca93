/** cgroup: make, limit and fill control groups, by one name and one vocabulary over v1 and v2. */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { parseSignal, signalName } from '../linux/signals.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'
import { controllerOf, ordered, parseSetting, type SettingFacts, writesOf } from '../plan/cgroup-settings.ts'
import {
  directoryOf,
  planCgroupClassify,
  planCgroupCreate,
  planCgroupDelete,
  planCgroupExec,
  planCgroupFreeze,
  planCgroupKill,
  planCgroupSet,
  planCgroupThaw,
  type Tree,
  type TreeWrite,
} from '../plan/cgroup-tool.ts'
import type { Plan } from '../plan/plan.ts'
import { lookTools } from './cgroup-look.ts'
import { allTrees, CONTROLLER_FLAG, cgroupName, pidsIn, treesOf, wantedControllers } from './cgroup-trees.ts'
import { treeFor } from './cgroup-values.ts'
import { columns } from './help.ts'
import type { Caller, Group, Tool } from './tool.ts'
import { commandHere } from './words.ts'

const EXPLAIN: Flag = { name: 'explain', type: 'bool', help: 'show what would be written where, and do nothing' }
const PIDS_ROUNDS = 100

interface Words {
  readonly given: Parsed
  readonly caller: Caller
  readonly name: string
  /** Behind the name. */
  readonly rest: readonly string[]
  readonly tool: string
}

interface CgroupTool extends Pick<Tool, 'operands' | 'summary' | 'details'> {
  readonly word: string
  readonly flags?: readonly Flag[]
  readonly most?: number
  readonly plan: (words: Words) => Plan
  readonly again?: (words: Words) => Plan | undefined
  readonly explain?: (words: Words) => string
}

/** A tool whose first operand is the name of a cgroup. */
function cgroupTool({ word, flags = [], most, plan, again, explain, ...rest }: CgroupTool): Tool {
  const tool = `coffer cgroup ${word}`
  const words = (given: Parsed, caller: Caller): Words => {
    const extra = most === undefined ? undefined : given.rest[most]
    if (extra !== undefined) throw usage(tool, `it takes no "${extra}" behind the rest`)
    return { given, caller, name: cgroupName(given.rest[0], tool), rest: given.rest.slice(1), tool }
  }
  return {
    name: `cgroup ${word}`,
    ...rest,
    flags: [...flags, CONTROLLER_FLAG, EXPLAIN],
    failureStatus: 1,
    does: {
      kind: 'plan',
      plan: (given, caller) => plan(words(given, caller)),
      ...(again === undefined ? {} : { again: (given, caller) => again(words(given, caller)) }),
      ...(explain === undefined ? {} : { explain: (given, caller) => explain(words(given, caller)) }),
    },
  }
}

const create = cgroupTool({
  word: 'create',
  operands: 'NAME',
  summary: 'make a cgroup in each hierarchy, and those above it',
  most: 1,
  plan: ({ given, caller, name }) => planCgroupCreate(name, allTrees(caller.files, name, wantedControllers(given))),
})

const remove = cgroupTool({
  word: 'delete',
  operands: 'NAME',
  summary: 'remove a cgroup in which no process is',
  flags: [{ name: 'recursive', short: 'r', type: 'bool', help: 'with the cgroups below it' }],
  most: 1,
  plan: ({ given, caller: { files }, name }) =>
    planCgroupDelete(
      name,
      treesOf(files, name, wantedControllers(given)).flatMap((tree) => {
        const directory = directoryOf(tree)
        return [...(given.bool('recursive') ? listCgroupsBelow(files, directory) : []), directory]
      }),
    ),
})

const set = cgroupTool({
  word: 'set',
  operands: 'NAME SETTING=VALUE...',
  summary: 'limit a cgroup: memory.max=256M cpu.max=50% pids.max=64',
  details: `Settings have the names of cgroup v2, on v1 as well, and any other name is a file that is written as it is:

  memory.max=256M  memory.low=64M  memory.swap.max=0   bytes, K M G T, max
  cpu.max=50%      cpu.max=1.5     cpu.max="50000 100000"   a share of one CPU, CPUs, or microseconds of a period
  cpu.weight=200   cpuset.cpus=0-1   pids.max=64   cgroup.freeze=1
  io.max=/dev/vda:rbps=10M,wiops=100

--explain shows which file gets which text, under v1 and under v2.`,
  plan: (words) => planCgroupSet(words.name, writesFor(words)),
  explain: explainSet,
})

function writesFor({ given, caller, name, rest, tool }: Words): readonly TreeWrite[] {
  if (rest.length === 0) throw usage(tool, 'it takes settings', `${tool} ${name} memory.max=256M`)
  const trees = treesOf(caller.files, name, wantedControllers(given))
  const settings = rest.map(parseSetting)
  const facts = factsOf(caller, trees, rest)
  const writes = settings.flatMap((setting) => {
    const tree = treeFor(setting.name, trees)
    if (tree === undefined) throw noController(setting.name, name, trees)
    return writesOf(setting, tree.version, facts).map((one) => ({ ...one, tree }))
  })
  return ordered(writes) as readonly TreeWrite[]
}

const noController = (setting: string, name: string, trees: readonly Tree[]): OperationError =>
  new OperationError({
    kind: 'unsupported',
    operation: `set ${setting} of ${name}`,
    reason: `it needs the controller ${controllerOf(setting)}, and ${name} is in no hierarchy that has it`,
    hint: `it is in: ${trees.map(({ version, controllers }) => (version === 2 ? 'v2' : controllers.join(','))).join(' ')}`,
    see: ['cgroups(7)'],
  })

/** memory.max of the same command counts for memory.swap.max. */
function factsOf({ files }: Caller, trees: readonly Tree[], words: readonly string[]): SettingFacts {
  return {
    deviceOf: (path) => {
      const status = files.status(path)
      return status?.kind === 'block' ? `${status.device.major}:${status.device.minor}` : undefined
    },
    memoryLimit: () => {
      const asked = words.find((word) => word.startsWith('memory.max='))
      const [write] = asked === undefined ? [] : writesOf(parseSetting(asked), 1, NO_FACTS)
      const memory = treeFor('memory.max', trees)
      const now = memory === undefined ? undefined : files.readText(`${directoryOf(memory)}/memory.limit_in_bytes`)
      const limit = Number(write?.value ?? now ?? -1)
      return limit < 0 || limit >= 2 ** 60 ? undefined : limit
    },
  }
}

const NO_FACTS: SettingFacts = { deviceOf: () => undefined, memoryLimit: () => undefined }

/** What each setting is under v1 and under v2, whichever this machine has. */
function explainSet(words: Words): string {
  const { caller, name, rest } = words
  const facts = factsOf(caller, allTrees(caller.files, name), rest)
  const rows = rest.map(parseSetting).flatMap((setting) =>
    ([1, 2] as const).flatMap((version): readonly (readonly [string, string])[] => {
      const mount = version === 1 ? `/sys/fs/cgroup/${controllerOf(setting.name)}` : '/sys/fs/cgroup'
      try {
        return writesOf(setting, version, facts).map(({ file, value }) => [
          `v${version}  ${mount}/${name}/${file}`,
          value,
        ])
      } catch (error) {
        if (error instanceof OperationError && error.kind === 'unsupported')
          return [[`v${version}  ${setting.name}`, `- ${error.hint ?? ''}`]]
        throw error
      }
    }),
  )
  return `${columns(rows).join('\n')}\n`
}

const exec = cgroupTool({
  word: 'exec',
  operands: 'NAME [PROGRAM [ARGUMENT...]]',
  summary: 'run a program in a cgroup',
  plan: ({ given, caller, name, rest }) =>
    planCgroupExec(name, treesOf(caller.files, name, wantedControllers(given)), commandHere(caller, rest)),
})

const classify = cgroupTool({
  word: 'classify',
  operands: 'NAME PID...',
  summary: 'move processes into a cgroup',
  plan: ({ given, caller, name, rest, tool }) => {
    const wrong = rest.find((word) => !/^[1-9]\d*$/.test(word))
    if (rest.length === 0 || wrong !== undefined)
      throw usage(tool, wrong === undefined ? 'it takes pids' : `"${wrong}" is no pid`, `${tool} ${name} PID...`)
    return planCgroupClassify(name, treesOf(caller.files, name, wantedControllers(given)), rest.map(Number))
  },
})

const freeze = cgroupTool({
  word: 'freeze',
  operands: 'NAME',
  summary: 'stop all processes of a cgroup where they are',
  most: 1,
  plan: ({ given, caller, name }) => planCgroupFreeze(name, treesOf(caller.files, name, wantedControllers(given))),
})

const thaw = cgroupTool({
  word: 'thaw',
  operands: 'NAME',
  summary: 'let them go on',
  most: 1,
  plan: ({ given, caller, name }) => planCgroupThaw(name, treesOf(caller.files, name, wantedControllers(given))),
})

const kill = cgroupTool({
  word: 'kill',
  operands: 'NAME',
  summary: 'kill all processes of a cgroup, those that are being made as well',
  flags: [{ name: 'signal', short: 's', type: 'string', value: 'SIGNAL', help: 'send this one instead of KILL, once' }],
  most: 1,
  plan: killPlan,
  again: (words) => {
    if (signalOf(words) !== 9) return undefined
    // Killed processes leave a moment later; a fork may have been under way where there is no freezer.
    for (let round = 0; round < PIDS_ROUNDS; round++) {
      if (pidsIn(words.caller.files, treesOf(words.caller.files, words.name)).length === 0) return undefined
      words.caller.sleepMs(2)
    }
    return killPlan(words)
  },
})

function killPlan(words: Words): Plan {
  const { given, caller, name } = words
  const trees = treesOf(caller.files, name, wantedControllers(given))
  return planCgroupKill(name, trees, pidsIn(caller.files, trees), signalOf(words))
}

function signalOf({ given, tool }: Words): number {
  const word = given.string('signal') ?? 'KILL'
  const signal = parseSignal(word)
  if (signal === undefined) throw usage(tool, `--signal is "${word}", which is no signal`, `${signalName(15)} is one`)
  return signal
}

export const cgroupGroup: Group = {
  name: 'cgroup',
  summary: 'control groups, by one name and one vocabulary over v1 and v2',
  tools: [create, remove, set, ...lookTools, exec, classify, freeze, thaw, kill],
  aliases: { ls: 'list', del: 'delete', rm: 'delete', mk: 'create', run: 'exec', pause: 'freeze', resume: 'thaw' },
}
