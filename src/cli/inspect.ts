/** `coffer inspect`: containers as docker's JSON has them. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { compileTemplate } from '../base/template.ts'
import { inspectContainer } from '../engine/inspect.ts'
import { type Command, eachOf, findMended, say } from './command.ts'

const COMMAND = 'coffer inspect'

export const INSPECT_FLAGS: readonly Flag[] = [
  { name: 'format', short: 'f', type: 'string', value: 'TEMPLATE', help: 'json, or a template of Go' },
  { name: 'size', short: 's', type: 'bool', help: 'also what it has written' },
  { name: 'type', type: 'string', value: 'TYPE', help: 'only things of this kind: container' },
]

export const inspect: Command = (session, words) => {
  const given = parseFlags(words, INSPECT_FLAGS, COMMAND, { mixed: true })
  if (given.rest.length === 0) throw usage(COMMAND, 'it takes one name or more')
  const type = given.string('type') ?? 'container'
  if (type !== 'container')
    throw new OperationError({
      kind: 'unsupported',
      operation: `inspect things of type ${type}`,
      reason: 'this command knows containers',
      hint: `coffer ${type} inspect NAME`,
    })
  const format = given.string('format')
  const template = format === undefined || format === 'json' ? undefined : compileTemplate(format)
  const found: object[] = []
  const status = eachOf(session, COMMAND, given.rest, (text) => {
    const document = inspectContainer(session.engine, findMended(session, text), { withSize: given.bool('size') })
    if (template === undefined) found.push(document)
    else say(session, `${template(document)}\n`)
  })
  if (template === undefined) say(session, `${JSON.stringify(found, null, format === 'json' ? 0 : 4)}\n`)
  return status
}
