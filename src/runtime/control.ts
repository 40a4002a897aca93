/** kill, pause, resume, delete. */

import { freezeContainer, thawContainer } from '../container/freeze.ts'
import { killContainer } from '../container/kill.ts'
import { removeContainer } from '../container/remove.ts'
import { type Command, operand } from './context.ts'

export const killCommand: Command = {
  name: 'kill',
  operands: 'CONTAINER [SIGNAL]',
  summary: 'send a signal to init; SIGTERM if none is named',
  flags: [{ name: 'all', short: 'a', type: 'bool', help: 'send it to all processes of the container' }],
  count: [1, 2],
  run: ({ machine }, given) => {
    killContainer(machine, operand(given), { signal: given.rest[1] ?? 'SIGTERM', all: given.bool('all') })
    return 0
  },
}

export const pauseCommand: Command = {
  name: 'pause',
  operands: 'CONTAINER',
  summary: 'freeze all processes of a container',
  flags: [],
  count: [1, 1],
  run: ({ machine }, given) => {
    freezeContainer(machine, operand(given))
    return 0
  },
}

export const resumeCommand: Command = {
  name: 'resume',
  operands: 'CONTAINER',
  summary: 'thaw what pause froze',
  flags: [],
  count: [1, 1],
  run: ({ machine }, given) => {
    thawContainer(machine, operand(given))
    return 0
  },
}

export const deleteCommand: Command = {
  name: 'delete',
  operands: 'CONTAINER',
  summary: 'remove all that is left of a container',
  flags: [
    { name: 'force', short: 'f', type: 'bool', help: 'kill it first if it runs; an absent container is no error' },
  ],
  count: [1, 1],
  run: ({ machine, warn }, given) => {
    removeContainer(machine, operand(given), { force: given.bool('force'), warn })
    return 0
  },
}
