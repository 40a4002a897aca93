/** The end of a box, a command or a pool comes at any moment, and nothing is left behind. */

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { type Box, boxPool, OperationError, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'
import { type Held, whatIsHeld } from '../many-boxes.ts'

const OPTIONS = { root: 'host', cwd: '/' } as const
/** With all that a box may have: a supervisor and a relay, which need a reader and a socket in this program. */
const HEARD = { ...OPTIONS, denials: true, network: { allow: ['example.com:443'] } } as const
const LONG = ['sleep', '1000']
const MOMENTS = 6

type Left = Omit<Held, 'heapBytes'> & { readonly files: readonly string[] }

/** Of channels and of files for names: they are kept for the next box. */
const IS_KEPT = /^(\d+\.(control|in|out|err|release|denied|hosts)|resolv\.conf)$/

/** What this program has of boxes beside that. */
async function whatIsLeft(): Promise<Left> {
  const { heapBytes: _, descriptors, ...others } = await whatIsHeld()
  const directories = readdirSync('/run/coffer').filter((name) => name.startsWith(`lib-${process.pid}-`))
  const files = directories.flatMap((name) => readdirSync(`/run/coffer/${name}`))
  return {
    ...others,
    descriptors: descriptors
      .filter((line) => !line.endsWith('.control'))
      .map((line) => line.replace(/^\d+ /, ''))
      .sort(),
    files: files.filter((name) => !IS_KEPT.test(name)),
  }
}

/**
 * Begins `work` again and again, and aborts its signal at moments from its begin until after a box has come up; `work` answers how it ended,
 * which is one of `ends`. Nothing is left of all of it.
 */
async function atMoments(ends: readonly string[], work: (signal: AbortSignal) => Promise<string>): Promise<void> {
  await run(['true'], HEARD)
  const began = performance.now()
  await run(['true'], HEARD)
  const lengthMs = performance.now() - began
  let before: Left | undefined
  for (let moment = -1; moment < MOMENTS; moment++) {
    const controller = new AbortController()
    const end = work(controller.signal)
    if (moment > 0) await setTimeout((1.3 * lengthMs * moment) / MOMENTS)
    controller.abort()
    const how = await end
    assert.ok(ends.includes(how), `it ended with ${how} at moment ${moment}`)
    // What the runtime makes once came with the first.
    before ??= await whatIsLeft()
  }
  assert.deepEqual(await whatIsLeft(), before)
}

/** What `seen` says of how it ended, or what it was refused with. */
const endOf = <Value>(promise: Promise<Value>, seen: (value: Value) => Promise<string> | string): Promise<string> =>
  promise.then(seen, (error: Error) => (error instanceof OperationError ? error.kind : error.name))

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve())
  })

async function inBox(body: (box: Box) => Promise<void>): Promise<void> {
  const box = await sandbox(HEARD)
  try {
    await body(box)
  } finally {
    await box.kill()
  }
}

/** Ended together with a box of its own that is killed when the signal says so. */
async function untilKilled(signal: AbortSignal, work: (box: Box) => Promise<string>): Promise<string> {
  const box = await sandbox(HEARD)
  let ends = 0
  box.on('exit', () => ends++)
  const killed = aborted(signal).then(() => box.kill())
  const how = await work(box)
  await killed
  assert.equal(ends, 1)
  assert.equal(await endOf(box.exec(['true']), ({ verdict }) => verdict), 'conflict')
  return how
}

export const cases: Cases = {
  'a run that is aborted at any moment leaves nothing': () =>
    atMoments(['AbortError', 'killed'], (signal) => endOf(run(LONG, { ...HEARD, signal }), ({ verdict }) => verdict)),
  'a box whose signal is aborted at any moment leaves nothing': () =>
    atMoments(['AbortError', 'made'], (signal) =>
      endOf(sandbox({ ...HEARD, signal }), async (box) => {
        await aborted(signal)
        await box.kill()
        return 'made'
      }),
    ),
  'a command that is aborted at any moment ends, with its streams or a terminal as well': () =>
    inBox(async (box) => {
      // From its first command on a box has the files of its cgroup open.
      await box.exec(['true'])
      await atMoments(['ended'], async (signal) => {
        const pty = { columns: 80, rows: 24 }
        const ends = await Promise.all([
          endOf(box.exec(LONG, { signal }), (result) => `${result.signal}`),
          endOf(box.spawn(LONG, { signal }), async (child) => {
            for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy()
            return `${(await child.exited).signal}`
          }),
          endOf(box.spawn(LONG, { signal, pty }), async (child) => {
            child.stdout.resume()
            return `${(await child.exited).signal}`
          }),
        ])
        return ends.every((end) => ['AbortError', 'SIGKILL'].includes(end)) ? 'ended' : ends.join()
      })
    }),
  'a box that is killed at any moment of a fork, or whose fork is aborted, leaves nothing': async () => {
    const fork = (box: Box, signal?: AbortSignal): Promise<string> =>
      endOf(box.fork({ signal }), async (other) => {
        assert.equal(await other.files.readText('/usr/mine'), 'mine')
        await other.kill()
        return 'made'
      })
    await atMoments(['made', 'conflict'], (signal) =>
      untilKilled(signal, async (box) => {
        const isWritten = await endOf(box.files.write('/usr/mine', 'mine'), () => 'written')
        return isWritten === 'written' ? fork(box) : isWritten
      }),
    )
    await inBox(async (box) => {
      await box.files.write('/usr/mine', 'mine')
      await atMoments(['made', 'AbortError'], (signal) => fork(box, signal))
    })
  },
  'a box that is killed while its changes are discarded, by two at once, has ended, and begins again before that': () =>
    atMoments(['none', 'some'], (signal) =>
      untilKilled(signal, async (box) => {
        const discard = (): Promise<string> => endOf(box.discard(), () => 'discarded')
        const ends = await Promise.all([discard(), discard()])
        for (const end of ends) assert.ok(['discarded', 'conflict'].includes(end), end)
        return ends.includes('discarded') ? 'some' : 'none'
      }),
    ),
  'a pool that is closed at any moment leaves nothing, and serves or refuses who asked': () =>
    atMoments(['ended'], async (signal) => {
      const pool = await boxPool({ ...HEARD, size: 2, max: 3, signal })
      const taken = [0, 1, 2, 3].map(() => endOf(pool.take(), () => 'served'))
      for (const end of await Promise.all(taken)) assert.ok(['served', 'conflict'].includes(end), end)
      await pool.close()
      assert.deepEqual([pool.ready, pool.taken], [0, 0])
      return 'ended'
    }),
  'a box or a command that cannot be begun leaves nothing': () =>
    inBox((box) =>
      atMoments(['invalid, missing, missing'], async () => {
        const mounts = [{ source: '/etc', target: '/proc/self' }]
        const pty = { columns: 80, rows: 24 }
        const ends = [
          sandbox({ ...HEARD, mounts }),
          box.spawn(['no-such-program'], { pty }),
          box.spawn(['no-such-program']),
        ]
        return (await Promise.all(ends.map((one) => endOf<unknown>(one, () => 'made')))).join(', ')
      }),
    ),
  'who listens to a box that has ended already is told': () =>
    inBox(async (box) => {
      await box.kill()
      assert.equal(await new Promise((resolve) => box.on('exit', ({ wasKilled }) => resolve(wasKilled))), true)
    }),
}
