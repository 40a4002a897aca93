/** Plain layers and what they are compressed: made once, and known by the note of the layer, for other images too. */

import { bytesOf } from '../observe/files-node.ts'
import { type Descriptor, MEDIA_TYPES } from '../oci/image.ts'
import { fileChunks } from './file-chunks-node.ts'
import { gzipped } from './gzip-node.ts'
import { blobPath, readLayerNote } from './layout.ts'
import { addBlob, compressionIn, type Store, writeNote } from './store-node.ts'

const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar'

export const isPlain = ({ mediaType }: Descriptor): boolean =>
  mediaType === MEDIA_TYPES.layer || mediaType === DOCKER_LAYER

/** The digest of a plain layer is the id by which it is noted. */
export async function compressedBefore(store: Store, layer: Descriptor): Promise<Descriptor | undefined> {
  const { files, root } = store
  for (const digest of readLayerNote(files, root, layer.digest)?.blobs ?? []) {
    const sizeBytes = files.status(blobPath(root, digest))?.sizeBytes
    const isThere = sizeBytes !== undefined && (await compressionIn(blobPath(root, digest))) === 'gzip'
    if (isThere) return ofLayer(layer, { digest, sizeBytes })
  }
  return undefined
}

/** Each chunk goes through `passing` on its way into the store. */
export async function compress(
  store: Store,
  layer: Descriptor,
  passing: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Promise<Descriptor> {
  const { digest } = layer
  const blob = await addBlob(store, passing(gzipped(fileChunks(bytesOf(blobPath(store.root, digest))))))
  const note = readLayerNote(store.files, store.root, digest)
  if (note !== undefined) await writeNote(store, { ...note, blobs: [...note.blobs, blob.digest] })
  return ofLayer(layer, blob)
}

const ofLayer = ({ mediaType }: Descriptor, blob: Pick<Descriptor, 'digest' | 'sizeBytes'>): Descriptor => ({
  mediaType: mediaType === DOCKER_LAYER ? `${mediaType}.gzip` : `${mediaType}+gzip`,
  ...blob,
  annotations: {},
})
