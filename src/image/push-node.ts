/** push: an image to a registry. Layers go as they came; plain ones are compressed before, and stay so in the store. */

import { Readable } from 'node:stream'
import { bytesOf } from '../observe/files-node.ts'
import { type Descriptor, type ImageManifest, MEDIA_TYPES } from '../oci/image.ts'
import { limited } from './concurrency.ts'
import { fileChunks } from './file-chunks-node.ts'
import { gzipped } from './gzip-node.ts'
import { writeManifest } from './keep-node.ts'
import { blobPath, SOURCE_ANNOTATION, type StoredImage } from './layout.ts'
import { nameOf } from './names.ts'
import { canonicalName, type Reference } from './reference.ts'
import { hasRemoteBlob, openRepository, putBlob, putManifest, type Repository } from './registry-node.ts'
import type { RegistrySettings } from './registry-settings-node.ts'
import { addBlob, changeEntries, readDocument, type Store } from './store-node.ts'

export interface Push {
  readonly image: StoredImage
  readonly reference: Reference
  readonly settings: RegistrySettings
  readonly onLayer: (digest: string, kind: 'preparing' | 'exists' | 'pushed') => void
}

/** As docker does by default. */
const AT_ONCE = 5

/** Answers what the registry knows it by. */
export async function pushImage(store: Store, push: Push): Promise<Descriptor> {
  const { image, reference, settings, onLayer } = push
  const repository = await openRepository(reference, settings, 'pull,push')
  try {
    for (const { digest } of image.manifest.layers) onLayer(digest, 'preparing')
    const { descriptor, manifest } = await compressed(store, image)
    const unique = [...new Map(manifest.layers.map((layer, at) => [layer.digest, at]))]
    await limited(AT_ONCE, unique, async ([digest, at]) => {
      const isNew = await pushBlob(store, repository, manifest.layers[at] ?? manifest.config)
      onLayer(image.manifest.layers[at]?.digest ?? digest, isNew ? 'pushed' : 'exists')
    })
    await pushBlob(store, repository, manifest.config)
    const text = await readDocument(store, descriptor)
    const content = (): Readable => Readable.from([Buffer.from(text)])
    await putManifest(repository, reference.tag ?? descriptor.digest, { mediaType: descriptor.mediaType, content })
    await nameSource(store, canonicalName(reference), descriptor.digest)
    return descriptor
  } finally {
    repository.connection.close()
  }
}

/** Answers whether the registry did not have it. */
async function pushBlob(store: Store, repository: Repository, blob: Descriptor): Promise<boolean> {
  if (await hasRemoteBlob(repository, blob.digest)) return false
  await putBlob(repository, blob, () => Readable.from(fileChunks(bytesOf(blobPath(store.root, blob.digest)))))
  return true
}

/** The image keeps its id and its layers; only their archives are others. */
async function compressed(store: Store, { descriptor, manifest }: StoredImage): Promise<Compressed> {
  if (!manifest.layers.some(isPlain)) return { descriptor, manifest }
  const layers: Descriptor[] = []
  for (const layer of manifest.layers) layers.push(isPlain(layer) ? await compress(store, layer) : layer)
  const made = { ...manifest, layers }
  const changed = await writeManifest(store, made)
  await changeEntries(store, (entries) =>
    entries.map((entry) =>
      entry.digest === descriptor.digest ? { ...entry, digest: changed.digest, sizeBytes: changed.sizeBytes } : entry,
    ),
  )
  return { descriptor: changed, manifest: made }
}

interface Compressed {
  readonly descriptor: Descriptor
  readonly manifest: ImageManifest
}

const DOCKER_LAYER = 'application/vnd.docker.image.rootfs.diff.tar'

const isPlain = ({ mediaType }: Descriptor): boolean => mediaType === MEDIA_TYPES.layer || mediaType === DOCKER_LAYER

async function compress(store: Store, { mediaType, digest }: Descriptor): Promise<Descriptor> {
  const blob = await addBlob(store, gzipped(fileChunks(bytesOf(blobPath(store.root, digest)))))
  return { mediaType: mediaType === DOCKER_LAYER ? `${mediaType}.gzip` : `${mediaType}+gzip`, ...blob, annotations: {} }
}

async function nameSource(store: Store, name: string, digest: string): Promise<void> {
  await changeEntries(store, (entries) =>
    entries.map((entry) =>
      nameOf(entry) === name && entry.digest === digest
        ? { ...entry, annotations: { ...entry.annotations, [SOURCE_ANNOTATION]: digest } }
        : entry,
    ),
  )
}
