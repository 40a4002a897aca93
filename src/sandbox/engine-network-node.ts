/**
 * A network of the engine for a box. Addresses, names, bridges and rules are the engine's, whose program makes them and takes them away:
 * engine/box-network.ts.
 */

import { spawn } from 'node:child_process'
import { type ErrorFields, OperationError } from '../base/errors.ts'
import { programPath } from './machine-node.ts'
import type { Joined, Shape } from './request.ts'

/** A line of JSON that the program prints: cli/box.ts. */
interface Answer {
  readonly network?: Joined
  readonly warnings?: readonly string[]
  readonly error?: ErrorFields
}

/** Undefined for a shape that joins none; rejects with `missing` for a network that there is not. `id` is that of the box. */
export async function joinNetwork({ joins, config }: Shape, id: string): Promise<Joined | undefined> {
  if (joins === undefined) return undefined
  const operation = `join the network ${joins}`
  const { network: joined, warnings = [] } = await ask(operation, ['connect', id, joins, config.hostname ?? ''])
  for (const text of warnings) process.emitWarning(text, { type: 'CofferWarning' })
  if (joined === undefined) throw unanswered(operation, 'it says nothing of a network')
  return joined
}

/** Never rejects: the box has ended, and what could not be taken away the next command takes. */
export async function leaveNetwork({ joins }: Shape, id: string): Promise<void> {
  if (joins === undefined) return
  try {
    await ask(`take ${id} out of its network`, ['disconnect', id])
  } catch (error) {
    process.emitWarning(String(error), { type: 'CofferWarning' })
  }
}

/** In a session of its own: what interrupts the caller does not keep it from tidying up. */
function ask(operation: string, words: readonly string[]): Promise<Answer> {
  const child = spawn(programPath('coffer'), ['--box', ...words], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  let [printed, said] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    printed += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
  })
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(unanswered(operation, error.message)))
    child.once('close', (status, signal) => {
      const answer = parse(printed)
      if (answer === undefined) reject(unanswered(operation, said.trim() || `coffer ended with ${signal ?? status}`))
      else if (answer.error === undefined) resolve(answer)
      else reject(new OperationError(answer.error))
    })
  })
}

function parse(text: string): Answer | undefined {
  try {
    return JSON.parse(text) as Answer
  } catch {
    return undefined
  }
}

const unanswered = (operation: string, reason: string): OperationError =>
  new OperationError({ kind: 'kernel', operation, reason })
