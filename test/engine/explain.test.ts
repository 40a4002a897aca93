/** What explain says of containers of the engine, and that it makes nothing. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const below = (path: string): readonly string[] => readdirSync(path, { recursive: true }).map(String).sort()

test('it knows the files that a container would have, and neither makes them nor the volumes that it names', () => {
  const before = below(engine.dataRoot)
  const shown = join(engine.directory, 'later')
  const text = engine.must('explain', 'run', '--init', '-v', 'kept:/kept', '-v', `${shown}:/later`, 'ubuntu', 'true')
  for (const at of ['/etc/hosts', '/etc/resolv.conf', '/sbin/docker-init', '/kept', '/later'])
    expect(text).toContain(`target = openat2(root, "${at}"`)
  expect(below(engine.dataRoot)).toEqual(before)
  expect(readdirSync(engine.directory)).not.toContain('later')
})

test('with --run it makes what it says, and leaves only what it was asked to keep', () => {
  const text = engine.must('explain', '--run', 'run', '-v', 'kept:/kept', 'ubuntu', 'touch', '/kept/file')
  expect(text).toMatch(/execve\("\/bin\/touch"/)
  expect(engine.must('ps', '--all', '--quiet')).toBe('')
  expect(below(join(engine.dataRoot, 'volumes', 'kept', '_data'))).toEqual(['file'])
})

test('with --run the container has its network, which is taken back; without, that it is not shown is said', () => {
  const shown = engine.coffer('explain', '--run', 'run', 'ubuntu', 'ip', 'addr')
  expect(shown.stdout).toMatch(/inet 172\.\S+ .*eth0/)
  expect(engine.coffer('explain', 'run', 'ubuntu', 'true').stderr).toContain('its network is made before')
  expect(readdirSync(join(engine.dataRoot, 'networks', 'bridge', 'leases'))).toEqual([])
})

test('of exec it shows the way into the namespaces and cgroups of a container that runs', () => {
  engine.must('run', '--detach', '--name', 'lives', 'ubuntu', 'sleep', '1000')
  const text = engine.must('explain', 'exec', 'lives', 'touch', '/made')
  expect(text).toMatch(/setns\(.*CLONE_NEWNS/)
  expect(text).toContain('execve("/bin/touch"')
  expect(engine.coffer('exec', 'lives', 'ls', '/made').status).toBe(1)
  expect(engine.must('explain', '--run', 'exec', 'lives', 'touch', '/made')).toContain('execve("/bin/touch"')
  expect(engine.must('exec', 'lives', 'ls', '/made')).toBe('/made')
})
