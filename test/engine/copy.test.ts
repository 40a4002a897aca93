/** cp: what lands where, as whose, and that nothing of a container leads it elsewhere. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
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
  linkSync(here('tree', 'inner', 'one'), here('tree', 'two'))
  symlinkSync('/etc/passwd', here('tree', 'link'))
  chownSync(here('tree', 'inner', 'one'), 1000, 1001)
  chmodSync(here('tree', 'inner', 'one'), 0o4751)
  utimesSync(here('tree', 'inner'), 1_000_000, 1_000_000)
})
afterAll(() => engine[Symbol.dispose]())

const inside = (script: string): string => engine.must('exec', 'lives', 'sh', '-c', script)
const reasonOf = (...words: readonly string[]): string => {
  const { status, stderr } = engine.coffer('cp', ...words)
  expect(status).toBe(1)
  return stderr
}

describe('what lands where', () => {
  test('a file: under a new name, in a directory, in the place of another, and not where a directory is missing', () => {
    engine.must('cp', here('file'), 'lives:/new')
    engine.must('cp', here('file'), 'lives:tmp')
    engine.must('cp', here('tree', 'two'), 'lives:/new')
    expect(inside('cat /new /tmp/file')).toBe('one\nof the host')
    expect(reasonOf(here('file'), 'lives:/none/')).toContain('no such directory')
    expect(reasonOf(here('file'), 'lives:/none/at/all')).toContain(
      'Could not find the file /none/at/all in container lives',
    )
    expect(reasonOf(here('absent'), 'lives:/')).toContain('no such file or directory')
    expect(reasonOf('lives:/absent', here())).toContain('Could not find the file /absent in container lives')
    expect(reasonOf(`${here('file')}/`, 'lives:/')).toContain('not a directory')
    engine.must('cp', 'lives:/new', here('out-file'))
    expect(readFileSync(here('out-file'), 'utf8')).toBe('one\n')
  })

  test('a directory: as a new one, in another one, or what is in it', () => {
    inside('mkdir /in /all')
    engine.must('cp', here('tree'), 'lives:/as')
    engine.must('cp', here('tree'), 'lives:/in')
    engine.must('cp', `${here('tree')}/.`, 'lives:/all')
    expect(inside('ls /as /in /in/tree /all')).toBe(
      [
        '/all:',
        'inner',
        'link',
        'two',
        '',
        '/as:',
        'inner',
        'link',
        'two',
        '',
        '/in:',
        'tree',
        '',
        '/in/tree:',
        'inner',
        'link',
        'two',
      ].join('\n'),
    )
    expect(reasonOf(here('tree'), 'lives:/etc/passwd')).toContain('cannot copy directory')
    for (const [from, to] of [
      ['lives:/as', 'out-as'],
      ['lives:/as/.', 'out-all'],
    ] as const)
      engine.must('cp', from, here(to))
    expect(readdirSync(here('out-as')).sort()).toEqual(['inner', 'link', 'two'])
    expect(readdirSync(here('out-all')).sort()).toEqual(['inner', 'link', 'two'])
    engine.must('cp', 'lives:/as', here('out-as'))
    expect(existsSync(here('out-as', 'as', 'inner', 'one'))).toBe(true)
  })

  test('owners are numbers, modes, times, links and attributes stay; out of a container files are the caller’s', () => {
    engine.must('cp', here('tree'), 'lives:/kept')
    expect(inside('stat -c "%u:%g %a %h" /kept/inner/one; stat -c %Y /kept/inner')).toBe('1000:1001 4751 2\n1000000')
    engine.must('cp', 'lives:/kept', here('mine'))
    const mine = lstatSync(here('mine', 'inner', 'one'))
    expect([mine.uid, mine.gid, mine.mode & 0o7777, mine.nlink]).toEqual([0, 0, 0o751, 2])
    expect(readlinkSync(here('mine', 'link'))).toBe('/etc/passwd')
    engine.must('cp', '-a', 'lives:/kept', here('theirs'))
    const theirs = lstatSync(here('theirs', 'inner', 'one'))
    expect([theirs.uid, theirs.gid, theirs.mode & 0o7777]).toEqual([1000, 1001, 0o4751])
  })

  test('extended attributes go along', () => {
    const note = '--pax-option=SCHILY.xattr.user.note:=kept'
    const made = Bun.spawnSync(['tar', '--format=pax', note, '-C', here(), '-cf', '-', 'file'])
    engine.cofferWith(new Blob([made.stdout]), 'cp', '-', 'lives:/etc')
    engine.must('cp', 'lives:/etc/file', here('noted'))
    engine.must('cp', here('noted'), 'lives:/noted')
    expect(engine.must('cp', 'lives:/noted', '-')).toContain('SCHILY.xattr.user.note=kept\n')
    expect(engine.must('cp', 'lives:/tmp/file', '-')).not.toContain('SCHILY')
  })

  test('a link is copied as one, and followed with --follow-link or a slash', () => {
    engine.must('cp', here('tree', 'link'), 'lives:/link')
    expect(inside('stat -c %F /link')).toBe('symbolic link')
    engine.must('cp', '-L', 'lives:/link', here('followed'))
    expect(readFileSync(here('followed'), 'utf8')).toStartWith('root:x:0:0')
    engine.must('cp', 'lives:/link', here('as-link'))
    expect(readlinkSync(here('as-link'))).toBe('/etc/passwd')
    // The destination is followed, in the root of the container.
    inside('ln -s /tmp /to-tmp 2>/dev/null || busybox ln -s /tmp /to-tmp')
    engine.must('cp', here('file'), 'lives:/to-tmp/by-link')
    expect(inside('cat /tmp/by-link')).toBe('of the host')
  })

  test('an archive comes from standard input, and goes to standard output', () => {
    const made = Bun.spawnSync(['tar', '-C', here(), '-cf', '-', 'tree'])
    const { status } = engine.cofferWith(new Blob([made.stdout]), 'cp', '-', 'lives:/tmp')
    expect(status).toBe(0)
    expect(inside('cat /tmp/tree/inner/one; stat -c "%u %a %h" /tmp/tree/inner/one')).toBe('one\n1000 4751 2')
    expect(reasonOf('-', 'lives:/etc/passwd')).toContain('must be a directory')
    const out = engine.coffer('cp', 'lives:/tmp/tree', '-')
    const listed = Bun.spawnSync(['tar', '--numeric-owner', '-tvf', '-'], { stdin: Buffer.from(out.stdout) })
    expect(
      listed.stdout
        .toString()
        .replace(/ +\d{4}-\d\d-\d\d \d\d:\d\d/g, '')
        .split('\n'),
    ).toEqual([
      'drwxr-xr-x 0/0               0 tree/',
      'drwxr-xr-x 0/0               0 tree/inner/',
      '-rwsr-x--x 1000/1001         4 tree/inner/one',
      'lrwxrwxrwx 0/0               0 tree/link -> /etc/passwd',
      'hrwsr-x--x 1000/1001         0 tree/two link to tree/inner/one',
      '',
    ])
  })

  test('one that does not run, or is paused, is copied from and to as well, with its volumes', () => {
    engine.must(
      'create',
      '--name',
      'still',
      '--network',
      'none',
      '-v',
      'kept-files:/data',
      'busybox',
      'cat',
      '/data/file',
    )
    engine.must('cp', here('file'), 'still:/data')
    engine.must('cp', here('file'), 'still:/etc/file')
    engine.must('cp', 'still:/etc/file', here('from-still'))
    expect(readFileSync(join(engine.dataRoot, 'volumes', 'kept-files', '_data', 'file'), 'utf8')).toBe('of the host\n')
    expect(engine.must('start', '-a', 'still')).toBe('of the host')
    expect(engine.must('diff', 'still')).toContain('A /etc/file')
    engine.must('rm', 'still')
    const views = [
      '-v',
      `${here('tree')}:/view:cow`,
      '--mount',
      'type=volume,source=kept-files,target=/part,volume-subpath=part',
    ]
    mkdirSync(join(engine.dataRoot, 'volumes', 'kept-files', '_data', 'part'))
    engine.must(
      'create',
      '--name',
      'views',
      '--network',
      'none',
      ...views,
      'busybox',
      'cat',
      '/view/added',
      '/view/two',
    )
    engine.must('cp', here('file'), 'views:/view/added')
    engine.must('cp', here('file'), 'views:/part')
    expect(readdirSync(here('tree')).sort()).toEqual(['inner', 'link', 'two'])
    expect(readdirSync(join(engine.dataRoot, 'volumes', 'kept-files', '_data', 'part'))).toEqual(['file'])
    expect(engine.must('start', '-a', 'views')).toBe('of the host\none')
    engine.must('rm', 'views')
    engine.must('pause', 'lives')
    engine.must('cp', here('file'), 'lives:/while-paused')
    engine.must('unpause', 'lives')
    expect(inside('cat /while-paused')).toBe('of the host')
  })

  test('into a root that is read-only nothing is copied, running or not, but into its volumes', () => {
    engine.must(
      'run',
      '-d',
      '--name',
      'fixed',
      '--network',
      'none',
      '--read-only',
      '-v',
      'open:/data',
      'busybox',
      'sleep',
      '1000',
    )
    for (const state of ['running', 'exited']) {
      const { status, stderr } = engine.coffer('cp', here('file'), 'fixed:/tmp/file')
      expect([status, /EROFS/.test(stderr)]).toEqual([1, true])
      engine.must('cp', here('file'), `fixed:/data/${state}`)
      engine.must('cp', 'fixed:/etc/passwd', here('out-passwd'))
      engine.must('stop', '-t', '0', 'fixed')
    }
    engine.must('rm', 'fixed')
  })

  test('its size is said as docker says it, unless there is no terminal', () => {
    expect(engine.coffer('cp', here('file'), 'lives:/tmp').stderr).toBe('')
    expect(engine.coffer('cp', '--quiet=false', here('file'), 'lives:/tmp').stderr).toBe(
      'Successfully copied 2.05kB to lives:/tmp\n',
    )
    expect(engine.coffer('cp', 'lives:/a', 'lives:/b').stderr).toContain('copying between containers is not supported')
    expect(engine.coffer('cp', '/a', '/b').stderr).toContain('must specify at least one container source')
  })
})
