/** Images that no program would make. */

import { createHash } from 'node:crypto'
import { archive, type Written } from './layer-archives.ts'

export const digestOf = (bytes: Uint8Array | string): string =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}`
export const MANIFEST: string = 'application/vnd.oci.image.manifest.v1+json'
export const descriptor = (mediaType: string, bytes: Uint8Array, more: object = {}): object => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.length,
  ...more,
})

export interface Image {
  readonly layers: readonly Uint8Array[]
  /** What the configuration says of the layers, if not the truth. */
  readonly diffIds?: readonly string[]
  readonly config?: object
  readonly annotations?: object
  readonly manifest?: object
}

export interface Built {
  readonly tar: Uint8Array
  readonly manifest: Uint8Array
  readonly blobs: ReadonlyMap<string, Uint8Array>
}

/** An image as an OCI layout. */
export function built({ layers, diffIds, config = {}, annotations, manifest = {} }: Image): Built {
  const bytes = Buffer.from(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config,
      rootfs: { type: 'layers', diff_ids: diffIds ?? layers.map(digestOf) },
    }),
  )
  const text = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: descriptor('application/vnd.oci.image.config.v1+json', bytes),
      layers: layers.map((layer) => descriptor('application/vnd.oci.image.layer.v1.tar', layer)),
      ...manifest,
    }),
  )
  const index = JSON.stringify({
    schemaVersion: 2,
    manifests: [descriptor(MANIFEST, text, annotations === undefined ? {} : { annotations })],
  })
  const blobs = new Map([...layers, bytes, text].map((blob) => [digestOf(blob), blob]))
  const files = [...blobs].map(([digest, content]): Written => ({ path: `blobs/${digest.replace(':', '/')}`, content }))
  return { tar: archive(...files, { path: 'index.json', content: index }), manifest: text, blobs }
}
