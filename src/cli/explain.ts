/** `coffer explain COMMAND...`: what any door of coffer would do, step by step, or did. */

import { OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { execExplained, explainExec } from '../container/exec.ts'
import { explainContainer, runExplained } from '../container/explain.ts'
import { foreseeEgress } from '../engine/container-egress.ts'
import { disconnectContainer, foreseeConnection, type Hears } from '../engine/container-network.ts'
import { foreseen } from '../engine/foreseen.ts'
import { makeContainer } from '../engine/make.ts'
import { holdVolumes, releaseVolumes } from '../engine/mounted-volumes.ts'
import type { Engine } from '../engine/place.ts'
import { destroyContainer } from '../engine/remove.ts'
import { connected, joined, requestOf } from '../engine/start.ts'
import { architectureOf } from '../executor/embedded-call.ts'
import { writeText } from '../executor/embedded-files.ts'
import { explainDiff } from '../explain/diff.ts'
import { type Explained, FORMAT_FLAGS, formatOf, formatted, type ShownPlan } from '../explain/formats.ts'
import { callerOf, parseTool } from '../tools/run.ts'
import type { Tool } from '../tools/tool.ts'
import { findTool } from '../tools/tools.ts'
import { traceTool } from '../tools/traced.ts'
import { withExec } from './exec.ts'
import type { Session } from './open.ts'
import { type Wanted, wantedContainer } from './run.ts'

const TOOL = 'coffer explain'
const STDOUT = 1

export const EXPLAIN_FLAGS: readonly Flag[] = [
  ...FORMAT_FLAGS,
  { name: 'diff', type: 'bool', help: 'what makes two commands different; each of them is one word, in quotes' },
]

export const EXPLAIN_DETAILS = `A command of coffer that does something: run, exec, unshare, netns exec, …

  coffer explain unshare -Urpf --mount-proc
  coffer explain --format script run host true >by-hand
  coffer explain --run netns exec blue ip addr
  coffer explain --diff 'unshare -m true' 'unshare -mn true'`

/** Answers the exit status: with --run that of the command. */
export function explainCommand(session: Session, words: readonly string[]): number {
  const { native } = session
  const given = parseFlags(words, EXPLAIN_FLAGS, TOOL)
  const print = (text: string): void => writeText(native, STDOUT, text)
  if (given.rest.length === 0) throw usage(TOOL, 'it takes a command')
  if (given.bool('diff')) return diffCommands(session, given)
  formatOf(given, TOOL)
  const command = commandOf(session, given.rest)
  if (!given.bool('run')) {
    print(formatted(given, command.explain(), TOOL))
    return 0
  }
  const { status, ...ran } = command.run()
  print(formatted(given, ran, TOOL))
  return status
}

interface Command {
  readonly explain: () => Explained
  readonly run: () => Explained & { readonly status: number }
}

function commandOf(session: Session, words: readonly string[]): Command {
  const [first = '', ...rest] = words
  if (first === 'run') return runCommand(session, rest)
  if (first === 'exec') return execCommand(session, rest)
  const found = findTool(words)
  if (found === undefined || !('tool' in found))
    throw usage(TOOL, `"${words.join(' ')}" is no command that it knows`, 'coffer --help lists the commands')
  return toolCommand(session.native, found.tool, found.rest)
}

function runCommand(session: Session, words: readonly string[]): Command {
  const { native, engine } = session
  const wanted = wantedContainer(session, words)
  const warn = (text: string): void => writeText(native, 2, `warning: ${text}\n`)
  return {
    explain: () => {
      const { id, container } = wanted
      const { intent, network } = container
      const machine = { ...engine.machine, files: foreseen(engine.machine.files, intent) }
      const before = networkPlan(engine, wanted)
      const joining = { intent: joined(engine, { id, intent, network }) }
      return { ...explainContainer(machine, requestOf(engine, { id, container: joining }, warn), 'wait'), before }
    },
    run: () => {
      const record = makeContainer(engine, wanted.container, wanted)
      try {
        let before: ShownPlan | undefined
        const ran: Hears['ran'] = (plan, trace) => {
          before = { plan, trace }
        }
        holdVolumes(engine, record)
        const { release, ...container } = connected(engine, record, { warn, ran })
        try {
          return { ...runExplained(engine.machine, requestOf(engine, { id: record.id, container }, warn)), before }
        } finally {
          release()
        }
      } finally {
        disconnectContainer(engine, record.id)
        releaseVolumes(engine, record.id)
        destroyContainer(engine, record, { volumes: true })
      }
    },
  }
}

/** Of the network that is made before the container, if it gets one. */
function networkPlan(engine: Engine, { id, container }: Wanted): ShownPlan | undefined {
  const { intent, network, name = id.slice(0, 12) } = container
  if (network.kind === 'networks') return { plan: foreseeConnection(engine, { id, name, intent }, network) }
  return network.kind === 'egress' ? { plan: foreseeEgress(engine, { id, name }, network.hosts) } : undefined
}

const execCommand = (session: Session, words: readonly string[]): Command => ({
  explain: () => withExec(session, words, (request) => explainExec(session.engine.machine, request)),
  run: () => withExec(session, words, (request) => execExplained(session.engine.machine, request)),
})

function toolCommand(native: Native, tool: Tool, words: readonly string[]): Command {
  const { does } = tool
  if (does.kind === 'print')
    throw new OperationError({
      kind: 'unsupported',
      operation: `explain coffer ${tool.name}`,
      reason: 'it changes nothing, and so has no plan: it reads files of /proc and /sys',
      hint: `see what it reads: strace -e openat coffer ${tool.name}`,
    })
  const plan = does.plan(parseTool(tool, words), callerOf(native))
  const architecture = architectureOf(native)
  return {
    explain: () => ({ plan, architecture }),
    run: () => ({ plan, architecture, ...traceTool(native, tool, plan) }),
  }
}

/** As diff(1): 0 for commands that do the same, 1 for those that do not. */
function diffCommands(session: Session, given: Parsed): number {
  const [before, after, ...more] = given.rest
  if (before === undefined || after === undefined || more.length > 0)
    throw usage(
      TOOL,
      `--diff takes two commands, and was given ${given.rest.length} words`,
      `${TOOL} --diff 'unshare -m true' 'unshare -n true'`,
    )
  const [one, other] = [before, after].map((text) => commandOf(session, wordsIn(text)).explain())
  if (one === undefined || other === undefined) return 0
  const show = { architecture: one.architecture }
  const nothing = { operation: 'no plan before it', steps: [] }
  const text =
    explainDiff(one.before?.plan ?? nothing, other.before?.plan ?? nothing, show) +
    explainDiff(one.plan, other.plan, show)
  writeText(session.native, STDOUT, text)
  return text === '' ? 0 : 1
}

/** Words as a shell splits them: blanks between, quotes around, a backslash in front of one sign. */
function wordsIn(text: string): readonly string[] {
  const pieces = text.match(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g) ?? []
  return pieces.map((piece) =>
    piece.replace(
      /'([^']*)'|"((?:[^"\\]|\\.)*)"|\\(.)/g,
      (_, single?: string, double?: string, escaped?: string) =>
        single ?? double?.replace(/\\(["\\$`])/g, '$1') ?? escaped ?? '',
    ),
  )
}
