/** `coffer stop`, `kill`, `restart`, `rm`, `pause`, `unpause`, `wait`: one thing with each container that is named. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { waitForEnd } from '../engine/attach.ts'
import { type EngineContainer, findContainer, idOf, withoutSlash } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { pauseContainer, resumeContainer } from '../engine/held-pause.ts'
import { isTorn } from '../engine/record.ts'
import { removeContainer, removeDamaged } from '../engine/remove.ts'
import { renameContainer } from '../engine/rename.ts'
import { startContainer } from '../engine/start.ts'
import { signalContainer, stopContainer } from '../engine/stop.ts'
import { type Command, eachOf, forEach, say, warn } from './command.ts'

export const TIMES: readonly Flag[] = [
  { name: 'signal', short: 's', type: 'string', value: 'SIGNAL', help: 'instead of that of the container' },
  {
    name: 'timeout',
    short: 't',
    type: 'int',
    value: 'SECONDS',
    help: 'how long to wait before it is killed; -1 for ever',
  },
  { name: 'time', type: 'int', value: 'SECONDS', help: 'the same' },
]

export const stop: Command = (session, words) => {
  const given = parseFlags(words, TIMES, 'coffer stop', { mixed: true })
  const options = { seconds: given.int('timeout') ?? given.int('time'), signal: given.string('signal') }
  return forEach(session, 'coffer stop', given, (found, text) => {
    stopContainer(session.engine, found, options)
    say(session, `${text}\n`)
  })
}

export const restart: Command = (session, words) => {
  const given = parseFlags(words, TIMES, 'coffer restart', { mixed: true })
  const options = { seconds: given.int('timeout') ?? given.int('time'), signal: given.string('signal') }
  return forEach(session, 'coffer restart', given, (found, text) => {
    stopContainer(session.engine, found, options)
    startContainer(session.engine, found.record, { warn: (line) => warn(session, line), before: () => undefined })
    tellContainer(session.engine, found.record, 'restart')
    say(session, `${text}\n`)
  })
}

export const KILL: readonly Flag[] = [
  { name: 'signal', short: 's', type: 'string', value: 'SIGNAL', help: 'instead of KILL' },
]

export const kill: Command = (session, words) => {
  const given = parseFlags(words, KILL, 'coffer kill', { mixed: true })
  return forEach(session, 'coffer kill', given, (found, text) => {
    mustRun(found, 'kill')
    signalContainer(session.engine, found, given.string('signal') ?? 'KILL')
    say(session, `${text}\n`)
  })
}

/** Throws `conflict` with docker's words. */
export function mustRun({ record, status }: EngineContainer, verb: string): void {
  if (status === 'running' || status === 'paused') return
  throw new OperationError({
    kind: 'conflict',
    operation: `${verb} container ${record.name}`,
    reason: `container ${record.id} is not running`,
    hint: `it is ${status}`,
  })
}

function mustBePaused(found: EngineContainer): void {
  mustRun(found, 'unpause')
  if (found.status === 'paused') return
  throw new OperationError({
    kind: 'conflict',
    operation: `unpause container ${found.record.name}`,
    reason: `Container ${found.record.id} is not paused`,
  })
}

export const RM: readonly Flag[] = [
  { name: 'force', short: 'f', type: 'bool', help: 'also one that runs' },
  { name: 'volumes', short: 'v', type: 'bool', help: 'with its volumes that have no name' },
  {
    name: 'link',
    short: 'l',
    type: 'bool',
    help: 'a link between containers',
    refused: 'a link goes with its container',
  },
]

export const rm: Command = (session, words) => {
  const given = parseFlags(words, RM, 'coffer rm', { mixed: true })
  if (given.rest.length === 0) throw usage('coffer rm', 'it takes one container or more')
  const options = {
    force: given.bool('force'),
    volumes: given.bool('volumes'),
    warn: (line: string) => warn(session, line),
  }
  return eachOf(session, 'coffer rm', given.rest, (text) => {
    try {
      removeContainer(session.engine, findContainer(session.engine, text), options)
    } catch (error) {
      // As docker: one that is gone is what was wanted.
      if (options.force && error instanceof OperationError && error.kind === 'missing')
        return warn(session, error.message)
      const id = options.force && isTorn(error) ? idOf(session.engine, text) : undefined
      if (id === undefined) throw error
      removeDamaged(session.engine, id, options.warn)
    }
    say(session, `${text}\n`)
  })
}

export const pause: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer pause')
  return forEach(session, 'coffer pause', given, (found, text) => {
    mustRun(found, 'pause')
    pauseContainer(session.engine, found.record.id)
    tellContainer(session.engine, found.record, 'pause')
    say(session, `${text}\n`)
  })
}

export const unpause: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer unpause')
  return forEach(session, 'coffer unpause', given, (found, text) => {
    mustBePaused(found)
    resumeContainer(session.engine, found.record.id)
    tellContainer(session.engine, found.record, 'unpause')
    say(session, `${text}\n`)
  })
}

export const wait: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer wait')
  return forEach(session, 'coffer wait', given, ({ record }) => say(session, `${waitForEnd(session.engine, record)}\n`))
}

export const rename: Command = (session, words) => {
  const { rest } = parseFlags(words, [], 'coffer rename')
  const [text, name, ...others] = rest
  if (text === undefined || name === undefined || others.length > 0)
    throw usage('coffer rename', 'it takes a container and its new name')
  renameContainer(session.engine, findContainer(session.engine, text).record.id, withoutSlash(name))
  return 0
}
