/**
 * Changes to the store of images by hot commands, and what keeps it: image/store-node.ts is the same for those that move images.
 *
 * Who reads images and goes on to use them, such as run, load or pull, holds a shared lock of the directory `images` meanwhile. Who removes
 * what nobody uses has it alone, or leaves that to the next one.
 */

import { attempt, must } from '../executor/embedded-call.ts'
import { close, lock, makeDirectories, open, remove, rename, tryLock, writeText } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import {
  blobPath,
  imagesDirectory,
  indexPath,
  layerDirectory,
  printIndex,
  readEntries,
  readImages,
  readLayerNote,
} from '../image/layout.ts'
import { AT_FDCWD, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from '../linux/files.ts'
import type { Descriptor } from '../oci/image.ts'
import { listEngineContainers } from './containers.ts'
import { asOwner } from './owner.ts'
import type { Engine } from './place.ts'
import { newId } from './random.ts'

type Entries = readonly Descriptor[]

const LOCK_SH = 1

/** Nothing is taken away until the descriptor is closed, also by the last program that inherited it. */
export function holdImages({ machine: { native, files }, dataRoot }: Engine): number {
  const path = imagesDirectory(dataRoot)
  if (files.status(path) === undefined) makeDirectories(native, path, 0o700)
  const flags = O_RDONLY | O_DIRECTORY[native.architecture]
  const fd = must(native, `open ${path}`, 'openat', AT_FDCWD, path, flags, 0)
  must(native, `lock ${path}`, 'flock', fd, LOCK_SH)
  return fd
}

/** Nobody else changes index.json between `change` and its taking effect: the lock is that of image/replace.ts. */
export function changeImages(
  { machine: { native, files }, dataRoot }: Engine,
  change: (entries: Entries) => Entries,
): void {
  const path = indexPath(dataRoot)
  const held = open(native, `${path}.lock`, O_WRONLY | O_CREAT, 0o600)
  try {
    lock(native, held)
    const text = printIndex(change(readEntries(files, dataRoot)))
    remove(native, `${path}.new`)
    const fd = open(native, `${path}.new`, O_WRONLY | O_CREAT | O_EXCL, 0o644)
    writeText(native, fd, text)
    must(native, `write ${path}`, 'fsync', fd)
    close(native, fd)
    rename(native, `${path}.new`, path)
  } finally {
    close(native, held)
  }
}

export interface Collected {
  /** Diff ids of layers. */
  readonly layers: readonly string[]
  readonly sizeBytes: number
}

/** Removes blobs and layers that no image and no container uses, and what killed commands left. Removes nothing while images are moved. */
export function collectUnused(engine: Engine, candidates: readonly string[]): Collected {
  const { machine, dataRoot } = engine
  const { native, files } = machine
  const fd = open(native, imagesDirectory(dataRoot), O_RDONLY | O_DIRECTORY[native.architecture])
  try {
    if (!tryLock(native, fd)) return { layers: [], sizeBytes: 0 }
    const images = readImages(files, dataRoot)
    const blobs = new Set(
      images.flatMap(({ descriptor, manifest }) =>
        [descriptor, manifest.config, ...manifest.layers].map(({ digest }) => blobPath(dataRoot, digest)),
      ),
    )
    const layers = new Set([
      ...images.flatMap(({ config }) => config.diffIds.map((diffId) => layerDirectory(dataRoot, diffId))),
      ...listEngineContainers(engine).flatMap(({ record }) => record.image.layers),
    ])
    const gone = candidates.filter((diffId) => !layers.has(layerDirectory(dataRoot, diffId)))
    const layerBytes = gone.map((diffId) => readLayerNote(files, dataRoot, diffId)?.sizeBytes ?? 0)
    const blobBytes = removeBlobs(engine, blobs)
    const pathsIn = (directory: string): readonly string[] =>
      (files.list(`${dataRoot}/${directory}`) ?? []).map((name) => `${dataRoot}/${directory}/${name}`)
    const unused = pathsIn('layers').filter((path) => !layers.has(path.replace(/\.size$/, '')))
    asOwner(engine, () => {
      // What has the name of a layer is all of it, also when somebody kills us.
      for (const path of unused) rename(native, path, `${dataRoot}/incoming/${newId(native)}`)
      for (const path of pathsIn('incoming')) removeTree(native, path)
    })
    return { layers: gone, sizeBytes: layerBytes.reduce((sum, bytes) => sum + bytes, blobBytes) }
  } finally {
    close(native, fd)
  }
}

/** Answers how many bytes they had. */
function removeBlobs({ machine: { native, files }, dataRoot }: Engine, used: ReadonlySet<string>): number {
  let sizeBytes = 0
  for (const kind of files.list(`${imagesDirectory(dataRoot)}/blobs`) ?? [])
    for (const name of files.list(`${imagesDirectory(dataRoot)}/blobs/${kind}`) ?? []) {
      const path = `${imagesDirectory(dataRoot)}/blobs/${kind}/${name}`
      if (used.has(path)) continue
      const bytes = files.status(path)?.sizeBytes ?? 0
      if (attempt(native, 'unlinkat', AT_FDCWD, path, 0) >= 0) sizeBytes += bytes
    }
  return sizeBytes
}
