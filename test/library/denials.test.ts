/** Denials, for root and for a user without privilege. */

import { afterAll, expect, test } from 'bun:test'
import { chmodSync, chownSync, copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { until } from '../kernel/leaks.ts'
import { readText } from '../kernel/machine.ts'
import { binOf, RUNTIMES, testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/denials.ts'

const ID = 4713
const runtimeDirectory = mkdtempSync(join(tmpdir(), 'coffer-denials-xdg-'))
chmodSync(runtimeDirectory, 0o700)
chownSync(runtimeDirectory, ID, ID)
afterAll(() => rmSync(runtimeDirectory, { recursive: true }))

const path = join(import.meta.dir, 'cases', 'denials.ts')
testInBothRuntimes({ title: 'denials', cases, path })
testInBothRuntimes({
  title: 'denials without root',
  cases,
  path,
  through: ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups'],
  env: { XDG_RUNTIME_DIR: runtimeDirectory, HOME: runtimeDirectory },
})

const dist = join(import.meta.dir, '..', '..', 'dist')

test('a supervisor that does not come up fails the start, which does not wait for it (S297)', () => {
  const broken = join(runtimeDirectory, 'broken')
  mkdirSync(broken)
  for (const name of ['index.js', 'coffer-executor', 'coffer-init']) copyFileSync(join(dist, name), join(broken, name))
  // It ends at once, as there is no plan for it.
  copyFileSync(join(dist, 'coffer-executor'), join(broken, 'coffer-denials'))
  const source = `import { run } from ${JSON.stringify(join(broken, 'index.js'))}
    const options = { root: 'host', cwd: '/', denials: true }
    await run(['true'], options).then(({ verdict }) => console.log(verdict), ({ code }) => console.log(code))`
  const through = ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups']
  for (const path of [runtimeDirectory, broken]) chmodSync(path, 0o755)
  for (const user of [[], through]) {
    const command = ['timeout', '20', ...user, binOf('bun'), '-e', source]
    const xdg = user.length === 0 ? {} : { XDG_RUNTIME_DIR: runtimeDirectory, HOME: runtimeDirectory }
    const { stdout } = Bun.spawnSync(command, { stderr: 'inherit', env: { ...process.env, ...xdg } })
    expect(stdout.toString()).toBe('ENOSYS\n')
  }
})

/** Descendants of a process that are supervisors. */
function supervisorsOf(ancestor: number): readonly string[] {
  const parentOf = (pid: string): string => /^.*\) \S (\d+)/s.exec(readText(`/proc/${pid}/stat`) ?? '')?.[1] ?? ''
  const descends = (pid: string): boolean => pid === `${ancestor}` || (Number(pid) > 1 && descends(parentOf(pid)))
  return readdirSync('/proc').filter(
    (pid) => /^\d+$/.test(pid) && readText(`/proc/${pid}/cmdline`)?.startsWith('coffer-denials\0') && descends(pid),
  )
}

for (const runtime of RUNTIMES)
  test(`a caller that is killed takes its supervisors along, ${runtime} (S293)`, async () => {
    const program = join(runtimeDirectory, 'caller.mts')
    const index = JSON.stringify(join(import.meta.dir, '..', '..', 'src', 'index.ts'))
    writeFileSync(
      program,
      `import { sandbox } from ${index}
       const box = await sandbox({ root: 'host', cwd: '/', denials: true })
       const child = await box.spawn(['sh', '-c', 'sleep 1000 & echo up; exec sleep 1000'])
       child.stdout.once('data', () => console.log('up'))`,
    )
    const caller = Bun.spawn([binOf(runtime), program], { stdin: 'ignore', stdout: 'pipe', stderr: 'inherit' })
    await caller.stdout.getReader().read()
    const pids = supervisorsOf(caller.pid)
    expect(pids.length).toBe(3)
    caller.kill('SIGKILL')
    await caller.exited
    until('its supervisors to end', () => pids.every((pid) => !readText(`/proc/${pid}/cmdline`)))
  })
