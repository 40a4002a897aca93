/** `coffer top`: the processes of a container, from /proc of the host; no program is run for it, not even ps(1). */

import { parseFlags, usage } from '../base/flags.ts'
import { readMembers } from '../container/members.ts'
import { listProcesses } from '../container/processes.ts'
import { findContainer as findInner } from '../container/store.ts'
import { findContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { type Command, say } from './command.ts'
import { mustRun } from './stop.ts'

export const top: Command = (session, words) => {
  const [text, ...options] = parseFlags(words, [], 'coffer top').rest
  if (text === undefined) throw usage('coffer top', 'it takes one container')
  if (options.length > 0 && !/^-?(ef|aux)$/.test(options.join(' ')))
    throw usage('coffer top', `it has no columns ${options.join(' ')}`, 'coffer top NAME shows those of ps -ef')
  const found = findContainer(session.engine, text)
  mustRun(found, 'list the processes of')
  tellContainer(session.engine, found.record, 'top')
  const { files, root } = session.engine.machine
  say(session, listProcesses(files, readMembers(files, findInner(files, root, found.record.id))))
  return 0
}
