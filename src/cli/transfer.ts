/**
 * Commands that move images: they need TLS, compression and digests, so they run on Node, which every user of coffer has.
 *
 * This program becomes `node transfer.js COMMAND …`. The script lies beside the program.
 */

import { OperationError } from '../base/errors.ts'
import { become } from '../executor/embedded-process.ts'
import type { Session } from './open.ts'

export const TRANSFER_COMMANDS: readonly string[] = ['import', 'load']

/** Does not return, unless there is no Node. */
export function transfer({ native, engine, env }: Session, command: string, words: readonly string[]): never {
  const { machine, dataRoot, program } = engine
  const directory = program.slice(0, program.lastIndexOf('/'))
  const script = `${directory}/transfer.js`
  const own = `${directory}/../node_modules/node/bin/node`
  const inPath = (env.get('PATH') ?? '')
    .split(':')
    .flatMap((place) => ['node', 'bun'].map((name) => `${place}/${name}`))
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
