/** `coffer exec`: a process more in a container. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { execInContainer } from '../container/exec.ts'
import { findContainer } from '../engine/containers.ts'
import { type Command, warn } from './command.ts'

export const EXEC: readonly Flag[] = [
  { name: 'interactive', short: 'i', type: 'bool', help: 'keep standard input open' },
  { name: 'tty', short: 't', type: 'bool', help: 'give it a terminal' },
  { name: 'detach', short: 'd', type: 'bool', help: 'run it in the background' },
  { name: 'env', short: 'e', type: 'list', value: 'NAME=VALUE', help: 'add to its environment' },
  { name: 'workdir', short: 'w', type: 'string', value: 'DIR', help: 'its working directory' },
]

export const exec: Command = (session, words) => {
  const given = parseFlags(words, EXEC, 'coffer exec')
  const [name, ...args] = given.rest
  if (name === undefined || args.length === 0) throw usage('coffer exec', 'it takes a container and a command')
  const { record } = findContainer(session.engine, name)
  return execInContainer(session.engine.machine, {
    id: record.id,
    process: (base) => ({
      ...base,
      args,
      terminal: given.bool('tty'),
      env: [...base.env, ...given.list('env')],
      cwd: given.string('workdir') ?? base.cwd,
    }),
    detach: given.bool('detach'),
    preserveFds: 0,
    listenFds: 0,
    ignorePaused: false,
    cgroups: [],
    warn: (text) => warn(session, text),
  })
}
