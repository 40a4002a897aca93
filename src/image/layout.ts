/**
 * The store of images as it lies on disk: an OCI image layout, which skopeo and umoci read as well, and beside it the layers unpacked.
 *
 *     images/oci-layout, index.json, blobs/sha256/…   the layout; each name is an entry of index.json
 *     layers/HEX                                      a layer as the overlay takes it, complete from the moment it has this name
 *     layers/HEX.size                                 how many bytes its archive has, its digest, and those of blobs that were seen to be it
 *     incoming/                                       what is being made
 *
 * Source: oci:image-spec/image-layout.md
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import {
  type Descriptor,
  type ImageConfig,
  type ImageManifest,
  MEDIA_TYPES,
  readImageConfig,
  readIndex,
  readManifest,
} from '../oci/image.ts'
import { canonicalName, familiarName, parseReference } from './reference.ts'

export const NAME_ANNOTATION = 'org.opencontainers.image.ref.name'
/** The digest that a registry knows the image by; for an image of several platforms, that of their index. */
export const SOURCE_ANNOTATION = 'dev.coffer.source.digest'

export interface StoredImage {
  /** The digest of its configuration, as docker has it: `sha256:…`. */
  readonly id: string
  /** The names that lead to it, the whole ones. */
  readonly names: readonly string[]
  /** As a registry knows it, where it came from one: `docker.io/library/busybox@sha256:…`. */
  readonly sources: readonly string[]
  readonly descriptor: Descriptor
  readonly manifest: ImageManifest
  readonly config: ImageConfig
}

export const imagesDirectory = (root: string): string => `${root}/images`
export const indexPath = (root: string): string => `${root}/images/index.json`

/** `digest` has been read as one, so it is a word and hexadecimal digits. */
export const blobPath = (root: string, digest: string): string => `${root}/images/blobs/${digest.replace(':', '/')}`

/** 128 bits are enough to tell layers apart, and keep the list of them within the page that mount(2) takes. */
export const layerDirectory = (root: string, diffId: string): string =>
  `${root}/layers/${diffId.slice(diffId.indexOf(':') + 1).slice(0, 32)}`

export const layerSizePath = (root: string, diffId: string): string => `${layerDirectory(root, diffId)}.size`

/** What is known of a layer that is unpacked. */
export interface LayerNote {
  readonly sizeBytes: number
  readonly diffId: string
  /** Digests of blobs that are this layer without their compression. */
  readonly blobs: readonly string[]
}

export function readLayerNote(files: Files, root: string, diffId: string): LayerNote | undefined {
  const [sizeBytes, own = '', ...blobs] = (files.readText(layerSizePath(root, diffId)) ?? '').split(' ')
  return sizeBytes === '' ? undefined : { sizeBytes: Number(sizeBytes), diffId: own, blobs }
}

export const printLayerNote = ({ sizeBytes, diffId, blobs }: LayerNote): string =>
  [sizeBytes, diffId, ...blobs].join(' ')

/** The entries of index.json; none if there is no store yet. */
export const readEntries = (files: Files, root: string): readonly Descriptor[] =>
  entriesIn(files.readText(indexPath(root)))

const entriesIn = (text: string | undefined): readonly Descriptor[] =>
  text === undefined ? [] : readIndex(text, 'index.json of the images').manifests

export const readImages = (files: Files, root: string): readonly StoredImage[] =>
  reading(files, root, (index) => {
    const byDigest = new Map<string, Descriptor[]>()
    for (const entry of index) byDigest.set(entry.digest, [...(byDigest.get(entry.digest) ?? []), entry])
    return [...byDigest.values()].map((entries) => imageOf(files, root, entries))
  })

/** Whoever removes an image takes its entry away first: who reads it by an older one reads again. */
function reading<Result>(files: Files, root: string, body: (entries: readonly Descriptor[]) => Result): Result {
  for (;;) {
    const before = files.readText(indexPath(root))
    try {
      return body(entriesIn(before))
    } catch (error) {
      const isMissing = error instanceof OperationError && error.kind === 'missing'
      if (!isMissing || files.readText(indexPath(root)) === before) throw error
    }
  }
}

/** By name, by `name@digest`, or by the beginning of an id. Undefined if there is none; throws `invalid` for an id of several. */
export function findImage(files: Files, root: string, text: string): StoredImage | undefined {
  const byName = reading(files, root, (entries) => {
    const named = entriesNamed(entries, text)
    return named.length > 0 ? imageOf(files, root, sameImage(entries, named)) : undefined
  })
  if (byName !== undefined) return byName
  const id = text.replace(/^sha256:/, '')
  if (!/^[0-9a-f]{4,64}$/.test(id)) return undefined
  const found = readImages(files, root).filter((image) => image.id.startsWith(`sha256:${id}`))
  if (found.length < 2) return found[0]
  throw new OperationError({
    kind: 'invalid',
    operation: `find image ${text}`,
    reason: `${found.length} images have an id that begins so`,
    hint: 'write more of the id',
  })
}

function entriesNamed(entries: readonly Descriptor[], text: string): readonly Descriptor[] {
  if (/^[0-9a-f]{64}$|^sha256:/.test(text)) return []
  const reference = parseReference(text)
  if (reference.digest === undefined) {
    const name = canonicalName(reference)
    return entries.filter(({ annotations }) => annotations[NAME_ANNOTATION] === name)
  }
  const { digest } = reference
  return entries.filter((entry) => entry.digest === digest || entry.annotations[SOURCE_ANNOTATION] === digest)
}

const sameImage = (entries: readonly Descriptor[], [first]: readonly Descriptor[]): readonly Descriptor[] =>
  entries.filter(({ digest }) => digest === first?.digest)

/** `entries` are those of one manifest. */
function imageOf(files: Files, root: string, entries: readonly Descriptor[]): StoredImage {
  const [descriptor] = entries as readonly [Descriptor]
  const manifest = readManifest(readBlob(files, root, descriptor.digest), `manifest ${descriptor.digest}`)
  const config = readImageConfig(
    readBlob(files, root, manifest.config.digest),
    `configuration ${manifest.config.digest}`,
  )
  const names = entries.flatMap(({ annotations }) => annotations[NAME_ANNOTATION] ?? [])
  return { id: manifest.config.digest, names, sources: sourcesOf(entries), descriptor, manifest, config }
}

const sourcesOf = (entries: readonly Descriptor[]): readonly string[] => {
  const sources = entries.flatMap(({ annotations }) => {
    const { [NAME_ANNOTATION]: name, [SOURCE_ANNOTATION]: digest } = annotations
    return name === undefined || digest === undefined
      ? []
      : [familiarName({ ...parseReference(name), tag: undefined, digest })]
  })
  return [...new Set(sources)]
}

/** Throws `missing`. */
export function readBlob(files: Files, root: string, digest: string): string {
  const path = blobPath(root, digest)
  const text = files.readText(path)
  if (text !== undefined) return text
  throw new OperationError({
    kind: 'missing',
    operation: 'read the store of images',
    reason: `index.json names ${digest}, and there is no such blob`,
    path,
    hint: 'pull or load the image again',
    see: ['oci:image-spec/image-layout.md'],
  })
}

/** The text of index.json. */
export const printIndex = (entries: readonly Descriptor[]): string =>
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.index, manifests: entries.map(printDescriptor) })

export const printDescriptor = ({ mediaType, digest, sizeBytes, platform, annotations }: Descriptor): object => ({
  mediaType,
  digest,
  size: sizeBytes,
  platform,
  annotations: Object.keys(annotations).length === 0 ? undefined : annotations,
})
