/** boxPool(): boxes that are there before somebody asks. */

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type BoxPool, boxPool, OperationError, type PoolOptions } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'
import { cgroupsBelow } from '../left.ts'

async function withPool(body: (pool: BoxPool) => Promise<void>, options: Partial<PoolOptions> = {}): Promise<void> {
  const pool = await boxPool({ root: 'host', cwd: '/', ...options })
  try {
    await body(pool)
  } finally {
    await pool.close()
    assert.deepEqual([pool.ready, pool.taken], [0, 0])
    assert.deepEqual(cgroupsBelow(`coffer-lib-${process.pid}-`), [])
  }
}

const kindOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  return error instanceof OperationError ? (error.code ?? error.kind) : (error as Error).name
}

/** Until it holds; each time after a box of the pool has had time to come up. */
async function until(pool: BoxPool, holds: () => boolean): Promise<void> {
  for (let count = 0; !holds(); count++) {
    assert.ok(count < 1000, `${pool.ready} ready, ${pool.taken} taken`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

export const cases: Cases = {
  'a pool keeps as many boxes ready as it was told, also when one was taken': () =>
    withPool(
      async (pool) => {
        await until(pool, () => pool.ready === 3)
        const box = await pool.take()
        assert.equal(pool.taken, 1)
        await until(pool, () => pool.ready === 3)
        assert.equal((await box.exec(['echo', 'in'])).stdout, 'in\n')
        await box.kill()
        assert.deepEqual([pool.ready, pool.taken], [3, 0])
      },
      { size: 3 },
    ),
  'nobody gets a box that somebody had': () =>
    withPool(async (pool) => {
      const ids = new Set<string>()
      for (let count = 0; count < 4; count++) {
        const box = await pool.take()
        const { stdout } = await box.exec([
          'sh',
          '-c',
          'ls /usr/mine /tmp/mine 2>/dev/null; : >/usr/mine; : >/tmp/mine',
        ])
        assert.equal(stdout, '')
        ids.add(box.id)
        await box.kill()
      }
      assert.equal(ids.size, 4)
    }),
  'who waits gets a box in the order of asking, when one that lives has ended': () =>
    withPool(
      async (pool) => {
        const boxes = [await pool.take(), await pool.take()]
        const served: number[] = []
        const waiting = [0, 1, 2].map(async (number) => {
          const box = await pool.take()
          served.push(number)
          return box
        })
        await boxes[0]?.exec(['true'])
        assert.deepEqual([served, pool.ready, pool.taken], [[], 0, 2])
        for (const box of boxes) await box.kill()
        await (await waiting[0])?.kill()
        for (const box of await Promise.all(waiting)) await box.kill()
        assert.deepEqual(served, [0, 1, 2])
      },
      { size: 2, max: 2 },
    ),
  'many may ask at once': () =>
    withPool(
      async (pool) => {
        const work = async (number: number): Promise<void> => {
          const box = await pool.take()
          assert.equal((await box.exec(['echo', `${number}`])).stdout, `${number}\n`)
          await box.kill()
        }
        await Promise.all(Array.from({ length: 30 }, (_, number) => work(number)))
      },
      { size: 4, max: 10 },
    ),
  'who does not want to wait any more does not, and the next one is served': () =>
    withPool(
      async (pool) => {
        const box = await pool.take()
        const controller = new AbortController()
        const given = kindOf(pool.take({ signal: controller.signal }))
        const next = pool.take()
        controller.abort()
        assert.equal(await given, 'AbortError')
        assert.equal(await kindOf(pool.take({ signal: controller.signal })), 'AbortError')
        await box.kill()
        await (await next).kill()
      },
      { size: 1, max: 1 },
    ),
  'the taker hears why a box cannot be made, and a pool can be asked again': () =>
    withPool(
      async (pool) => {
        for (let count = 0; count < 3; count++) assert.equal(await kindOf(pool.take()), 'ENOENT')
        assert.deepEqual(await Promise.all([pool.take(), pool.take()].map(kindOf)), ['ENOENT', 'ENOENT'])
      },
      { root: { directory: '/nothing/is/here' }, size: 2 },
    ),
  'options that are wrong are refused before a box is made': async () => {
    const pool = (options: object) => kindOf(boxPool({ root: 'host', ...options }))
    const wrong = [
      { size: 0 },
      { size: 1.5 },
      { size: 3, max: 2 },
      { limits: { pids: -1 } },
      { sizes: 3 },
      { stdin: '' },
    ]
    for (const options of wrong) assert.equal(await pool(options), 'invalid', JSON.stringify(options))
    assert.equal(await pool({ signal: AbortSignal.abort() }), 'AbortError')
  },
  'a box that ends while it is ready is not handed out': () =>
    withPool(async (pool) => {
      await until(pool, () => pool.ready === 1)
      const first = await pool.take()
      await until(pool, () => pool.ready === 1)
      const init = cgroupsBelow(`coffer-lib-${process.pid}-`).filter((path) => !path.endsWith(first.id))
      const pids = init.flatMap((path) => readFileSync(`${path}/cgroup.procs`, 'utf8').split('\n').filter(Boolean))
      for (const pid of new Set(pids)) process.kill(Number(pid), 'SIGKILL')
      await until(pool, () => pool.ready === 0)
      const box = await pool.take()
      assert.equal((await box.exec(['true'])).verdict, 'ok')
    }),
  'closing ends every box and refuses who waits; a signal closes': async () => {
    const controller = new AbortController()
    const pool = await boxPool({ root: 'host', cwd: '/', size: 2, max: 2, signal: controller.signal })
    const boxes = [await pool.take(), await pool.take()]
    const waiting = kindOf(pool.take())
    controller.abort()
    assert.equal(await waiting, 'conflict')
    await pool.close()
    assert.equal(await kindOf(pool.take()), 'conflict')
    for (const box of boxes) assert.equal(await kindOf(box.exec(['true'])), 'conflict')
    assert.deepEqual([pool.ready, pool.taken], [0, 0])
    assert.deepEqual(cgroupsBelow(`coffer-lib-${process.pid}-`), [])
  },
}
