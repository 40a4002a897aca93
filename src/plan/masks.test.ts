import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import { type MasksRequest, planMasks } from './masks.ts'
import type { Place } from './targets.ts'

const KINDS: Readonly<Record<string, 'file' | 'directory'>> = { '/proc/kcore': 'file', '/sys/firmware': 'directory' }
const host = planHost({ kindOf: (path) => KINDS[path] ?? 'absent' })
const KERNELS: ReadonlyMap<string, Place> = new Map([
  ['/proc', { dir: slot('proc'), content: 'kernel' }],
  ['/sys', { dir: slot('sys'), content: 'kernel' }],
  ['/sys/fs/cgroup', { content: 'foreign' }],
])
const TMPFS = '"tmpfs", MS_RDONLY|MS_NOSUID|MS_NODEV|MS_NOEXEC, "nr_inodes=1"'

const lines = (maskedPaths: readonly string[], change: Partial<MasksRequest> = {}): string =>
  linesOf(planMasks({ maskedPaths, readonlyPaths: [], places: KERNELS, nullIn: slot('dev'), ...change }, host))

test('a file is covered by the null that the plan has made, a directory by an empty one', () => {
  expect(lines(['/proc/kcore', '/sys/firmware'])).toBe(`null = openat(dev, "null", O_PATH|O_NOFOLLOW)
mount("self/fd/<null>", "self/fd/<proc>/kcore", MS_BIND) or ENOENT
mount("tmpfs", "self/fd/<sys>/firmware", ${TMPFS}) or ENOENT`)
})

test('what the host does not have may still be there, as either', () => {
  expect(lines(['/proc/new'])).toEndWith(`mount("self/fd/<null>", "self/fd/<proc>/new", MS_BIND)
 or, if ENOTDIR or ENOENT:
  mount("tmpfs", "self/fd/<proc>/new", ${TMPFS}) or ENOENT`)
})

test('any other null is checked to be character device 1:3', () => {
  expect(lines(['/proc/kcore'], { nullIn: undefined })).toStartWith(`null = openat("/dev/null", O_PATH|O_NOFOLLOW)
statx(null, STATX_BASIC_STATS, &null-statx) if null-statx[28:30] & 0xf000 == 0x2000 else ENODEV
statx(null, STATX_BASIC_STATS, &null-statx) if null-statx[128:132] & 0xffffffff == 0x1 else ENODEV
statx(null, STATX_BASIC_STATS, &null-statx) if null-statx[132:136] & 0xffffffff == 0x3 else ENODEV`)
})

test('a path of the image is resolved below the root before it is covered', () => {
  const expected = `covered = openat2(root, "/etc/x", O_PATH, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS) again while EAGAIN`
  expect(lines(['/etc/../etc/x'])).toContain(expected)
})

test('what is no directory is covered by null without a mount that would fail', () => {
  const text = lines(['/etc/x'])
  expect(text).toContain('if covered-statx[28:30] & 0xf000 == 0x4000 else ENOTDIR')
  const [ifNot, ifSo] = [
    'mount("self/fd/<null>", "self/fd/<covered>", MS_BIND)',
    `mount("tmpfs", "self/fd/<covered>", ${TMPFS})`,
  ]
  expect(text.indexOf(ifSo)).toBeGreaterThan(0)
  expect(text.indexOf(ifNot)).toBeGreaterThan(0)
  expect(text).toContain(`or, if ENOTDIR:\n    ${ifNot}`)
})

test('below a mount in a kernel file system names are not the kernel’s any more', () => {
  expect(lines(['/sys/fs/cgroup/x'])).toContain('openat2(root, "/sys/fs/cgroup/x"')
  expect(lines(['/sys/fs/cgroup'])).toContain('openat2(root, "/sys/fs/cgroup"')
})

test('a read-only path keeps its attributes and takes what is below along', () => {
  expect(
    lines([], { readonlyPaths: ['/proc/sys'] }),
  ).toBe(`mount("self/fd/<proc>/sys", "self/fd/<proc>/sys", MS_BIND|MS_REC) or ENOENT
 then:
  mount_setattr(proc, "sys", AT_RECURSIVE, MOUNT_ATTR_RDONLY)`)
  expect(lines([], { readonlyPaths: ['/opt'] })).toContain(` then:
  source = open_tree(covered, OPEN_TREE_CLONE|AT_RECURSIVE)
  mount_setattr(source, AT_RECURSIVE, MOUNT_ATTR_RDONLY)
  move_mount(source, covered)`)
})

test('without paths nothing is opened', () => {
  expect(lines([])).toBe('')
  expect(lines(['/sys/firmware'])).not.toContain('null =')
})
