import { expect, test } from 'bun:test'
import { findMount, parseMountInfo, unescapeOctal } from './mounts.ts'

const container = `716 488 0:65 / / rw,relatime master:252 - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
717 716 0:68 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
718 717 0:68 /bus /proc/bus ro,nosuid,nodev,noexec,relatime - proc proc rw
719 716 0:69 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755
720 716 254:0 /srv/my\\040data /data\\011tab ro,relatime shared:7 master:3 propagate_from:2 - ext4 /dev/mapper/a\\134b rw,errors=continue
721 716 0:70 / /secret rw unbindable - fuse.sshfs user@host:/x rw
`

test('a line with no, one or several optional fields is read alike', () => {
  const [root, proc, , , data, secret] = parseMountInfo(container)
  expect(root).toEqual({
    id: 716,
    parentId: 488,
    device: '0:65',
    root: '/',
    mountPoint: '/',
    options: ['rw', 'relatime'],
    propagation: { master: 252, isUnbindable: false },
    fileSystem: 'overlay',
    source: 'overlay',
    superOptions: ['rw', 'lowerdir=/l/A:/l/B', 'upperdir=/u', 'workdir=/w'],
  })
  expect(proc?.propagation).toEqual({ isUnbindable: false })
  expect(data?.propagation).toEqual({ shared: 7, master: 3, propagateFrom: 2, isUnbindable: false })
  expect(secret?.propagation).toEqual({ isUnbindable: true })
  expect(secret?.fileSystem).toBe('fuse.sshfs')
})

test('spaces, tabs, newlines and backslashes come back from their octal digits', () => {
  const data = parseMountInfo(container)[4]
  expect([data?.root, data?.mountPoint, data?.source]).toEqual(['/srv/my data', '/data\ttab', '/dev/mapper/a\\b'])
  expect(unescapeOctal('a\\012b\\134040')).toBe('a\nb\\040')
})

test('a mount point called "-" does not end the optional fields', () => {
  const [mount] = parseMountInfo('1 0 0:1 - - rw shared:1 - tmpfs - rw\n')
  expect([mount?.root, mount?.mountPoint, mount?.fileSystem, mount?.source]).toEqual(['-', '-', 'tmpfs', '-'])
})

const pointOf = (text: string, path: string): string | undefined => {
  const mount = findMount(parseMountInfo(text), path)
  return mount === undefined ? undefined : `${mount.id} ${mount.mountPoint}`
}

test('a path belongs to the mount that it lies in, and not to one whose name it begins with', () => {
  expect(pointOf(container, '/')).toBe('716 /')
  expect(pointOf(container, '/proc/bus/pci')).toBe('718 /proc/bus')
  expect(pointOf(container, '/proc/bust')).toBe('717 /proc')
  expect(pointOf(container, '/process')).toBe('716 /')
})

const tree = (...lines: readonly string[]): string =>
  lines.map((line) => `${line.split(' ', 2).join(' ')} 0:1 / ${line.split(' ')[2]} rw - tmpfs t rw\n`).join('')

test('of mounts on one another the last one shows', () => {
  expect(pointOf(tree('1 0 /', '2 1 /a', '3 2 /a', '4 3 /a'), '/a/b')).toBe('4 /a')
})

test('a mount that covers others hides them, however long their mount points are', () => {
  expect(pointOf(tree('1 0 /', '2 1 /a/b/c', '3 1 /a'), '/a/b/c/d')).toBe('3 /a')
})

test('a root that was mounted over and again is the last one', () => {
  expect(pointOf(tree('1 1 /', '2 1 /', '3 2 /x'), '/x')).toBe('3 /x')
})

test('behind a chroot to a plain directory only paths below mounts have one', () => {
  const chrooted = tree('50 27 /proc', '51 50 /proc/bus')
  expect(pointOf(chrooted, '/proc/bus')).toBe('51 /proc/bus')
  expect(pointOf(chrooted, '/etc')).toBeUndefined()
})
