/** `coffer commit`: what a container has written becomes a layer of a new image. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { canFreeze } from '../container/freeze.ts'
import { archiveChanges } from '../engine/change-archive.ts'
import type { EngineContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { healthSection } from '../engine/health.ts'
import { whilePaused } from '../engine/held-pause.ts'
import { userIn } from '../engine/image-process.ts'
import { describeImage, wantedImage } from '../engine/images.ts'
import { programOf } from '../engine/inspect.ts'
import { asOwner } from '../engine/owner.ts'
import { newId } from '../engine/random.ts'
import type { ContainerRecord } from '../engine/record.ts'
import { ArchiveWriter } from '../engine/tree-archive.ts'
import { must } from '../executor/embedded-call.ts'
import { blockSignals } from '../executor/embedded-events.ts'
import { close, pipe, writeText } from '../executor/embedded-files.ts'
import { exit, exitStatus, waitForPid } from '../executor/embedded-process.ts'
import type { StoredImage } from '../image/layout.ts'
import { canonicalName, parseReference } from '../image/reference.ts'
import { SIGCHLD, signalMask } from '../linux/process.ts'
import { type Command, findMended } from './command.ts'
import type { Session } from './open.ts'
import { transfer } from './transfer.ts'

const COMMAND = 'coffer commit'

export const COMMIT: readonly Flag[] = [
  { name: 'author', short: 'a', type: 'string', value: 'NAME', help: 'who made it' },
  { name: 'message', short: 'm', type: 'string', value: 'TEXT', help: 'what the history says of it' },
  { name: 'change', short: 'c', type: 'list', value: 'INSTRUCTION', help: 'of a Dockerfile, e.g. CMD ["sh"]' },
  {
    name: 'pause',
    short: 'p',
    type: 'bool',
    help: 'pause the container meanwhile; true if not given, where it can be',
  },
]

/** Prints the id of the image. */
export const commit: Command = (session, words) => {
  const given = parseFlags(words, COMMIT, COMMAND, { mixed: true })
  const [text, name, ...others] = given.rest
  if (text === undefined || others.length > 0) throw usage(COMMAND, 'it takes a container, and a name for the image')
  const reference = name === undefined ? undefined : parseReference(name)
  if (reference?.digest !== undefined) throw usage(COMMAND, 'the name of an image cannot be a digest')
  const found = findMended(session, text)
  const image = imageOf(session, found.record)
  const wanted = {
    image: image.id,
    config: configOf(session, found.record, image),
    changes: given.list('change'),
    author: given.string('author') ?? '',
    comment: given.string('message') ?? '',
    createdBy: found.record.intent.args.join(' '),
    ...(reference === undefined ? {} : { name: canonicalName(reference) }),
  }
  const pauses = found.status === 'running' && (given.isSet('pause') ? given.bool('pause') : canPause(session, found))
  const still = pauses ? (body: () => void): void => pausing(session, found, body) : (body: () => void): void => body()
  return keep(session, found.record, JSON.stringify(wanted), still)
}

function canPause({ native, engine }: Session, { record }: EngineContainer): boolean {
  if (canFreeze(engine.machine, record.id)) return true
  writeText(native, STDERR, `warning: ${record.name} runs on meanwhile, as it has no cgroup that could be paused\n`)
  return false
}

function imageOf(session: Session, { name, image }: ContainerRecord): StoredImage {
  if (image.id !== undefined) return wantedImage(session.engine, image.id)
  throw new OperationError({
    kind: 'unsupported',
    operation: `commit container ${name}`,
    reason: 'it is not made of an image',
    hint: 'coffer export has all its files, and coffer import makes an image of them',
  })
}

/** As docker: what the container does, where that is known apart from what the image says. */
function configOf({ engine }: Session, record: ContainerRecord, stored: StoredImage): object {
  const config = describeImage(engine, stored).Config as Readonly<Record<string, unknown>>
  const { intent, labels, image, health } = record
  const { user = '', env, workingDir } = stored.config.process
  const { entrypoint, cmd } = programOf(record)
  const known = env.map((entry) => entry.replace(/=[\s\S]*/, ''))
  const byImage = userIn(engine.machine.files, image.layers, user)
  const isUser = byImage.uid === intent.user.uid && byImage.gid === intent.user.gid
  return {
    ...config,
    Env: intent.env.filter((entry) => !/^(HOME|TERM)=/.test(entry) || known.includes(entry.replace(/=[\s\S]*/, ''))),
    Entrypoint: entrypoint,
    Cmd: cmd,
    User: isUser ? user : `${intent.user.uid}:${intent.user.gid}`,
    WorkingDir: intent.cwd === '/' ? (workingDir ?? '') : intent.cwd,
    Labels: labels,
    ...(health === undefined ? {} : { Healthcheck: healthSection(health) }),
  }
}

const pausing = ({ engine }: Session, { record }: EngineContainer, body: () => void): void =>
  whilePaused(engine, record.id, () => {
    tellContainer(engine, record, 'pause')
    try {
      body()
    } finally {
      tellContainer(engine, record, 'unpause')
    }
  })

const SIGPIPE = 13
const STDIN = 0
const STDERR = 2

/**
 * The archive goes to a process that keeps it, as digests are not for this engine; that prints the id. It is made before `still` begins, so
 * that it does not hold the pause of a command that was killed.
 */
function keep(session: Session, record: ContainerRecord, words: string, still: (body: () => void) => void): number {
  const { native } = session
  const { readEnd, writeEnd } = pipe(native)
  const seal = newId(native)
  // A keeper that fails shall not take us with it.
  blockSignals(native, signalMask([SIGPIPE]))
  const child = must(native, 'make a process that keeps the layer', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) {
    must(native, 'read what was changed', 'dup3', readEnd, STDIN, 0)
    close(native, writeEnd)
    transfer(session, 'commit', [words, seal])
    exit(native, 1)
  }
  close(native, readEnd)
  const archiveAll = (): void => {
    const archive = new ArchiveWriter(native, writeEnd)
    archiveChanges(session.engine, record, archive)
    archive.end()
  }
  const failed = written(() => {
    still(() => asOwner(session.engine, archiveAll))
    writeText(native, writeEnd, seal)
  })
  close(native, writeEnd)
  const status = exitStatus(waitForPid(native, child))
  // Otherwise the keeper has told why it reads no more.
  if (failed !== undefined && failed.code !== 'EPIPE') throw failed
  if (status === 0) tellContainer(session.engine, record, 'commit')
  return status
}

/** The error, if there was one. */
function written(body: () => void): OperationError | undefined {
  try {
    body()
    return undefined
  } catch (error) {
    if (error instanceof OperationError) return error
    throw error
  }
}
