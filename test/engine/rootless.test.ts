/** Images and containers of a user without privilege: asked from inside, and looked at on the disk. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { chownSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { FIRST_SUBID, SOMEONE } from '../someone.ts'
import { openUserEngine, type UserEngine } from './rootless-engine.ts'

let user: UserEngine

beforeAll(() => {
  user = openUserEngine(true)
  user.must('import', user.archive, 'busybox')
})
afterAll(() => user[Symbol.dispose]())

/** Owners as this machine has them. */
const ownerOf = (path: string): string => {
  const { uid, gid } = statSync(path)
  return `${uid}:${gid}`
}
const owners = (path: string): readonly string[] =>
  readdirSync(path, { recursive: true, withFileTypes: true })
    .map((entry) => `${entry.name} ${ownerOf(join(entry.parentPath, entry.name))}`)
    .sort()

test('files of an image belong to the ids that the container has, on the disk and inside', () => {
  const [layer = ''] = readdirSync(join(user.dataRoot, 'layers')).filter((name) => !name.endsWith('.size'))
  const path = join(user.dataRoot, 'layers', layer)
  expect(['', 'bin/busybox', 'private/file', 'of-7'].map((name) => ownerOf(join(path, name)))).toEqual([
    `${SOMEONE}:${SOMEONE}`,
    `${SOMEONE}:${SOMEONE}`,
    `${FIRST_SUBID + 999}:${FIRST_SUBID + 999}`,
    `${FIRST_SUBID + 6}:${FIRST_SUBID + 7}`,
  ])
  expect(
    user.must('run', '--rm', 'busybox', 'stat', '-c', '%u:%g %n', '/', '/private/file', '/of-7', '/bin/busybox'),
  ).toBe('0:0 /\n1000:1000 /private/file\n7:8 /of-7\n0:0 /bin/busybox')
  expect(user.must('run', '--rm', '--user', 'guest', 'busybox', 'cat', '/private/file')).toBe('secret')
  expect(user.coffer('run', '--rm', '--user', '7', 'busybox', 'cat', '/private/file').status).toBe(1)
})

test('with --privileged it has all capabilities of its user namespace, and with --cap-add ALL', () => {
  const all = 2n ** (BigInt(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8')) + 1n) - 1n
  const look = ['busybox', 'grep', 'CapEff', '/proc/self/status']
  const [run, exec] = [
    ['run', '--rm'],
    ['exec', '--privileged'],
  ]
  const had = (...words: readonly string[]): bigint => BigInt(`0x${user.must(...words).split(/\s+/)[1]}`)
  expect([had(...run, '--privileged', ...look), had(...run, '--cap-add', 'ALL', ...look)]).toEqual([all, all])
  user.must('run', '--detach', '--name', 'usual', 'busybox', 'sleep', '1000')
  expect([had(...exec, 'usual', ...look.slice(1)), had('exec', 'usual', ...look.slice(1)) < all]).toEqual([all, true])
  user.must('rm', '--force', 'usual')
})

test('devices of an image are left out', () => {
  expect(user.must('run', '--rm', 'busybox', 'ls', '/')).not.toContain('null')
})

test('what a container changes is told, copied, committed, saved and loaded with its owners', () => {
  const script = `rm /etc/group; rm -r /home; mkdir -p /home/new; mkdir -m 700 /private/new; echo new >/private/new/file
    busybox chown -R guest:7 /private/new`
  user.must('run', '--detach', '--name', 'changer', 'busybox', 'sleep', '1000')
  user.must('exec', 'changer', 'sh', '-c', script)
  expect(user.must('diff', 'changer').split('\n')).toEqual([
    'C /etc',
    'D /etc/group',
    'C /home',
    'A /home/new',
    'C /private',
    'A /private/new',
    'A /private/new/file',
  ])
  const from = join(user.home, 'from')
  writeFileSync(from, 'copied\n')
  chownSync(from, SOMEONE, SOMEONE)
  user.must('cp', from, 'changer:/private/new/copied')
  const look = ['stat', '-c', '%u:%g %a %n', '/private/new', '/private/new/file', '/private/new/copied']
  const seen = '1000:7 700 /private/new\n1000:7 644 /private/new/file\n0:0 644 /private/new/copied'
  expect(user.must('exec', 'changer', ...look)).toBe(seen)
  user.must('commit', 'changer', 'changed')
  user.must('stop', '--time', '0', 'changer')
  user.must('cp', from, 'changer:/private/new/later')
  const to = join(user.home, 'to')
  user.must('cp', 'changer:/private', to)
  expect(owners(to)).toEqual(['copied', 'file', 'file', 'later', 'new'].map((name) => `${name} ${SOMEONE}:${SOMEONE}`))
  expect(readFileSync(join(to, 'new', 'later'), 'utf8')).toBe('copied\n')
  user.must('start', 'changer')
  expect(user.must('exec', 'changer', 'cat', '/private/new/later')).toBe('copied')
  user.must('rm', '--force', 'changer')

  const saved = join(user.home, 'saved.tar')
  user.must('save', '--output', saved, 'changed')
  user.must('rmi', 'changed')
  user.must('load', '--input', saved)
  expect(user.must('run', '--rm', 'changed', ...look)).toBe(seen)
  // A directory that was made anew shows nothing of the image below.
  expect(user.must('run', '--rm', 'changed', 'sh', '-c', 'ls /home /etc')).toBe(
    '/etc:\nhostname\nhosts\npasswd\nresolv.conf\n\n/home:\nnew',
  )
  user.must('rmi', 'changed')
})

test('an export has the owners that the container knows', () => {
  user.must('create', '--name', 'exported', 'busybox', 'sh')
  const archive = join(user.home, 'export.tar')
  user.must('export', '--output', archive, 'exported')
  user.must('rm', 'exported')
  const { stdout } = Bun.spawnSync(['tar', '--numeric-owner', '-tvf', archive])
  const lines = stdout.toString().split('\n')
  const ownerIn = (name: string): string | undefined => lines.find((line) => line.endsWith(` ${name}`))?.split(/\s+/)[1]
  expect(['private/file', 'of-7', 'bin/busybox'].map(ownerIn)).toEqual(['1000/1000', '7/8', '0/0'])
})

test('a new volume gets what the image has there, and goes with files of other users in it', () => {
  const script = 'busybox chown 7:8 /private/file; chmod 0 /private; stat -c %u:%g /private /private/file'
  expect(user.must('run', '--rm', '--volume', 'kept:/private', 'busybox', 'sh', '-c', script)).toBe('1000:1000\n7:8')
  const data = join(user.dataRoot, 'volumes', 'kept', '_data')
  expect([data, join(data, 'file')].map(ownerOf)).toEqual([
    `${FIRST_SUBID + 999}:${FIRST_SUBID + 999}`,
    `${FIRST_SUBID + 6}:${FIRST_SUBID + 7}`,
  ])
  user.must('volume', 'rm', 'kept')
  expect(readdirSync(join(user.dataRoot, 'volumes'))).toEqual([])
})

test('of a volume with a view that copies on write, what is removed is gone in the view alone', () => {
  user.must('run', '--rm', '--volume', 'below:/private', 'busybox', 'true')
  const view = ['run', '--rm', '--volume', 'below:/private:cow', 'busybox', 'sh', '-c']
  expect(user.must(...view, 'rm -r /private/file; mkdir /private/file; ls /private/file')).toBe('')
  expect(user.must('run', '--rm', '--volume', 'below:/private', 'busybox', 'cat', '/private/file')).toBe('secret')
  user.must('volume', 'rm', 'below')
})

test('sizes are told of directories that are closed to the user', () => {
  user.must(
    'run',
    '--name',
    'written',
    'busybox',
    'sh',
    '-c',
    'seq 10000 >/private/more; busybox chown 7 /private/more',
  )
  expect(user.must('ps', '--all', '--size', '--format', '{{.Size}}')).toMatch(/^48\.9kB \(virtual/)
  expect(Number(user.must('inspect', '--size', '--format', '{{.SizeRw}}', 'written'))).toBe(48_894)
  expect(user.must('system', 'df')).toMatch(/Containers +1 +0 +48\.9kB/)
  expect(user.must('container', 'prune', '--force')).toContain('Total reclaimed space: 48.9kB')
})

test('a user without ranges has images whose files are all its own, and is told so once', () => {
  using single = openUserEngine(false)
  const { status, stderr } = single.coffer('import', single.archive, 'busybox')
  expect([status, stderr]).toEqual([
    0,
    expect.stringMatching(/^warning: all files of the image will belong to you.*\n$/),
  ])
  expect(single.must('run', '--rm', 'busybox', 'stat', '-c', '%u:%g', '/private/file', '/of-7')).toBe('0:0\n0:0')
  single.must('run', '--name', 'changed', 'busybox', 'rm', '/private/file')
  expect(single.must('diff', 'changed')).toBe('C /private\nD /private/file')
  single.must('rm', 'changed')
  single.must('rmi', 'busybox')
  expect(readdirSync(join(single.dataRoot, 'layers'))).toEqual([])
})

test('an image with ids that the user has not is refused by name, and nothing of it stays', () => {
  const directory = join(user.directory, 'far')
  mkdirSync(directory)
  writeFileSync(join(directory, 'file'), '')
  chownSync(join(directory, 'file'), 70_000, 0)
  const archive = join(user.directory, 'far.tar')
  Bun.spawnSync(['tar', '-C', directory, '-cf', archive, 'file'])
  const { status, stderr } = user.coffer('import', archive, 'far')
  expect([status, stderr]).toEqual([
    1,
    expect.stringMatching(/cannot unpack "file": it belongs to user 70000 .* has 65537 ids.*\n.*usermod --add-subuids/),
  ])
  expect(readdirSync(join(user.dataRoot, 'incoming'))).toEqual([])
})

test('nothing is left of containers, images and their files', () => {
  user.must('run', '--rm', 'busybox', 'sh', '-c', 'mkdir -p /a/b; busybox chown -R 7 /a; chmod 0 /a/b')
  user.must('image', 'prune', '--all', '--force')
  expect(user.must('ps', '--all', '--quiet')).toBe('')
  for (const name of ['containers', 'names', 'layers', 'incoming', 'volumes', 'images/blobs/sha256'])
    expect([name, readdirSync(join(user.dataRoot, name))]).toEqual([name, []])
  expect(readdirSync(user.runRoot).filter((name) => !name.startsWith('.'))).toEqual([])
})
