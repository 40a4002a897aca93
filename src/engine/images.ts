/** Images as people ask for them: rows of a list, all that is known of one, its history; and what removing one means. */

import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { durationText } from '../base/since.ts'
import { sizeText } from '../base/size.ts'
import { sorted } from '../base/sorted.ts'
import { findImage, layerDirectory, readBlob, readImages, readLayerNote, type StoredImage } from '../image/layout.ts'
import { addName, removeImage, removeName } from '../image/names.ts'
import { canonicalName, familiarName, familiarRepository, isDigest, parseReference } from '../image/reference.ts'
import type { HistoryEntry } from '../oci/image.ts'
import { listEngineContainers } from './containers.ts'
import { tell } from './events.ts'
import { changeImages, collectUnused } from './image-store.ts'
import { withNamesLock } from './lock.ts'
import type { Engine } from './place.ts'

/** Throws `missing`, with docker's words. */
export function wantedImage({ machine: { files }, dataRoot }: Engine, text: string): StoredImage {
  const found = findImage(files, dataRoot, text)
  if (found !== undefined) return found
  throw new OperationError({
    kind: 'missing',
    operation: `find image ${text}`,
    reason: `No such image: ${isDigest(text) ? text : familiarName(parseReference(text))}`,
    hint: 'coffer images lists those that are there',
  })
}

/** Names with a tag; one that was pulled by digest has none. */
export const tagsOf = ({ names }: StoredImage): readonly string[] =>
  names.filter((name) => !name.includes('@')).map((name) => familiarName(parseReference(name)))

/** What the layers hold, as archives. */
export function sizeOf({ machine: { files }, dataRoot }: Engine, { config, manifest }: StoredImage): number {
  return config.diffIds.reduce(
    (sum, diffId, at) => sum + layerBytes(files, dataRoot, diffId, manifest.layers[at]?.sizeBytes),
    0,
  )
}

/** Of each layer, by its diff id. */
export const layerBytesOf = (
  { machine: { files }, dataRoot }: Engine,
  { config, manifest }: StoredImage,
): ReadonlyMap<string, number> =>
  new Map(
    config.diffIds.map((diffId, at) => [diffId, layerBytes(files, dataRoot, diffId, manifest.layers[at]?.sizeBytes)]),
  )

const layerBytes = (files: Engine['machine']['files'], root: string, diffId: string, blobBytes = 0): number =>
  readLayerNote(files, root, diffId)?.sizeBytes ?? blobBytes

export interface ImageRow {
  readonly image: StoredImage
  readonly repository: string | undefined
  readonly tag: string | undefined
  readonly digest: string | undefined
}

/** The newest first; an image has a row for each of its names, and one if it has none. */
export function listImages({ machine: { files }, dataRoot }: Engine): readonly ImageRow[] {
  const created = ({ config }: StoredImage): string => config.created ?? ''
  const images = [...readImages(files, dataRoot)].sort((a, b) => (created(a) < created(b) ? 1 : -1))
  return images.flatMap((image): readonly ImageRow[] => {
    if (image.names.length === 0) return [{ image, repository: undefined, tag: undefined, digest: undefined }]
    return image.names.map((name) => {
      const reference = parseReference(name)
      const repository = familiarRepository(reference)
      const source = image.sources.find((text) => text.startsWith(`${repository}@`))
      return {
        image,
        repository,
        tag: reference.tag,
        digest: source?.slice(source.indexOf('@') + 1) ?? reference.digest,
      }
    })
  })
}

/** With docker's names of fields. */
export function rowOf(
  engine: Engine,
  { image, repository, tag, digest }: ImageRow,
  isWhole: boolean,
): Readonly<Record<string, string>> {
  const { created = '1970-01-01T00:00:00Z' } = image.config
  const size = sizeText(sizeOf(engine, image))
  return {
    Containers: 'N/A',
    CreatedAt: dateText(created),
    CreatedSince: sinceText(engine, created),
    Digest: digest ?? '<none>',
    ID: idText(image.id, isWhole),
    Repository: repository ?? '<none>',
    SharedSize: 'N/A',
    Size: size,
    Tag: tag ?? '<none>',
    UniqueSize: 'N/A',
    VirtualSize: size,
  }
}

export const idText = (id: string, isWhole: boolean): string => (isWhole ? id : id.replace(/^sha256:/, '').slice(0, 12))

const dateText = (created: string): string => `${created.slice(0, 19).replace('T', ' ')} +0000 UTC`

const sinceText = ({ machine }: Engine, created: string): string =>
  `${durationText((machine.now().getTime() - Date.parse(created)) / 1000)} ago`

/** As `docker image inspect` prints it. */
export function describeImage(engine: Engine, image: StoredImage): Readonly<Record<string, unknown>> {
  const { machine, dataRoot } = engine
  const { config, manifest, id } = image
  const raw = parseJson(readBlob(machine.files, dataRoot, manifest.config.digest), id) as { readonly config?: object }
  const size = sizeOf(engine, image)
  const directories = config.diffIds.map((diffId) => layerDirectory(dataRoot, diffId)).reverse()
  return {
    Id: id,
    RepoTags: tagsOf(image),
    RepoDigests: image.sources,
    Parent: '',
    Comment: config.comment ?? config.history[config.history.length - 1]?.comment ?? '',
    Created: config.created ?? '',
    DockerVersion: '',
    Author: config.author ?? '',
    Config: withSortedMaps({ ...NO_CONFIG, ...raw.config }),
    Architecture: config.platform.architecture,
    ...(config.platform.variant === undefined ? {} : { Variant: config.platform.variant }),
    Os: config.platform.os,
    Size: size,
    VirtualSize: size,
    GraphDriver: { Name: 'overlay', Data: { LowerDir: directories.join(':') } },
    RootFS: { Type: 'layers', Layers: config.diffIds },
    Metadata: { LastTagTime: '0001-01-01T00:00:00Z' },
  }
}

/** Ports, volumes and labels in the order in which Go prints them. */
const withSortedMaps = (config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    Object.entries(config).map(([name, value]) => [
      name,
      typeof value === 'object' && value !== null && !Array.isArray(value)
        ? sorted(value as Readonly<Record<string, unknown>>)
        : value,
    ]),
  )

/** What docker says of an image that says nothing. */
const NO_CONFIG = {
  User: '',
  ExposedPorts: null,
  Env: null,
  Cmd: null,
  Volumes: null,
  WorkingDir: '',
  Entrypoint: null,
  Labels: null,
}

/** The newest first; only that one has an id, as the others are no images of their own. */
export function historyOf(
  engine: Engine,
  image: StoredImage,
  { isWhole, isHuman }: { readonly isWhole: boolean; readonly isHuman: boolean },
): readonly Readonly<Record<string, string>>[] {
  const { files } = engine.machine
  const { diffIds, history } = image.config
  const entries: readonly HistoryEntry[] = history.length > 0 ? history : diffIds.map(() => ({ isEmptyLayer: false }))
  let layer = 0
  const rows = entries.map(
    ({ created = image.config.created ?? '1970-01-01T00:00:00Z', createdBy = '', comment = '', isEmptyLayer }) => {
      const at = isEmptyLayer ? -1 : layer++
      const bytes =
        at < 0 ? 0 : layerBytes(files, engine.dataRoot, diffIds[at] ?? '', image.manifest.layers[at]?.sizeBytes)
      const by = createdBy.replace(/\t/g, ' ')
      return {
        ID: '<missing>',
        CreatedSince: isHuman ? sinceText(engine, created) : created,
        CreatedAt: created,
        CreatedBy: isWhole || by.length <= CREATED_BY ? by : `${by.slice(0, CREATED_BY - 1)}…`,
        Size: isHuman ? sizeText(bytes) : String(bytes),
        Comment: comment,
      }
    },
  )
  return rows.reverse().map((row, at) => (at === 0 ? { ...row, ID: idText(image.id, isWhole) } : row))
}

const CREATED_BY = 45

export function tagImage(engine: Engine, source: string, target: string): void {
  const reference = parseReference(target)
  if (reference.digest !== undefined)
    throw new OperationError({ kind: 'invalid', operation: `tag ${target}`, reason: 'a tag cannot be a digest' })
  // Nobody removes it between its being found and its being named.
  const { id } = withNamesLock(engine, () => {
    const image = wantedImage(engine, source)
    // Where it came from is said of the name that it came by.
    changeImages(engine, (entries) =>
      addName(entries, { ...image.descriptor, annotations: {} }, canonicalName(reference)),
    )
    return image
  })
  tell(engine, 'image', 'tag', id, { name: familiarName(reference) })
}

/** Answers docker's lines. Throws `conflict` for an image that is in use, or has other names. */
export function untagImage(engine: Engine, text: string, isForced: boolean): readonly string[] {
  const { image, goes, isLast } = withNamesLock(engine, () => takeNames(engine, text, isForced))
  for (const one of goes) tell(engine, 'image', 'untag', image.id, { name: familiarName(parseReference(one)) })
  const said = goes.map((one) => `Untagged: ${familiarName(parseReference(one))}`)
  if (!isLast) return said
  tell(engine, 'image', 'delete', image.id, { name: image.id })
  const { layers } = collectUnused(engine, image.config.diffIds)
  return [
    ...said,
    ...image.sources.map((source) => `Untagged: ${source}`),
    `Deleted: ${image.id}`,
    ...[...layers].reverse().map((diffId) => `Deleted: ${diffId}`),
  ]
}

interface Untagged {
  readonly image: StoredImage
  readonly goes: readonly string[]
  /** No name is left, and nothing of it stays. */
  readonly isLast: boolean
}

/** For who holds the lock of names: nobody makes a container of the image meanwhile, or gives it another name. */
function takeNames(engine: Engine, text: string, isForced: boolean): Untagged {
  const image = wantedImage(engine, text)
  const isId = !/[^0-9a-f]/.test(text.replace(/^sha256:/, '')) && image.id.includes(text.replace(/^sha256:/, ''))
  const name = isId ? undefined : image.names.find((one) => one === canonicalName(parseReference(text)))
  const goes = name === undefined ? image.names : [name]
  const user = goes.length === image.names.length ? userOf(engine, image) : undefined
  // By its name, and by force, it goes on without one while a container runs that is made of it.
  const isKept = user?.isRunning === true && isForced && name !== undefined
  const isLast = goes.length === image.names.length && !isKept
  if (name === undefined && image.names.length > 1 && !isForced)
    throw inUse(
      image,
      `unable to delete ${idText(image.id, false)} (must be forced) - image is referenced in multiple repositories`,
      'remove it by its names, or give --force',
    )
  if (user !== undefined && !isKept && (!isForced || user.isRunning))
    throw inUse(
      image,
      name === undefined ? usedText(image, user) : usedByNameText(image, user, text),
      `coffer rm ${user.name}`,
    )
  changeImages(engine, (entries) =>
    isLast ? removeImage(entries, image.descriptor.digest) : removeName(entries, name ?? ''),
  )
  return { image, goes, isLast }
}

interface ImageUser {
  readonly id: string
  readonly name: string
  readonly isRunning: boolean
}

function userOf(engine: Engine, image: StoredImage): ImageUser | undefined {
  const users = listEngineContainers(engine).filter(({ record }) => record.image.id === image.id)
  const found = users.find(({ status }) => status === 'running' || status === 'paused') ?? users[0]
  if (found === undefined) return undefined
  const { id, name } = found.record
  return { id, name, isRunning: found.status === 'running' || found.status === 'paused' }
}

/** In docker's words, which scripts look for: daemon/images/image_delete.go */
const usedText = ({ id }: StoredImage, user: ImageUser): string =>
  `unable to delete ${idText(id, false)} (${user.isRunning ? 'cannot' : 'must'} be forced) - image is being used by ` +
  `${user.isRunning ? 'running' : 'stopped'} container ${user.id.slice(0, 12)}`

const usedByNameText = ({ id }: StoredImage, user: ImageUser, name: string): string =>
  `unable to remove repository reference "${name}" (must force) - container ${user.id.slice(0, 12)} is using its ` +
  `referenced image ${idText(id, false)}`

const inUse = ({ id }: StoredImage, reason: string, hint: string): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: `remove image ${idText(id, false)}`,
    reason: `conflict: ${reason}`,
    hint,
  })

/** Images without a name, or all that no container uses. Answers docker's lines. `fits` asks for no lock. */
export function pruneImages(
  engine: Engine,
  all: boolean,
  fits: (row: ImageRow) => boolean,
): { readonly lines: readonly string[]; readonly sizeBytes: number } {
  const unused = withNamesLock(engine, () => {
    const rows = listImages(engine).filter((row) => (all || row.image.names.length === 0) && fits(row))
    const images = [...new Map(rows.map(({ image }) => [image.descriptor.digest, image])).values()]
    return images.filter((image) => {
      if (userOf(engine, image) !== undefined) return false
      changeImages(engine, (entries) => removeImage(entries, image.descriptor.digest))
      return true
    })
  })
  for (const { id } of unused) tell(engine, 'image', 'delete', id, { name: id })
  const { layers, sizeBytes } = collectUnused(
    engine,
    unused.flatMap(({ config }) => config.diffIds),
  )
  const lines = unused.flatMap((image) => [
    ...image.names.map((name) => `untagged: ${familiarName(parseReference(name))}`),
    `deleted: ${image.id}`,
  ])
  return { lines: [...lines, ...[...new Set(layers)].map((diffId) => `deleted: ${diffId}`)], sizeBytes }
}
