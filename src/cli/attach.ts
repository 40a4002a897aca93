/** `coffer attach`, and `start`, which may attach too. */

import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import { attach, statusOf } from '../engine/attach.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { connect } from '../engine/listening.ts'
import type { ContainerRecord } from '../engine/record.ts'
import { startContainer } from '../engine/start.ts'
import { writeText } from '../executor/embedded-files.ts'
import { type Command, forEach, onlyContainer, say, warn } from './command.ts'
import type { Session } from './open.ts'
import { detachKeysOf } from './process.ts'
import { startFailure } from './start-failure.ts'
import { mustRun } from './stop.ts'

const KEYS: Flag = {
  name: 'detach-keys',
  type: 'string',
  value: 'KEYS',
  help: 'to go away: letters or ctrl-X, with commas',
}

export const ATTACH: readonly Flag[] = [
  KEYS,
  { name: 'no-stdin', type: 'bool', help: 'type nothing into it' },
  { name: 'sig-proxy', type: 'bool', help: 'pass signals on to it; true if not given' },
]

export const attachTo: Command = (session, words) => {
  const given = parseFlags(words, ATTACH, 'coffer attach', { mixed: true })
  const found = onlyContainer(session, 'coffer attach', given)
  mustRun(found, 'attach to')
  const socket = connect(session.engine, found.record.id)
  tellContainer(session.engine, found.record, 'attach')
  const status = stay(session, found, socket, {
    hasInput: !given.bool('no-stdin') && found.record.hasInput,
    proxiesSignals: given.string('sig-proxy') !== 'false',
    keys: detachKeysOf({ command: 'coffer attach', given, session }),
  })
  if (status !== undefined) return status
  // As with docker it is an error of this command, and of nothing else that attaches.
  writeText(session.native, 2, 'read escape sequence\n')
  return 1
}

interface Staying {
  readonly hasInput: boolean
  readonly proxiesSignals: boolean
  readonly keys: readonly number[]
}

/** Answers the exit status of the container; undefined if the caller went away by the keys. */
function stay({ engine }: Session, { record }: EngineContainer, socket: number, options: Staying): number | undefined {
  const end = attach(engine, record, socket, {
    hasInput: options.hasInput,
    detachKeys: options.keys,
    proxiesSignals: options.proxiesSignals && !record.intent.terminal,
  })
  if (end.kind === 'detached') tellContainer(engine, record, 'detach')
  return end.kind === 'detached' ? undefined : statusOf(end)
}

export const START: readonly Flag[] = [
  KEYS,
  { name: 'attach', short: 'a', type: 'bool', help: 'show what it prints, pass signals on, and stay until it ends' },
  { name: 'interactive', short: 'i', type: 'bool', help: 'type into it' },
  { name: 'checkpoint', type: 'string', help: 'a checkpoint', refused: 'coffer-runc restore restores one' },
  { name: 'checkpoint-dir', type: 'string', help: 'where it is', refused: 'coffer-runc restore restores one' },
]

export const start: Command = (session, words) => {
  const given = parseFlags(words, START, 'coffer start', { mixed: true })
  const stays = given.bool('attach') || given.bool('interactive')
  if (stays) return startHere(session, given)
  return forEach(session, 'coffer start', given, ({ record, status }, text) => {
    if (status === 'created' || status === 'exited') startOne(session, record, () => undefined)
    say(session, `${text}\n`)
  })
}

function startOne(session: Session, record: ContainerRecord, before: () => void): void {
  try {
    startContainer(session.engine, record, { warn: (line) => warn(session, line), before })
  } catch (error) {
    throw startFailure(error, record.intent.args)
  }
}

function startHere(session: Session, given: Parsed): number {
  const { engine } = session
  const [text = '', ...others] = given.rest
  if (others.length > 0) throw usage('coffer start', 'you cannot start and attach multiple containers at once')
  const found = findContainer(engine, text)
  let socket: number | undefined
  startOne(session, found.record, () => {
    socket = connect(engine, found.record.id)
  })
  const status = stay(session, found, socket ?? connect(engine, found.record.id), {
    hasInput: given.bool('interactive') && found.record.hasInput,
    proxiesSignals: true,
    keys: detachKeysOf({ command: 'coffer start', given, session }),
  })
  return status ?? 0
}
