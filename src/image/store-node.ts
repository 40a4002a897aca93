/**
 * Writes to the store of images, from Node and Bun. Reading is layout.ts, in any engine.
 *
 * Everything appears at once, by rename(2): a blob when its digest was found right, a layer when it is complete, a name when all that it
 * leads to is there. What a killed command leaves is in `incoming`, and is removed with images that nobody names.
 */

import { createHash, type Hash, randomBytes } from 'node:crypto'
import { statSync } from 'node:fs'
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Executor } from '../executor/persistent-node.ts'
import type { Architecture } from '../linux/numbers.ts'
import { bytesOf, textOf } from '../observe/files-node.ts'
import { type Compression, type Descriptor, MAX_DOCUMENT_BYTES } from '../oci/image.ts'
import { compressionOf, decompressed } from './compression-node.ts'
import { fileChunks, writeChunks } from './file-chunks-node.ts'
import { planLayer } from './layer.ts'
import type { LayerIds } from './layer-ids.ts'
import {
  blobPath,
  imagesDirectory,
  indexPath,
  type LayerNote,
  layerDirectory,
  layerSizePath,
  printIndex,
  printLayerNote,
  readEntries,
  readLayerNote,
} from './layout.ts'
import { planReplace } from './replace.ts'
import { FLAGS, planReadFlags, planScatter } from './scatter.ts'
import { readTar } from './tar-read.ts'

export interface Store {
  /** Absolute: where images and layers are. */
  readonly root: string
  readonly files: Files
  readonly executor: Executor
  readonly architecture: Architecture
  /** Those that layers may have, if this is not the first user namespace. */
  readonly ids: LayerIds | undefined
}

/** Makes the directories and the empty layout, where they are not there yet. */
export async function prepareStore(store: Store): Promise<void> {
  const { root } = store
  const images = imagesDirectory(root)
  for (const directory of [`${images}/blobs/sha256`, `${root}/layers`])
    await mkdir(bytesOf(directory), { recursive: true, mode: 0o700 })
  const made = await mkdir(bytesOf(incoming(root)), { recursive: true, mode: 0o700 })
  if (made !== undefined) await scatter(store, incoming(root))
  await writeOnce(`${images}/oci-layout`, '{"imageLayoutVersion":"1.0.0"}')
  await writeOnce(indexPath(root), '{"schemaVersion":2,"manifests":[]}')
}

const incoming = (root: string): string => `${root}/incoming`

async function scatter({ executor, architecture }: Store, path: string): Promise<void> {
  const place = { path, architecture }
  const bytes = (await executor.run(planReadFlags(place))).bytes(FLAGS)
  await executor.run(planScatter(place, new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true)))
}

async function writeOnce(path: string, text: string): Promise<void> {
  try {
    await writeFile(bytesOf(path), text, { flag: 'wx' })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

/** What is known of a blob before it is read: all of it, or nothing. */
export type Expected = Pick<Descriptor, 'digest' | 'sizeBytes'> | undefined

/** Keeps a blob under its digest. Throws `invalid` if it is not the one that was expected: nothing is kept then. */
export async function addBlob(
  store: Store,
  chunks: AsyncIterable<Uint8Array>,
  expected?: Expected,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const path = temporary(store)
  const hash = createHash('sha256')
  const count = { bytes: 0 }
  try {
    await writeChunks(path, measured(chunks, hash, count, expected))
    const digest = `sha256:${hash.digest('hex')}`
    if (expected !== undefined && digest !== expected.digest) throw wrongDigest(expected.digest, digest)
    await rename(path, bytesOf(blobPath(store.root, digest)))
    return { digest, sizeBytes: count.bytes }
  } catch (error) {
    await rm(path, { force: true })
    throw error
  }
}

export const hasBlob = ({ files, root }: Store, { digest, sizeBytes }: Descriptor): boolean =>
  files.status(blobPath(root, digest))?.sizeBytes === sizeBytes

const temporary = ({ root }: Store): string => `${incoming(root)}/${randomBytes(12).toString('hex')}`

async function* measured(
  chunks: AsyncIterable<Uint8Array>,
  hash: Hash,
  count: { bytes: number },
  expected: Expected,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    count.bytes += chunk.length
    // Whoever sends more than was agreed on is not read to the end.
    if (expected !== undefined && count.bytes > expected.sizeBytes) throw wrongDigest(expected.digest, 'a longer one')
    hash.update(chunk)
    yield chunk
  }
}

const wrongDigest = (wanted: string, got: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: `keep ${wanted}`,
    reason: `what came is not it: ${got}`,
    hint: 'it was damaged on the way, or changed; try again, and do not use what came',
    see: ['oci:image-spec/descriptor.md#verification'],
  })

/** A blob that is a document, such as a manifest. */
export async function readDocument(
  { root }: Store,
  document: Pick<Descriptor, 'digest' | 'sizeBytes'>,
): Promise<string> {
  refuseLarge(document)
  return readFile(bytesOf(blobPath(root, document.digest)), 'utf8')
}

/** Throws `invalid` for what is too long to be a document; to be asked before it is fetched. */
export function refuseLarge({ digest, sizeBytes }: Pick<Descriptor, 'digest' | 'sizeBytes'>): void {
  if (sizeBytes > MAX_DOCUMENT_BYTES) throw wrongDigest(digest, `a document of ${sizeBytes} bytes`)
}

/** Makes the directory of a layer from its blob, unless it is there. Throws `invalid` if the archive is not the one that `diffId` names. */
export async function unpackLayer(store: Store, { digest }: Descriptor, diffId: string): Promise<void> {
  const final = layerDirectory(store.root, diffId)
  if (store.files.status(final) !== undefined) return checkLayer(store, digest, diffId)
  const directory = temporary(store)
  await mkdir(directory, { mode: 0o755 })
  try {
    const got = await unpack(store, blobPath(store.root, digest), directory)
    if (got.digest !== diffId) throw wrongDigest(diffId, got.digest)
    await writeNote(store, { sizeBytes: got.sizeBytes, diffId, blobs: [digest] })
    await settle(directory, final)
  } catch (error) {
    await rm(directory, { recursive: true, force: true })
    throw error
  }
}

/** An image that says that its blob is a layer that is here has to have that layer: what it says is not what it brings. */
async function checkLayer(store: Store, digest: string, diffId: string): Promise<void> {
  const note = readLayerNote(store.files, store.root, diffId)
  if (note !== undefined && note.diffId !== diffId)
    throw wrongDigest(diffId, `the layer of that name is ${note.diffId}`)
  if (note?.blobs.includes(digest)) return
  const got = { hash: createHash('sha256'), count: { bytes: 0 } }
  const plain = await plainOf(blobPath(store.root, digest))
  for await (const _ of hashed(plain, got.hash, got.count));
  const found = `sha256:${got.hash.digest('hex')}`
  if (found !== diffId) throw wrongDigest(diffId, found)
  await writeNote(store, { sizeBytes: got.count.bytes, diffId, blobs: [...(note?.blobs ?? []), digest] })
}

export async function writeNote(store: Store, note: LayerNote): Promise<void> {
  const path = temporary(store)
  await writeFile(path, printLayerNote(note), { flag: 'wx' })
  await rename(path, bytesOf(layerSizePath(store.root, note.diffId)))
}

const plainOf = async (blob: string): Promise<AsyncIterable<Uint8Array>> =>
  decompressed(fileChunks(bytesOf(blob)), await compressionIn(blob))

/** Somebody else may have made the same layer meanwhile. */
async function settle(directory: string, final: string): Promise<void> {
  try {
    await rename(directory, bytesOf(final))
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error
    await rm(directory, { recursive: true, force: true })
  }
}

/** Answers what the archive is without its compression. While a plan runs the next one is made. */
async function unpack(
  store: Store,
  blob: string,
  directory: string,
): Promise<{ readonly digest: string; readonly sizeBytes: number }> {
  const { executor, architecture, ids } = store
  const hash = createHash('sha256')
  const count = { bytes: 0 }
  const archive = hashed(await plainOf(blob), hash, count)
  const entries = readTar(archive, textOf)
  let running: Promise<unknown> = Promise.resolve()
  try {
    for await (const plan of planLayer(entries, { directory, name: blob, architecture, ids })) {
      await running
      running = executor.run(plan)
      // It is looked at in the next turn; until then it must not count as an error that nobody handles.
      running.catch(() => undefined)
    }
    await running
    for await (const _ of archive);
  } finally {
    await archive.return(undefined)
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes: count.bytes }
}

async function* hashed(
  chunks: AsyncIterable<Uint8Array>,
  hash: Hash,
  count: { bytes: number },
): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    hash.update(chunk)
    count.bytes += chunk.length
    yield chunk
  }
}

export async function compressionIn(path: string): Promise<Compression> {
  const file = await open(bytesOf(path))
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return compressionOf(buffer.subarray(0, bytesRead))
  } finally {
    await file.close()
  }
}

/** Changes the entries of index.json; `change` is called again with newer ones if somebody else was faster. */
export async function changeEntries(
  { root, files, executor }: Store,
  change: (entries: readonly Descriptor[]) => readonly Descriptor[],
): Promise<void> {
  const path = indexPath(root)
  for (;;) {
    const { ino, ctimeNs } = statSync(bytesOf(path), { bigint: true })
    const text = printIndex(change(readEntries(files, root)))
    const read = { inode: Number(ino & 0xffff_ffffn), changedNanos: Number(ctimeNs % 1_000_000_000n) }
    try {
      await executor.run(planReplace({ path, read, text }))
      return
    } catch (error) {
      if (!(error instanceof OperationError && error.code === 'ESTALE')) throw error
    }
  }
}
