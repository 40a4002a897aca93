/** Many boxes, and what a program that made them still has: for the test of leaks and for the benchmark. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { run, sandbox } from '../../src/index.ts'
import { cgroupsBelow } from './left.ts'

/** By which the caller's heap may have grown: compiled code and caches of the runtime, and less for a box than a plan, frame or stream. */
const RUNTIME_BYTES = 2 * 1024 * 1024
const BYTES_A_BOX = 1024

export const mayHaveGrown = (boxes: number): number => RUNTIME_BYTES + boxes * BYTES_A_BOX

/** What this program has. */
export interface Held {
  readonly descriptors: readonly string[]
  readonly children: readonly string[]
  readonly mounts: readonly string[]
  readonly cgroups: readonly string[]
  readonly heapBytes: number
}

/** Bun closes its own copy of a descriptor a moment later, and to look at the heap takes longer than that. */
export async function whatIsHeld(): Promise<Held> {
  const bytes = await heapBytes()
  return {
    descriptors: descriptors(),
    children: children(),
    mounts: mounts(),
    cgroups: cgroupsBelow(`coffer-lib-${process.pid}-`),
    heapBytes: bytes,
  }
}

/** `count` one after the other, as many with `atOnce` of them at a time, and `count` single commands. Answers how many that were. */
export async function makeMany(count: number, atOnce: number): Promise<number> {
  await allAtOnce(atOnce)
  await many(count, 1, oneBox)
  await many(count, atOnce, oneBox)
  await many(count, 1, () => run(['true'], OPTIONS))
  return 3 * count + atOnce
}

const descriptors = (): readonly string[] =>
  readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [`${fd} ${readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, '')}`]
    } catch {
      // It was that of the listing itself.
      return []
    }
  })

const children = (): readonly string[] =>
  readdirSync('/proc/self/task').flatMap((task) =>
    readFileSync(`/proc/self/task/${task}/children`, 'utf8').split(' ').filter(Boolean),
  )

/** Mounts that belong to a container; others on this machine come and go. */
const mounts = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(`lib-${process.pid}-`))

function collect(): void {
  if (process.versions.bun !== undefined) Bun.gc(true)
  else {
    setFlagsFromString('--expose-gc')
    const gc = runInNewContext('gc') as () => void
    gc()
  }
}

/** What is left when nothing more can be collected: what one collection finalizes only the next one frees, and what is on the stack neither. */
async function heapBytes(): Promise<number> {
  let [now, before] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]
  do {
    before = now
    await setTimeout(20)
    collect()
    now = process.memoryUsage().heapUsed
  } while (now < before)
  return before
}

const OPTIONS = { root: 'host', cwd: '/' } as const

async function oneBox(index: number): Promise<void> {
  // Some have a relay, and a socket of this program.
  const box = await sandbox({ ...OPTIONS, network: index % 3 === 0 ? { allow: ['example.com:443'] } : 'none' })
  try {
    await box.files.write('/usr/mine', `${index}`)
    const { stdout } = await box.exec(['cat', '/usr/mine'])
    assert.equal(stdout, `${index}`)
  } finally {
    await box.kill()
  }
}

/** As many channels as there can be at once, which are kept: one for each box and one for its command. */
async function allAtOnce(count: number): Promise<void> {
  const boxes = await Promise.all(Array.from({ length: count }, () => sandbox(OPTIONS)))
  await Promise.all(boxes.map((box) => box.exec(['true'])))
  await Promise.all(boxes.map((box) => box.kill()))
}

async function many(count: number, atOnce: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}
