/** The files of a directory, one after another, as what an archive says of them; nothing is followed, and nothing resolved twice. */

import type { Native } from '../base/native.ts'
import {
  attributesOf,
  linkTarget,
  openDirectoryName,
  openName,
  reopen,
  type StatusAt,
  statusOf,
  withFd,
} from '../executor/embedded-at.ts'
import { must } from '../executor/embedded-call.ts'
import { listEntries } from '../executor/embedded-tree.ts'
import type { TarEntry } from '../image/tar.ts'

/** A file as it was found. `path` of the entry is below what was read, '' for that itself. */
export interface Found {
  readonly entry: TarEntry
  readonly status: StatusAt
  /** Of a file: open for reading, until the call returns. */
  readonly content?: number
  /** Of a directory, the same. */
  readonly directory?: number
}

export interface Reading {
  readonly visit: (found: Found) => void
  /** Sockets, which no archive holds, and what else is left out. */
  readonly skip?: (path: string) => boolean
  /** Of what is mounted in it only the place is told. */
  readonly staysOnFileSystem?: boolean
}

/** What is at `name` in the directory, with all below it; directories come before what is in them. What goes away meanwhile is left out. */
export function readTree(native: Native, directory: number, name: string, reading: Reading): void {
  new Reader(native, reading).read(directory, name, '', undefined)
}

const MAX_DEPTH = 4096
/** linux/magic.h: proc, sysfs, cgroup, cgroup2, devpts, mqueue, debugfs, tracefs, securityfs, bpf. */
const KERNEL: ReadonlySet<number> = new Set([
  0x9fa0, 0x62656572, 0x27e0eb, 0x63677270, 0x1cd1, 0x19800202, 0x64626720, 0x74726163, 0x73636673, 0xcafe4a11,
])
const TMPFS = 0x01021994

class Reader {
  readonly #native: Native
  readonly #reading: Reading
  /** The first name of each file that has several. */
  readonly #seen = new Map<string, string>()

  constructor(native: Native, reading: Reading) {
    this.#native = native
    this.#reading = reading
  }

  read(directory: number, name: string, path: string, above: StatusAt | undefined, depth = 0): void {
    const native = this.#native
    const fd = openName(native, directory, name)
    if (fd === undefined || depth > MAX_DEPTH) return
    withFd(native, fd, () => {
      const status = statusOf(native, fd)
      if (status.kind === 'socket' || this.#reading.skip?.(path) === true) return
      if (status.kind !== 'directory') {
        this.#other(fd, path, status)
        return
      }
      const open = openDirectoryName(native, fd, '.')
      if (open === undefined) return
      withFd(native, open, () => {
        this.#reading.visit({
          entry: this.#entry(path, status, { xattrs: attributesOf(native, open) }),
          status,
          directory: open,
        })
        if (above !== undefined && above.fileSystem !== status.fileSystem && this.#isOfOthers(open, path)) return
        for (const inside of [...listEntries(native, open, path)].sort())
          this.read(open, inside, path === '' ? inside : `${path}/${inside}`, status, depth + 1)
      })
    })
  }

  #other(fd: number, path: string, status: StatusAt): void {
    const { visit } = this.#reading
    const native = this.#native
    const first = this.#seen.get(status.identity)
    if (first !== undefined && status.links > 1) {
      visit({ entry: { ...this.#entry(path, status, {}), kind: 'link', target: first, sizeBytes: 0 }, status })
      return
    }
    if (status.links > 1) this.#seen.set(status.identity, path)
    if (status.kind === 'symlink')
      visit({ entry: this.#entry(path, status, { target: linkTarget(native, fd) }), status })
    else if (status.kind !== 'file') visit({ entry: this.#entry(path, status, {}), status })
    else
      withFd(native, reopen(native, fd), (content) =>
        visit({ entry: this.#entry(path, status, { xattrs: attributesOf(native, content) }), status, content }),
      )
  }

  #entry(path: string, status: StatusAt, more: Partial<TarEntry>): TarEntry {
    const { kind, mode, uid, gid, modified } = status
    return {
      path,
      // Sockets were left out.
      kind: kind === 'socket' ? 'file' : kind,
      mode,
      uid,
      gid,
      sizeBytes: kind === 'file' ? status.sizeBytes : 0,
      modified,
      target: '',
      device: kind === 'character' || kind === 'block' ? status.device : { major: 0, minor: 0 },
      xattrs: new Map(),
      ...more,
    }
  }

  /** What the kernel shows of itself, and the devices that coffer mounts at /dev, are none of a container's files. */
  #isOfOthers(fd: number, path: string): boolean {
    if (this.#reading.staysOnFileSystem === true) return true
    const view = new DataView(new ArrayBuffer(120))
    must(this.#native, 'look at a file system', 'fstatfs', fd, view)
    const type = view.getUint32(0, true)
    return KERNEL.has(type) || (type === TMPFS && path === 'dev')
  }
}
