import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { slot, text } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { type HostPart, planParts } from './overlay-parts.ts'

const root = slot('root')

/** Behind the two file systems in memory. */
const planned = (...parts: readonly HostPart[]): string =>
  linesOf(
    planParts({
      parts,
      target: text('self/fd/9'),
      root,
      layers: slot('layers'),
      layer: 'mode=755',
      flags: 0,
      open: (into) => ({ call: close(into), why: 'open it', see: [] }),
    }).slice(4),
  )

test('a directory without mounts is a layer of its own overlay', () => {
  expect(planned({ name: 'usr', kind: 'overlay' })).toBe(`mkdirat(root, "usr", 0755)
mkdirat(layers, "usr", 0755)
mkdirat(layers, "usr/upper", 0755)
mkdirat(layers, "usr/work", 0755)
mount("overlay", "self/fd/<root>/usr", "overlay", "userxattr,lowerdir=/usr,upperdir=self/fd/<layers>/usr/upper,wor"…) or ENOENT`)
})

test('what went since the host was looked at is not in the view, and no reason to have none', () => {
  expect(planned({ name: 'gone', kind: 'overlay' })).toEndWith('or ENOENT')
  expect(planned({ name: 'gone', kind: 'file' })).toContain('open_tree("/gone", OPEN_TREE_CLONE) or ENOENT')
})

test('links, files and mount points are what they are, or empty', () => {
  expect(planned({ name: 'bin', kind: 'symlink', target: 'usr/bin' })).toBe('symlinkat("usr/bin", root, "bin")')
  expect(planned({ name: 'proc', kind: 'empty' })).toBe('mkdirat(root, "proc", 0755)')
  expect(planned({ name: 'swap', kind: 'file' })).toContain('mount_setattr(view-tree, MOUNT_ATTR_RDONLY)')
})

test('a directory with mounts in it is put together as well, below a directory in memory', () => {
  const lines = planned({
    name: 'var',
    kind: 'parts',
    parts: [
      { name: 'lib', kind: 'overlay' },
      { name: 'data', kind: 'empty' },
    ],
  })
  expect(lines).toContain('view /var = openat(root, "var", O_PATH)')
  expect(lines).toContain('mount("overlay", "self/fd/<view /var>/lib", "overlay", "userxattr,lowerdir=/var/lib,')
  expect(lines).toEndWith('mkdirat(view /var, "data", 0755)\nclose(view /var)')
})

test('names that mean something to overlay are escaped, and no two paths share a layer', () => {
  expect(planned({ name: 'a:b,c', kind: 'overlay' })).toContain(
    'lowerdir=/a\\\\:b\\\\,c,upperdir=self/fd/<layers>/a=3a=b=2c',
  )
  const lines = planned(
    { name: 'a', kind: 'parts', parts: [{ name: 'b', kind: 'overlay' }] },
    { name: 'a=2f=b', kind: 'overlay' },
  )
  const layers = lines.match(/mkdirat\(layers, "[^/]*"/g) ?? []
  expect(new Set(layers).size).toBe(2)
})
