/** update: other limits for a container that lives. */

import { close } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { stringifyExact } from '../observe/count.ts'
import { parseConfig } from '../oci/config.ts'
import { parseResources, type Resources } from '../oci/resources.ts'
import { isWish, liftsSwap } from '../plan/cgroup-limits.ts'
import { planCgroupUpdate } from '../plan/cgroup-update.ts'
import { planRecord } from '../plan/state.ts'
import { holdContainer } from './hold.ts'
import { hostOf } from './host.ts'
import type { Machine } from './machine.ts'
import type { StateRecord } from './record.ts'
import { findContainer, liveContainer, missingContainer } from './store.ts'

type Document = Readonly<Record<string, unknown>>

/**
 * `document` has the form of linux.resources; what it leaves out stays as it is. Throws `invalid` for a document that is none (`name` says
 * where it came from) and `conflict` for a container that does not live.
 */
export function updateContainer(machine: Machine, id: string, document: unknown, name: string): void {
  const resources = parseResources(document, name)
  const held = holdContainer(machine, id)
  if (held === undefined) throw missingContainer(machine.root, id)
  try {
    updateHeld(machine, { id, held, document, resources, name })
  } finally {
    close(machine.native, held)
  }
}

interface Update {
  readonly id: string
  /** Passed on to the executor, so that the container is held as long as anything is done to it. */
  readonly held: number
  readonly document: unknown
  readonly resources: Resources
  readonly name: string
}

function updateHeld(machine: Machine, { id, held, document, resources, name }: Update): void {
  const { files, native, root } = machine
  const { record } = liveContainer(findContainer(files, root, id), `update ${id}`)
  const { cgroup: layout, isRootless } = hostOf(machine)
  const unified = record.cgroup.paths['']
  const used = unified === undefined ? undefined : files.readText(`${unified}/memory.current`)
  const steps = planCgroupUpdate({
    cgroup: record.cgroup,
    resources,
    current: parseConfig(record.config, 'state.json').linux.resources,
    layout,
    isRootless,
    usedBytes: used === undefined ? undefined : Number(used),
  })
  const updated = withResources(record, document as Document)
  // Whoever reads the record has to be able to: fields that exclude each other are refused before anything changes.
  parseConfig(updated.config, name)
  const json = stringifyExact(updated)
  const plan = { operation: `update ${id}`, steps: [...steps, ...planRecord({ root, id }, json)] }
  runPlan(native, plan, { extraFds: [held] })
}

/**
 * The record as it has to be for the next update: sections of the document replace fields, not sections, of the configuration. Limits that wish
 * nothing keep what was: engines write 0 for what their user left out.
 */
function withResources(record: StateRecord, document: Document): StateRecord {
  const config = sectionOf(record, 'config')
  const linux = sectionOf(config, 'linux')
  const before = sectionOf(linux, 'resources')
  const resources: Record<string, unknown> = { ...before }
  for (const [name, value] of Object.entries(document))
    resources[name] = isSection(value) ? { ...sectionOf(before, name), ...changesOf(name, value) } : value
  return { ...record, config: { ...config, linux: { ...linux, resources } } }
}

function changesOf(name: string, section: Document): Document {
  if (name !== 'memory' && name !== 'cpu' && name !== 'blockIO') return section
  const wishes = Object.entries(section).filter(([field, value]) => isWish(field, value))
  const changes = Object.fromEntries(wishes)
  return name === 'memory' && liftsSwap(changes) ? { ...changes, swap: -1 } : changes
}

const isSection = (value: unknown): value is Document =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function sectionOf(parent: object, name: string): Document {
  const value = (parent as Document)[name]
  return isSection(value) ? value : {}
}
