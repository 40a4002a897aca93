/** An image of what a container has written: the image that it was made of, with one layer more. */

import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { type Descriptor, MEDIA_TYPES } from '../oci/image.ts'
import { applyChanges, type ConfigSection } from './change.ts'
import { chunkOf, keepManifest } from './keep-node.ts'
import { readBlob, readImages } from './layout.ts'
import { addBlob, type Store } from './store-node.ts'

export interface Commit {
  /** The id of the image that the container was made of. */
  readonly image: string
  readonly config: ConfigSection
  readonly changes: readonly string[]
  readonly author: string
  readonly comment: string
  /** What the history says was run. */
  readonly createdBy: string
  /** The whole name, if the image gets one. */
  readonly name?: string | undefined
}

/** An archive without an entry: two blocks of zeros. */
const EMPTY = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef'

/** `layer` is an archive. Answers the id of the new image. Throws `missing` if the old one is gone. */
export async function commitLayer(store: Store, layer: AsyncIterable<Uint8Array>, commit: Commit): Promise<string> {
  const parent = readImages(store.files, store.root).find(({ id }) => id === commit.image)
  if (parent === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: 'commit the container',
      reason: `its image ${commit.image} is gone`,
      hint: 'coffer export has all its files, and coffer import makes an image of them',
    })
  const config = applyChanges(commit.config, commit.changes)
  const archive = await addBlob(store, layer)
  const isEmpty = archive.digest === EMPTY
  const before = parseJson(readBlob(store.files, store.root, commit.image), commit.image) as ConfigSection
  const created = new Date().toISOString()
  const { author, comment, createdBy } = commit
  const entry = {
    created,
    created_by: createdBy,
    ...said({ author, comment }),
    ...(isEmpty ? { empty_layer: true } : {}),
  }
  const { architecture, os, variant, history } = before
  const text = JSON.stringify({
    created,
    ...said({ author, comment }),
    architecture,
    os,
    variant,
    config,
    rootfs: { type: 'layers', diff_ids: [...parent.config.diffIds, ...(isEmpty ? [] : [archive.digest])] },
    history: [...(Array.isArray(history) ? history : []), entry],
  })
  const made = await addBlob(store, chunkOf(text))
  await keepManifest(store, {
    manifest: {
      mediaType: MEDIA_TYPES.manifest,
      config: { mediaType: MEDIA_TYPES.config, ...made, annotations: {} },
      layers: [
        ...parent.manifest.layers.map(ociLayer),
        ...(isEmpty ? [] : [{ mediaType: MEDIA_TYPES.layer, ...archive, annotations: {} }]),
      ],
    },
    names: commit.name === undefined ? [] : [commit.name],
  })
  return made.digest
}

/** What says nothing is left out. */
const said = (words: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(words).filter(([, word]) => word !== ''))

/** docker's names of the same archives. */
const ociLayer = (layer: Descriptor): Descriptor => ({
  ...layer,
  mediaType: layer.mediaType.replace(
    /^application\/vnd\.docker\.image\.rootfs\.diff\.tar(\.gzip)?$/,
    (_, gzip?: string) => `${MEDIA_TYPES.layer}${gzip === undefined ? '' : '+gzip'}`,
  ),
})
