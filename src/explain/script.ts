/**
 * A plan as a shell script of unshare, mount, mkdir, echo and the like: for learning, and for trying a plan by hand.
 *
 * It does what the plan does as far as programs can. Calls on descriptors become commands on paths, several calls that make one mount
 * become one mount(8), a child is a function that unshare(1) runs, a socket between processes is a pair of fifos.
 */

import type { Slot } from '../linux/call.ts'
import { callText, type ShowOptions } from '../linux/signatures-show.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { type Node, nodesOf } from './outline.ts'
import { fileCommands } from './script-files.ts'
import { mountCommands } from './script-mounts.ts'
import { namespaceOptions, processCommands, unshareOptions, wrapperWords } from './script-processes.ts'
import {
  commands,
  copyOf,
  NONE,
  pathOfPlace,
  SILENT,
  type State,
  type Translation,
  variable,
  word,
} from './script-state.ts'

/** A script for bash(1). Undo steps are not in it. */
export function explainScript(plan: Plan, options: ShowOptions = {}): string {
  const script: Script = { options, functions: [], hasFork: false, hasUser: false }
  const main = newWriter(script, { places: new Map(), cwd: undefined, isUnmapped: false, wrappers: [] })
  const lines = main.lines
  writeList(main, nodesOf(plan))
  const functions = script.functions.flatMap(({ name, lines }) => [`${name}() {`, ...indented(bodyOf(lines)), '}', ''])
  const ending = script.functions.length === 0 ? [] : ['', 'wait']
  return `${[...header(plan, script), ...(script.hasFork ? CHILD_OF : []), ...functions, ...trimmed(lines), ...ending].join('\n')}\n`
}

const header = ({ operation }: Plan, { hasUser }: Script): readonly string[] => [
  '#!/bin/bash',
  `# ${operation}`,
  '#',
  '# Where this differs from what coffer does:',
  '# - Paths are looked up by name; coffer holds on to descriptors, so that nobody can put something else in their place.',
  '# - Nothing is taken back if a command fails.',
  '# - Steps that only open, close, ask or compare something are left out; their numbers are missing.',
  '# - Behind pivot_root the programs of the new root are used, which may lack some of these.',
  ...(hasUser
    ? ['# - In a new user namespace the program keeps all capabilities: unshare --keep-caps makes them ambient.']
    : []),
  'set -aeu',
  '',
]

const CHILD_OF: readonly string[] = [
  '# The first process of a pid namespace is not unshare(1), but its child.',
  'child_of() { while kill -0 "$1" && ! pgrep -P "$1"; do sleep 0.01; done; }',
  '',
]

interface Script {
  readonly options: ShowOptions
  readonly functions: { readonly name: string; readonly lines: string[] }[]
  hasFork: boolean
  hasUser: boolean
}

interface Writer {
  readonly script: Script
  /** Of the function that is being written. */
  lines: string[]
  state: State
  /** Comments of the programs that will run the rest: State.wrappers. */
  notes: string[]
  readonly isBranch: boolean
}

const newWriter = (script: Script, state: State): Writer => ({ script, lines: [], state, notes: [], isBranch: false })

const indented = (lines: readonly string[]): readonly string[] => lines.map((line) => (line === '' ? '' : `  ${line}`))
const bodyOf = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? [':'] : trimmed(lines))
/** Without the empty line that stands in front of each step. */
const trimmed = (lines: readonly string[]): readonly string[] => (lines[0] === '' ? lines.slice(1) : lines)

function writeList(writer: Writer, nodes: readonly Node[]): void {
  for (const node of nodes) writeStep(writer, node)
}

function writeStep(writer: Writer, node: Node): void {
  const { step, number = 0 } = node.entry
  if (step.child !== undefined) {
    writeChild(writer, node)
    return
  }
  const translation = translate(step, writer.state, number)
  if (translation.kind === 'wrapper') {
    writer.state.wrappers = [...writer.state.wrappers, translation.wrapper]
    writer.notes.push(comment(step, number))
    return
  }
  if (translation.kind === 'commands') introduce(writer, node, translation)
  if (translation.kind === 'none') regret(writer, node)
  if (node.then.length + node.otherwise.length > 0)
    writeBranches(writer, node, conditionOf(translation, callText(step.call, writer.script.options)))
  else if (translation.kind === 'commands') writer.lines.push(...plainLines(step, translation.commands))
}

const translate = (step: Step, state: State, number: number): Translation =>
  typedCommands(step) ??
  fileCommands(step, state) ??
  mountCommands(step, state, number) ??
  processCommands(step, state) ??
  NONE

function typedCommands({ typed }: Step): Translation | undefined {
  if (typed === undefined) return undefined
  return typed === '' ? SILENT : commands(typed)
}

function comment({ why, see }: Step, number: number, first = number): string {
  const numbers = first === number ? String(number) : `${first}-${number}`
  return `# ${numbers}. ${why}${see.length === 0 ? '' : `: ${see.join(', ')}`}`
}

/** Tells of a step that no program can make; among the comments of programs to come, if there are some, so that the order is kept. */
function regret({ script, notes, lines }: Writer, { entry }: Node): void {
  const { step, number = 0 } = entry
  const remark = [comment(step, number), `# no command for ${callText(step.call, script.options)}`]
  if (notes.length > 0) notes.push(...remark)
  else lines.push('', ...remark)
}

type Commands = Extract<Translation, { kind: 'commands' }>

/** What has to stand in front of commands: programs that run them, and why they are there. */
function introduce(writer: Writer, { entry }: Node, { isBuiltin, first }: Commands): void {
  const { step, number = 0 } = entry
  const isProgram = step.call.name.startsWith('execve')
  if (isProgram) writer.lines.push(...noteLines(writer))
  else if (!isBuiltin || writer.state.wrappers.some(({ isLate }) => !isLate)) runWrapped(writer, number)
  writer.lines.push('', comment(step, number, first))
}

/** What a branch asks; what cannot be asked is taken to succeed. */
function conditionOf(translation: Translation, call: string): Condition {
  if (translation.kind === 'commands') return { command: translation.commands.join(' && '), remark: '' }
  if (translation.kind === 'test') return { command: translation.test, remark: '' }
  return { command: ':', remark: ` # ${call}` }
}

interface Condition {
  readonly command: string
  readonly remark: string
}

function plainLines({ tolerate = [] }: Step, list: readonly string[]): readonly string[] {
  const [command = ''] = list
  const errnos = tolerate.filter(
    (errno) => !IMPLIED.some(([start, implied]) => errno === implied && command.startsWith(start)),
  )
  return errnos.length === 0 ? list : [`${grouped(list)} || true # ${errnos.join(', ')}`]
}

/** What some options tolerate by themselves. */
const IMPLIED: readonly (readonly [string, string])[] = [
  ['mkdir -p ', 'EEXIST'],
  ['rm -f ', 'ENOENT'],
]

const grouped = (commands: readonly string[]): string =>
  commands.length === 1 ? (commands[0] ?? ':') : `{ ${commands.join(' && ')}; }`

function noteLines(writer: Writer): readonly string[] {
  const lines = writer.notes.length === 0 ? [] : ['', ...writer.notes]
  writer.notes = []
  return lines
}

/** Lets the collected programs run the rest of the script, in a function of its own. Not within a branch, whose rest is elsewhere. */
function runWrapped(writer: Writer, number: number): void {
  const { script, state } = writer
  if (state.wrappers.length === 0 || writer.isBranch) return
  const name = `from_${number}`
  writer.lines.push(...noteLines(writer), `exec ${wrapperWords(state.wrappers).join(' ')} bash -euc ${name}`)
  const isNewUser = state.wrappers.some(({ program, options }) => program === 'unshare' && options.includes('--user'))
  script.hasUser ||= isNewUser
  state.isUnmapped = isNewUser
  state.wrappers = []
  writer.lines = []
  script.functions.push({ name, lines: writer.lines })
}

function writeBranches(writer: Writer, { then, otherwise, entry }: Node, { command, remark }: Condition): void {
  const before = copyOf(writer.state)
  const yes = branchLines(writer.script, writer.state, then)
  const no = branchLines(writer.script, before, otherwise)
  const errnos = (entry.step.tolerate ?? []).join(', ')
  if (yes.length > 0) {
    const otherwiseLines = no.length === 0 ? [] : [`else # ${errnos}`, ...no]
    writer.lines.push(`if ${command}; then${remark}`, ...yes, ...otherwiseLines, 'fi')
  } else if (no.length > 0) {
    writer.lines.push(`if ! { ${command}; }; then # ${errnos}`, ...no, 'fi')
  } else if (command !== ':') {
    writer.lines.push(`{ ${command}; } || true # ${errnos}`)
  }
}

/** Empty if no step of the branch needs a command. */
function branchLines(script: Script, state: State, nodes: readonly Node[]): readonly string[] {
  const inner: Writer = { ...newWriter(script, state), isBranch: true }
  writeList(inner, nodes)
  const lines = trimmed(inner.lines)
  const hasCommand = lines.some((line) => line !== '' && !line.startsWith('#'))
  return lines.length === 0 ? [] : indented(hasCommand ? lines : [...lines, ':'])
}

/** A child is a function, run by unshare(1) if it has namespaces of its own. */
function writeChild(writer: Writer, node: Node): void {
  const { step, number = 0 } = node.entry
  const { script } = writer
  runWrapped(writer, number)
  const name = `child_${number}`
  const options = namespaceOptions(step.call)
  const isNewUser = options.includes('--user')
  const child = newWriter(script, { ...copyOf(writer.state), isUnmapped: isNewUser, wrappers: [] })
  script.functions.push({ name, lines: child.lines })
  writeList(child, node.child)
  const isForked = options.includes('--pid')
  const words = ['unshare', ...unshareOptions(options), ...(isForked ? ['--fork'] : []), 'bash', '-euc', name]
  const start = options.length === 0 ? name : words.join(' ')
  const cgroup = cgroupOf(step, writer.state)
  const command =
    cgroup === undefined
      ? start
      : `( echo "$BASHPID" > ${word(`${cgroup}/cgroup.procs`)}; ${options.length === 0 ? '' : 'exec '}${start} )`
  const pid = variable((step.into ?? step.keep?.[0]?.slot)?.slot ?? name)
  const job = isForked ? `${pid}_job` : pid
  writer.lines.push('', comment(step, number), `${command} <&0 &`, `${job}=$!`)
  if (isForked) writer.lines.push(`${pid}=$(child_of "$${job}")`)
  script.hasFork ||= isForked
  script.hasUser ||= isNewUser
  for (const slot of [step.into, ...(step.keep ?? []).map((keep) => keep.slot)])
    if (slot !== undefined) writer.state.places.set(slot.slot, { kind: 'process', pid: `$${pid}`, job: `$${job}` })
}

/** The cgroup that the child is born in: the field at offset 80 of struct clone_args, clone3(2). */
function cgroupOf({ call }: Step, state: State): string | undefined {
  const [args] = call.args
  if (typeof args !== 'object' || !('struct' in args)) return undefined
  const value = args.fields.find(({ offset }) => offset === 80)?.value
  const place = value === undefined ? undefined : state.places.get((value as Slot).slot)
  return place === undefined ? undefined : pathOfPlace(place)
}
