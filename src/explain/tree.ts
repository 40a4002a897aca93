/** The processes that a plan makes: who is the child of whom, in which namespaces, and what each becomes. namespaces(7) */

import { callText, type ShowOptions } from '../linux/signatures-show.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { type Entry, outline } from './outline.ts'
import { stepText } from './step-text.ts'

const NAMESPACES: readonly (readonly [flag: string, name: string])[] = [
  ['CLONE_NEWUSER', 'user'],
  ['CLONE_NEWNS', 'mount'],
  ['CLONE_NEWPID', 'pid'],
  ['CLONE_NEWNET', 'network'],
  ['CLONE_NEWUTS', 'uts'],
  ['CLONE_NEWIPC', 'ipc'],
  ['CLONE_NEWCGROUP', 'cgroup'],
  ['CLONE_NEWTIME', 'time'],
]

/** The namespaces that the flags of a call name, e.g. `['mount', 'pid']`. */
export function namespacesOf(step: Step): readonly string[] {
  const flags = new Set(callText(step.call).match(/CLONE_NEW\w+/g) ?? [])
  return NAMESPACES.filter(([flag]) => flags.has(flag)).map(([, name]) => name)
}

interface Node {
  readonly title: string
  readonly nodes: Node[]
}

/**
 * The process tree as text. Of each process the steps that decide what it sees: new and joined namespaces, its root, the program it
 * becomes; with their numbers in explainText.
 */
export function explainTree(plan: Plan, options: ShowOptions = {}): string {
  const root: Node = { title: plan.operation, nodes: [] }
  const processes: Node[] = [root]
  for (const entry of outline(plan)) {
    if (entry.number === undefined) continue
    const parent = processes[entry.process]
    const title = titleOf(entry, options)
    if (title === undefined || parent === undefined) continue
    const node: Node = { title, nodes: [] }
    parent.nodes.push(node)
    // Children are numbered in the order in which they are met here: outline.ts.
    if (entry.step.child !== undefined) processes.push(node)
  }
  return `${[root.title, ...branches(root)].join('\n')}\n`
}

function branches({ nodes }: Node): readonly string[] {
  return nodes.flatMap((node, index) => {
    const isLast = index === nodes.length - 1
    const rail = isLast ? '   ' : '│  '
    return [`${isLast ? '└─ ' : '├─ '}${node.title}`, ...branches(node).map((line) => rail + line)]
  })
}

/** What a step means for its process; undefined if it changes nothing about what the process sees. */
function titleOf({ step, number, role }: Entry, options: ShowOptions): string | undefined {
  const what = meaning(step, options)
  if (what === undefined) return undefined
  const branch = role === 'then' || role === 'otherwise' ? ' (perhaps)' : ''
  return `${number}  ${what}${branch}`
}

function meaning(step: Step, options: ShowOptions): string | undefined {
  switch (step.call.name) {
    case 'clone':
    case 'clone3':
      return `${step.into?.slot ?? 'a child'}: ${step.why}${named(step, ', with its own')}`
    case 'unshare':
      return `gets its own ${list(namespacesOf(step))}`
    case 'setns':
      return `joins${named(step, '')} ${stepText(step, options)}`
    case 'pivot_root':
    case 'chroot':
      return `changes its root: ${callText(step.call, options)}`
    case 'execve':
    case 'execveat':
      return `becomes ${callText(step.call, options)}`
    default:
      return undefined
  }
}

function named(step: Step, lead: string): string {
  const names = namespacesOf(step)
  return names.length === 0 ? '' : `${lead} ${list(names)}${lead === '' ? ':' : ''}`
}

const list = (names: readonly string[]): string =>
  `${names.join(', ')} ${names.length === 1 ? 'namespace' : 'namespaces'}`
