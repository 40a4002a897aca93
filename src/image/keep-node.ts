/** An image whose blobs are in the store becomes one that has a name and can be run: chosen, checked, unpacked, named. */

import { OperationError } from '../base/errors.ts'
import {
  type Descriptor,
  type ImageManifest,
  MEDIA_TYPES,
  type Platform,
  readImageConfig,
  readIndex,
  readManifest,
} from '../oci/image.ts'
import { limited } from './concurrency.ts'
import { blobPath, printDescriptor } from './layout.ts'
import { addName } from './names.ts'
import { fitsPlatform, platformText } from './platform.ts'
import { familiarName, parseReference } from './reference.ts'
import { addBlob, changeEntries, readDocument, type Store, unpackLayer } from './store-node.ts'

export type Kept = { readonly names: readonly string[] } & (
  | { readonly manifest: ImageManifest }
  | { readonly descriptor: Descriptor }
)

/** As many as docker takes from a registry at once. */
const AT_ONCE = 3

/** Answers the names as a person writes them, or the id if there is none. Layers are unpacked side by side. */
export async function keepManifest(store: Store, kept: Kept): Promise<readonly string[]> {
  const descriptor = 'descriptor' in kept ? kept.descriptor : await writeManifest(store, kept.manifest)
  const manifest =
    'manifest' in kept ? kept.manifest : readManifest(await readDocument(store, descriptor), descriptor.digest)
  const config = readImageConfig(await readDocument(store, manifest.config), manifest.config.digest)
  const { diffIds } = config
  if (diffIds.length !== manifest.layers.length)
    throw new OperationError({
      kind: 'invalid',
      operation: 'keep the image',
      reason: `its manifest has ${manifest.layers.length} layers, and its configuration ${diffIds.length}`,
      see: ['oci:image-spec/config.md#properties'],
    })
  const layers = manifest.layers.map((layer, at) => ({ layer, diffId: diffIds[at] ?? '' }))
  await limited(AT_ONCE, layers, ({ layer, diffId }) => unpackLayer(store, layer, diffId))
  const entry = { ...descriptor, platform: config.platform }
  await changeEntries(store, (entries) => {
    const twins = entries.filter((other) => idIn(store, other) === manifest.config.digest)
    const [twin] = twins
    // A manifest that came with the image is what a registry knows it by; one that was made here is worth less than any.
    const chosen = 'manifest' in kept && twin !== undefined ? { ...twin, annotations: {} } : entry
    const { mediaType, digest, sizeBytes } = chosen
    const merged = entries.map((other) => (twins.includes(other) ? { ...other, mediaType, digest, sizeBytes } : other))
    return kept.names.length === 0
      ? addName(merged, chosen, undefined)
      : kept.names.reduce<readonly Descriptor[]>((changed, name) => addName(changed, chosen, name), merged)
  })
  return kept.names.length === 0
    ? [manifest.config.digest]
    : kept.names.map((name) => familiarName(parseReference(name)))
}

/** Of an entry of index.json. Images are known by this id, so all their names lead to one manifest. */
function idIn({ files, root }: Store, { digest }: Descriptor): string | undefined {
  const text = files.readText(blobPath(root, digest))
  return text === undefined ? undefined : readManifest(text, digest).config.digest
}

/** The bytes are the same for the same image, so that its digest is. */
export async function writeManifest(store: Store, { mediaType, config, layers }: ImageManifest): Promise<Descriptor> {
  const text = JSON.stringify({
    schemaVersion: 2,
    mediaType,
    config: printDescriptor(config),
    layers: layers.map(printDescriptor),
  })
  return { mediaType, ...(await addBlob(store, chunkOf(text))), annotations: {} }
}

export async function* chunkOf(text: string): AsyncGenerator<Uint8Array> {
  yield Buffer.from(text)
}

export const OCI_ARCHITECTURES: Readonly<Record<Store['architecture'], string>> = { x86_64: 'amd64', aarch64: 'arm64' }

/** The manifest for this machine, where `entry` is an index of several; its blobs are in the store. */
export async function imageOfManifest(store: Store, entry: Descriptor): Promise<Descriptor> {
  if (entry.mediaType !== MEDIA_TYPES.index && entry.mediaType !== MEDIA_TYPES.dockerIndex) return entry
  const { manifests } = readIndex(await readDocument(store, entry), entry.digest)
  return chooseManifest(store, manifests)
}

/** For this machine, unless a platform is asked for. Throws `unsupported`, with what there is. */
export function chooseManifest(
  { architecture }: Pick<Store, 'architecture'>,
  manifests: readonly Descriptor[],
  wanted: Platform = { os: 'linux', architecture: OCI_ARCHITECTURES[architecture] },
): Descriptor {
  const found = manifests.find(({ platform }) => platform !== undefined && fitsPlatform(platform, wanted))
  if (found !== undefined) return found
  const platforms = manifests.flatMap(({ platform }) => (platform === undefined ? [] : [platformText(platform)]))
  throw new OperationError({
    kind: 'unsupported',
    operation: 'choose the image of the platform',
    reason: `there is none for ${platformText(wanted)}`,
    hint: `there is: ${platforms.join(', ') || 'nothing'}`,
  })
}
