/**
 * Makes files in a directory, as an archive says them. Each is made by the descriptor of its directory, and never through a link that it or
 * somebody else has put in its way.
 */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import {
  type Manner,
  mustOpenAt,
  openDirectoryName,
  openName,
  setAttributes,
  statusOf,
  withFd,
} from '../executor/embedded-at.ts'
import { must, mustUnless } from '../executor/embedded-call.ts'
import { close, writeAll } from '../executor/embedded-files.ts'
import type { TarEntry } from '../image/tar.ts'
import { packU64 } from '../linux/bytes.ts'
import {
  AT_SYMLINK_NOFOLLOW,
  deviceNumber,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_RDONLY,
  O_WRONLY,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
} from '../linux/files.ts'

export interface Place {
  readonly directory: number
  /** Of the paths of entries in the directory. */
  readonly manner: Manner
  /** What stands before the paths of entries; '' or with a slash at its end. */
  readonly prefix: string
}

export interface Manners {
  /** Undefined: that of the caller. */
  readonly owner: (entry: TarEntry) => { readonly uid: number; readonly gid: number } | undefined
  readonly mode: (entry: TarEntry) => number
  readonly makesDevices: boolean
  readonly warn: (text: string) => void
}

export class TreeWriter {
  readonly #native: Native
  readonly #place: Place
  readonly #manners: Manners
  /** Set at the end, as each file that is made in a directory changes its time. */
  readonly #times = new Map<string, TarEntry['modified']>()
  #parent: { readonly path: string; readonly fd: number } | undefined

  constructor(native: Native, place: Place, manners: Manners) {
    this.#native = native
    this.#place = place
    this.#manners = manners
  }

  /** `copy` writes the content of a file. Throws `conflict` where a directory would take the place of a file, or the other way round. */
  put(entry: TarEntry, copy: (fd: number) => void): void {
    const { parent, name } = this.#placeOf(entry.path)
    if (entry.kind === 'directory') this.#directory(parent, name, entry)
    else {
      if ((entry.kind === 'character' || entry.kind === 'block') && !this.#manners.makesDevices) {
        this.#manners.warn(`${entry.path} is a device and was left out`)
        return
      }
      this.#clear(parent, name, entry)
      this.#make(parent, name, entry, copy)
    }
  }

  /** What has to come last. */
  end(): void {
    for (const [path, modified] of [...this.#times].reverse()) {
      const { parent, name } = this.#placeOf(path)
      this.#setTime(parent, name, modified)
    }
    if (this.#parent !== undefined) close(this.#native, this.#parent.fd)
    this.#parent = undefined
  }

  #placeOf(path: string): { readonly parent: number; readonly name: string } {
    const whole = `${this.#place.prefix}${path}`
    const slash = whole.lastIndexOf('/')
    const [directory, name] = [whole.slice(0, Math.max(slash, 0)), whole.slice(slash + 1)]
    if (this.#parent?.path !== directory) {
      const fd = this.#openDirectory(directory)
      if (this.#parent !== undefined) close(this.#native, this.#parent.fd)
      this.#parent = { path: directory, fd }
    }
    return { parent: this.#parent.fd, name }
  }

  #openDirectory(path: string): number {
    const flags = O_RDONLY | O_DIRECTORY[this.#native.architecture]
    const { directory, manner } = this.#place
    return mustOpenAt(this.#native, { directory, path: path === '' ? '.' : path, manner, flags })
  }

  #directory(parent: number, name: string, entry: TarEntry): void {
    const native = this.#native
    mustUnless({ native, operation: `make ${entry.path}`, expected: ['EEXIST'] }, 'mkdirat', parent, name, 0o700)
    const fd = openDirectoryName(native, parent, name)
    if (fd === undefined) throw conflict(entry, 'cannot overwrite non-directory with directory')
    withFd(native, fd, () => this.#finish(fd, entry))
    this.#times.set(entry.path, entry.modified)
  }

  #clear(parent: number, name: string, entry: TarEntry): void {
    const native = this.#native
    const fd = openName(native, parent, name)
    if (fd === undefined) return
    if (withFd(native, fd, () => statusOf(native, fd).kind) === 'directory')
      throw conflict(entry, 'cannot overwrite directory with non-directory')
    mustUnless({ native, operation: `replace ${entry.path}`, expected: ['ENOENT'] }, 'unlinkat', parent, name, 0)
  }

  #make(parent: number, name: string, entry: TarEntry, copy: (fd: number) => void): void {
    const native = this.#native
    const operation = `make ${entry.path}`
    if (entry.kind === 'file') {
      const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW[native.architecture]
      const fd = must(native, operation, 'openat', parent, name, flags, 0o600)
      withFd(native, fd, () => {
        copy(fd)
        this.#finish(fd, entry)
        must(native, operation, 'utimensat', fd, null, times(entry.modified), 0)
      })
    } else if (entry.kind === 'link') this.#link(parent, name, entry)
    else if (entry.kind === 'symlink') {
      must(native, operation, 'symlinkat', entry.target, parent, name)
      this.#own(parent, name, entry)
      this.#setTime(parent, name, entry.modified)
    } else {
      const type = entry.kind === 'character' ? S_IFCHR : entry.kind === 'block' ? S_IFBLK : S_IFIFO
      const mode = type | this.#manners.mode(entry)
      // A change of the mode behind that could be led to another file.
      const before = must(native, operation, 'umask', 0)
      must(native, operation, 'mknodat', parent, name, mode, deviceNumber(entry.device.major, entry.device.minor))
      must(native, operation, 'umask', before)
      this.#own(parent, name, entry)
      this.#setTime(parent, name, entry.modified)
    }
  }

  /** The other name is one of the archive too, and was made before. */
  #link(parent: number, name: string, entry: TarEntry): void {
    const slash = `${this.#place.prefix}${entry.target}`.lastIndexOf('/')
    const whole = `${this.#place.prefix}${entry.target}`
    const from = this.#openDirectory(whole.slice(0, Math.max(slash, 0)))
    withFd(this.#native, from, () =>
      must(this.#native, `make ${entry.path}`, 'linkat', from, whole.slice(slash + 1), parent, name, 0),
    )
  }

  /** Owner first, as chown(2) takes set-id bits and capabilities away. */
  #finish(fd: number, entry: TarEntry): void {
    const owner = this.#manners.owner(entry)
    if (owner !== undefined) must(this.#native, `give ${entry.path} its owner`, 'fchown', fd, owner.uid, owner.gid)
    must(this.#native, `give ${entry.path} its mode`, 'fchmod', fd, this.#manners.mode(entry))
    setAttributes(this.#native, fd, entry.xattrs)
  }

  #own(parent: number, name: string, entry: TarEntry): void {
    const owner = this.#manners.owner(entry)
    if (owner === undefined) return
    must(
      this.#native,
      `give ${entry.path} its owner`,
      'fchownat',
      parent,
      name,
      owner.uid,
      owner.gid,
      AT_SYMLINK_NOFOLLOW,
    )
  }

  #setTime(parent: number, name: string, modified: TarEntry['modified']): void {
    must(this.#native, `give ${name} its time`, 'utimensat', parent, name, times(modified), AT_SYMLINK_NOFOLLOW)
  }
}

const times = ({ seconds, nanos }: TarEntry['modified']): Uint8Array => packU64([seconds, nanos, seconds, nanos])

const conflict = ({ path }: TarEntry, reason: string): OperationError =>
  new OperationError({ kind: 'conflict', operation: `copy ${path}`, reason, path })

const CHUNK_BYTES = 1 << 20

/** Copies what is in an open file, at most so many bytes; answers how many there were. */
export function copyBytes(native: Native, from: number, limitBytes: number, take: (bytes: Uint8Array) => void): number {
  const chunk = new Uint8Array(Math.min(CHUNK_BYTES, Math.max(limitBytes, 1)))
  let copied = 0
  while (copied < limitBytes) {
    const got = must(native, 'read a file', 'read', from, chunk, Math.min(chunk.length, limitBytes - copied))
    if (got === 0) break
    take(chunk.subarray(0, got))
    copied += got
  }
  return copied
}

/** As copyBytes, into another open file. */
export const copyFile = (native: Native, from: number, to: number): number =>
  copyBytes(native, from, Number.MAX_SAFE_INTEGER, (bytes) => writeAll(native, to, bytes))
