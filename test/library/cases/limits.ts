/** Hostile programs come back as a verdict, in the time that their limits allow. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { probe, type RunOptions, run } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const sh = (script: string, options: Partial<RunOptions> = {}) =>
  run(['sh', '-c', script], { root: 'host', ...options })
const python = (script: string, options: Partial<RunOptions> = {}) =>
  run(['python3', '-c', script], { root: 'host', ...options })

/** Whether a process of the machine has this word in its command line. */
const isRunning = (word: string): boolean =>
  readdirSync('/proc').some((pid) => {
    try {
      return /^\d+$/.test(pid) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(word)
    } catch {
      // It has ended.
      return false
    }
  })

const ENDLESS = 'while :; do :; done'

export const cases: Cases = {
  'a memory bomb is ended, and it is told who, what peak, which limit': async () => {
    const result = await python('x = []\nwhile True: x.append(bytearray(1 << 20))', { limits: { memory: '64MiB' } })
    assert.equal(result.verdict, 'memory')
    assert.equal(result.signal, 'SIGKILL')
    const { process, peakBytes = 0, limitBytes } = result.outOfMemory ?? {}
    assert.equal(process?.name, 'python3')
    assert.equal(limitBytes, 64 << 20)
    assert.ok(peakBytes > 60 << 20 && peakBytes <= 64 << 20, `${peakBytes}`)
    assert.equal(result.usage.peakMemoryBytes, peakBytes)
  },
  'a fork bomb meets its limit of processes (S120)': async () => {
    const script = 'import os, time\nwhile True:\n  if os.fork() == 0: time.sleep(1000)'
    const { verdict, usage } = await python(script, { limits: { pids: 20 } })
    assert.deepEqual([verdict, usage.peakPids], ['pids', 20])
    assert.ok(usage.pidsRefused >= 1)
  },
  'endless output is cut at its limit': async () => {
    const { verdict, stdout, stderr } = await sh('echo first >&2; yes', { limits: { outputBytes: 100_000 } })
    assert.equal(verdict, 'output')
    assert.ok(stdout.length <= 100_000 && stdout.length > 50_000, `${stdout.length}`)
    assert.equal(stdout.length + stderr.length, 100_000)
  },
  'who writes exactly as much as it may has done nothing wrong': async () => {
    const { verdict, stdout } = await sh('head -c 1000 /dev/zero', { limits: { outputBytes: 1000 } })
    assert.deepEqual([verdict, stdout.length], ['ok', 1000])
  },
  'a program that does not end is ended in time, with all that it started (S291)': async () => {
    const script = `trap "" TERM HUP INT; (setsid sh -c '${ENDLESS}' &) ; ${ENDLESS}`
    const began = performance.now()
    const { verdict, signal, usage } = await sh(script, { limits: { wallClockMs: 300 } })
    const tookMs = performance.now() - began
    assert.deepEqual([verdict, signal], ['wall-time', 'SIGKILL'])
    assert.ok(usage.wallMs >= 300 && usage.wallMs < tookMs, `${usage.wallMs} of ${tookMs}`)
  },
  'CPU time is counted over all processes': async () => {
    const script = `(${ENDLESS}) & (${ENDLESS}) & wait`
    const { verdict, usage } = await sh(script, { limits: { cpuTimeMs: 300, wallClockMs: 60_000 } })
    assert.equal(verdict, 'cpu-time')
    assert.ok(usage.cpuMs >= 300, `${usage.cpuMs}`)
  },
  'a share of a CPU is all that it gets': async () => {
    const limits = { cpus: 0.05, wallClockMs: 1000, cpuTimeMs: 'unlimited' } as const
    const { usage } = await sh(ENDLESS, { limits })
    assert.ok(usage.cpuMs < 0.5 * usage.wallMs, `${usage.cpuMs} of ${usage.wallMs}`)
    assert.ok((usage.throttledMs ?? 0) > 0)
  },
  'a layer that is full is the verdict disk, and so is a file that is too large': async () => {
    const limits = { diskBytes: '4MiB' } as const
    const many = await sh('for i in 1 2 3 4 5 6 7 8 9; do head -c 1000000 /dev/zero >/usr/f$i || exit 1; done', {
      limits,
    })
    assert.equal(many.verdict, 'disk')
    assert.match(many.stderr, /No space left on device/)
    const few = await sh('head -c 3000000 /dev/zero >/usr/f', { limits })
    assert.equal(few.verdict, 'ok')
  },
  'open files are limited': async () => {
    const script =
      'import os\nfds = []\ntry:\n  while True: fds.append(os.open("/", os.O_RDONLY))\nexcept OSError as e: print(len(fds), e.errno)'
    const { stdout } = await python(script, { limits: { openFiles: 20 } })
    assert.match(stdout, /^1[67] 24\n$/)
  },
  'limits are there before the first instruction': async () => {
    const { stdout } = await sh('cat /proc/self/limits; cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max', {
      limits: { pids: 33, openFiles: 44, memory: '1g' },
    })
    assert.match(stdout, /Max open files +44 +44/)
    assert.match(stdout, /^33$/m)
  },
  'the caller can end it by a signal': async () => {
    const controller = new AbortController()
    const mark = `ended-${process.pid}-by-signal`
    const running = sh(`: ${mark}; ${ENDLESS}`, { signal: controller.signal, limits: { cpuTimeMs: 'unlimited' } })
    while (!isRunning(mark)) await setTimeout(5)
    controller.abort()
    const { verdict } = await running
    assert.equal(verdict, 'killed')
    await assert.rejects(sh('true', { signal: controller.signal }), { name: 'AbortError' })
    const late = new AbortController()
    const one = sh('true', { signal: late.signal })
    late.abort()
    // Before the container was made it rejects, behind that it is a verdict.
    const outcome = await one.then(
      ({ verdict }) => verdict,
      (error: Error) => error.name,
    )
    assert.ok(['AbortError', 'killed', 'ok'].includes(outcome), outcome)
  },
  'usage counts what was used': async () => {
    const { usage } = await python('sum(range(3_000_000)); x = bytearray(30 << 20)')
    assert.ok(usage.cpuMs > 10 && usage.userMs > 10, JSON.stringify(usage))
    assert.ok((usage.peakMemoryBytes ?? 0) > 30 << 20)
    assert.equal(usage.peakPids, 1)
  },
  'what was enforced is told, and what is required and cannot be is refused': async () => {
    const { enforced } = await sh('true')
    for (const feature of ['namespaces', 'seccomp', 'network', 'memory', 'pids'] as const)
      assert.ok(enforced.includes(feature), feature)
    const open = await sh('true', { network: 'host', limits: { memory: 'unlimited' } })
    assert.equal(open.enforced.includes('network') || open.enforced.includes('memory'), false)
    await assert.rejects(sh('true', { network: 'host', requires: ['network'] }), /cannot enforce network/)
  },
  'probe tells what run enforces, and why not what it does not': async () => {
    const { isUsable, enforces, problems } = probe()
    const { enforced } = await sh('true', { limits: { cpus: 1 }, network: { allow: [] } })
    assert.deepEqual([isUsable, problems], [true, []])
    assert.deepEqual([...enforces].sort(), [...enforced].sort())
  },
  'fifty at once do not see one another, and leave nothing behind (S294)': async () => {
    const results = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        sh(`echo ${index} >/usr/mine; sleep 0.1; cat /usr/mine; echo /proc/[0-9]*`),
      ),
    )
    for (const [index, { stdout, verdict }] of results.entries())
      assert.deepEqual([verdict, stdout], ['ok', `${index}\n/proc/1\n`])
    const own = readdirSync('/sys/fs/cgroup/pids').filter((name) => name.startsWith(`coffer-lib-${process.pid}-`))
    assert.deepEqual(own, [])
  },
  'one after the other leave descriptors, processes and mounts of the caller as they were': async () => {
    const count = (): readonly number[] => [
      readdirSync('/proc/self/fd').length,
      readFileSync('/proc/self/mountinfo', 'utf8').split('\n').length,
      readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').split(' ').length,
    ]
    for (let index = 0; index < 20; index++) await sh('true')
    const before = count()
    for (let index = 0; index < 100; index++) await sh('true')
    const [fds = 0, ...others] = count()
    assert.deepEqual(others, before.slice(1))
    // Bun closes its own copy of a descriptor a moment later.
    assert.ok(fds <= (before[0] ?? 0) + 4, `${before[0]} descriptors became ${fds}`)
  },
}
