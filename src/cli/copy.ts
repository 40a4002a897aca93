/** `coffer cp`: files into a container and out of it. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { sizeText } from '../base/size.ts'
import { type Ids, idsOf, withContainerRoot } from '../engine/container-root.ts'
import type { EngineContainer } from '../engine/containers.ts'
import { ARCHIVE_END_BYTES, copyTree, openDirectoryOf, type Side, withLanding, withSource } from '../engine/copy.ts'
import { tellContainer } from '../engine/events.ts'
import { ArchiveWriter, extractArchive } from '../engine/tree-archive.ts'
import { readTree } from '../engine/tree-read.ts'
import { type Manners, TreeWriter } from '../engine/tree-write.ts'
import { withFd } from '../executor/embedded-at.ts'
import { open, writeText } from '../executor/embedded-files.ts'
import { CLOCK_MONOTONIC, clockNanos, effectiveIds } from '../executor/embedded-process.ts'
import { isTerminal } from '../executor/embedded-terminal.ts'
import { O_PATH } from '../linux/files.ts'
import { type Command, findMended, warn } from './command.ts'
import type { Session } from './open.ts'
import { absolute } from './values.ts'

const COMMAND = 'coffer cp'
const [STDIN, STDOUT, STDERR] = [0, 1, 2]

export const CP: readonly Flag[] = [
  { name: 'archive', short: 'a', type: 'bool', help: 'also owners, in the container those of its user' },
  { name: 'follow-link', short: 'L', type: 'bool', help: 'copy what a link leads to, instead of the link' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'say nothing of how it goes; so it is without a terminal' },
]

interface Asked {
  readonly session: Session
  readonly keepsOwners: boolean
  readonly followsLink: boolean
  readonly isQuiet: boolean
}

export const cp: Command = (session, words) => {
  const given = parseFlags(words, CP, COMMAND, { mixed: true })
  const [from, to, ...others] = given.rest
  if (from === undefined || to === undefined || others.length > 0)
    throw usage(COMMAND, 'it takes a source and a destination', 'coffer cp CONTAINER:PATH PATH, or the other way round')
  const asked: Asked = {
    session,
    keepsOwners: given.bool('archive'),
    followsLink: given.bool('follow-link'),
    isQuiet: given.isSet('quiet') ? given.bool('quiet') : !isTerminal(session.native, STDOUT),
  }
  const [source, target] = [splitPlace(from), splitPlace(to)]
  if (source !== undefined && target !== undefined)
    throw usage(
      COMMAND,
      'copying between containers is not supported',
      `use - : ${COMMAND} A:PATH - | ${COMMAND} - B:DIR`,
    )
  if (source !== undefined) copyOut(asked, source, to)
  else if (target !== undefined) copyIn(asked, from, target)
  else throw usage(COMMAND, 'must specify at least one container source', 'write one of them like CONTAINER:PATH')
  return 0
}

interface PlaceIn {
  readonly container: string
  readonly path: string
}

/** Undefined for a path of this machine: one with a colon in it begins with a slash or a dot. */
function splitPlace(word: string): PlaceIn | undefined {
  const colon = word.indexOf(':')
  if (word.startsWith('/') || word.startsWith('.') || colon < 1) return undefined
  return { container: word.slice(0, colon), path: word.slice(colon + 1) }
}

function sideOf(name: string, root: number, path: string): Side {
  return {
    root,
    manner: 'in-root',
    path: path.startsWith('/') ? path : `/${path}`,
    missing: () =>
      new OperationError({
        kind: 'missing',
        operation: `copy ${name}:${path}`,
        reason: `Could not find the file ${path} in container ${name}`,
        path,
      }),
  }
}

/** `body` gets the side of this machine. */
function withHost<Result>({ session }: Asked, word: string, body: (side: Side) => Result): Result {
  const { native, cwd } = session
  return withFd(native, open(native, '/', O_PATH), (root) =>
    body({
      root,
      manner: 'host',
      path: word.startsWith('/') ? word : absolute(word, cwd) + (word === '.' ? '/.' : ''),
      missing: (path) =>
        new OperationError({
          kind: 'missing',
          operation: `copy ${word}`,
          reason: `lstat ${path}: no such file or directory`,
          path,
        }),
    }),
  )
}

function copyOut(asked: Asked, { container, path }: PlaceIn, to: string): void {
  const { session } = asked
  const { native, engine } = session
  const found = findMended(session, container)
  tellContainer(engine, found.record, 'archive-path')
  withContainerRoot(engine, found, (root) => {
    const { toContainer } = idsOf(engine, found.record.intent)
    withSource(native, sideOf(container, root, path), asked.followsLink, (source) => {
      if (to === '-') {
        const archive = new ArchiveWriter(native, STDOUT)
        const base = source.isContents ? '.' : source.base
        const nameOf = (below: string): string => (below === '' ? base : `${base}/${below}`)
        readTree(native, source.directory, source.name, {
          visit: ({ entry, content }) => {
            const target = entry.kind === 'link' ? nameOf(entry.target) : entry.target
            archive.add({ ...entry, ...toContainer(entry), path: nameOf(entry.path), target }, content)
          },
        })
        archive.end()
        return
      }
      const progress = progressOf(asked, `Copying from container`)
      withHost(asked, to, (host) =>
        withLanding(native, host, source, (landing) =>
          copyTree(native, source, landing, { manners: mannersOut(asked, toContainer), told: progress.told }),
        ),
      )
      progress.done(to)
    })
  })
}

/** A file of somebody else's that would run with the caller's rights, or be a device of this machine, is not made on the way. */
function mannersOut({ session, keepsOwners }: Asked, toContainer: (ids: Ids) => Ids): Manners {
  const isRoot = effectiveIds(session.native).uid === 0
  return {
    owner: (entry) => (keepsOwners && isRoot ? toContainer(entry) : undefined),
    mode: ({ mode }) => (keepsOwners ? mode : mode & 0o1777),
    makesDevices: false,
    warn: (text) => warn(session, text),
  }
}

function copyIn(asked: Asked, from: string, { container, path }: PlaceIn): void {
  const { session } = asked
  const { native, engine } = session
  const found = findMended(session, container)
  tellContainer(engine, found.record, 'extract-to-dir')
  const progress = progressOf(asked, `Copying to container`)
  const copy = (source: (root: number) => void): void => withContainerRoot(engine, found, source)
  if (from === '-')
    copy((root) => {
      const manners = mannersIn(asked, found)
      const side = sideOf(container, root, path)
      const directory = openDirectoryOf(native, side)
      if (directory === undefined)
        throw new OperationError({
          kind: 'invalid',
          operation: `copy to ${container}:${path}`,
          reason: `destination "${container}:${path}" must be a directory`,
        })
      withFd(native, directory, () => undefined)
      const prefix = `${side.path}/`
      progress.told(
        extractArchive(native, STDIN, new TreeWriter(native, { directory: root, manner: 'in-root', prefix }, manners)),
      )
    })
  // The source is looked at first: of a container that does not run the files of this machine are the same, but its mounts are ours alone.
  else
    withHost(asked, from, (host) =>
      withSource(native, host, asked.followsLink, (source) =>
        copy((root) => {
          const manners = mannersIn(asked, found)
          withLanding(native, sideOf(container, root, path), source, (landing) =>
            copyTree(native, source, landing, { manners, told: progress.told }),
          )
          progress.done(`${container}:${path}`)
        }),
      ),
    )
}

/** Ids stay the same numbers, as with docker; with --archive they become those of the container's user, if it has one. */
function mannersIn({ session, keepsOwners }: Asked, { record }: EngineContainer): Manners {
  const { user } = record.intent
  const { toHost } = idsOf(session.engine, record.intent)
  const isRoot = effectiveIds(session.native).uid === 0
  return {
    owner: (entry) => (isRoot ? toHost(keepsOwners && user.uid !== 0 ? user : entry) : undefined),
    mode: ({ mode }) => mode,
    makesDevices: true,
    warn: (text) => warn(session, text),
  }
}

interface Progress {
  readonly told: (bytes: number) => void
  readonly done: (to: string) => void
}

const INTERVAL_MS = 100
const CLEAR_LINE = '\r\x1b[2K'

/** docker's lines, on standard error. */
function progressOf({ session, isQuiet }: Asked, what: string): Progress {
  const { native } = session
  const isShown = !isQuiet && isTerminal(native, STDERR)
  const nowMs = (): number => clockNanos(native, CLOCK_MONOTONIC) / 1e6
  let [copied, shownAt] = [0, nowMs()]
  return {
    told: (bytes) => {
      copied += bytes
      if (!isShown || nowMs() - shownAt < INTERVAL_MS) return
      shownAt = nowMs()
      writeText(native, STDERR, `${CLEAR_LINE}${what} - ${sizeText(copied)}`)
    },
    done: (to) => {
      if (isQuiet) return
      const line = `Successfully copied ${sizeText(copied + ARCHIVE_END_BYTES)} to ${to}\n`
      writeText(native, STDERR, `${isShown ? CLEAR_LINE : ''}${line}`)
    },
  }
}
