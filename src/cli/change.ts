/** `coffer update`: other limits for containers that are there. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { updateContainer } from '../container/update.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { type IntentResources, resourcesDocument } from '../engine/intent-resources.ts'
import { withNamesLock } from '../engine/lock.ts'
import { writeRecord } from '../engine/make.ts'
import { changePorts } from '../engine/network-change.ts'
import { forEach, say } from './command.ts'
import { restartOf } from './life.ts'
import type { Session } from './open.ts'
import { portsOf } from './port-words.ts'
import { limitsOf } from './resources.ts'
import { UPDATE_FLAGS } from './run-flags.ts'
import type { Asked } from './values.ts'

/** The limits of a container that runs change at once; all are kept for the next start. */
export function update(session: Session, words: readonly string[]): number {
  const asked: Asked = {
    command: 'coffer update',
    given: parseFlags(words, UPDATE_FLAGS, 'coffer update', { mixed: true }),
    session,
  }
  const { rest } = asked.given
  if (rest.length === 0) throw usage(asked.command, 'it takes one container or more')
  if (!UPDATE_FLAGS.some(({ name }) => asked.given.isSet(name)))
    throw usage(asked.command, 'you must provide one or more flags')
  const limits = givenOf(limitsOf(asked))
  const [add, remove] = ['publish-add', 'publish-rm'].map((flag) =>
    asked.given.list(flag).flatMap((text) => portsOf(text, { command: asked.command, flag })),
  )
  return forEach(session, asked.command, asked.given, (found, name) => {
    updateOne(asked, found, limits)
    if (add?.length || remove?.length)
      changePorts(session.engine, found.record.id, { add: add ?? [], remove: remove ?? [] })
    say(session, `${name}\n`)
  })
}

/** What was not asked for stays as it is. */
const givenOf = (resources: IntentResources): IntentResources =>
  Object.fromEntries(Object.entries(resources).filter(([, value]) => value !== undefined))

function updateOne(asked: Asked, container: EngineContainer, limits: IntentResources): void {
  const { engine } = asked.session
  const { record, status } = container
  const resources = changed(record.intent.resources, limits)
  checkSwap(record.name, resources)
  const restart = asked.given.isSet('restart') ? restartOf(asked) : undefined
  if (restart !== undefined && restart.when !== 'no' && record.removesItself)
    throw usage(
      asked.command,
      `Restart policy cannot be updated because AutoRemove is enabled for the container ${record.name}`,
    )
  // A limit of memory alone sets that of memory and swap as well.
  const swap: IntentResources = limits.memoryBytes === undefined ? {} : { memorySwapBytes: resources.memorySwapBytes }
  const document = resourcesDocument({ ...limits, ...swap })
  if ((status === 'running' || status === 'paused') && Object.keys(document).length > 0)
    updateContainer(engine.machine, record.id, document, 'the flags of update')
  // Somebody may have changed it meanwhile, too.
  withNamesLock(engine, () => {
    const { record: now } = findContainer(engine, record.id)
    const intent = { ...now.intent, resources: changed(now.intent.resources, limits) }
    writeRecord(engine, { ...now, restart: restart ?? now.restart, intent })
    tellContainer(engine, now, 'update')
  })
}

function changed(before: IntentResources, limits: IntentResources): IntentResources {
  // Quota and CPUs say the same; the later word counts.
  const without: IntentResources =
    limits.cpus === undefined ? {} : { cpuQuotaMicros: undefined, cpuPeriodMicros: undefined }
  const overCpus: IntentResources =
    limits.cpuQuotaMicros === undefined && limits.cpuPeriodMicros === undefined ? {} : { cpus: undefined }
  return { ...before, ...without, ...overCpus, ...limits, unified: { ...before.unified, ...limits.unified } }
}

function checkSwap(name: string, { memoryBytes, memorySwapBytes }: IntentResources): void {
  if (
    memoryBytes === undefined ||
    memorySwapBytes === undefined ||
    memorySwapBytes === -1 ||
    memoryBytes <= memorySwapBytes
  )
    return
  throw new OperationError({
    kind: 'invalid',
    operation: `update container ${name}`,
    reason: 'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    hint: 'give --memory-swap too; -1 is no limit',
  })
}
