/** cp is confined: nothing of a container, whatever it exchanges meanwhile, leads a copy elsewhere. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { swapper } from '../kernel/programs.ts'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
const here = (...names: readonly string[]): string => join(engine.directory, ...names)
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  engine.must('run', '-d', '--name', 'lives', '--network', 'none', 'busybox', 'sleep', '10000')
  mkdirSync(here('tree', 'inner'), { recursive: true })
  writeFileSync(here('file'), 'of the host\n')
  writeFileSync(here('tree', 'inner', 'one'), 'one\n')
})
afterAll(() => engine[Symbol.dispose]())

const inside = (script: string): string => engine.must('exec', 'lives', 'sh', '-c', script)
const reasonOf = (...words: readonly string[]): string => {
  const { status, stderr } = engine.coffer('cp', ...words)
  expect(status).toBe(1)
  return stderr
}

/** Others use the machine too. */
const mounts = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(engine.directory))

const ROUNDS = 80

test('a link that is exchanged with a directory meanwhile leads nowhere, into the container or out of it (S180)', async () => {
  mkdirSync(here('canary'))
  writeFileSync(here('canary', 'file'), 'secret of the host')
  mkdirSync(here('shared', 'a'), { recursive: true })
  writeFileSync(here('shared', 'a', 'file'), 'of the container')
  symlinkSync(here('canary'), here('shared', 'b'))
  engine.must(
    'run',
    '-d',
    '--name',
    'racing',
    '--network',
    'none',
    '-v',
    `${here('shared')}:/shared`,
    'busybox',
    'sleep',
    '1000',
  )
  const racer = Bun.spawn([swapper(), 'a', 'b'], { cwd: here('shared'), stdout: 'pipe' })
  const outcomes = new Set<string>()
  let twinLost = false
  for (let round = 0; round < ROUNDS; round++) {
    const out = engine.coffer('cp', 'racing:/shared/a/file', '-')
    expect(out.stdout).not.toContain('secret of the host')
    outcomes.add(out.status === 0 ? 'read' : 'missing')
    const whole = engine.coffer('cp', 'racing:/shared', '-')
    expect(whole.stdout).not.toContain('secret of the host')
    engine.coffer('cp', here('file'), 'racing:/shared/a/file')
    // Who resolves the path on the host is led astray by the same links.
    try {
      twinLost ||= readFileSync(here('shared', 'a', 'file'), 'utf8') === 'secret of the host'
    } catch {}
  }
  racer.kill()
  expect(readFileSync(here('canary', 'file'), 'utf8')).toBe('secret of the host')
  expect(readdirSync(here('canary'))).toEqual(['file'])
  expect([...outcomes].sort()).toEqual(['missing', 'read'])
  for (let round = 0; round < 100_000 && !twinLost; round++)
    try {
      twinLost = readFileSync(here('shared', 'b', 'file'), 'utf8') === 'secret of the host'
    } catch {}
  expect(twinLost).toBe(true)
  engine.must('rm', '--force', 'racing')
})

test('the volumes of one that does not run are mounted in no tree but its own, whoever exchanges their place (S181)', () => {
  const canary = here('canary-2')
  mkdirSync(canary)
  mkdirSync(here('outer', 'a'), { recursive: true })
  symlinkSync(canary, here('outer', 'b'))
  engine.must(
    'create',
    '--name',
    'nested',
    '--network',
    'none',
    '-v',
    `${here('outer')}:/outer`,
    '-v',
    'inner:/outer/a/deep',
    'busybox',
    'true',
  )
  const before = mounts()
  const racer = Bun.spawn([swapper(), 'a', 'b'], { cwd: here('outer'), stdout: 'pipe' })
  let copied = 0
  for (let round = 0; round < 40; round++) {
    copied += engine.coffer('cp', here('file'), 'nested:/tmp/file').status === 0 ? 1 : 0
    expect(mounts()).toEqual(before)
  }
  racer.kill()
  expect(copied).toBeGreaterThan(0)
  expect(readdirSync(canary)).toEqual([])
  // The twin: the same path, resolved on the host.
  symlinkSync(canary, here('outer', 'c'))
  mkdirSync(here('outer', 'c', 'deep'))
  expect(readdirSync(canary)).toEqual(['deep'])
  engine.must('rm', 'nested')
})

test('nothing of the container is executed or loaded (S182)', () => {
  const log = here('strace')
  const traced = (...words: readonly string[]): string => {
    const env = { PATH: process.env.PATH ?? '', COFFER_DATA_ROOT: engine.dataRoot, COFFER_RUN_ROOT: engine.runRoot }
    const coffer = join(import.meta.dir, '..', '..', 'dist', 'coffer')
    Bun.spawnSync(['strace', '-f', '-qq', '-o', log, '-e', 'trace=execve,execveat,chroot,setns', coffer, ...words], {
      env,
    })
    return readFileSync(log, 'utf8')
  }
  for (const words of [
    ['lives:/etc', here('traced')],
    [here('tree'), 'lives:/traced'],
  ]) {
    const lines = traced('cp', ...words)
      .trim()
      .split('\n')
    expect(lines.length).toBe(1)
    expect(lines[0]).toContain('execve(')
  }
  expect(traced('exec', 'lives', 'true').split('\n').length).toBeGreaterThan(3)
})

test('what is hostile in a tree touches nothing beside the destination, and makes nothing that runs as somebody (S184)', () => {
  inside(
    'mkdir -p /bad/etc; echo bad >/bad/etc/file; cp /bin/busybox /bad/suid 2>/dev/null || cat /bin/busybox >/bad/suid; busybox chmod 6777 /bad/suid; busybox mknod /bad/disk b 8 0; busybox ln -s ../canary /bad/up',
  )
  mkdirSync(here('safe'))
  mkdirSync(here('elsewhere'))
  writeFileSync(here('elsewhere', 'file'), 'as it was', { mode: 0o640 })
  symlinkSync(here('elsewhere'), here('safe', 'etc'))
  const state = () => [statSync(here('elsewhere')).mode, statSync(here('elsewhere', 'file')).ctimeMs]
  const before = state()
  expect(reasonOf('lives:/bad/.', here('safe'))).toContain('cannot overwrite non-directory with directory')
  expect(state()).toEqual(before)
  const { status, stderr } = engine.coffer('cp', 'lives:/bad', here('taken'))
  expect([status, /disk is a device/.test(stderr)]).toEqual([0, true])
  expect(statSync(here('taken', 'suid')).mode & 0o7777).toBe(0o777)
  expect(existsSync(here('taken', 'disk'))).toBe(false)
  // The twin: a copy that follows what it finds.
  cpSync(here('taken', 'etc', 'file'), here('safe', 'etc', 'file'))
  expect(readFileSync(here('elsewhere', 'file'), 'utf8')).toBe('bad\n')
})

test('an archive writes in its directory only, whatever its names and links say (S185)', () => {
  const archive = (script: string): Blob => {
    const directory = here('archive')
    Bun.spawnSync(['rm', '-rf', directory])
    mkdirSync(directory)
    const { stdout } = Bun.spawnSync(['sh', '-c', script], { cwd: directory })
    return new Blob([stdout])
  }
  const give = (script: string) => engine.cofferWith(archive(script), 'cp', '-', 'lives:/tmp')
  const up = give("echo out >x; tar -cPf - --transform 's,x,../escaped,' x")
  expect([up.status, up.stderr.includes('leads out of the directory')]).toEqual([1, true])
  expect(give("echo in >x; tar -cPf - --transform 's,x,/absolute,' x").status).toBe(0)
  expect(inside('cat /tmp/absolute')).toBe('in')
  // A link of the archive is followed in the root of the container, as tar there would.
  const pivot = `ln -s ${here('elsewhere')} pivot; tar -cf a.tar pivot; rm pivot; mkdir pivot; echo led >pivot/led; tar -rf a.tar pivot/led; cat a.tar`
  expect(give(pivot).status).toBe(1)
  expect(existsSync(here('elsewhere', 'led'))).toBe(false)
  // The twin: tar on the host goes there.
  Bun.spawnSync(['tar', '-C', here('safe'), '-xPf', here('archive', 'a.tar'), '--keep-directory-symlink', 'pivot'])
  writeFileSync(here('safe', 'pivot', 'led'), '')
  expect(existsSync(here('elsewhere', 'led'))).toBe(true)
  const damaged = engine.cofferWith(new Blob([new Uint8Array(1024).fill(65)]), 'cp', '-', 'lives:/tmp')
  expect([damaged.status, damaged.stderr.includes('read the tar archive')]).toEqual([1, true])
})

test('no mount is left behind one that is stopped or read-only, also if the stream ends in the middle (S188)', () => {
  engine.must('create', '--name', 'mounts', '--network', 'none', '--read-only', '-v', 'more:/data', 'busybox', 'true')
  const before = mounts()
  const whole = Bun.spawnSync(['tar', '-C', here(), '-cf', '-', 'tree']).stdout
  let cut = 0
  for (let round = 0; round < 50; round++) {
    const part = new Blob([whole.subarray(0, (whole.length * round) / 50)])
    cut += engine.cofferWith(part, 'cp', '-', 'mounts:/data').status === 0 ? 0 : 1
    engine.coffer('cp', 'mounts:/etc/passwd', '-')
  }
  expect(cut).toBeGreaterThan(0)
  expect(mounts()).toEqual(before)
  // Whether a mount would be seen.
  const at = here('mounted')
  mkdirSync(at)
  Bun.spawnSync(['mount', '-t', 'tmpfs', 'none', at])
  expect(mounts()).not.toEqual(before)
  Bun.spawnSync(['umount', at])
  engine.must('rm', 'mounts')
})
