/** pull: an image from a registry. Layers come side by side, and each is unpacked as soon as it is there. */

import { OperationError } from '../base/errors.ts'
import {
  type Descriptor,
  type ImageManifest,
  type Platform,
  readImageConfig,
  readIndex,
  readManifest,
} from '../oci/image.ts'
import { limited } from './concurrency.ts'
import { chooseManifest, chunkOf, keepManifest } from './keep-node.ts'
import { findImage, SOURCE_ANNOTATION } from './layout.ts'
import { canonicalName, type Reference } from './reference.ts'
import {
  blobChunks,
  getManifest,
  isIndexType,
  type ManifestDocument,
  openMirrors,
  openRepository,
  type Repository,
} from './registry-node.ts'
import type { RegistrySettings } from './registry-settings-node.ts'
import { listTags } from './registry-tags-node.ts'
import { addBlob, hasBlob, readDocument, refuseLarge, type Store, unpackLayer } from './store-node.ts'

/** How a layer fares; `digest` is its blob. */
export type LayerEvent = { readonly digest: string } & (
  | { readonly kind: 'waiting' | 'exists' | 'downloaded' | 'done' }
  | { readonly kind: 'downloading'; readonly bytes: number; readonly sizeBytes: number }
)

export interface Pull {
  readonly reference: Reference
  /** This machine's, if not given. */
  readonly platform: Platform | undefined
  readonly settings: RegistrySettings
  readonly onLayer: (event: LayerEvent) => void
}

export interface Pulled {
  /** Of the index, if there is one: what the registry knows the name by. */
  readonly digest: string
  readonly isNew: boolean
}

export type PullOne = (onLayer: Pull['onLayer']) => Promise<Pulled>

/** As docker does by default. */
const AT_ONCE = 3

/** The image has the name when it is there whole. Throws what went wrong; what came until then is used by the next pull. */
export async function pullImage(store: Store, pull: Pull): Promise<Pulled> {
  const { reference, settings } = pull
  const ask = (repository: Repository): Promise<ManifestDocument> => getManifest(repository, wantedOf(reference))
  const { repository, answer } = await firstAnswer(reference, settings, ask)
  try {
    return await keepImage(store, repository, answer, pull)
  } finally {
    repository.connection.close()
  }
}

/**
 * The images of all tags that the first of the mirrors and the registry lists, one after the other from there: `onTag` has the answer for each
 * made, by `pullOne`. Those that came before a failure stay.
 */
export async function pullTags(
  store: Store,
  asked: Omit<Pull, 'onLayer'>,
  onTag: (tag: string, pullOne: PullOne) => Promise<void>,
): Promise<void> {
  const { repository, answer } = await firstAnswer(asked.reference, asked.settings, listTags)
  try {
    for (const tag of answer) {
      const reference = { ...asked.reference, tag }
      await onTag(tag, async (onLayer) =>
        keepImage(store, repository, await getManifest(repository, tag), { ...asked, reference, onLayer }),
      )
    }
  } finally {
    repository.connection.close()
  }
}

async function keepImage(store: Store, repository: Repository, top: ManifestDocument, pull: Pull): Promise<Pulled> {
  const { reference } = pull
  const name = canonicalName({
    ...reference,
    digest: undefined,
    tag: reference.digest === undefined ? reference.tag : undefined,
  })
  const { descriptor } = isIndexType(top.descriptor.mediaType)
    ? await chosenManifest(store, repository, top, pull)
    : await kept(store, top)
  const manifest = readManifest(await readDocument(store, descriptor), descriptor.digest)
  await getBlobs(store, repository, manifest, pull)
  const source = { ...descriptor, annotations: { [SOURCE_ANNOTATION]: top.descriptor.digest } }
  const names = reference.digest === undefined ? [name] : [`${name}@${reference.digest}`]
  const isNew = findImage(store.files, store.root, names[0] ?? name)?.descriptor.digest !== descriptor.digest
  await keepManifest(store, { descriptor: source, names })
  return { digest: top.descriptor.digest, isNew }
}

const wantedOf = ({ digest, tag }: Reference): string => digest ?? tag ?? ''

/** The mirrors in their order, then the registry, whose refusal is the one that is told. The connection of who answered is open. */
async function firstAnswer<Answer>(
  reference: Reference,
  settings: RegistrySettings,
  ask: (repository: Repository) => Promise<Answer>,
): Promise<{ readonly repository: Repository; readonly answer: Answer }> {
  for (const repository of await openMirrors(reference, settings)) {
    try {
      return { repository, answer: await ask(repository) }
    } catch (error) {
      repository.connection.close()
      if (!(error instanceof OperationError)) throw error
    }
  }
  const repository = await openRepository(reference, settings, 'pull')
  try {
    return { repository, answer: await ask(repository) }
  } catch (error) {
    repository.connection.close()
    throw error
  }
}

async function kept(
  store: Store,
  { text, descriptor }: ManifestDocument,
): Promise<{ readonly descriptor: Descriptor }> {
  await addBlob(store, chunkOf(text), descriptor)
  return { descriptor }
}

async function chosenManifest(
  store: Store,
  repository: Repository,
  { text, descriptor }: ManifestDocument,
  { platform }: Pull,
): Promise<{ readonly descriptor: Descriptor }> {
  const { manifests } = readIndex(text, descriptor.digest)
  const chosen = chooseManifest(store, manifests, platform)
  const found = await getManifest(repository, chosen.digest)
  if (isIndexType(found.descriptor.mediaType))
    throw new OperationError({
      kind: 'unsupported',
      operation: `pull ${repository.name}`,
      reason: 'it is an index of indexes',
    })
  return kept(store, found)
}

async function getBlobs(store: Store, repository: Repository, manifest: ImageManifest, pull: Pull): Promise<void> {
  const { config, layers } = manifest
  refuseLarge(config)
  if (!hasBlob(store, config))
    await addBlob(
      store,
      blobChunks(repository, config, () => undefined),
      config,
    )
  const { diffIds } = readImageConfig(await readDocument(store, config), config.digest)
  const each = new Map(layers.map((layer, at) => [layer.digest, { layer, diffId: diffIds[at] ?? '' }]))
  for (const { layer } of each.values()) pull.onLayer({ digest: layer.digest, kind: 'waiting' })
  await limited(AT_ONCE, [...each.values()], ({ layer, diffId }) =>
    getLayer(store, repository, { layer, diffId }, pull),
  )
}

async function getLayer(
  store: Store,
  repository: Repository,
  { layer, diffId }: { readonly layer: Descriptor; readonly diffId: string },
  { onLayer }: Pull,
): Promise<void> {
  const { digest, sizeBytes } = layer
  if (hasBlob(store, layer)) onLayer({ digest, kind: 'exists' })
  else {
    const chunks = blobChunks(repository, layer, (bytes) => onLayer({ digest, kind: 'downloading', bytes, sizeBytes }))
    await addBlob(store, chunks, layer)
    onLayer({ digest, kind: 'downloaded' })
  }
  await unpackLayer(store, layer, diffId)
  onLayer({ digest, kind: 'done' })
}
