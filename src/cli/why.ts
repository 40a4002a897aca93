/** `coffer why`: how a container ended, or what failed last, and what the kernel has to say to it. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { type CommandFailure, type LastFailure, readLastFailure } from '../container/last-failure.ts'
import { memoryEnd } from '../container/memory-end.ts'
import { checkId, readContainer } from '../container/store.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { type Diagnosis, diagnose } from '../engine/diagnosis.ts'
import { type ContainerEnd, readEnd } from '../engine/end.ts'
import { lastLines } from '../engine/log-tail.ts'
import type { Engine } from '../engine/place.ts'
import { writeText } from '../executor/embedded-files.ts'
import { signalName } from '../linux/signals.ts'
import { stringifyExact } from '../observe/count.ts'
import type { Session } from './open.ts'
import { type Answer, answerText } from './why-text.ts'

const COMMAND = 'coffer why'

export const WHY_FLAGS: readonly Flag[] = [
  { name: 'json', type: 'bool', help: 'as JSON' },
  { name: 'root', type: 'string', value: 'DIR', help: 'the run root of coffer-runc, where it was given one' },
]

/** Answers 0 if there is something to tell. */
export function whyCommand({ native, engine, cwd }: Session, words: readonly string[]): number {
  const given = parseFlags(words, WHY_FLAGS, COMMAND, { mixed: true })
  const [name, ...others] = given.rest
  if (others.length > 0) throw usage(COMMAND, 'it takes one container')
  const root = given.string('root')
  const where = root === undefined ? engine : at(engine, root.startsWith('/') ? root : `${cwd}/${root}`)
  const answer = name === undefined ? whyLast(where) : whyContainer(where, name)
  writeText(native, 1, given.bool('json') ? `${stringifyExact({ version: 1, ...answer })}\n` : answerText(answer))
  return 0
}

const at = (engine: Engine, root: string): Engine => ({ ...engine, machine: { ...engine.machine, root } })

function whyLast(engine: Engine): Answer {
  const last = readLastFailure(engine.machine)
  if (last !== undefined) return ofLast(engine, last)
  throw new OperationError({
    kind: 'missing',
    operation: 'say what failed last',
    reason: `nothing did, of what keeps its state in ${engine.machine.root}`,
    hint: 'coffer why CONTAINER tells how that one fares',
  })
}

function whyContainer(engine: Engine, name: string): Answer {
  try {
    return ofContainer(engine, findContainer(engine, name))
  } catch (error) {
    if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
    const found = ofRuntime(engine, name) ?? ofLastNamed(engine, name)
    if (found === undefined) throw error
    return found
  }
}

const TAIL_LINES = 5

function ofContainer(engine: Engine, container: EngineContainer): Answer {
  const { record, status } = container
  const subject = { kind: 'container', id: record.id, name: record.name, status } as const
  const printed = lastLines(engine, record.id, TAIL_LINES)
  if (status === 'exited') return ended(subject, readEnd(engine, container), record.intent.namespaces.pid, printed)
  const inner = status === 'created' ? undefined : readContainer(engine.machine.files, engine.machine.root, record.id)
  const memory = inner === undefined ? undefined : memoryEnd(engine.machine, inner)
  return { subject, ...going(status), ...(memory === undefined ? {} : { memory }), printed }
}

const going = (status: string): Pick<Answer, 'cause' | 'summary' | 'facts' | 'see'> => ({
  cause: status,
  summary: status === 'created' ? 'it was not started yet' : `it has not ended: it is ${status}`,
  facts: [],
  see: [],
})

function ended(
  subject: Answer['subject'],
  end: ContainerEnd,
  pid: { readonly kind: string },
  printed: readonly string[],
): Answer {
  const { exit, sent, memory } = end
  const told: Diagnosis = diagnose({ ...end, hasOwnPids: pid.kind === 'private' })
  return {
    subject,
    ...told,
    ...(exit === undefined ? {} : { exitStatus: exit.status, at: exit.at }),
    ...(exit === undefined || exit.signal === 0 ? {} : { signal: signalName(exit.signal) }),
    ...(sent === undefined ? {} : { sent }),
    ...(memory === undefined ? {} : { memory }),
    printed,
  }
}

/** One of coffer-runc. Its end belongs to whoever reaped its first process, so that coffer knows the rest alone. */
function ofRuntime({ machine }: Engine, id: string): Answer | undefined {
  if (!/^[\w+.-]+$/.test(id)) return undefined
  checkId(id)
  const found = readContainer(machine.files, machine.root, id)
  if (found === undefined) return undefined
  const memory = memoryEnd(machine, found)
  const last = readLastFailure(machine)
  const failed = last?.kind === 'command' && last.container === id ? last : undefined
  const { status } = found
  return {
    subject: { kind: 'container', id, name: id, status },
    ...RUNTIME[status],
    ...(memory === undefined ? {} : { memory }),
    ...(failed === undefined ? {} : { failed }),
    printed: [],
  }
}

type Told = Pick<Answer, 'cause' | 'summary' | 'facts' | 'hint' | 'see'>

const RUNTIME: Readonly<Record<'creating' | 'created' | 'running' | 'paused' | 'stopped', Told>> = {
  creating: {
    cause: 'creating',
    summary: 'it is being made, or who made it was killed in the midst of that',
    facts: [],
    hint: 'if nobody is making it any more: coffer-runc delete --force with its id',
    see: [],
  },
  created: { ...going('created') },
  running: { ...going('running') },
  paused: { ...going('paused') },
  stopped: {
    cause: 'unseen',
    summary: 'its first process has ended, and only the parent of that knows with what status',
    facts: [],
    hint: 'ask what started it: containerd, dockerd and podman keep the status',
    see: ['wait(2)', 'oci:runtime-spec/runtime.md#lifecycle'],
  },
}

function ofLastNamed(engine: Engine, name: string): Answer | undefined {
  const last = readLastFailure(engine.machine)
  if (last === undefined) return undefined
  const isMeant =
    last.kind === 'command'
      ? last.container === name
      : last.name === name || (/^[0-9a-f]{4,}$/.test(name) && last.id.startsWith(name))
  return isMeant ? ofLast(engine, last) : undefined
}

function ofLast(engine: Engine, last: LastFailure): Answer {
  if (last.kind === 'command') return ofCommand(last)
  const subject = { kind: 'container', id: last.id, name: last.name, status: 'exited' } as const
  return ended(
    subject,
    last.end as ContainerEnd,
    { kind: last.hasOwnPids ? 'private' : 'host' },
    lastLines(engine, last.id, TAIL_LINES),
  )
}

function ofCommand(failed: CommandFailure): Answer {
  const { command, container, status, at: when, error } = failed
  const { message, hint, see, ...rest } = error
  return {
    subject: { kind: 'command', command, ...(container === undefined ? {} : { container }) },
    cause: 'failed',
    summary: message,
    facts: [],
    exitStatus: status,
    at: when,
    error: rest,
    ...(hint === undefined ? {} : { hint }),
    see,
    printed: [],
  }
}
