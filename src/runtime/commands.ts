/** The commands of coffer-runc, in the order of a container's life. */

import { checkpointCommand, restoreCommand } from './checkpoint.ts'
import type { Command } from './context.ts'
import { deleteCommand, killCommand, pauseCommand, resumeCommand } from './control.ts'
import { createCommand, runCommand, startCommand } from './create.ts'
import { featuresCommand, specCommand } from './documents.ts'
import { eventsCommand, psCommand } from './events.ts'
import { execCommand } from './exec.ts'
import { explainCommand } from './explain.ts'
import { listCommand, stateCommand } from './inspect.ts'
import { updateCommand } from './update.ts'

export const COMMANDS: readonly Command[] = [
  createCommand,
  startCommand,
  runCommand,
  execCommand,
  stateCommand,
  listCommand,
  psCommand,
  killCommand,
  pauseCommand,
  resumeCommand,
  updateCommand,
  checkpointCommand,
  restoreCommand,
  eventsCommand,
  deleteCommand,
  specCommand,
  featuresCommand,
  explainCommand,
]
