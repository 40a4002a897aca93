/** `coffer top`: the processes of a container, from /proc of the host; no program is run for it, not even ps(1). */

import { parseFlags, usage } from '../base/flags.ts'
import { readMembers } from '../container/members.ts'
import { columnsOf, listProcesses } from '../container/processes.ts'
import { findContainer as findInner } from '../container/store.ts'
import { findContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { type Command, say } from './command.ts'
import { mustRun } from './stop.ts'

const COMMAND = 'coffer top'

export const top: Command = (session, words) => {
  const [text, ...options] = parseFlags(words, [], COMMAND).rest
  if (text === undefined) throw usage(COMMAND, 'it takes one container')
  const columns = columnsOf(options, COMMAND)
  const found = findContainer(session.engine, text)
  mustRun(found, 'list the processes of')
  tellContainer(session.engine, found.record, 'top')
  const { machine } = session.engine
  const members = readMembers(machine.files, findInner(machine.files, machine.root, found.record.id))
  say(session, listProcesses(machine, members, columns))
  return 0
}
