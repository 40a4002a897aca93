/** Frames that the assembler does not make: the executor as it is shipped refuses them before their first call. test/fuzz searches for more. */

import { expect, test } from 'bun:test'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HEADER_BYTES, MAGIC, NONE, STEP_WORDS } from '../src/executor/wire.ts'

const executor = join(import.meta.dir, '..', 'dist', 'coffer-executor')
const KINDS: Readonly<Record<number, string>> = { 2: 'done', 3: 'failed', 4: 'refused' }

/** How the executor answers a frame; how it ended where there is no answer. */
function answerTo(words: Uint32Array): string {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-frame-'))
  try {
    writeFileSync(join(directory, 'frame'), words)
    const input = openSync(join(directory, 'frame'), 'r')
    const output = openSync(join(directory, 'report'), 'w')
    const { exitCode, signalCode } = Bun.spawnSync([executor], {
      stdio: ['ignore', 'inherit', 'inherit', input, output],
      timeout: 20_000,
    })
    closeSync(input)
    closeSync(output)
    const report = readFileSync(join(directory, 'report'))
    return report.length < 12 ? `ended: ${signalCode ?? exitCode}` : (KINDS[report.readUInt32LE(8)] ?? 'unknown')
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const SCHED_YIELD = process.arch === 'arm64' ? 124 : 24
const BLOB_BYTES = 4096

interface Frame {
  readonly stepCount: number
  readonly mainCount?: number
  readonly readCount?: number
  /** Where the blob begins; default: behind everything else. */
  readonly blobAt?: number
  /** First step and length of the list that the child of a step runs. */
  readonly child?: (step: number) => readonly [number, number]
}

/** Steps that each call sched_yield(2), which answers 0, and ranges that each bring back the whole blob. */
function frameOf({ stepCount, mainCount = 1, readCount = 0, blobAt, child = () => [0, 0] }: Frame): Uint32Array {
  const readsAt = HEADER_BYTES + stepCount * STEP_WORDS * 4
  const end = readsAt + readCount * 8 + BLOB_BYTES
  const words = new Uint32Array(end / 4)
  words.set([MAGIC, end, 1, 0, HEADER_BYTES, stepCount, readsAt, 0, readsAt, readCount])
  words.set([blobAt ?? end - BLOB_BYTES, BLOB_BYTES, mainCount, 0], 10)
  for (let index = 0; index < stepCount; index++) {
    const at = HEADER_BYTES / 4 + index * STEP_WORDS
    const [first, count] = child(index)
    words[at] = SCHED_YIELD
    words[at + 1] = NONE << 16
    words[at + 5] = first | (count << 16)
  }
  for (let index = 0; index < readCount; index++) words[readsAt / 4 + index * 2 + 1] = BLOB_BYTES
  return words
}

const next = (last: number) => (step: number) => (step < last ? ([step + 1, 1] as const) : ([0, 0] as const))

test('a frame of one step is run', () => {
  expect(answerTo(frameOf({ stepCount: 1, readCount: 2 }))).toBe('done')
})

test('a blob that calls write to does not lie over what was validated', () => {
  expect(answerTo(frameOf({ stepCount: 1, blobAt: HEADER_BYTES }))).toBe('refused')
  expect(answerTo(frameOf({ stepCount: 1, blobAt: 0 }))).toBe('refused')
})

test('a frame does not ask for more bytes than a report can count', () => {
  const readCount = 2 ** 32 / BLOB_BYTES + 1
  expect(answerTo(frameOf({ stepCount: 1, readCount }))).toBe('refused')
})

test('lists do not lie in lists without end', () => {
  // A child that is the same process, as its call answers 0, ends it without a report.
  expect(answerTo(frameOf({ stepCount: 8, child: next(7) }))).toBe('ended: 0')
  expect(answerTo(frameOf({ stepCount: 60_000, child: next(59_999) }))).toBe('refused')
})

test('a list belongs to one step', () => {
  expect(answerTo(frameOf({ stepCount: 3, child: (step) => (step < 2 ? [2, 1] : [0, 0]) }))).toBe('refused')
})
