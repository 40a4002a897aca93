/**
 * Plans that were made before, as files below the run root.
 *
 * A plan is a pure function of what was asked and of what was read from the machine. So both are kept with it, and it is used again if the
 * same is asked and every read gives the same answer. What differs from one start to the next, the name of the container for one, is a blank.
 *
 * A file: the sizes of its parts, 4 bytes each, then the parts. A file that is not whole, or of another program, is no file.
 */

import { attempt } from '../executor/embedded-call.ts'
import { close, makeDirectories, open, remove, rename, writeAll } from '../executor/embedded-files.ts'
import type { Blanks, Template } from '../executor/template.ts'
import { AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY } from '../linux/files.ts'
import type { Machine } from './machine.ts'
import { type Answers, answersAsBefore } from './recorded-files.ts'

export interface KeptPlan {
  readonly template: Template
  /** What the state of the container needs beside the frame; with blanks. */
  readonly facts: string
  /** The configuration, with blanks, where the key is not made of it. */
  readonly configText: string | undefined
}

/** Where plans are kept; a directory that only the owner of the run root can write to. */
export const PLANS_DIRECTORY = '.plans'
/** When there are more, all go: a machine has few kinds of containers, or so many kinds that keeping plans is of no use. */
const MAX_PLANS = 128

const PARTS = 7

/** `key` holds everything that was asked. Undefined if there is no such plan, or the machine gives another answer now. */
export function findPlan({ native, files, root }: Machine, key: string, blanks: Blanks): KeptPlan | undefined {
  const bytes = files.readBytes(pathOf(root, key))
  if (bytes === undefined) return undefined
  const parts = partsOf(bytes)
  if (parts === undefined) return undefined
  const [keyBytes, answers, facts, places, texts, head, config] = parts
  if (keyBytes === undefined || native.decode(keyBytes) !== key) return undefined
  if (answers === undefined || facts === undefined || places === undefined || texts === undefined || head === undefined)
    return undefined
  if (!answersAsBefore(files, JSON.parse(native.decode(answers)) as Answers, blanks)) return undefined
  const { inBlob, offsets, slots, reads, kept } = JSON.parse(native.decode(facts)) as Small
  const words = new Uint32Array(places.slice().buffer)
  return {
    template: {
      head,
      inBlob,
      texts: native.decode(texts),
      offsets: words.subarray(0, offsets),
      sizes: words.subarray(offsets),
      slots,
      reads,
    },
    facts: kept,
    configText: config === undefined || config.length === 0 ? undefined : native.decode(config),
  }
}

/** The parts that are not bulk. */
interface Small extends Pick<Template, 'inBlob' | 'slots' | 'reads'> {
  readonly offsets: number
  readonly kept: string
}

/**
 * Keeps a plan, which is made for the purpose. The first time that something is asked only a note of it is kept: engines ask for most
 * containers just once. A plan has to be made before its container is; answers what can wait until the executor is at work.
 *
 * Nothing of this may make a start fail: where nothing can be written, nothing is kept.
 */
export function keepPlan(machine: Machine, key: string, make: () => NewPlan | undefined): () => void {
  const path = pathOf(machine.root, key)
  if (machine.files.status(path) === undefined) return () => write(machine, path, [])
  const plan = make()
  return plan === undefined ? () => undefined : () => write(machine, path, partsToKeep(machine, key, plan))
}

function partsToKeep({ native }: Machine, key: string, plan: NewPlan): readonly Uint8Array[] {
  const { inBlob, slots, reads, offsets, sizes, texts, head } = plan.template
  const small: Small = { inBlob, slots, reads, offsets: offsets.length, kept: plan.facts }
  const places = new Uint32Array(offsets.length + sizes.length)
  places.set(offsets)
  places.set(sizes, offsets.length)
  const parts = [
    native.encode(key),
    native.encode(JSON.stringify(plan.answers)),
    native.encode(JSON.stringify(small)),
    new Uint8Array(places.buffer),
    native.encode(texts),
    head,
    native.encode(plan.configText ?? ''),
  ]
  return [new Uint8Array(Uint32Array.from(parts.map(({ length }) => length)).buffer), ...parts]
}

export interface NewPlan extends KeptPlan {
  readonly answers: Answers
}

function write(machine: Machine, path: string, parts: readonly Uint8Array[]): void {
  const { native, root } = machine
  const aside = `${path}.${attempt(native, 'getpid')}`
  try {
    makeDirectories(native, `${root}/${PLANS_DIRECTORY}`, 0o700)
    makeRoom(machine)
    const fd = open(native, aside, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    for (const part of parts) writeAll(native, fd, part)
    close(native, fd)
    rename(native, aside, path)
  } catch {
    attempt(native, 'unlinkat', AT_FDCWD, aside, 0)
  }
}

/** Also of what writers left that were killed: a name with the pid of nobody. */
function makeRoom({ native, files, root }: Machine): void {
  const names = files.list(`${root}/${PLANS_DIRECTORY}`) ?? []
  const isFull = names.length > MAX_PLANS
  for (const name of names) {
    const writer = /\.(\d+)$/.exec(name)?.[1]
    const isLeft = writer !== undefined && files.status(`/proc/${writer}`) === undefined
    if (isFull || isLeft) remove(native, `${root}/${PLANS_DIRECTORY}/${name}`)
  }
}

function partsOf(bytes: Uint8Array): readonly Uint8Array[] | undefined {
  if (bytes.length < PARTS * 4) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const parts: Uint8Array[] = []
  let at = PARTS * 4
  for (let index = 0; index < PARTS; index++) {
    const size = view.getUint32(index * 4, true)
    parts.push(bytes.subarray(at, at + size))
    at += size
  }
  return at === bytes.length ? parts : undefined
}

/**
 * The name is only a place to look: the key is compared whole. So it is made from its length and a few characters, where a digest of all of it
 * would cost more than reading the file.
 */
function pathOf(root: string, key: string): string {
  const SAMPLES = 64
  let sum = key.length
  for (let index = 0; index < SAMPLES; index++)
    sum = (Math.imul(sum, 31) + key.charCodeAt(Math.floor((index * key.length) / SAMPLES))) | 0
  return `${root}/${PLANS_DIRECTORY}/${key.length}-${(sum >>> 0).toString(16)}`
}
