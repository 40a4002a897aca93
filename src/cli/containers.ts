/** The commands on containers that are there: ps, logs, attach, wait, stop, kill, start, rm, exec, inspect. */

import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import { execInContainer } from '../container/exec.ts'
import { killContainer } from '../container/kill.ts'
import { attach, connect, waitForEnd } from '../engine/attach.ts'
import { type EngineContainer, findContainer, listEngineContainers, UNSEEN_STATUS } from '../engine/containers.ts'
import { printLog } from '../engine/logs.ts'
import { removeContainer } from '../engine/remove.ts'
import { keepSent } from '../engine/sent.ts'
import { startContainer } from '../engine/start.ts'
import { stopContainer } from '../engine/stop.ts'
import { writeText } from '../executor/embedded-files.ts'
import type { Session } from './open.ts'

export type Command = (session: Session, words: readonly string[]) => number

const say = ({ native }: Session, text: string): void => writeText(native, 1, text)
const warn = ({ native }: Session, text: string): void => writeText(native, 2, `warning: ${text}\n`)

/** Runs `body` for each container that is named; answers 1 if one of them failed, and says why. */
function forEach(session: Session, command: string, { rest }: Parsed, body: (found: EngineContainer) => void): number {
  if (rest.length === 0) throw usage(command, 'it takes one container or more')
  for (const name of rest) body(findContainer(session.engine, name))
  return 0
}

export const PS: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'also those that have ended' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'ids only' },
  { name: 'no-trunc', type: 'bool', help: 'whole ids' },
]

export const ps: Command = (session, words) => {
  const given = parseFlags(words, PS, 'coffer ps')
  const shown = listEngineContainers(session.engine).filter(
    ({ status }) => given.bool('all') || status === 'running' || status === 'paused',
  )
  const id = (text: string): string => (given.bool('no-trunc') ? text : text.slice(0, 12))
  if (given.bool('quiet')) say(session, shown.map(({ record }) => `${id(record.id)}\n`).join(''))
  else {
    const rows = shown.map(({ record, status }) => [
      id(record.id),
      record.image.name,
      JSON.stringify(record.intent.args.join(' ')),
      status,
      record.name,
    ])
    say(
      session,
      [['CONTAINER ID', 'IMAGE', 'COMMAND', 'STATUS', 'NAMES'], ...rows].map((row) => `${row.join('   ')}\n`).join(''),
    )
  }
  return 0
}

export const logs: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer logs')
  return forEach(session, 'coffer logs', given, ({ record }) => printLog(session.engine, record))
}

export const wait: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer wait')
  return forEach(session, 'coffer wait', given, ({ record }) => say(session, `${waitForEnd(session.engine, record)}\n`))
}

export const STOP: readonly Flag[] = [
  { name: 'time', short: 't', type: 'int', value: 'SECONDS', help: 'how long to wait before it is killed' },
  { name: 'signal', short: 's', type: 'string', value: 'SIGNAL', help: 'instead of that of the container' },
]

export const stop: Command = (session, words) => {
  const given = parseFlags(words, STOP, 'coffer stop')
  return forEach(session, 'coffer stop', given, (found) => {
    stopContainer(session.engine, found, { seconds: given.int('time'), signal: given.string('signal') })
    say(session, `${found.record.name}\n`)
  })
}

export const KILL: readonly Flag[] = [
  { name: 'signal', short: 's', type: 'string', value: 'SIGNAL', help: 'instead of KILL' },
]

export const kill: Command = (session, words) => {
  const given = parseFlags(words, KILL, 'coffer kill')
  return forEach(session, 'coffer kill', given, ({ record }) => {
    const signal = given.string('signal') ?? 'KILL'
    keepSent(session.engine, record.id, { command: 'kill', signal })
    killContainer(session.engine.machine, record.id, { signal, all: false })
    say(session, `${record.name}\n`)
  })
}

export const start: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer start')
  return forEach(session, 'coffer start', given, (found) => {
    if (found.status === 'created' || found.status === 'exited')
      startContainer(session.engine, found.record, { warn: (text) => warn(session, text), before: () => undefined })
    say(session, `${found.record.name}\n`)
  })
}

export const RM: readonly Flag[] = [{ name: 'force', short: 'f', type: 'bool', help: 'also one that runs' }]

export const rm: Command = (session, words) => {
  const given = parseFlags(words, RM, 'coffer rm')
  return forEach(session, 'coffer rm', given, (found) => {
    removeContainer(session.engine, found, { force: given.bool('force'), warn: (text) => warn(session, text) })
    say(session, `${found.record.name}\n`)
  })
}

export const attachTo: Command = (session, words) => {
  const given = parseFlags(words, [], 'coffer attach')
  const [name, ...others] = given.rest
  if (name === undefined || others.length > 0) throw usage('coffer attach', 'it takes one container')
  const { record } = findContainer(session.engine, name)
  const end = attach(session.engine, record, connect(session.engine, record.id), {
    hasInput: record.hasInput,
    detachKeys: [16, 17],
    proxiesSignals: !record.intent.terminal,
  })
  return end.kind === 'exited' ? end.status : end.kind === 'detached' ? 0 : UNSEEN_STATUS
}

export const EXEC: readonly Flag[] = [
  { name: 'interactive', short: 'i', type: 'bool', help: 'keep standard input open' },
  { name: 'tty', short: 't', type: 'bool', help: 'give it a terminal' },
  { name: 'detach', short: 'd', type: 'bool', help: 'run it in the background' },
  { name: 'env', short: 'e', type: 'list', value: 'NAME=VALUE', help: 'add to its environment' },
  { name: 'workdir', short: 'w', type: 'string', value: 'DIR', help: 'its working directory' },
]

export const exec: Command = (session, words) => {
  const given = parseFlags(words, EXEC, 'coffer exec')
  const [name, ...args] = given.rest
  if (name === undefined || args.length === 0) throw usage('coffer exec', 'it takes a container and a command')
  const { record } = findContainer(session.engine, name)
  return execInContainer(session.engine.machine, {
    id: record.id,
    process: (base) => ({
      ...base,
      args,
      terminal: given.bool('tty'),
      env: [...base.env, ...given.list('env')],
      cwd: given.string('workdir') ?? base.cwd,
    }),
    detach: given.bool('detach'),
    preserveFds: 0,
    listenFds: 0,
    ignorePaused: false,
    cgroups: [],
    warn: (text) => warn(session, text),
  })
}
