/**
 * Images from an archive: what `docker save` writes, in its old and its new form, and an OCI layout as tar.
 *
 * The files of the archive become blobs under their own digests while they stream by; only then the documents among them say what they are.
 * So no name in the archive becomes the name of a file.
 *
 * Source: oci:image-spec/image-layout.md, docker: image/spec/v1.2 "Combined Image JSON + Filesystem Changeset Format"
 */

import { OperationError } from '../base/errors.ts'
import { listOf, requiredString, type Section, sectionOf, stringsOf } from '../base/field.ts'
import { parseJson } from '../base/json.ts'
import { textOf } from '../observe/files-node.ts'
import { type Descriptor, MAX_DOCUMENT_BYTES, MEDIA_TYPES, readImageConfig, readIndex } from '../oci/image.ts'
import { inflated } from './compression-node.ts'
import { imageOfManifest, keepManifest } from './keep-node.ts'
import { nameOf } from './names.ts'
import { canonicalName, parseReference } from './reference.ts'
import { addBlob, readDocument, type Store } from './store-node.ts'
import { type ReadEntry, readTar } from './tar-read.ts'

/** Answers the names that were loaded, or the id of an image that has none. Throws `invalid` for an archive without images. */
export async function loadArchive(store: Store, chunks: AsyncIterable<Uint8Array>): Promise<readonly string[]> {
  const archive = await readArchive(store, chunks)
  const index = archive.documents.get('index.json')
  const manifest = archive.documents.get('manifest.json')
  // The new form of docker has both, and names with a registry only in the old one.
  if (manifest !== undefined) return loadDocker(store, archive, manifest)
  if (index !== undefined) return loadLayout(store, index)
  throw new OperationError({
    kind: 'invalid',
    operation: 'load the archive',
    reason: 'it has neither manifest.json nor index.json',
    hint: 'for an archive of a root file system: coffer import FILE NAME',
  })
}

type Blob = Pick<Descriptor, 'digest' | 'sizeBytes'>

interface Archive {
  /** By path in the archive. */
  readonly blobs: ReadonlyMap<string, Blob>
  readonly documents: ReadonlyMap<string, string>
}

/** Files of old archives that say nothing new. */
const IGNORED = /(?:^|\/)(?:VERSION|json|repositories|oci-layout)$/

async function readArchive(store: Store, chunks: AsyncIterable<Uint8Array>): Promise<Archive> {
  const blobs = new Map<string, Blob>()
  const documents = new Map<string, string>()
  const links: (readonly [string, string])[] = []
  const plain = inflated(chunks)
  try {
    for await (const entry of readTar(plain, textOf)) {
      const path = entry.path.replace(/^(?:\.?\/)+/, '')
      if (entry.kind === 'symlink') links.push([path, resolved(path, entry.target)])
      else if (entry.kind !== 'file' || IGNORED.test(path)) continue
      else if (path === 'index.json' || path === 'manifest.json') documents.set(path, await readText(entry, path))
      else blobs.set(path, await addBlob(store, entry.content()))
    }
  } finally {
    await plain.return(undefined)
  }
  for (const [path, target] of links) {
    const blob = blobs.get(target)
    if (blob !== undefined) blobs.set(path, blob)
  }
  return { blobs, documents }
}

/** Old archives have a layer that comes twice as a link. */
function resolved(path: string, target: string): string {
  const parts = path.split('/').slice(0, -1)
  for (const part of target.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.' && part !== '') parts.push(part)
  }
  return parts.join('/')
}

async function readText(entry: ReadEntry, path: string): Promise<string> {
  if (entry.sizeBytes > MAX_DOCUMENT_BYTES) throw unusable(`${path} has more than ${MAX_DOCUMENT_BYTES} bytes`)
  const chunks: Uint8Array[] = []
  for await (const chunk of entry.content()) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}

async function loadDocker(store: Store, archive: Archive, text: string): Promise<readonly string[]> {
  const images = listOf(
    { json: { images: parseJson(text, 'manifest.json') }, place: 'manifest.json: ' },
    'images',
    sectionOf,
  )
  const names: string[] = []
  for (const image of images) names.push(...(await loadDockerImage(store, archive, image)))
  return names
}

async function loadDockerImage(store: Store, { blobs }: Archive, image: Section): Promise<readonly string[]> {
  const blob = (path: string): Blob => blobs.get(path) ?? missing(path)
  const config = blob(requiredString(image, 'Config'))
  const layers = stringsOf(image, 'Layers').map(blob)
  const tags = stringsOf(image, 'RepoTags').map((tag) => canonicalName(parseReference(tag)))
  const { diffIds } = readImageConfig(await readDocument(store, config), 'the configuration of the image')
  return keepManifest(store, {
    manifest: {
      mediaType: MEDIA_TYPES.manifest,
      config: { mediaType: MEDIA_TYPES.config, ...config, annotations: {} },
      // A layer that is its own diff id is not compressed; else what its first bytes say is found when it is unpacked.
      layers: layers.map((layer, at) => ({
        mediaType: layer.digest === diffIds[at] ? MEDIA_TYPES.layer : `${MEDIA_TYPES.layer}+gzip`,
        ...layer,
        annotations: {},
      })),
    },
    names: tags,
  })
}

function missing(path: string): never {
  throw unusable(`it has no file ${JSON.stringify(path)}, which manifest.json names`)
}

const unusable = (reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: 'load the archive', reason })

async function loadLayout(store: Store, text: string): Promise<readonly string[]> {
  const names: string[] = []
  for (const entry of readIndex(text, 'index.json').manifests) {
    const name = nameIn(entry)
    // What a registry knows an image by is known from the registry, and from no archive.
    const descriptor = { ...(await imageOfManifest(store, entry)), annotations: {} }
    names.push(...(await keepManifest(store, { descriptor, names: name === undefined ? [] : [name] })))
  }
  return names
}

/** containerd writes the whole name beside the tag, others a name where the tag belongs; a tag alone names nothing. */
function nameIn(entry: Descriptor): string | undefined {
  const name = entry.annotations['io.containerd.image.name'] ?? nameOf(entry)
  return name === undefined || !/[/:]/.test(name) ? undefined : canonicalName(parseReference(name))
}
