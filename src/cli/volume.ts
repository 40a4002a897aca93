/** `coffer volume`: create, ls, inspect, rm, prune. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { printRows } from '../base/rows.ts'
import { sizeText } from '../base/size.ts'
import { sorted } from '../base/sorted.ts'
import { compileTemplate } from '../base/template.ts'
import { withNamesLock } from '../engine/lock.ts'
import { listMended } from '../engine/mend.ts'
import { volumePath } from '../engine/place.ts'
import { newId } from '../engine/random.ts'
import {
  dropVolume,
  findVolume,
  listVolumes,
  makeVolume,
  removeVolume,
  usersOf,
  type Volume,
  whereVolume,
} from '../engine/volumes.ts'
import { writeText } from '../executor/embedded-files.ts'
import { diskUsage } from '../executor/embedded-walk.ts'
import { clientSetting } from './client-settings.ts'
import { agrees, eachOf, warn } from './command.ts'
import { ALIASES, type CommandGroup } from './group.ts'
import type { Session } from './open.ts'
import { patternOf } from './pattern.ts'
import { labelOf, pairsOf } from './values.ts'

type Words = readonly string[]

const CREATE: readonly Flag[] = [
  { name: 'label', type: 'list', value: 'NAME=VALUE', help: 'a label' },
  { name: 'driver', short: 'd', type: 'string', value: 'local', help: 'there is one' },
  { name: 'name', type: 'string', value: 'NAME', help: 'as the operand, as docker had it until 1.12' },
  {
    name: 'opt',
    short: 'o',
    type: 'list',
    value: 'NAME=VALUE',
    help: 'type, device and o of mount(8): something else is shown',
  },
]

function create(session: Session, words: Words): number {
  const given = parseFlags(words, CREATE, 'coffer volume create')
  const [word = given.string('name'), ...others] = given.rest
  if (others.length > 0 || (given.rest.length > 0 && given.isSet('name')))
    throw usage('coffer volume create', 'it takes one name at most')
  if ((given.string('driver') ?? 'local') !== 'local')
    throw usage('coffer volume create', `there is no driver ${given.string('driver')}`, 'there is local')
  const labels = Object.fromEntries(given.list('label').map(labelOf))
  const options = pairsOf({ command: 'coffer volume create', given, session }, 'opt')
  const name = word ?? newId(session.native)
  withNamesLock(session.engine, () =>
    makeVolume(session.engine, { name, labels, isAnonymous: word === undefined, options }),
  )
  writeText(session.native, 1, `${name}\n`)
  return 0
}

const FILTER: Flag = {
  name: 'filter',
  short: 'f',
  type: 'list',
  value: 'KEY=VALUE',
  help: 'name, label, driver, dangling',
}
const FORMAT: Flag = { name: 'format', type: 'string', value: 'TEMPLATE', help: 'table, json, or a template of Go' }

const LS: readonly Flag[] = [{ name: 'quiet', short: 'q', type: 'bool', help: 'names only' }, FILTER, FORMAT]

function ls(session: Session, words: Words): number {
  const command = 'coffer volume ls'
  const given = parseFlags(words, LS, command, { mixed: true })
  const passes = volumeFilter(session, command, given.list('filter'))
  const shown = listVolumes(session.engine).filter(passes)
  const rows = shown.map((volume) => ({
    Availability: 'N/A',
    Driver: 'local',
    Group: 'N/A',
    Label: (name: string) => volume.labels[name] ?? '',
    Labels: Object.entries(sorted(volume.labels))
      .map(([name, value]) => `${name}=${value}`)
      .join(','),
    Links: 'N/A',
    Mountpoint: mountpointOf(session, volume),
    Name: volume.name,
    Scope: 'local',
    Size: 'N/A',
    Status: 'N/A',
  }))
  const headers = { Driver: 'DRIVER', Name: 'VOLUME NAME', Labels: 'LABELS', Mountpoint: 'MOUNTPOINT', Scope: 'SCOPE' }
  const format = given.string('format') ?? clientSetting(session, 'volumesFormat')
  if (given.bool('quiet')) writeText(session.native, 1, rows.map(({ Name }) => `${Name}\n`).join(''))
  else writeText(session.native, 1, printRows({ rows, headers, columns: ['Driver', 'Name'] }, format))
  return 0
}

/** Values of one key are alternatives, but those of `label`. Throws `invalid`. */
function volumeFilter(session: Session, command: string, filters: Words): (volume: Volume) => boolean {
  const tests = new Map<string, ((volume: Volume) => boolean)[]>()
  for (const filter of filters) {
    const [, key = filter, value = ''] = /^([^=]+)=([\s\S]*)$/.exec(filter) ?? []
    tests.set(key, [...(tests.get(key) ?? []), volumeTest(session, command, key, value)])
  }
  return (volume) =>
    [...tests].every(([key, some]) =>
      key.startsWith('label') ? some.every((test) => test(volume)) : some.some((test) => test(volume)),
    )
}

function volumeTest({ engine }: Session, command: string, key: string, value: string): (volume: Volume) => boolean {
  switch (key) {
    case 'name': {
      const pattern = patternOf(command, value)
      return ({ name }) => pattern.test(name)
    }
    case 'driver':
      return () => value === 'local'
    case 'dangling':
      if (!/^(?:1|t|true|0|f|false)$/i.test(value))
        throw usage(command, `invalid filter 'dangling=${value}'`, 'give dangling=true or dangling=false')
      return ({ name }) => (usersOf(engine, name).length === 0) === /^(1|t|true)$/i.test(value)
    case 'label':
    case 'label!': {
      const [, name = value, wanted] = /^([^=]+)=([\s\S]*)$/.exec(value) ?? []
      const has = ({ labels }: Volume): boolean =>
        Object.keys(labels).includes(name) && (wanted === undefined || labels[name] === wanted)
      return key === 'label' ? has : (volume) => !has(volume)
    }
    case 'all':
      return () => true
    default:
      throw usage(command, `invalid filter '${key}'`, 'name driver dangling label')
  }
}

const INSPECT: readonly Flag[] = [{ ...FORMAT, short: 'f' }]

function inspect(session: Session, words: Words): number {
  const command = 'coffer volume inspect'
  const given = parseFlags(words, INSPECT, command, { mixed: true })
  if (given.rest.length === 0) throw usage(command, 'it takes one volume or more')
  const found: object[] = []
  const status = eachOf(session, command, given.rest, (name) => {
    found.push(describeVolume(session, findVolume(session.engine, name)))
  })
  const format = given.string('format')
  const template = format === undefined ? undefined : compileTemplate(format === 'json' ? '{{json .}}' : format)
  const text = template === undefined ? JSON.stringify(found, null, 4) : found.map(template).join('\n')
  writeText(session.native, 1, text === '' ? '' : `${text}\n`)
  return status
}

/** Of one that is not mounted, as docker has it: its own directory, which is empty. */
const mountpointOf = ({ engine }: Session, volume: Volume): string =>
  whereVolume(engine, volume) ?? `${volumePath(engine, volume.name)}/_data`

/** With the names of docker's API. */
export const describeVolume = (session: Session, volume: Volume): object =>
  describe(volume, mountpointOf(session, volume))

const describe = ({ name, created, labels, isAnonymous, options = {} }: Volume, mountpoint: string): object => ({
  CreatedAt: created.replace(/\.\d+Z$/, 'Z'),
  Driver: 'local',
  Labels: sorted(isAnonymous ? { ...labels, 'com.docker.volume.anonymous': '' } : labels),
  Mountpoint: mountpoint,
  Name: name,
  Options: sorted(options),
  Scope: 'local',
})

const RM: readonly Flag[] = [{ name: 'force', short: 'f', type: 'bool', help: 'also one that is not there' }]

function rm(session: Session, words: Words): number {
  const given = parseFlags(words, RM, 'coffer volume rm')
  if (given.rest.length === 0) throw usage('coffer volume rm', 'it takes one volume or more')
  return eachOf(session, 'coffer volume rm', given.rest, (name) => {
    const isThere = listVolumes(session.engine).some((one) => one.name === name)
    if (isThere || !given.bool('force')) removeVolume(session.engine, name)
    writeText(session.native, 1, `${name}\n`)
  })
}

const PRUNE: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'also those with a name' },
  { name: 'filter', type: 'list', value: 'KEY=VALUE', help: 'only those: label=KEY[=VALUE]' },
  { name: 'force', short: 'f', type: 'bool', help: 'do not ask' },
]

function prune(session: Session, words: Words): number {
  const given = parseFlags(words, PRUNE, 'coffer volume prune', { mixed: true })
  const which = given.bool('all') ? 'all' : 'anonymous'
  const warning = `${which} local volumes not used by at least one container.`
  const freed = agrees(session, warning, given) ? dropVolumes(session, given.bool('all'), given.list('filter')) : 0
  writeText(session.native, 1, `Total reclaimed space: ${sizeText(freed)}\n`)
  return 0
}

/** Those that no container mounts. Says which; answers how many bytes they had. */
export function dropVolumes(session: Session, all: boolean, filters: Words): number {
  const { engine, native } = session
  const passes = volumeFilter(session, 'coffer volume prune', filters)
  const every = all || filters.some((filter) => /^all=(1|t|true)$/i.test(filter))
  const unwanted = listVolumes(engine).filter(
    (volume) => (volume.isAnonymous || every) && passes(volume) && usersOf(engine, volume.name).length === 0,
  )
  const gone: string[] = []
  let freed = 0
  for (const { name } of unwanted) {
    const bytes = diskUsage(native, `${volumePath(engine, name)}/_data`)
    if (dropVolume(engine, name).length > 0) continue
    freed += bytes
    gone.push(name)
  }
  if (gone.length > 0) writeText(native, 1, `Deleted Volumes:\n${gone.map((name) => `${name}\n`).join('')}\n`)
  return freed
}

export const VOLUME: CommandGroup = {
  name: 'volume',
  summary: 'directories that outlive containers',
  aliases: ALIASES,
  prepares: (session) => {
    listMended(session.engine, (text) => warn(session, text))
  },
  commands: [
    { name: 'volume create', operands: '[NAME]', summary: 'make a volume', flags: CREATE, run: create },
    { name: 'volume inspect', operands: 'VOLUME...', summary: 'show volumes as JSON', flags: INSPECT, run: inspect },
    { name: 'volume ls', operands: '', summary: 'list volumes', flags: LS, run: ls },
    { name: 'volume prune', operands: '', summary: 'remove volumes that nobody mounts', flags: PRUNE, run: prune },
    { name: 'volume rm', operands: 'VOLUME...', summary: 'remove volumes', flags: RM, run: rm },
  ],
}
