/** The group `system`: df, events, info, prune. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { sizeText } from '../base/size.ts'
import { agrees, type Command, say } from './command.ts'
import { DISK_USAGE } from './disk-usage.ts'
import { EVENTS, events } from './events.ts'
import { type CommandGroup, runGroup } from './group.ts'
import { dropImages } from './images.ts'
import { INFO, info } from './info.ts'
import { NETWORK } from './networks.ts'
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
  runGroup(NETWORK, session, ['prune', '--force', ...filters.flatMap((filter) => ['--filter', filter])])
  const volumes = hasVolumes ? dropVolumes(session, false, filters) : 0
  const images = dropImages(session, isAll, filters)
  say(session, `Total reclaimed space: ${sizeText(freedBytes + volumes + images)}\n`)
  return status
}

export const SYSTEM: CommandGroup = {
  name: 'system',
  summary: 'what coffer has on this machine',
  aliases: {},
  commands: [
    DISK_USAGE,
    { name: 'system events', operands: '', summary: 'tell what happens', flags: EVENTS, run: events },
    { name: 'system info', operands: '', summary: 'tell of the machine and of coffer', flags: INFO, run: info },
    { name: 'system prune', operands: '', summary: 'remove all that nobody uses', flags: PRUNE, run: prune },
  ],
}
