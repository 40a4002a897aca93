/**
 * push: an image to a registry. Layers go as they came. Plain ones are compressed, and stay so in the store; the first time they
 * are sent while they are compressed, before it is known whether the registry has them.
 */

import { Readable } from 'node:stream'
import { bytesOf } from '../observe/files-node.ts'
import type { Descriptor, ImageManifest } from '../oci/image.ts'
import { compress, compressedBefore, isPlain } from './compressed-node.ts'
import { limited } from './concurrency.ts'
import { fileChunks } from './file-chunks-node.ts'
import { writeManifest } from './keep-node.ts'
import { blobPath, SOURCE_ANNOTATION, type StoredImage } from './layout.ts'
import { nameOf } from './names.ts'
import { canonicalName, type Reference } from './reference.ts'
import { openRepository, putManifest, type Repository } from './registry-node.ts'
import type { RegistrySettings } from './registry-settings-node.ts'
import { hasRemoteBlob, openUpload, putBlob } from './registry-upload-node.ts'
import { changeEntries, readDocument, type Store } from './store-node.ts'

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
  const { config, layers } = image.manifest
  const repository = await openRepository(reference, settings, 'pull,push')
  try {
    for (const { digest } of layers) onLayer(digest, 'preparing')
    const inRegistry = new Map<string, Descriptor>()
    const unique = [...new Map([...layers, config].map((blob) => [blob.digest, blob])).values()]
    await limited(AT_ONCE, unique, async (blob) => {
      const { descriptor, isNew } = await pushBlob(store, repository, blob)
      inRegistry.set(blob.digest, descriptor)
      if (blob !== config) onLayer(blob.digest, isNew ? 'pushed' : 'exists')
    })
    const manifest = { ...image.manifest, layers: layers.map((layer) => inRegistry.get(layer.digest) ?? layer) }
    const descriptor = layers.some(isPlain) ? await replaceManifest(store, image, manifest) : image.descriptor
    const text = await readDocument(store, descriptor)
    const content = (): Readable => Readable.from([Buffer.from(text)])
    await putManifest(repository, reference.tag ?? descriptor.digest, { mediaType: descriptor.mediaType, content })
    await nameSource(store, canonicalName(reference), descriptor.digest)
    return descriptor
  } finally {
    repository.connection.close()
  }
}

interface Pushed {
  /** Of what the registry has for it. */
  readonly descriptor: Descriptor
  /** Whether it had to be sent. */
  readonly isNew: boolean
}

async function pushBlob(store: Store, repository: Repository, blob: Descriptor): Promise<Pushed> {
  if (!isPlain(blob)) return { descriptor: blob, isNew: await sendKept(store, repository, blob) }
  const known = await compressedBefore(store, blob)
  if (known !== undefined) return { descriptor: known, isNew: await sendKept(store, repository, known) }
  const upload = openUpload(repository)
  const descriptor = await compress(store, blob, upload.passing)
  const isSent = await upload.end(descriptor.digest)
  return { descriptor, isNew: isSent || (await sendKept(store, repository, descriptor)) }
}

/** Answers whether the registry did not have it. */
async function sendKept(store: Store, repository: Repository, blob: Descriptor): Promise<boolean> {
  if (await hasRemoteBlob(repository, blob.digest)) return false
  await putBlob(repository, blob, () => Readable.from(fileChunks(bytesOf(blobPath(store.root, blob.digest)))))
  return true
}

/** The image keeps its id and its layers; only their archives are others. */
async function replaceManifest(store: Store, { descriptor }: StoredImage, made: ImageManifest): Promise<Descriptor> {
  const { digest, sizeBytes, ...rest } = await writeManifest(store, made)
  await changeEntries(store, (entries) =>
    entries.map((entry) => (entry.digest === descriptor.digest ? { ...entry, digest, sizeBytes } : entry)),
  )
  return { ...rest, digest, sizeBytes }
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
