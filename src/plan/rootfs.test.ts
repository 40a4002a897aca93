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
  expect(linesOf(planPivot({ readonly: true, noPivot: false }))).toBe(`mount_setattr(root, MOUNT_ATTR_RDONLY)
fchdir(root)
pivot_root(".", ".")
umount2(".", MNT_DETACH)
chdir("/")`)
})

test('propagation of the root is set when it can no longer be the one of the host', () => {
  expect(linesOf(planPivot({ readonly: false, noPivot: false, propagation: 'rshared' }))).toEndWith(
    'chdir("/")\nmount("/", MS_REC|MS_SHARED)',
  )
  expect(linesOf(planPivot({ readonly: false, noPivot: false, propagation: 'rslave' }))).toEndWith('chdir("/")')
})

test('without pivot_root the procfs and sysfs of the host are taken away or covered', () => {
  expect(linesOf(planPivot({ readonly: false, noPivot: true }))).toBe(`umount2("/proc", MNT_DETACH)
 or, if EINVAL or EPERM:
  mount("tmpfs", "/proc", "tmpfs")
umount2("/sys", MNT_DETACH)
 or, if EINVAL or EPERM:
  mount("tmpfs", "/sys", "tmpfs")
fchdir(root)
chroot(".")
chdir("/")`)
})
