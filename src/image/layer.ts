/**
 * A layer's archive → plans that make its files, as the kernel's overlay wants a layer to be.
 *
 * The steps run in a process whose root directory is the layer: whatever paths and links an archive has, they reach nothing else.
 *
 * | in the archive | in the directory                                          |
 * |----------------|-----------------------------------------------------------|
 * | `.wh.NAME`     | a whiteout: character device 0:0 called NAME              |
 * | `.wh..wh..opq` | the directory is opaque: an extended attribute says so    |
 * | `.wh..wh.…`    | nothing: aufs kept its own things there                   |
 *
 * Source: oci:image-spec/layer.md, kernel:filesystems/overlayfs.rst
 */

import { OperationError } from '../base/errors.ts'
import { chdir, chroot } from '../linux/files.ts'
import type { Architecture } from '../linux/numbers.ts'
import { umask } from '../linux/process.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { type LayerIds, ownerIn, settableIn } from './layer-ids.ts'
import {
  closeFile,
  createFile,
  finishFile,
  makeDirectory,
  makeLink,
  makeNode,
  makeParent,
  makeSymlink,
  markOpaque,
  type Place,
  remove,
  reopenFile,
  SEE,
  setDirectory,
  setTime,
  whiteout,
  writeFile,
} from './layer-steps.ts'
import type { TarEntry, TarKind, TarTime } from './tar.ts'
import { type Piece, piecesOf, type ReadEntry } from './tar-read.ts'

export interface LayerOptions {
  /** Absolute and empty: becomes the layer. */
  readonly directory: string
  /** What errors call the layer. */
  readonly name: string
  readonly architecture: Architecture
  /** Of the user namespace that unpacks it, if that is not the first one. */
  readonly ids: LayerIds | undefined
}

/** A plan takes as much at most, to fit into a frame of the executor's. */
const MAX_STEPS = 20_000
const MAX_BYTES = 4 * 1024 * 1024

/** The plans are to be run one after another. Throws `invalid` for a path that leads out of the layer. */
export async function* planLayer(entries: AsyncIterable<ReadEntry>, options: LayerOptions): AsyncGenerator<Plan> {
  const layer = new Layer(options)
  for await (const entry of entries) {
    if (layer.isFull) yield layer.takePlan()
    refuseNumbers(entry, options.name)
    const path = pathOf(entry.path, options.name)
    const mark = markOf(path)
    if (mark !== undefined) layer.mark(mark)
    else if (entry.kind !== 'file') layer.make(path, entry)
    else {
      layer.beginFile(path)
      for await (const piece of piecesOf(entry)) {
        if (layer.isFull) yield layer.takePlan()
        layer.write(piece)
      }
      layer.endFile(entry)
    }
  }
  layer.setTimes()
  yield layer.takePlan()
}

/** What was planned so far. Names that were made are known, so a layer that says something twice ends with what it said last. */
class Layer {
  readonly #options: LayerOptions
  readonly #made = new Map<string, TarKind>([['.', 'directory']])
  /** Names that a whiteout hides: a directory that the layer has there itself shows nothing of the layers below. */
  readonly #hidden = new Set<string>()
  /** Set at the end, as each file that is made in a directory changes its time. */
  readonly #times = new Map<string, TarTime>()
  #steps: Step[] = []
  #bytes = 0
  #openFile: Place | undefined

  constructor(options: LayerOptions) {
    this.#options = options
  }

  /** How this machine's overlay marks an opaque directory; one that was mounted without privilege looks for the second. */
  get #opaqueAttribute(): string {
    return this.#options.ids === undefined ? 'trusted.overlay.opaque' : 'user.overlay.opaque'
  }

  get isFull(): boolean {
    return this.#steps.length > MAX_STEPS || this.#bytes > MAX_BYTES
  }

  /** A file that is open is closed, and opened again by the next plan. */
  takePlan(): Plan {
    const { directory, name } = this.#options
    const open = this.#openFile
    const steps: readonly Step[] = [
      { call: chroot(directory), why: 'see nothing but the layer', see: ['chroot(2)'] },
      { call: chdir('/'), why: 'begin at its root', see: ['chdir(2)'] },
      { call: umask(0), why: 'give files the modes that the archive says', see: ['umask(2)'] },
      ...this.#steps,
      ...(open === undefined ? [] : [closeFile(open)]),
    ]
    this.#steps = open === undefined ? [] : [reopenFile(open)]
    this.#bytes = 0
    return { operation: `unpack layer ${name}`, steps }
  }

  mark({ directory, hides }: Mark): void {
    if (hides === 'aufs') return
    if (hides === 'all') {
      this.#enter(`${directory}/.`)
      this.#steps.push(markOpaque(this.#place(directory), this.#opaqueAttribute))
      return
    }
    const path = directory === '.' ? hides : `${directory}/${hides}`
    this.#hidden.add(path)
    const kind = this.#made.get(path)
    // What the layer itself has there covers what is below, but for a directory, which is merged with it.
    if (kind === 'directory') this.#steps.push(markOpaque(this.#place(path), this.#opaqueAttribute))
    if (kind !== undefined) return
    this.#enter(path)
    this.#steps.push(whiteout(this.#place(path)))
    this.#made.set(path, 'character')
  }

  make(path: string, given: TarEntry): void {
    const place = this.#place(path)
    const entry = this.#owned(given)
    if (entry.kind === 'directory') {
      if (this.#made.get(path) !== 'directory')
        this.#begin(path, entry.kind, makeDirectory(place), ...this.#opaque(path))
      this.#steps.push(...setDirectory(place, entry))
      this.#times.set(path, entry.modified)
    } else if (entry.kind === 'symlink') this.#begin(path, entry.kind, ...makeSymlink(place, entry))
    else if (entry.kind === 'link') this.#begin(path, entry.kind, makeLink(place, this.#pathOf(entry.target)))
    else if (this.#canMake(entry)) this.#begin(path, entry.kind, ...makeNode(place, entry))
  }

  beginFile(path: string): void {
    this.#openFile = this.#place(path)
    this.#begin(path, 'file', createFile(this.#openFile))
  }

  write(piece: Piece): void {
    if (this.#openFile === undefined) return
    this.#bytes += piece.bytes.length
    this.#steps.push(writeFile(this.#openFile, piece))
  }

  endFile(entry: TarEntry): void {
    if (this.#openFile === undefined) return
    this.#steps.push(...finishFile(this.#openFile, this.#owned(entry)), closeFile(this.#openFile))
    this.#openFile = undefined
  }

  #owned(entry: TarEntry): TarEntry {
    const { ids } = this.#options
    return ids === undefined ? entry : { ...entry, ...ownerIn(ids, entry), xattrs: settableIn(entry) }
  }

  /** Devices take privilege over the machine; without, an image goes without them, as with docker. */
  #canMake({ kind }: TarEntry): boolean {
    return kind === 'fifo' || this.#options.ids === undefined
  }

  setTimes(): void {
    for (const [path, time] of this.#times) this.#steps.push(setTime(this.#place(path), time))
  }

  /** Whatever had this name before is gone. */
  #begin(path: string, kind: TarKind, ...steps: readonly Step[]): void {
    this.#enter(path)
    if (this.#made.has(path)) this.#remove(path)
    this.#made.set(path, kind)
    this.#steps.push(...steps)
  }

  /** Directories that no entry stands for. */
  #enter(path: string): void {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const parent = path.slice(0, slash)
      const isWhiteout = this.#made.get(parent) === 'character' && this.#hidden.has(parent)
      if (this.#made.has(parent) && !isWhiteout) continue
      if (isWhiteout) this.#remove(parent)
      this.#made.set(parent, 'directory')
      this.#steps.push(makeParent(this.#place(parent)), ...this.#opaque(parent))
    }
  }

  #opaque(path: string): readonly Step[] {
    return this.#hidden.has(path) ? [markOpaque(this.#place(path), this.#opaqueAttribute)] : []
  }

  #remove(path: string): void {
    const inside = [...this.#made].filter(([name]) => name === path || name.startsWith(`${path}/`))
    for (const [name, kind] of inside.reverse()) {
      this.#steps.push(remove(this.#place(name), kind === 'directory'))
      this.#made.delete(name)
      this.#times.delete(name)
    }
  }

  #place(path: string): Place {
    return { path, architecture: this.#options.architecture }
  }

  #pathOf(text: string): string {
    return pathOf(text, this.#options.name)
  }
}

/** Without slashes around it, `.` for the root. */
function pathOf(text: string, layer: string): string {
  const parts = text.split('/').filter((part) => part !== '' && part !== '.')
  if (!parts.includes('..') && !text.includes('\0')) return parts.length === 0 ? '.' : parts.join('/')
  throw new OperationError({
    kind: 'invalid',
    operation: `unpack layer ${layer}`,
    reason: `it has an entry ${JSON.stringify(text)}, which leads out of where it is`,
    see: SEE,
  })
}

/** Beyond these the kernel takes the low bits: 2^32 would be root. makedev(3), chown(2) */
const MAX_ID = 2 ** 32 - 2
const MAX_DEVICE = { major: 0xfff, minor: 0xfffff }

function refuseNumbers({ path, uid, gid, device }: TarEntry, layer: string): void {
  if (uid <= MAX_ID && gid <= MAX_ID && device.major <= MAX_DEVICE.major && device.minor <= MAX_DEVICE.minor) return
  throw new OperationError({
    kind: 'invalid',
    operation: `unpack layer ${layer}`,
    reason: `its entry ${JSON.stringify(path)} has an owner or a device that cannot be`,
    see: ['chown(2)', 'mknod(2)', ...SEE],
  })
}

interface Mark {
  readonly directory: string
  /** A name, all that the layers below have there, or nothing. */
  readonly hides: string | 'all' | 'aufs'
}

const WHITEOUT = '.wh.'

function markOf(path: string): Mark | undefined {
  const slash = path.lastIndexOf('/')
  const name = path.slice(slash + 1)
  if (!name.startsWith(WHITEOUT)) return undefined
  const directory = slash < 0 ? '.' : path.slice(0, slash)
  if (name === '.wh..wh..opq') return { directory, hides: 'all' }
  const hidden = name.slice(WHITEOUT.length)
  return {
    directory,
    hides: hidden.startsWith(WHITEOUT) || hidden === '' || hidden === '.' || hidden === '..' ? 'aufs' : hidden,
  }
}
