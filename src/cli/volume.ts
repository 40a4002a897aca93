/** `coffer volume`: create, ls, inspect, rm, prune. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { newId } from '../engine/make.ts'
import { volumePath } from '../engine/place.ts'
import {
  dropVolume,
  findVolume,
  listVolumes,
  makeVolume,
  removeVolume,
  usersOf,
  type Volume,
} from '../engine/volumes.ts'
import { writeText } from '../executor/embedded-files.ts'
import type { Session } from './open.ts'
import { pairsOf } from './values.ts'

type Words = readonly string[]

const COMMANDS: Readonly<Record<string, (session: Session, words: Words) => number>> = {
  create,
  ls,
  list: ls,
  inspect,
  rm,
  remove: rm,
  prune,
}

export const VOLUME_COMMANDS: readonly string[] = Object.keys(COMMANDS)

export function volume(session: Session, [word = '', ...words]: Words): number {
  const run = COMMANDS[word]
  if (run === undefined)
    throw usage(
      'coffer volume',
      `it has no command ${JSON.stringify(word)}`,
      'coffer volume create, ls, inspect, rm or prune',
    )
  return run(session, words)
}

const CREATE: readonly Flag[] = [
  { name: 'label', type: 'list', value: 'NAME=VALUE', help: 'a label' },
  { name: 'driver', short: 'd', type: 'string', value: 'local', help: 'there is one' },
  {
    name: 'opt',
    short: 'o',
    type: 'list',
    help: '',
    refused: 'a volume is a directory; mount what else it shall be there yourself',
  },
]

function create(session: Session, words: Words): number {
  const given = parseFlags(words, CREATE, 'coffer volume create')
  const [name = newId(session.native), ...others] = given.rest
  if (others.length > 0) throw usage('coffer volume create', 'it takes one name at most')
  if ((given.string('driver') ?? 'local') !== 'local')
    throw usage('coffer volume create', `there is no driver ${given.string('driver')}`, 'there is local')
  const labels = pairsOf({ command: 'coffer volume create', given, session }, 'label')
  makeVolume(session.engine, { name, labels, isAnonymous: given.rest.length === 0 })
  writeText(session.native, 1, `${name}\n`)
  return 0
}

function ls(session: Session, words: Words): number {
  const given = parseFlags(words, [{ name: 'quiet', short: 'q', type: 'bool', help: 'names only' }], 'coffer volume ls')
  const names = listVolumes(session.engine).map(({ name }) => name)
  const lines = given.bool('quiet') ? names : ['DRIVER    VOLUME NAME', ...names.map((name) => `local     ${name}`)]
  writeText(session.native, 1, lines.map((line) => `${line}\n`).join(''))
  return 0
}

function inspect(session: Session, words: Words): number {
  const { rest } = parseFlags(words, [], 'coffer volume inspect')
  if (rest.length === 0) throw usage('coffer volume inspect', 'it takes one volume or more')
  const shown = rest.map((name) => inspected(session, findVolume(session.engine, name)))
  writeText(session.native, 1, `${JSON.stringify(shown, null, 4)}\n`)
  return 0
}

/** With the names of docker's API. */
const inspected = ({ engine }: Session, { name, created, labels, isAnonymous }: Volume): object => ({
  CreatedAt: created,
  Driver: 'local',
  Labels: isAnonymous ? { ...labels, 'com.docker.volume.anonymous': '' } : labels,
  Mountpoint: `${volumePath(engine, name)}/_data`,
  Name: name,
  Options: {},
  Scope: 'local',
})

function rm(session: Session, words: Words): number {
  const given = parseFlags(
    words,
    [{ name: 'force', short: 'f', type: 'bool', help: 'also one that is not there' }],
    'coffer volume rm',
  )
  if (given.rest.length === 0) throw usage('coffer volume rm', 'it takes one volume or more')
  for (const name of given.rest) {
    const isThere = listVolumes(session.engine).some((one) => one.name === name)
    if (isThere || !given.bool('force')) removeVolume(session.engine, name)
    writeText(session.native, 1, `${name}\n`)
  }
  return 0
}

const PRUNE: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'also those with a name' },
  { name: 'force', short: 'f', type: 'bool', help: 'coffer does not ask anyway' },
]

function prune(session: Session, words: Words): number {
  const given = parseFlags(words, PRUNE, 'coffer volume prune')
  const gone = listVolumes(session.engine).filter(
    ({ name, isAnonymous }) => (isAnonymous || given.bool('all')) && usersOf(session.engine, name).length === 0,
  )
  for (const { name } of gone) dropVolume(session.engine, name)
  if (gone.length > 0) writeText(session.native, 1, `Deleted Volumes:\n${gone.map(({ name }) => `${name}\n`).join('')}`)
  return 0
}
