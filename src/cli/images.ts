/** The commands on images that are there: images, tag, rmi, history, and those of the group `image` alone. */

import { describeError, OperationError } from '../base/errors.ts'
import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { sizeText } from '../base/size.ts'
import { compileTemplate } from '../base/template.ts'
import { imageFilter, matcher } from '../engine/image-filter.ts'
import {
  describeImage,
  historyOf,
  type ImageRow,
  idText,
  listImages,
  pruneImages,
  rowOf,
  tagImage,
  untagImage,
  wantedImage,
} from '../engine/images.ts'
import { writeText } from '../executor/embedded-files.ts'
import { clientSetting } from './client-settings.ts'
import { agrees, type Command } from './command.ts'
import type { GroupCommand } from './group.ts'
import type { Session } from './open.ts'

const say = ({ native }: Session, text: string): void => writeText(native, 1, text)

/** Does it for each word; one that fails is told, and the others are done all the same. Answers docker's status. */
function forEach(
  session: Session,
  words: readonly string[],
  body: (word: string) => void,
  fails: (error: OperationError) => boolean = () => true,
): number {
  let status = 0
  for (const word of words) {
    try {
      body(word)
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
      writeText(session.native, 2, `error: ${describeError(error)}\n`)
      if (fails(error)) status = 1
    }
  }
  return status
}

const FORMAT: Flag = {
  name: 'format',
  type: 'string',
  value: 'TEMPLATE',
  help: 'table, table TEMPLATE, json, or a Go template',
}
const NO_TRUNC: Flag = { name: 'no-trunc', type: 'bool', help: 'whole ids and texts' }
const PLATFORM: Flag = {
  name: 'platform',
  type: 'string',
  help: 'of which platform',
  refused: 'each image here is of one platform',
}
const QUIET: Flag = { name: 'quiet', short: 'q', type: 'bool', help: 'ids only' }

export const IMAGES: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'accepted; there are no hidden images' },
  { name: 'digests', type: 'bool', help: 'what registries know them by' },
  { name: 'filter', short: 'f', type: 'list', value: 'NAME=VALUE', help: 'only those that fit' },
  { name: 'tree', type: 'bool', help: 'platforms as a tree', refused: 'each image here is of one platform' },
  FORMAT,
  NO_TRUNC,
  QUIET,
]

const HEADERS = {
  Containers: 'CONTAINERS',
  CreatedAt: 'CREATED AT',
  CreatedSince: 'CREATED',
  Digest: 'DIGEST',
  ID: 'IMAGE ID',
  Repository: 'REPOSITORY',
  SharedSize: 'SHARED SIZE',
  Size: 'SIZE',
  Tag: 'TAG',
  UniqueSize: 'UNIQUE SIZE',
  VirtualSize: 'SIZE',
} as const

export const images: Command = (session, words) => {
  const given = parseFlags(words, IMAGES, 'coffer images', { mixed: true })
  const [pattern, ...others] = given.rest
  if (others.length > 0) throw usage('coffer images', 'it takes one name or pattern')
  const fits = imageFilter(session.engine, given.list('filter'))
  const named = pattern === undefined ? () => true : matcher(pattern)
  const rows = listImages(session.engine).filter((row) => named(row) && fits(row))
  const isWhole = given.bool('no-trunc')
  if (given.bool('quiet')) {
    say(session, [...new Set(rows.map(({ image }) => `${idText(image.id, isWhole)}\n`))].join(''))
    return 0
  }
  const columns = ['Repository', 'Tag', ...(given.bool('digests') ? ['Digest'] : []), 'ID', 'CreatedSince', 'Size']
  const shown = rows.map((row) => rowOf(session.engine, row, isWhole))
  const format = given.string('format') ?? clientSetting(session, 'imagesFormat')
  say(session, printRows({ rows: shown, headers: HEADERS, columns }, format))
  return 0
}

export const tag: Command = ({ engine }, words) => {
  const [source, target, ...others] = parseFlags(words, [], 'coffer tag').rest
  if (source === undefined || target === undefined || others.length > 0)
    throw usage('coffer tag', 'it takes an image and a name', 'coffer tag IMAGE NAME:TAG')
  tagImage(engine, source, target)
  return 0
}

export const RMI: readonly Flag[] = [
  { name: 'force', short: 'f', type: 'bool', help: 'all its names, and also if a container that does not run uses it' },
  { name: 'no-prune', type: 'bool', help: 'accepted; there are no parents without a name' },
  PLATFORM,
]

export const rmi: Command = (session, words) => {
  const given = parseFlags(words, RMI, 'coffer rmi', { mixed: true })
  if (given.rest.length === 0) throw usage('coffer rmi', 'it takes one image or more')
  const isForced = given.bool('force')
  // As docker has it: what is not there is told, and with --force no failure.
  const fails = ({ kind }: OperationError): boolean => !isForced || kind !== 'missing'
  const body = (word: string): void => say(session, `${untagImage(session.engine, word, isForced).join('\n')}\n`)
  return forEach(session, given.rest, body, fails)
}

export const HISTORY: readonly Flag[] = [
  FORMAT,
  PLATFORM,
  NO_TRUNC,
  QUIET,
  { name: 'human', short: 'H', type: 'bool', help: 'sizes and times in words; =false for numbers' },
]

export const history: Command = (session, words) => {
  const given = parseFlags(words, HISTORY, 'coffer history', { mixed: true })
  const [name, ...others] = given.rest
  if (name === undefined || others.length > 0) throw usage('coffer history', 'it takes one image')
  const isHuman = !given.isSet('human') || given.bool('human')
  const image = wantedImage(session.engine, name)
  const rows = historyOf(session.engine, image, { isWhole: given.bool('no-trunc'), isHuman })
  const headers = {
    ID: 'IMAGE',
    CreatedSince: 'CREATED',
    CreatedAt: 'CREATED AT',
    CreatedBy: 'CREATED BY',
    Size: 'SIZE',
    Comment: 'COMMENT',
  }
  const columns = ['ID', 'CreatedSince', 'CreatedBy', 'Size', 'Comment']
  if (given.bool('quiet')) say(session, rows.map(({ ID = '' }) => `${ID}\n`).join(''))
  else say(session, printRows({ rows, headers, columns }, given.string('format')))
  return 0
}

const INSPECT: readonly Flag[] = [{ ...FORMAT, short: 'f' }, PLATFORM]

const inspect: Command = (session, words) => {
  const given = parseFlags(words, INSPECT, 'coffer image inspect', { mixed: true })
  if (given.rest.length === 0) throw usage('coffer image inspect', 'it takes one image or more')
  const found: object[] = []
  const status = forEach(session, given.rest, (word) => {
    found.push(describeImage(session.engine, wantedImage(session.engine, word)))
  })
  say(session, inspected(found, given))
  return status
}

function inspected(found: readonly object[], given: Parsed): string {
  const format = given.string('format')
  if (format === undefined) return `${JSON.stringify(found, null, 4)}\n`
  const template = compileTemplate(format === 'json' ? '{{json .}}' : format)
  return found.map((one) => `${template(one)}\n`).join('')
}

const PRUNE: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'all that no container uses, not only those without a name' },
  { name: 'filter', type: 'list', value: 'NAME=VALUE', help: 'only those that fit' },
  { name: 'force', short: 'f', type: 'bool', help: 'do not ask' },
]

const prune: Command = (session, words) => {
  const given = parseFlags(words, PRUNE, 'coffer image prune')
  const all = given.bool('all')
  const what = all ? 'all images without at least one container associated to them' : 'all dangling images'
  const sizeBytes = agrees(session, `${what}.`, given) ? dropImages(session, all, given.list('filter')) : 0
  say(session, `Total reclaimed space: ${sizeText(sizeBytes)}\n`)
  return 0
}

/** Says which; answers how many bytes they had. */
export function dropImages(session: Session, all: boolean, filters: readonly string[]): number {
  const fits: (row: ImageRow) => boolean = imageFilter(session.engine, filters)
  const { lines, sizeBytes } = pruneImages(session.engine, all, fits)
  if (lines.length > 0) say(session, `Deleted Images:\n${lines.join('\n')}\n\n`)
  return sizeBytes
}

/** Of the group `image`, beside the commands that are known without that word. */
export const OF_IMAGES: readonly GroupCommand[] = [
  { name: 'image inspect', operands: 'IMAGE...', summary: 'show images as JSON', flags: INSPECT, run: inspect },
  { name: 'image prune', operands: '', summary: 'remove images without a name', flags: PRUNE, run: prune },
]
