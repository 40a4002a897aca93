import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { hostMountsOf, planPivot, planRootfs } from './rootfs.ts'

const PATH = '/bundle/rootfs'

test('no mount of the container can reach the host: propagation is stopped before the first one', () => {
  expect(linesOf(planRootfs({ path: PATH, hostMounts: 'slave', sourcesOpenedBy: 'init' }).steps)).toBe(`umask(0000)
fchdir(host-proc)
mount("/", MS_REC|MS_SLAVE)
root = open_tree("/bundle/rootfs", OPEN_TREE_CLONE|AT_RECURSIVE)
move_mount(root, "/")`)
})

test('a root that the executor has taken stops being a peer of the host there', () => {
  const { before, steps } = planRootfs({ path: PATH, hostMounts: 'private', sourcesOpenedBy: 'executor' })
  expect(linesOf(before)).toBe(`root = open_tree("/bundle/rootfs", OPEN_TREE_CLONE|AT_RECURSIVE)
mount_setattr(root, AT_RECURSIVE, MS_PRIVATE)`)
  expect(linesOf(steps)).not.toContain('open_tree')
})

test('the mounts of the host are never shared with the container as a whole', () => {
  for (const word of ['shared', 'rshared', 'unbindable', undefined] as const) {
    const { steps } = planRootfs({ path: PATH, hostMounts: hostMountsOf(word), sourcesOpenedBy: 'init' })
    expect(linesOf(steps)).toContain('mount("/", MS_REC|MS_SLAVE)')
  }
  expect(hostMountsOf('rshared')).toBe('shared')
  expect(hostMountsOf('rprivate')).toBe('private')
})

test('the host is taken away as a whole', () => {
  expect(
    linesOf(planPivot({ readonly: true, noPivot: false, rootMounts: 0 })),
  ).toBe(`mount_setattr(root, MOUNT_ATTR_RDONLY)
old-root = openat("/", O_PATH)
fchdir(root)
pivot_root(".", ".")
fchdir(old-root)
umount2(".", MNT_DETACH)
umount2(".", MNT_DETACH) == 1 else EBUSY, or EINVAL
chdir("/")`)
})

test('whatever lies between the root of the host and that of the container is taken off, and nothing may be left', () => {
  const taken = planPivot({ readonly: false, noPivot: false, rootMounts: 2 }).filter(
    ({ call }) => call.name === 'umount2',
  )
  expect(taken.map(({ tolerate = [] }) => tolerate.length)).toEqual([0, 0, 0, 1])
  // Success of the last one is a failure.
  expect(taken.map(({ check }) => check?.errno)).toEqual([undefined, undefined, undefined, 'EBUSY'])
})

test('propagation of the root is set when it can no longer be the one of the host', () => {
  expect(linesOf(planPivot({ readonly: false, noPivot: false, propagation: 'rshared', rootMounts: 0 }))).toEndWith(
    'chdir("/")\nmount("/", MS_REC|MS_SHARED)',
  )
  expect(linesOf(planPivot({ readonly: false, noPivot: false, propagation: 'rslave', rootMounts: 0 }))).toEndWith(
    'chdir("/")',
  )
})

test('without pivot_root the procfs and sysfs of the host are taken away or covered', () => {
  expect(linesOf(planPivot({ readonly: false, noPivot: true, rootMounts: 0 }))).toBe(`umount2("/proc", MNT_DETACH)
 or, if EINVAL or EPERM:
  mount("tmpfs", "/proc", "tmpfs")
umount2("/sys", MNT_DETACH)
 or, if EINVAL or EPERM:
  mount("tmpfs", "/sys", "tmpfs")
fchdir(root)
chroot(".")
chdir("/")`)
})
