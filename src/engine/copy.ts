/**
 * Copies files into a container and out of it, by docker's rules of what lands where.
 *
 * | source              | destination              | what becomes of it                              |
 * |---------------------|--------------------------|-------------------------------------------------|
 * | a file              | nothing                  | that file, in a directory that has to be there  |
 * | a file              | a file                   | takes its place                                 |
 * | anything            | a directory              | is in it, under its own name                    |
 * | a directory         | nothing                  | that directory                                  |
 * | a directory         | a file                   | an error                                        |
 * | `DIRECTORY/.`       | a directory              | what is in the source is in the destination     |
 *
 * Source: docker: archive/copy.go
 */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import {
  linkTarget,
  type Manner,
  mustOpenAt,
  openAt,
  openName,
  type StatusAt,
  statusOf,
  withFd,
} from '../executor/embedded-at.ts'
import { O_DIRECTORY, O_NOFOLLOW, O_PATH } from '../linux/files.ts'
import { readTree } from './tree-read.ts'
import { copyFile, type Manners, TreeWriter } from './tree-write.ts'

/** One of the two sides: all paths are absolute, below the directory. */
export interface Side {
  readonly root: number
  readonly manner: Extract<Manner, 'host' | 'in-root'>
  readonly path: string
  /** What docker says of a path that is not there. */
  readonly missing: (path: string) => OperationError
}

/** Where a source is: a directory and a name in it. */
export interface Source {
  readonly directory: number
  /** `.` for the root itself. */
  readonly name: string
  readonly status: StatusAt
  /** Only what is in it counts. */
  readonly isContents: boolean
  /** What it is called where it lands. */
  readonly base: string
}

const MAX_LINKS = 40

/** Throws what `missing` says, and `invalid` for `FILE/`. Closes the directory when `body` is done. */
export function withSource<Result>(
  native: Native,
  side: Side,
  followsLink: boolean,
  body: (source: Source) => Result,
): Result {
  const isContents = side.path.endsWith('/.') || side.path === '.'
  const wantsDirectory = isContents || side.path.endsWith('/')
  const { directory, name } = openParent(native, side, cleaned(side.path), wantsDirectory || followsLink)
  return withFd(native, directory, () => {
    const fd = openName(native, directory, name)
    if (fd === undefined) throw side.missing(side.path)
    const status = withFd(native, fd, () => statusOf(native, fd))
    if (wantsDirectory && status.kind !== 'directory') throw refused(side.path, 'not a directory')
    // A link that was followed keeps its own name.
    return body({ directory, name, status, isContents, base: baseOf(cleaned(side.path)) })
  })
}

/** By its words alone, as docker does: without `.` and doubled slashes, and `..` takes the name before away. */
function cleaned(path: string): string {
  const kept: string[] = []
  for (const part of path.split('/'))
    if (part === '..') kept.pop()
    else if (part !== '' && part !== '.') kept.push(part)
  return `/${kept.join('/')}`
}

const baseOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1) || '/'

/** The directory in which a path is, open, and its name there; a link at its end is followed if asked for. Throws what `missing` says. */
function openParent(native: Native, side: Side, path: string, follows: boolean): { directory: number; name: string } {
  let at = path
  for (let count = 0; count < MAX_LINKS; count++) {
    const slash = at.lastIndexOf('/')
    const last = at.slice(slash + 1)
    // What is called `..` has its name elsewhere.
    const [above, name] = last === '..' || last === '' ? [at, '.'] : [at.slice(0, slash) || '/', last]
    const directory = openAt(native, {
      directory: side.root,
      path: above,
      manner: side.manner,
      flags: O_PATH | O_DIRECTORY[native.architecture],
    })
    if (directory === undefined) throw side.missing(path)
    const target = follows ? targetAt(native, directory, name) : undefined
    if (target === undefined) return { directory, name }
    withFd(native, directory, () => undefined)
    at = withoutEnd(target.startsWith('/') ? target : `${above}/${target}`) || '/'
  }
  throw refused(path, 'too many levels of symbolic links')
}

/** `/a/./` → `/a`; `..` stays. */
function withoutEnd(path: string): string {
  let end = path.length
  while (path[end - 1] === '/' || (path[end - 1] === '.' && path[end - 2] === '/')) end--
  return path.slice(0, end)
}

function targetAt(native: Native, directory: number, name: string): string | undefined {
  const fd = openName(native, directory, name)
  if (fd === undefined) return undefined
  return withFd(native, fd, () => (statusOf(native, fd).kind === 'symlink' ? linkTarget(native, fd) : undefined))
}

const refused = (path: string, reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `copy ${path}`, reason, path })

export interface Landing {
  readonly directory: number
  /** What the source is called there; undefined: what is in it lands in the directory. */
  readonly name: string | undefined
}

/** Where a source lands, by the rules above. `base` and `kind` are of the source. Closes the directory when `body` is done. */
export function withLanding<Result>(
  native: Native,
  side: Side,
  { status, isContents, base }: Pick<Source, 'status' | 'isContents' | 'base'>,
  body: (landing: Landing) => Result,
): Result {
  const path = cleaned(side.path)
  const found = openParent(native, side, path, true)
  const wantsDirectory = side.path.endsWith('/') || side.path.endsWith('/.')
  return withFd(native, found.directory, () => {
    const fd = openName(native, found.directory, found.name)
    const kind = fd === undefined ? undefined : withFd(native, fd, () => statusOf(native, fd).kind)
    if (kind === 'directory') {
      const flags = O_PATH | O_DIRECTORY[native.architecture] | O_NOFOLLOW[native.architecture]
      const inside = mustOpenAt(native, { directory: found.directory, path: found.name, manner: 'beneath', flags })
      return withFd(native, inside, () => body({ directory: inside, name: isContents ? undefined : base }))
    }
    const reason = obstacle({ there: kind, isDirectory: status.kind === 'directory', wantsDirectory })
    if (reason !== undefined) throw refused(side.path, reason)
    return body({ directory: found.directory, name: found.name })
  })
}

interface Meeting {
  /** What is at the destination, and no directory; undefined for nothing. */
  readonly there: StatusAt['kind'] | undefined
  readonly isDirectory: boolean
  readonly wantsDirectory: boolean
}

/** Why the source cannot be there, in docker's words; undefined if it can. */
function obstacle({ there, isDirectory, wantsDirectory }: Meeting): string | undefined {
  if (there === undefined) return wantsDirectory && !isDirectory ? 'no such directory' : undefined
  if (wantsDirectory) return 'not a directory'
  if (isDirectory) return 'cannot copy directory'
  return there === 'file' ? undefined : 'invalid output path: it must be a directory or a regular file'
}

/** Undefined unless there is a directory at the path, links followed. */
export const openDirectoryOf = (native: Native, { root, manner, path }: Side): number | undefined =>
  openAt(native, { directory: root, path: cleaned(path), manner, flags: O_PATH | O_DIRECTORY[native.architecture] })

/** What an archive of the same files would have, in bytes, as docker counts. */
export const ARCHIVE_END_BYTES = 1024

/** `told` hears how many bytes of an archive each file stands for. */
export function copyTree(
  native: Native,
  source: Source,
  landing: Landing,
  { manners, told }: { readonly manners: Manners; readonly told: (bytes: number) => void },
): void {
  const writer = new TreeWriter(native, { directory: landing.directory, manner: 'beneath', prefix: '' }, manners)
  const nameOf = (path: string): string =>
    landing.name === undefined ? path : path === '' ? landing.name : `${landing.name}/${path}`
  readTree(native, source.directory, source.name, {
    visit: ({ entry, content }) => {
      const path = nameOf(entry.path)
      told(HEADER_BYTES)
      if (path === '') return
      const target = entry.kind === 'link' ? nameOf(entry.target) : entry.target
      writer.put({ ...entry, path, target }, (fd) => {
        if (content !== undefined) told(Math.ceil(copyFile(native, content, fd) / HEADER_BYTES) * HEADER_BYTES)
      })
    },
  })
  writer.end()
}

const HEADER_BYTES = 512
