/** A caller that is killed leaves nothing behind: what its executor cannot clean up, the next caller does. */

import { afterAll, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { processesOf, until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { binOf, RUNTIMES } from './both-runtimes.ts'
import { cgroupsBelow } from './left.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-library-'))
afterAll(() => rmSync(directory, { recursive: true }))

const index = JSON.stringify(join(import.meta.dir, '..', '..', 'src', 'index.ts'))
const program = join(directory, 'caller.mts')
writeFileSync(
  program,
  `import { boxPool, run, sandbox } from ${index}
   const box = await sandbox({ root: 'host', cwd: '/' })
   await sandbox({ root: 'host', cwd: '/', network: { allow: ['example.com:443'] } })
   const child = await box.spawn(['sh', '-c', '(setsid sleep 1000 &) ; echo up; exec sleep 1000'])
   const terminal = await box.spawn(['sh', '-c', 'trap "" HUP; sleep 1000'], { pty: { columns: 80, rows: 24 } })
   const pool = await boxPool({ root: 'host', cwd: '/', size: 2 })
   await pool.take()
   child.stdout.once('data', () => console.log('up'))
   await run(['sh', '-c', 'trap "" TERM; sleep 1000'], { root: 'host', cwd: '/' })`,
)
const next = join(directory, 'next.mts')
writeFileSync(
  next,
  `import { run } from ${index}\nconsole.log((await run(['true'], { root: 'host', cwd: '/' })).verdict)`,
)

const hasty = join(directory, 'hasty.mts')
writeFileSync(
  hasty,
  `import { boxPool, run, sandbox } from ${index}
   const [ms = '', how] = process.argv.slice(2)
   setTimeout(() => how === 'exit' ? process.exit(7) : process.kill(process.pid, 'SIGKILL'), Number(ms))
   const options = { root: 'host', cwd: '/', denials: true, network: { allow: ['example.com:443'] } } as const
   for (let count = 0; count < 20; count++) void run(['true'], options).catch(() => undefined)
   for (;;) {
     const box = await sandbox(options)
     await Promise.all([box.fork(), box.spawn(['sleep', '1000']), run(['true'], options), boxPool({ ...options, size: 2 })])
   }`,
)

async function startCaller(runtime: string): Promise<{ readonly pid: number; readonly exited: Promise<number> }> {
  const caller = Bun.spawn([binOf(runtime), program], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
  const reader = caller.stdout.getReader()
  await reader.read()
  return { pid: caller.pid, exited: caller.exited }
}

for (const runtime of RUNTIMES) {
  test(`a caller that is killed takes its boxes along, ${runtime} (S293)`, async () => {
    const { pid, exited } = await startCaller(runtime)
    // The first process of the box, what it was told to run, what that started, a shell in a terminal and its sleep; that of another box and
    // its relay; and of the pool one or two.
    until('its processes', () => processesOf(`coffer-lib-${pid}-`).length >= 8)
    expect(monitorsOf(pid).length).toBe(1)
    process.kill(pid, 'SIGKILL')
    await exited
    until('its processes to end', () => processesOf(`coffer-lib-${pid}-`).length === 0)
    until('its monitors to end', () => monitorsOf(pid).length === 0)
    until('its cgroups to go', () => cgroupsBelow(`coffer-lib-${pid}-`).length === 0)
  })

  test(`a caller that ends or is killed at any moment leaves nothing, ${runtime} (S293)`, async () => {
    for (const how of ['SIGKILL', 'exit'] as const)
      for (const ms of [30, 150]) {
        const caller = Bun.spawn([binOf(runtime), hasty, `${ms}`, how], { stdout: 'pipe', stderr: 'pipe' })
        const printed = await new Response(caller.stderr).text()
        await caller.exited
        expect([caller.exitCode, caller.signalCode, printed]).toEqual(
          how === 'exit' ? [7, null, ''] : [null, 'SIGKILL', ''],
        )
        const word = `lib-${caller.pid}-`
        until('its processes to end', () => processesOf(`coffer-${word}`).length === 0)
        until('its cgroups to go', () => cgroupsBelow(`coffer-${word}`).length === 0)
        if (how === 'exit') expect(readdirSync('/run/coffer').filter((name) => name.startsWith(word))).toEqual([])
      }
  })

  test(`cgroups and fifos of callers that are gone are removed at the next start, and no others, ${runtime}`, () => {
    const gone = Bun.spawnSync(['true']).pid
    const own = `${process.pid}-${startOf(process.pid)}`
    const made = [`${gone}-1`, own].map((owner) => ({
      cgroup: `/sys/fs/cgroup/pids/coffer-lib-${owner}-1`,
      fifos: `/run/coffer/lib-${owner}`,
    }))
    for (const { cgroup, fifos } of made) {
      mkdirSync(cgroup)
      mkdirSync(fifos, { recursive: true })
      writeFileSync(join(fifos, '1.out'), '')
    }
    try {
      const { stdout } = Bun.spawnSync([binOf(runtime), next], { stderr: 'inherit' })
      expect(stdout.toString()).toBe('ok\n')
      expect(made.map(({ cgroup, fifos }) => [existsSync(cgroup), existsSync(fifos)])).toEqual([
        [false, false],
        [true, true],
      ])
    } finally {
      for (const { cgroup, fifos } of made) {
        if (existsSync(cgroup)) rmdirSync(cgroup)
        rmSync(fifos, { recursive: true, force: true })
      }
    }
  })
}

const monitorsOf = (pid: number): readonly string[] =>
  readdirSync('/proc').filter((one) => readText(`/proc/${one}/cmdline`)?.startsWith(`coffer-monitor\0lib-${pid}-`))

const startOf = (pid: number): string =>
  (readText(`/proc/${pid}/stat`) ?? '').replace(/^.*\) /s, '').split(' ')[19] ?? ''
