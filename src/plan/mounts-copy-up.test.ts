import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import { S_IFIFO } from '../linux/files.ts'
import { copyUp, type TreeEntry } from './mounts-copy-up.ts'

const copy = (...entries: readonly TreeEntry[]): string =>
  linesOf(
    copyUp(
      { planned: { index: 2, destination: '/run' }, target: { dir: slot('target'), path: '' }, root: slot('tmpfs') },
      entries,
    ),
  )
const OWNER = { uid: 0, gid: 0 }

test('a file is copied as it was listed, or not at all', () => {
  expect(
    copy({ path: 'a/f', kind: 'file', mode: 0o640, sizeBytes: 7, uid: 1, gid: 2 }),
  ).toBe(`copy-from = openat2(target, "a/f", O_RDONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
copy-to = openat2(tmpfs, "a/f", O_WRONLY|O_CREAT|O_EXCL, 0640, RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS)
sendfile(copy-to, copy-from, 7) == 7 else EIO
fchownat(tmpfs, "a/f", 1, 2, AT_SYMLINK_NOFOLLOW)`)
})

test('an empty file needs no source', () => {
  expect(copy({ path: 'f', kind: 'file', mode: 0o644, sizeBytes: 0, ...OWNER })).not.toContain('target')
})

test('set-id bits are set last, since a change of owner takes them away', () => {
  expect(
    copy({ path: 'd', kind: 'directory', mode: 0o2770, uid: 0, gid: 5 }),
  ).toEndWith(`fchownat(tmpfs, "d", 0, 5, AT_SYMLINK_NOFOLLOW)
fchmodat(tmpfs, "d", 02770)`)
})

test('links stay links, and pipes pipes', () => {
  expect(copy({ path: 'l', kind: 'symlink', target: '/etc', mode: 0o777, ...OWNER })).toBe(
    'symlinkat("/etc", tmpfs, "l")',
  )
  expect(copy({ path: 'p', kind: 'node', type: S_IFIFO, device: 0, mode: 0o600, ...OWNER })).toContain('S_IFIFO|0600')
})

test('more files than a plan can hold are refused by the field', () => {
  const entry: TreeEntry = { path: 'f', kind: 'file', mode: 0o644, sizeBytes: 0, ...OWNER }
  expect(() => copy(...Array.from({ length: 4097 }, () => entry))).toThrow('mounts[2].options has tmpcopyup')
})

test('where no directory was nothing is copied', () => {
  const planned = { index: 0, destination: '/run' }
  expect(copyUp({ planned, target: { dir: slot('target'), path: '' }, root: slot('tmpfs') }, undefined)).toEqual([])
})
