/**
 * Documents of images: descriptors, indexes, manifests, configurations. Those of docker differ in their media types only, and are read alike.
 *
 * Source: oci:image-spec (descriptor.md, image-index.md, manifest.md, config.md), docker: image/spec/v1.2
 */

import {
  entriesOf,
  listOf,
  optionalSection,
  optionalString,
  requiredString,
  type Section,
  sectionOf,
  stringOf,
  stringsOf,
} from '../base/field.ts'
import { optionalInteger, type Range, requiredInteger } from '../base/integer.ts'
import { parseJson } from '../base/json.ts'
import { fieldOf, type Place, refuse, refuseUnsupported } from '../base/place.ts'

export const MEDIA_TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
} as const

export type Compression = 'none' | 'gzip' | 'zstd'

/** What a reference by content says of it. */
export interface Descriptor {
  readonly mediaType: string
  /** `sha256:…`. */
  readonly digest: string
  readonly sizeBytes: number
  readonly platform?: Platform | undefined
  readonly annotations: Readonly<Record<string, string>>
}

export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string | undefined
}

export interface ImageIndex {
  readonly manifests: readonly Descriptor[]
}

export interface ImageManifest {
  readonly mediaType: string
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
}

export interface ImageConfig {
  readonly platform: Platform
  /** RFC 3339. */
  readonly created?: string | undefined
  readonly author?: string | undefined
  readonly comment?: string | undefined
  readonly process: ImageProcess
  /** Digests of the layers as plain tar archives, the lowest first. */
  readonly diffIds: readonly string[]
  readonly history: readonly HistoryEntry[]
}

/** What a container of the image does unless it is told otherwise: oci:image-spec/config.md#properties, `config`. */
export interface ImageProcess {
  readonly user?: string | undefined
  readonly env: readonly string[]
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly workingDir?: string | undefined
  readonly labels: Readonly<Record<string, string>>
  /** `80/tcp`. */
  readonly exposedPorts: readonly string[]
  readonly volumes: readonly string[]
  readonly stopSignal?: string | undefined
  readonly shell: readonly string[]
  readonly healthcheck?: Healthcheck | undefined
}

/** Times are nanoseconds, 0 for the default. Only docker's configurations have it. */
export interface Healthcheck {
  /** `NONE`, `CMD` with arguments, or `CMD-SHELL` with one. */
  readonly test: readonly string[]
  readonly intervalNanos: number
  readonly timeoutNanos: number
  readonly startPeriodNanos: number
  readonly retries: number
}

export interface HistoryEntry {
  readonly created?: string | undefined
  readonly createdBy?: string | undefined
  readonly comment?: string | undefined
  readonly isEmptyLayer: boolean
}

/** Documents of more than this are refused before they are read: no real one comes near. */
export const MAX_DOCUMENT_BYTES: number = 4 * 1024 * 1024

const SIZE: Range = { min: 0, max: Number.MAX_SAFE_INTEGER }
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** `name` is what errors call the document. All throw `invalid` with the field. */
export function readIndex(text: string, name: string): ImageIndex {
  const index = documentOf(text, name)
  return { manifests: listOf(index, 'manifests', descriptorOf) }
}

export function readManifest(text: string, name: string): ImageManifest {
  const manifest = documentOf(text, name)
  const { json, place } = manifest
  // docker's first schema has signed layers in another order; nothing has written it since 2017.
  if (json.schemaVersion !== 2)
    refuseUnsupported(fieldOf(place, 'schemaVersion'), 'is not 2', 'push the image again with a newer docker')
  const config = optionalSection(manifest, 'config') ?? refuse(fieldOf(place, 'config'), 'is missing')
  return {
    mediaType: optionalString(manifest, 'mediaType') ?? MEDIA_TYPES.manifest,
    config: descriptorOf(config.json, config.place),
    layers: layersOf(manifest),
  }
}

/** The kernel puts no more above each other: OVL_MAX_STACK in fs/overlayfs. docker stops at 125. */
const MAX_LAYERS = 500

function layersOf(manifest: Section): readonly Descriptor[] {
  const layers = listOf(manifest, 'layers', descriptorOf)
  if (layers.length > MAX_LAYERS) refuse(fieldOf(manifest.place, 'layers'), `has more than ${MAX_LAYERS} items`)
  return layers
}

export function readImageConfig(text: string, name: string): ImageConfig {
  const document = documentOf(text, name)
  const rootfs = optionalSection(document, 'rootfs')
  return {
    platform: platformOf(document),
    created: optionalString(document, 'created'),
    author: optionalString(document, 'author'),
    comment: optionalString(document, 'comment'),
    process: processOf(optionalSection(document, 'config')),
    diffIds: rootfs === undefined ? [] : listOf(rootfs, 'diff_ids', digestOf),
    history: listOf(document, 'history', historyOf),
  }
}

const documentOf = (text: string, name: string): Section => {
  if (text.length > MAX_DOCUMENT_BYTES) refuse(`${name}: `, `has more than ${MAX_DOCUMENT_BYTES} bytes`)
  return sectionOf(parseJson(text, name), `${name}: `)
}

function descriptorOf(value: unknown, place: Place): Descriptor {
  const descriptor = sectionOf(value, place)
  const platform = optionalSection(descriptor, 'platform')
  return {
    mediaType: requiredString(descriptor, 'mediaType'),
    digest: digestOf(descriptor.json.digest, fieldOf(place, 'digest')),
    sizeBytes: requiredInteger(descriptor, 'size', SIZE),
    ...(platform === undefined ? {} : { platform: platformOf(platform) }),
    annotations: textsOf(descriptor, 'annotations'),
  }
}

/** Becomes the name of a file, so nothing but hexadecimal digits may be in it. */
function digestOf(value: unknown, place: Place): string {
  const digest = stringOf(value, place)
  if (!DIGEST.test(digest))
    refuse(
      place,
      `is ${JSON.stringify(digest.slice(0, 80))}, which is no digest`,
      'it has to be sha256: or sha512: and hexadecimal digits',
    )
  return digest
}

const platformOf = (section: Section): Platform => ({
  os: optionalString(section, 'os') ?? 'linux',
  architecture: optionalString(section, 'architecture') ?? '',
  variant: optionalString(section, 'variant'),
})

const NO_PROCESS: ImageProcess = {
  env: [],
  entrypoint: [],
  cmd: [],
  labels: {},
  exposedPorts: [],
  volumes: [],
  shell: [],
}

function processOf(config: Section | undefined): ImageProcess {
  if (config === undefined) return NO_PROCESS
  const healthcheck = optionalSection(config, 'Healthcheck')
  return {
    user: optionalString(config, 'User'),
    env: stringsOf(config, 'Env'),
    entrypoint: stringsOf(config, 'Entrypoint'),
    cmd: stringsOf(config, 'Cmd'),
    workingDir: optionalString(config, 'WorkingDir'),
    labels: textsOf(config, 'Labels'),
    exposedPorts: entriesOf(config, 'ExposedPorts', (port) => port),
    volumes: entriesOf(config, 'Volumes', (path) => path),
    stopSignal: optionalString(config, 'StopSignal'),
    shell: stringsOf(config, 'Shell'),
    ...(healthcheck === undefined ? {} : { healthcheck: healthcheckOf(healthcheck) }),
  }
}

const healthcheckOf = (section: Section): Healthcheck => ({
  test: stringsOf(section, 'Test'),
  intervalNanos: optionalInteger(section, 'Interval', SIZE) ?? 0,
  timeoutNanos: optionalInteger(section, 'Timeout', SIZE) ?? 0,
  startPeriodNanos: optionalInteger(section, 'StartPeriod', SIZE) ?? 0,
  retries: optionalInteger(section, 'Retries', SIZE) ?? 0,
})

function historyOf(value: unknown, place: Place): HistoryEntry {
  const entry = sectionOf(value, place)
  return {
    created: optionalString(entry, 'created'),
    createdBy: optionalString(entry, 'created_by'),
    comment: optionalString(entry, 'comment'),
    isEmptyLayer: entry.json.empty_layer === true,
  }
}

const textsOf = (parent: Section, key: string): Readonly<Record<string, string>> =>
  Object.fromEntries(entriesOf(parent, key, (name, value, place) => [name, stringOf(value, place)] as const))
