/** The group `system`: df, events, info, prune. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { nearest } from '../base/nearest.ts'
import { sizeText } from '../base/size.ts'
import { agrees, type Command, say } from './command.ts'
import { df } from './disk-usage.ts'
import { events } from './events.ts'
import { dropImages } from './images.ts'
import { info } from './info.ts'
import { network } from './networks.ts'
import { dropStopped } from './prune.ts'
import { dropVolumes } from './volume.ts'

const PRUNE: readonly Flag[] = [
  { name: 'all', short: 'a', type: 'bool', help: 'all images that no container uses, not only those without a name' },
  { name: 'filter', type: 'list', value: 'KEY=VALUE', help: 'only those: until=TIME, label=KEY[=VALUE]' },
  { name: 'force', short: 'f', type: 'bool', help: 'do not ask' },
  { name: 'volumes', type: 'bool', help: 'also volumes without a name that no container mounts' },
]

const prune: Command = (session, words) => {
  const command = 'coffer system prune'
  const given = parseFlags(words, PRUNE, command, { mixed: true })
  const filters = given.list('filter')
  const [isAll, hasVolumes] = [given.bool('all'), given.bool('volumes')]
  if (hasVolumes && filters.some((filter) => filter.startsWith('until=')))
    throw usage(command, 'The "until" filter is not supported with "--volumes"')
  const what = [
    'all stopped containers',
    'all networks not used by at least one container',
    ...(hasVolumes ? ['all anonymous volumes not used by at least one container'] : []),
    isAll ? 'all images without at least one container associated to them' : 'all dangling images',
  ]
  if (!agrees(session, `:\n${what.map((one) => `  - ${one}\n`).join('')}`, given)) return 0
  const { status, freedBytes } = dropStopped(session, filters)
  network(session, ['prune', '--force', ...filters.flatMap((filter) => ['--filter', filter])])
  const volumes = hasVolumes ? dropVolumes(session, false, filters) : 0
  const images = dropImages(session, isAll, filters)
  say(session, `Total reclaimed space: ${sizeText(freedBytes + volumes + images)}\n`)
  return status
}

const GROUP: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['df', df],
  ['events', events],
  ['info', info],
  ['prune', prune],
])

export const SYSTEM_COMMANDS: readonly string[] = [...GROUP.keys()]

/** `coffer system COMMAND`. */
export const system: Command = (session, [word = '', ...words]) => {
  const run = GROUP.get(word)
  if (run !== undefined) return run(session, words)
  const near = nearest(word, SYSTEM_COMMANDS)
  throw usage(
    'coffer system',
    word === '' ? 'it takes a command' : `it has no command ${word}`,
    near === undefined ? `it is one of: ${SYSTEM_COMMANDS.join(' ')}` : `did you mean ${near}?`,
  )
}
