/** `coffer inspect`: containers, images, networks and volumes as docker's JSON has them. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { compileTemplate } from '../base/template.ts'
import { describeImage, wantedImage } from '../engine/images.ts'
import { inspectContainer, withoutEmpty } from '../engine/inspect.ts'
import { findVolume } from '../engine/volumes.ts'
import { type Command, eachOf, findMended, say } from './command.ts'
import { named } from './network-connect.ts'
import { describeNetwork } from './network-inspect.ts'
import type { Session } from './open.ts'
import { describeVolume } from './volume.ts'

const COMMAND = 'coffer inspect'

export const INSPECT_FLAGS: readonly Flag[] = [
  { name: 'format', short: 'f', type: 'string', value: 'TEMPLATE', help: 'json, or a template of Go' },
  { name: 'size', short: 's', type: 'bool', help: 'also what it has written' },
  { name: 'type', type: 'string', value: 'container|image|volume|network', help: 'only things of this kind' },
]

export const inspect: Command = (session, words) => {
  const given = parseFlags(words, INSPECT_FLAGS, COMMAND, { mixed: true })
  if (given.rest.length === 0) throw usage(COMMAND, 'it takes one name or more')
  const type = given.string('type')
  if (type !== undefined && type !== '' && !KINDS.has(type))
    throw usage(COMMAND, `"${type}" is not a valid value for --type`, `it is one of: ${[...KINDS.keys()].join(' ')}`)
  const format = given.string('format')
  const template = format === undefined || format === 'json' ? undefined : compileTemplate(format)
  const found: object[] = []
  const status = eachOf(session, COMMAND, given.rest, (text) => {
    const document = documentOf(session, text, type ?? '', given.bool('size'))
    if (template === undefined) found.push('HostConfig' in document ? withoutEmpty(document) : document)
    else say(session, `${template(document)}\n`)
  })
  if (template === undefined) say(session, `${JSON.stringify(found, null, format === 'json' ? 0 : 4)}\n`)
  return status
}

type Describe = (session: Session, text: string, withSize: boolean) => object

/** As docker looks for a name of which it is not said what it names. */
const KINDS: ReadonlyMap<string, Describe> = new Map<string, Describe>([
  ['container', (session, text, withSize) => inspectContainer(session.engine, findMended(session, text), { withSize })],
  ['image', ({ engine }, text) => describeImage(engine, wantedImage(engine, text))],
  ['network', (session, text) => describeNetwork(session, named(session, text))],
  ['volume', (session, text) => describeVolume(session, findVolume(session.engine, text))],
])

function documentOf(session: Session, text: string, type: string, withSize: boolean): object {
  const only = KINDS.get(type)
  if (only !== undefined) return only(session, text, withSize)
  for (const describe of KINDS.values()) {
    try {
      return describe(session, text, withSize)
    } catch (error) {
      const isOther = error instanceof OperationError && (error.kind === 'missing' || error.kind === 'invalid')
      if (!isOther) throw error
    }
  }
  throw new OperationError({
    kind: 'missing',
    operation: `inspect ${text}`,
    reason: `No such object: ${text}`,
  })
}
