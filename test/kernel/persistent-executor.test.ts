/** The executor that a long-running program keeps: src/executor/persistent-node.ts, with plans that need no root. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Executor, encode, openExecutor } from '../../src/executor/persistent-node.ts'
import { framesOf } from '../../src/executor/template.ts'
import { buffer, slot } from '../../src/linux/call.ts'
import {
  AT_FDCWD,
  chdir,
  mkdirat,
  O_CREAT,
  O_RDONLY,
  O_WRONLY,
  openat,
  unlinkat,
  write,
} from '../../src/linux/files.ts'
import { clone3 } from '../../src/linux/namespaces.ts'
import { exitGroup, getpid, P_PIDFD, SI_STATUS, SIGINFO_BYTES, waitid } from '../../src/linux/process.ts'
import type { Plan, Step } from '../../src/plan/plan.ts'

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const root = join(import.meta.dir, '..', '..')
const path = join(root, 'dist', 'coffer-executor')
const directory = mkdtempSync(join(tmpdir(), 'coffer-persistent-'))
let executor: Executor
beforeAll(() => {
  executor = openExecutor(path)
})
afterAll(async () => {
  await executor.close()
  rmSync(directory, { recursive: true })
})

const step = (call: Step['call'], rest: Partial<Step> = {}): Step => ({ call, why: 'try it', see: [], ...rest })
const planOf = (steps: readonly Step[], rest: Partial<Plan> = {}): Plan => ({ operation: 'try it', steps, ...rest })
const inside = (name: string): string => join(directory, name)

const PID = slot('pid')
const askPid = planOf([step(getpid(), { into: PID })], { returns: [PID] })

const pause = (ms: number): Step => {
  const time = new Uint8Array(16)
  new DataView(time.buffer).setUint32(8, ms * 1_000_000, true)
  return step({ name: 'nanosleep', args: [time, 0] })
}

test('a plan answers with what it returns', async () => {
  const report = await executor.run(askPid)
  expect([report.kind, report.slot(PID) > 1]).toEqual(['done', true])
})

test('each plan runs in a process of its own', async () => {
  const pids = await Promise.all([executor.run(askPid), executor.run(askPid)])
  expect(new Set(pids.map((report) => report.slot(PID))).size).toBe(2)
})

test('frames that were filled in run side by side, and an error has the words of its own', async () => {
  const plan = ([name = '']: readonly string[]): Plan => planOf([step(mkdirat(AT_FDCWD, inside(name), 0o700))])
  const frames = framesOf({ blanks: ['\ue000'], plan }, { architecture, encode })
  await Promise.all(['one', 'two'].map((name) => executor.runFrame(frames([name]))))
  expect(readdirSync(directory).sort()).toEqual(['one', 'two'])
  await expect(executor.runFrame(frames(['two']))).rejects.toThrow(`mkdirat(${inside('two')}) = EEXIST`)
  for (const name of ['one', 'two']) rmSync(inside(name), { recursive: true })
})

test('the shorter of two plans is answered first', async () => {
  const ended: string[] = []
  const run = async (name: string, ms: number): Promise<void> => {
    await executor.run(planOf([pause(ms)]))
    ended.push(name)
  }
  await Promise.all([run('long', 200), run('short', 1)])
  expect(ended).toEqual(['short', 'long'])
})

test('what a plan leaves open or changes is not there for the next one', async () => {
  const file = slot('file')
  const opens = planOf([step(openat(AT_FDCWD, '/dev/null', O_RDONLY), { into: file }), step(chdir(directory))], {
    returns: [file],
  })
  const first = (await executor.run(opens)).slot(file)
  const reports = await Promise.all(Array.from({ length: 50 }, () => executor.run(opens)))
  expect(new Set(reports.map((report) => report.slot(file)))).toEqual(new Set([first]))
  await expect(executor.run(planOf([step(mkdirat(AT_FDCWD, 'proc', 0o700))]))).rejects.toThrow('mkdirat(proc) = EEXIST')
})

test('a failed plan is rejected with its first error, and has undone what it made', async () => {
  const made = inside('made')
  const plan = planOf([
    step(mkdirat(AT_FDCWD, made, 0o700), { undo: [step(unlinkat(AT_FDCWD, made, 0x200))] }),
    step(mkdirat(AT_FDCWD, inside('absent/below'), 0o700), { why: 'make a directory' }),
  ])
  await expect(executor.run(plan)).rejects.toThrow(
    `cannot make a directory: mkdirat(${inside('absent/below')}) = ENOENT`,
  )
  expect(readdirSync(directory)).not.toContain('made')
})

test('advice for the failed step becomes the hint', async () => {
  const plan = planOf([step(chdir('/absent'))])
  const failed = await executor
    .run(plan, { advise: (_, errno) => ({ hint: `seen: ${errno}` }) })
    .catch((error) => error)
  expect(failed.hint).toBe('seen: ENOENT')
})

test('a report step is told while the plan goes on', async () => {
  const seen: number[] = []
  const plan = planOf([step(getpid(), { into: PID }), step({ name: 'report', args: [] }), pause(1)], { returns: [PID] })
  const report = await executor.run(plan, { onProgress: (progress) => seen.push(progress.slot(PID)) })
  expect(seen).toEqual([report.slot(PID)])
})

test('a trace has a line for each call', async () => {
  const { trace } = await executor.run(planOf([step(getpid()), pause(2)]), { trace: true })
  expect(trace.map(({ step: index }) => index)).toEqual([0, 1])
  expect(trace.map(({ beginNs, endNs }) => endNs - beginNs >= 0)).toEqual([true, true])
})

test('a plan can make a child and learn how it ended', async () => {
  const pidfd = buffer('pidfd', 4)
  const fd = slot('child')
  const info = buffer('info', SIGINFO_BYTES)
  const plan = planOf(
    [
      step(clone3({ flags: 0, pidfd }), {
        keep: [{ slot: fd, in: pidfd, offset: 0, sizeBytes: 4 }],
        child: [step(exitGroup(7))],
      }),
      step(waitid(P_PIDFD, fd, info)),
    ],
    { reads: [info] },
  )
  const report = await executor.run(plan)
  expect(report.bytes(info)[SI_STATUS]).toBe(7)
})

test('names that are no UTF-8 reach the kernel as the bytes they are', async () => {
  const file = slot('file')
  const name = `${directory}/caf\udce9`
  await executor.run(
    planOf([step(openat(AT_FDCWD, name, O_WRONLY | O_CREAT, 0o600), { into: file }), step(write(file, 'x', 1))]),
  )
  const names = readdirSync(directory, { encoding: 'buffer' }).map((bytes) => bytes.toString('latin1'))
  expect(names).toContain('café')
})

test('a descriptor of the caller can be the output of plans', async () => {
  const output = inside('output')
  writeFileSync(output, '')
  const fd = openSync(output, 'a')
  const own = openExecutor(path, { stdio: ['ignore', fd, 'inherit'] })
  closeSync(fd)
  await own.run(planOf([step(write(1, 'hello', 5))]))
  await own.close()
  expect(readFileSync(output, 'utf8')).toBe('hello')
})

test('close waits for the plans under way, and no plan is taken after it', async () => {
  const own = openExecutor(path)
  const ended: string[] = []
  const run = own.run(planOf([pause(100)])).then(() => ended.push('plan'))
  await own.close()
  ended.push('close')
  await run
  expect(ended).toEqual(['plan', 'close'])
  await expect(own.run(askPid)).rejects.toThrow('the executor was closed')
})

const PARENT = slot('parent')
const askParent = planOf([step({ name: 'getppid', args: [] }, { into: PARENT })], { returns: [PARENT] })

const childrenOf = (pid: number): readonly number[] =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ').filter(Boolean).map(Number)

/** The process that an executor has made for the next plan, beside those that have had one, when it waits. */
async function spareOf(pid: number, ...others: readonly number[]): Promise<number> {
  for (;;) {
    const [spare] = childrenOf(pid).filter((child) => !others.includes(child))
    if (spare !== undefined && / S /.test(readFileSync(`/proc/${spare}/stat`, 'utf8'))) return spare
    await Bun.sleep(1)
  }
}

async function withSpare(): Promise<{ readonly own: Executor; readonly pid: number; readonly spare: number }> {
  const own = openExecutor(path)
  const plan = planOf([step({ name: 'getppid', args: [] }, { into: PARENT }), step(getpid(), { into: PID })])
  const { slot: found } = await own.run({ ...plan, returns: [PARENT, PID] })
  return { own, pid: found(PARENT), spare: await spareOf(found(PARENT), found(PID)) }
}

test('the process of a plan is made when the one before has ended', async () => {
  const { own, spare } = await withSpare()
  const [first, second] = await Promise.all([own.run(askPid), own.run(askPid)])
  expect(first.slot(PID)).toBe(spare)
  expect(second.slot(PID)).not.toBe(spare)
  await own.close()
})

test('a process that is killed before it has a plan costs none', async () => {
  const { own, spare } = await withSpare()
  process.kill(spare, 'SIGKILL')
  expect((await own.run(askPid)).slot(PID)).not.toBe(spare)
  await own.close()
})

test('a process that is killed with its plan is answered for, also if it was made before', async () => {
  const { own, spare } = await withSpare()
  const begun = Promise.withResolvers<void>()
  const forEver = planOf([step({ name: 'report', args: [] }), step({ name: 'ppoll', args: [0, 0, 0, 0, 8] })])
  const killed = own.run(forEver, { onProgress: () => begun.resolve() })
  await begun.promise
  process.kill(spare, 'SIGKILL')
  await expect(killed).rejects.toThrow('its process ended before it answered: it was killed')
  expect((await own.run(askPid)).kind).toBe('done')
  await own.close()
})

test('a plan that is killed behind its executor is rejected, as nobody without a plan is left', async () => {
  const { own, pid, spare } = await withSpare()
  const begun = Promise.withResolvers<void>()
  const forEver = planOf([step({ name: 'report', args: [] }), step({ name: 'ppoll', args: [0, 0, 0, 0, 8] })])
  const killed = own.run(forEver, { onProgress: () => begun.resolve() })
  await begun.promise
  await spareOf(pid, spare, (await own.run(askPid)).slot(PID))
  for (const one of [pid, spare]) process.kill(one, 'SIGKILL')
  await expect(killed).rejects.toThrow('the executor ended before it answered: it was killed')
  await own.close()
})

test('an executor that is killed takes no further plan', async () => {
  const { own, pid } = await withSpare()
  process.kill(pid, 'SIGKILL')
  while (existsSync(`/proc/${pid}`)) await Bun.sleep(1)
  await expect(own.run(askPid)).rejects.toThrow('it was killed')
  await expect(own.run(askPid)).rejects.toThrow('it was killed')
  await own.close()
})

test('a plan under way outlives its executor, and still answers', async () => {
  const own = openExecutor(path)
  const { slot: found } = await own.run(askParent)
  const started = Promise.withResolvers<void>()
  const plan = planOf([step({ name: 'report', args: [] }), pause(50), step(getpid(), { into: PID })], {
    returns: [PID],
  })
  const underWay = own.run(plan, { onProgress: () => started.resolve() })
  await started.promise
  process.kill(found(PARENT), 'SIGKILL')
  expect((await underWay).kind).toBe('done')
  await own.close()
})

test('a plan whose process is killed alone is rejected at once, while the others go on', async () => {
  const own = openExecutor(path)
  const begun = Promise.withResolvers<number>()
  const forEver = planOf(
    [step(getpid(), { into: PID }), step({ name: 'report', args: [] }), step({ name: 'ppoll', args: [0, 0, 0, 0, 8] })],
    { returns: [PID] },
  )
  const killed = own.run(forEver, { onProgress: ({ slot: found }) => begun.resolve(found(PID)) })
  const others = [1, 2, 3].map(() => own.run(planOf([pause(50), step(getpid(), { into: PID })], { returns: [PID] })))
  process.kill(await begun.promise, 'SIGKILL')
  await expect(killed).rejects.toThrow('its process ended before it answered: it was killed')
  expect((await Promise.all(others)).map(({ kind }) => kind)).toEqual(['done', 'done', 'done'])
  // And no child of the executor is left over, but for the one that waits for the next plan.
  const { slot: found } = await own.run(askParent)
  await own.run(askPid)
  expect(childrenOf(found(PARENT)).length).toBeLessThanOrEqual(2)
  await own.close()
})

test('an executor that is not there is an error of the plan', async () => {
  const own = openExecutor(inside('absent'))
  await expect(own.run(askPid)).rejects.toThrow('cannot start the executor')
  await own.close()
})

test('it works in Node as in Bun', () => {
  const program = `
    import { openExecutor } from ${JSON.stringify(join(root, 'src/executor/persistent-node.ts'))}
    const executor = openExecutor(${JSON.stringify(path)})
    const plan = { operation: 'try it', steps: [{ call: { name: 'getpid', args: [] }, why: 'try it', see: [] }] }
    const reports = await Promise.all(Array.from({ length: 20 }, () => executor.run(plan)))
    await executor.close()
    console.log(reports.map(({ kind }) => kind).join())`
  const node = join(root, 'node_modules', '.bin', 'node')
  const { stdout } = Bun.spawnSync([node, '--input-type=module', '--eval', program], {
    stdout: 'pipe',
    stderr: 'inherit',
  })
  expect(stdout.toString().trim()).toBe(Array(20).fill('done').join())
})
