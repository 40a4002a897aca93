import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import { cleanPath, isBelow, type Place, parentOf, planTarget, type TargetRequest } from './targets.ts'

const target = (request: Pick<TargetRequest, 'path'> & Partial<TargetRequest>): string =>
  linesOf(
    planTarget({ kind: 'directory', purpose: 'a test', places: new Map(), architecture: 'x86_64', ...request }).steps,
  )
const places = (...list: readonly (readonly [string, Place])[]): ReadonlyMap<string, Place> => new Map(list)
const DEV = slot('dev')

test('a path is cleaned as filepath.Clean does, and never leaves the root', () => {
  const pairs = {
    '/': '/',
    '/a/b': '/a/b',
    '/a/b/': '/a/b',
    '//a///b': '/a/b',
    '/a/./b/.': '/a/b',
    '/a/../b': '/b',
    '/../../a': '/a',
    '/a/..': '/',
    'a/b': '/a/b',
    '/..a/b..': '/..a/b..',
    '/.a/...': '/.a/...',
    '/a/.../b': '/a/.../b',
  }
  for (const [path, clean] of Object.entries(pairs)) expect(cleanPath(path)).toBe(clean)
})

test('below is a matter of whole names', () => {
  expect(isBelow('/proc/self', '/proc')).toBe(true)
  expect(isBelow('/process', '/proc')).toBe(false)
  expect(isBelow('/proc', '/proc')).toBe(false)
  expect(isBelow('/a', '/')).toBe(true)
  expect(isBelow('/', '/')).toBe(false)
  expect(parentOf('/a/b')).toBe('/a')
  expect(parentOf('/a')).toBe('/')
})

test('a target of the image is resolved below the root, and must not be in a procfs', () => {
  expect(target({ path: '/srv' })).toBe(`mkdirat(root, "srv", 0755) or EEXIST
target = openat2(root, "/srv", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN
fstatfs(target, &target-statfs) if target-statfs[0:4] != ${0x9fa0} else EPERM`)
})

test('an exact target has no symbolic link on the way, which makes the look at the file system needless', () => {
  expect(target({ path: '/proc', isExact: true })).toBe(`mkdirat(root, "proc", 0755) or EEXIST
target = openat2(root, "/proc", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS) again while EAGAIN`)
})

test('a missing directory is made name by name in descriptors, never by its path', () => {
  expect(target({ path: '/a/b/c', mode: 0o1777 })).toContain(` or, if ENOENT:
  mkdirat(root, "a", 0755) or EEXIST
  target-parent = openat2(root, "/a", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN
  mkdirat(target-parent, "b", 0755) or EEXIST
  target-parent = openat2(root, "/a/b", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN
  mkdirat(target-parent, "c", 01777) or EEXIST
  target = openat2(root, "/a/b/c", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN`)
})

test('a missing file is made by one call that follows no link in its last name', () => {
  const lines = target({ path: '/etc/hosts', kind: 'file' })
  expect(lines).toContain('O_RDONLY|O_CREAT|O_EXCL, 0644, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS')
  expect(lines).toContain('mkdirat(root, "etc", 0755) or EEXIST')
  expect(lines).not.toContain('target-parent')
})

test('in a file system that only the plan has written to nothing is looked up', () => {
  const known = places(['/dev', { dir: DEV, content: 'fresh' }])
  const { steps, target } = planTarget({
    path: '/dev/a/b',
    kind: 'file',
    purpose: 'a test',
    places: known,
    architecture: 'x86_64',
  })
  expect(target).toEqual({ dir: DEV, path: 'a/b' })
  expect(linesOf(steps)).toBe('mkdirat(dev, "a", 0755) or EEXIST\nmknodat(dev, "a/b", S_IFREG|0644) or EEXIST')
})

test('names of the kernel are used as they are', () => {
  const known = places(['/sys', { dir: DEV, content: 'kernel' }])
  expect(target({ path: '/sys/fs/cgroup', places: known })).toBe('')
})

test('a bind mount in between makes a path foreign again', () => {
  const known = places(['/dev', { dir: DEV, content: 'fresh' }], ['/dev/vol', { content: 'foreign' }])
  expect(target({ path: '/dev/vol/x', places: known })).toContain('openat2(root, "/dev/vol/x"')
})

test('what is mounted at the very path is the target', () => {
  const known = places(['/dev', { dir: DEV, content: 'fresh' }])
  expect(
    planTarget({ path: '/dev', kind: 'directory', purpose: '', places: known, architecture: 'x86_64' }).target,
  ).toEqual({ dir: DEV, path: '' })
})
