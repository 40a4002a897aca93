/** `coffer system df`. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { durationText } from '../base/since.ts'
import { sizeText } from '../base/size.ts'
import { compileTemplate } from '../base/template.ts'
import { type DiskUse, diskUse, isAlive } from '../engine/disk.ts'
import { familiarRepository, parseReference } from '../image/reference.ts'
import { type Command, say } from './command.ts'
import { CONTAINER_HEADERS, containerView, type Row } from './container-view.ts'
import type { GroupCommand } from './group.ts'
import type { Session } from './open.ts'

const COMMAND = 'coffer system df'

const DF: readonly Flag[] = [
  { name: 'format', type: 'string', value: 'TEMPLATE', help: 'table, json, or a template of Go' },
  { name: 'verbose', short: 'v', type: 'bool', help: 'each image, container and volume' },
]

const df: Command = (session, words) => {
  const given = parseFlags(words, DF, COMMAND, { mixed: true })
  if (given.rest.length > 0) throw usage(COMMAND, 'it takes flags only')
  const format = given.string('format')
  const use = diskUse(session.engine)
  const headers = { Type: 'TYPE', TotalCount: 'TOTAL', Active: 'ACTIVE', Size: 'SIZE', Reclaimable: 'RECLAIMABLE' }
  if (given.bool('verbose')) say(session, details(session, use, format))
  else say(session, printRows({ rows: summary(use), headers, columns: Object.keys(headers) }, format))
  return 0
}

export const DISK_USAGE: GroupCommand = {
  name: 'system df',
  operands: '',
  summary: 'tell what takes how much of the disk',
  flags: DF,
  run: df,
}

function summary({ images, containers, volumes, layerBytes, unusedLayerBytes }: DiskUse): readonly Row[] {
  const total = (some: readonly { readonly sizeBytes: number }[]): number =>
    some.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  const stopped = containers.filter(({ container }) => !isAlive(container))
  const unused = volumes.filter(({ users }) => users === 0)
  const used = images.filter(({ users }) => users > 0)
  return [
    rowOf('Images', [images.length, used.length], layerBytes, unusedLayerBytes),
    rowOf('Containers', [containers.length, containers.length - stopped.length], total(containers), total(stopped)),
    rowOf('Local Volumes', [volumes.length, volumes.length - unused.length], total(volumes), total(unused)),
    { Type: 'Build Cache', TotalCount: '0', Active: '0', Size: '0B', Reclaimable: '0B' },
  ]
}

function rowOf(type: string, [count, active]: readonly [number, number], sizeBytes: number, freeBytes: number): Row {
  const share = sizeBytes > 0 ? ` (${Math.floor((freeBytes / sizeBytes) * 100)}%)` : ''
  return {
    Type: type,
    TotalCount: `${count}`,
    Active: `${active}`,
    Size: sizeText(sizeBytes),
    Reclaimable: `${sizeText(freeBytes)}${share}`,
  }
}

const IMAGE_HEADERS = {
  Repository: 'REPOSITORY',
  Tag: 'TAG',
  ID: 'IMAGE ID',
  CreatedSince: 'CREATED',
  Size: 'SIZE',
  SharedSize: 'SHARED SIZE',
  UniqueSize: 'UNIQUE SIZE',
  Containers: 'CONTAINERS',
}

/** A template is of all lists at once, and its end is the end, as with docker. */
function details({ engine }: Session, { images, containers, volumes }: DiskUse, format?: string): string {
  const nowMs = engine.machine.now().getTime()
  const table = (title: string, headers: Readonly<Record<string, string>>, rows: readonly Row[]): string =>
    `${title} space usage:\n\n${printRows({ rows, headers, columns: Object.keys(headers) })}\n`
  const views = containers.map(({ container, sizeBytes }) => ({
    ...containerView(engine, container, { truncates: true, withSize: false, nowMs }),
    Size: sizeText(sizeBytes),
  }))
  const imageRows = images.map((one) => imageRow(one, nowMs))
  const volumeRows = volumes.map(({ volume, users, sizeBytes }) => ({
    Name: volume.name,
    Driver: 'local',
    Links: `${users}`,
    Size: sizeText(sizeBytes),
  }))
  if (format !== undefined && format !== 'table') {
    const template = compileTemplate(format === 'json' ? '{{json .}}' : format)
    return template({ Images: imageRows, Containers: views, Volumes: volumeRows, BuildCache: [] })
  }
  const columns = ['ID', 'Image', 'Command', 'LocalVolumes', 'Size', 'RunningFor', 'Status', 'Names']
  const headers = Object.fromEntries(columns.map((name) => [name, CONTAINER_HEADERS[name] ?? name]))
  return [
    table('Images', IMAGE_HEADERS, imageRows),
    table('Containers', headers, views),
    table('Local Volumes', { Name: 'VOLUME NAME', Links: 'LINKS', Size: 'SIZE' }, volumeRows),
    'Build cache usage: 0B\n\nCACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n',
  ].join('\n')
}

function imageRow({ image, users, sizeBytes, sharedBytes }: DiskUse['images'][number], nowMs: number): Row {
  const [name] = image.names
  const reference = name === undefined ? undefined : parseReference(name)
  const created = Date.parse(image.config.created ?? '1970-01-01T00:00:00Z')
  return {
    Repository: reference === undefined ? '<none>' : familiarRepository(reference),
    Tag: reference?.tag ?? '<none>',
    ID: image.id.replace(/^sha256:/, '').slice(0, 12),
    CreatedSince: `${durationText((nowMs - created) / 1000)} ago`,
    Size: sizeText(sizeBytes),
    SharedSize: sizeText(sharedBytes),
    UniqueSize: sizeText(sizeBytes - sharedBytes),
    Containers: `${users}`,
  }
}
