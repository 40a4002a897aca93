/** An image of one layer, from the archive of a root file system: `docker import`. */

import { MEDIA_TYPES, type Platform } from '../oci/image.ts'
import { inflated } from './compression-node.ts'
import { chunkOf, keepManifest, OCI_ARCHITECTURES } from './keep-node.ts'
import { addBlob, type Store } from './store-node.ts'

export interface Import {
  /** The whole name, if the image gets one. */
  readonly name?: string | undefined
  /** What the history says of it. */
  readonly comment: string
  /** The section `config` of the image's configuration: oci:image-spec/config.md */
  readonly process: object
  /** That of this machine if undefined. */
  readonly platform?: Platform | undefined
}

/** The archive may be compressed; it is kept without compression, so that its digest is that of the layer. */
export async function importArchive(
  store: Store,
  chunks: AsyncIterable<Uint8Array>,
  { name, comment, process, platform }: Import,
): Promise<readonly string[]> {
  const layer = await addBlob(store, inflated(chunks))
  const created = new Date().toISOString()
  const text = JSON.stringify({
    created,
    architecture: OCI_ARCHITECTURES[store.architecture],
    os: 'linux',
    ...platform,
    config: process,
    rootfs: { type: 'layers', diff_ids: [layer.digest] },
    history: [{ created, comment }],
  })
  const config = await addBlob(store, chunkOf(text))
  return keepManifest(store, {
    manifest: {
      mediaType: MEDIA_TYPES.manifest,
      config: { mediaType: MEDIA_TYPES.config, ...config, annotations: {} },
      layers: [{ mediaType: MEDIA_TYPES.layer, ...layer, annotations: {} }],
    },
    names: name === undefined ? [] : [name],
  })
}
