/**
 * Images as an archive that is an OCI layout and docker's form at once: index.json and manifest.json lead to the same blobs.
 *
 * Source: oci:image-spec/image-layout.md, docker: image/spec/v1.2
 */

import { encode } from '../executor/persistent-node.ts'
import { bytesOf } from '../observe/files-node.ts'
import type { Descriptor } from '../oci/image.ts'
import { fileChunks } from './file-chunks-node.ts'
import { blobPath, NAME_ANNOTATION, printIndex, type StoredImage } from './layout.ts'
import { familiarName, parseReference } from './reference.ts'
import type { Store } from './store-node.ts'
import { padded, type TarEntry } from './tar.ts'
import { tarEnd, tarHeader } from './tar-write.ts'

export interface Saved {
  readonly image: StoredImage
  /** The whole ones. */
  readonly names: readonly string[]
}

/** The same images give the same bytes. */
export async function* archiveOf({ root }: Store, saved: readonly Saved[]): AsyncGenerator<Uint8Array> {
  for (const path of ['blobs', 'blobs/sha256'])
    yield tarHeader({ ...ENTRY, path, kind: 'directory', mode: 0o755 }, encode)
  const blobs = new Map(saved.flatMap(({ image }) => blobsOf(image)).map((blob) => [blob.digest, blob.sizeBytes]))
  for (const [digest, sizeBytes] of blobs) {
    yield tarHeader({ ...ENTRY, path: pathOf(digest), sizeBytes }, encode)
    yield* fileChunks(bytesOf(blobPath(root, digest)))
    yield new Uint8Array(padded(sizeBytes) - sizeBytes)
  }
  yield* fileOf('index.json', printIndex(saved.flatMap(entriesOf)))
  yield* fileOf('manifest.json', JSON.stringify(saved.map(dockerEntry)))
  yield* fileOf('oci-layout', '{"imageLayoutVersion":"1.0.0"}')
  yield tarEnd()
}

const ENTRY: TarEntry = {
  path: '',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  modified: { seconds: 0, nanos: 0 },
  target: '',
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
}

function* fileOf(path: string, text: string): Generator<Uint8Array> {
  const bytes = Buffer.from(text)
  yield tarHeader({ ...ENTRY, path, sizeBytes: bytes.length }, encode)
  yield bytes
  yield new Uint8Array(padded(bytes.length) - bytes.length)
}

const pathOf = (digest: string): string => `blobs/${digest.replace(':', '/')}`

const blobsOf = ({ descriptor, manifest }: StoredImage): readonly Descriptor[] => [
  descriptor,
  manifest.config,
  ...manifest.layers,
]

/** containerd and docker read the whole name, others the tag. */
function entriesOf({ image: { descriptor }, names }: Saved): readonly Descriptor[] {
  if (names.length === 0) return [{ ...descriptor, annotations: {} }]
  return names.map((name) => ({
    ...descriptor,
    annotations: {
      'io.containerd.image.name': name,
      [NAME_ANNOTATION]: parseReference(name).tag ?? 'latest',
    },
  }))
}

const dockerEntry = ({ image: { manifest }, names }: Saved): object => ({
  Config: pathOf(manifest.config.digest),
  RepoTags: names.length === 0 ? null : names.map((name) => familiarName(parseReference(name))),
  Layers: manifest.layers.map(({ digest }) => pathOf(digest)),
})
