/** Many boxes leave nothing in the caller or on the machine: COFFER_LEAK_BOXES of them, 60 by default. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'
import { cgroupsBelow } from '../left.ts'

const COUNT = Number(process.env.COFFER_LEAK_BOXES ?? 60)
const AT_ONCE = Math.min(50, COUNT / 2)
/** By which the caller's heap may have grown: compiled code and caches of the runtime, and less for a box than a plan, frame or stream. */
const RUNTIME_BYTES = 2 * 1024 * 1024
const BYTES_A_BOX = 1024

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
  const box = await sandbox(OPTIONS)
  try {
    await box.files.write('/usr/mine', `${index}`)
    const { stdout } = await box.exec(['cat', '/usr/mine'])
    assert.equal(stdout, `${index}`)
  } finally {
    await box.kill()
  }
}

async function many(count: number, atOnce: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, worker))
}

export const cases: Cases = {
  [`many boxes, one after the other and ${AT_ONCE} at once, leave no descriptor, process, cgroup, mount or memory (S294)`]:
    async () => {
      const work = async (): Promise<void> => {
        await many(AT_ONCE, AT_ONCE, oneBox)
        await many(COUNT, 1, oneBox)
        await many(COUNT, AT_ONCE, oneBox)
        await many(COUNT, 1, () => run(['true'], OPTIONS))
      }
      // Channels, code and caches of the runtime are made with the first ones.
      await work()
      const before = { descriptors: descriptors(), children: children(), heap: await heapBytes() }
      await work()
      const heap = await heapBytes()
      assert.deepEqual(descriptors(), before.descriptors)
      assert.deepEqual(children(), before.children)
      assert.deepEqual(mounts(), [])
      assert.deepEqual(cgroupsBelow(`coffer-lib-${process.pid}-`), [])
      const boxes = 3 * COUNT + AT_ONCE
      const grown = heap - before.heap
      console.error(`${process.versions.bun === undefined ? 'Node' : 'Bun'}: ${boxes} boxes, ${grown} bytes of heap`)
      assert.ok(grown < RUNTIME_BYTES + boxes * BYTES_A_BOX, `the heap grew by ${grown} bytes for ${boxes} boxes`)
    },
}
