/**
 * Commands that move images: they need TLS, compression and digests, so they run on Node, which every user of coffer has.
 *
 * This program becomes `node transfer.js COMMAND …`. The script lies beside the program.
 */

import { describeError, OperationError } from '../base/errors.ts'
import { turnEvents } from '../engine/events.ts'
import { holdImages } from '../engine/image-store.ts'
import { becomeOwner } from '../engine/owner.ts'
import { must } from '../executor/embedded-call.ts'
import { writeText } from '../executor/embedded-files.ts'
import { become, exit, exitStatus, waitForPid } from '../executor/embedded-process.ts'
import { SIGCHLD } from '../linux/process.ts'
import type { Session } from './open.ts'

const STDOUT = 1
const STDERR = 2

/**
 * pull, in a process of its own, for a command that goes on when the image is there. What it prints goes to standard error, as standard output
 * is that of the container. Throws if it failed; why, it has printed itself.
 */
export function pullFirst(session: Session, words: readonly string[]): void {
  const { native } = session
  const child = must(native, 'make a process for the pull', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) {
    try {
      must(native, 'print to standard error', 'dup3', STDERR, STDOUT, 0)
      transfer(session, 'pull', words)
    } catch (error) {
      writeText(native, STDERR, `error: ${describeError(error)}\n`)
    }
    exit(native, 1)
  }
  if (exitStatus(waitForPid(native, child)) === 0) return
  throw new OperationError({
    kind: 'missing',
    operation: `pull ${words.slice(-1).join()}`,
    reason: 'it says why above',
  })
}

/** Does not return, unless there is no Node. */
export function transfer({ native, engine, env }: Session, command: string, words: readonly string[]): never {
  const { machine, dataRoot, program } = engine
  const directory = program.slice(0, program.lastIndexOf('/'))
  const script = `${directory}/transfer.js`
  const own = `${directory}/../node_modules/node/bin/node`
  const inPath = (env.get('PATH') ?? '')
    .split(':')
    .flatMap((place) => ['node', 'bun'].map((name) => `${place}/${name}`))
  // Nothing that is moved is taken away as unused meanwhile: the descriptor stays open in the program.
  holdImages(engine)
  turnEvents(engine)
  // Layers are unpacked as the container will see them.
  becomeOwner(machine)
  const environment = [
    ...native.env.filter((entry) => !entry.startsWith('COFFER_DATA_ROOT=')),
    `COFFER_DATA_ROOT=${dataRoot}`,
  ]
  for (const node of [env.get('COFFER_NODE') ?? own, own, ...inPath]) {
    if (!node.startsWith('/') || machine.files.status(node)?.kind !== 'file') continue
    become(native, node, [node, script, command, ...words], environment)
  }
  throw new OperationError({
    kind: 'missing',
    operation: `run coffer ${command}`,
    reason: 'it needs Node 22.18 or later, or Bun, and neither is in $PATH',
    hint: 'install one of them, or name it in $COFFER_NODE',
  })
}
