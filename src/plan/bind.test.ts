import { expect, test } from 'bun:test'
import { linesOf, undoOf } from '../../test/plan-lines.ts'
import { slot } from '../linux/call.ts'
import { parseMountOptions } from '../oci/mount-options.ts'
import { type BindContext, type BindPlan, planBind } from './bind.ts'

const MAPS = { uid: [{ containerID: 0, hostID: 1000, size: 10 }], gid: [{ containerID: 0, hostID: 2000, size: 10 }] }
const NO_MAPS = { uid: [], gid: [] }

const context = (change: Partial<BindContext> = {}): BindContext => ({
  sourcesOpenedBy: 'init',
  hostMounts: 'slave',
  isRootless: false,
  containerMaps: NO_MAPS,
  idmaps: new Map(),
  ...change,
})

function bind(
  options: readonly string[],
  change?: Partial<BindContext>,
  maps: typeof MAPS | typeof NO_MAPS = NO_MAPS,
): BindPlan {
  const target = { steps: [], target: { dir: slot('target'), path: '' } }
  const request = { index: 3, source: '/srv', destination: '/data', maps, target }
  return planBind({ ...request, options: parseMountOptions({ type: 'bind', options }) }, context(change))
}

const inInit = (options: readonly string[]): string => linesOf(bind(options).steps)

test('attributes are there before the container sees the mount', () => {
  expect(inInit(['ro', 'nosuid'])).toBe(`source = open_tree("/srv", OPEN_TREE_CLONE)
mount_setattr(source, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID)
move_mount(source, target)`)
})

test('a bind mount without options keeps all that its source has', () => {
  expect(inInit(['rbind'])).toBe(`source = open_tree("/srv", OPEN_TREE_CLONE|AT_RECURSIVE)
move_mount(source, target)`)
})

test('an attribute is taken away only by its own option', () => {
  expect(inInit(['rw', 'exec', 'noatime'])).toContain(
    'mount_setattr(source, MOUNT_ATTR_NOATIME, clear=MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOEXEC|MOUNT_ATTR__ATIME)',
  )
})

test('ro is about the mount, rro about all below it as well', () => {
  expect(inInit(['rbind', 'ro'])).toContain('mount_setattr(source, MOUNT_ATTR_RDONLY)')
  expect(inInit(['rbind', 'rro'])).toContain('mount_setattr(source, AT_RECURSIVE, MOUNT_ATTR_RDONLY)')
  expect(inInit(['rbind', 'nosuid', 'rro'])).toContain(`mount_setattr(source, MOUNT_ATTR_NOSUID)
mount_setattr(source, AT_RECURSIVE, MOUNT_ATTR_RDONLY)`)
})

test('one call does all where nothing is below, and of contradicting options the recursive one counts', () => {
  expect(inInit(['bind', 'nosuid', 'rw', 'rro', 'rprivate'])).toContain(
    'mount_setattr(source, MOUNT_ATTR_RDONLY|MOUNT_ATTR_NOSUID, MS_PRIVATE)',
  )
})

test('a slave that is then shared is both', () => {
  expect(inInit(['bind', 'slave', 'shared'])).toContain(`mount_setattr(source, MS_SLAVE)
mount_setattr(source, MS_SHARED)`)
})

test('what the executor takes stops being a peer of the mount of the host', () => {
  const { before, steps } = bind(['rbind', 'ro'], { sourcesOpenedBy: 'executor' })
  expect(linesOf(before)).toBe(`source-3 = open_tree("/srv", OPEN_TREE_CLONE|AT_RECURSIVE)
mount_setattr(source-3, AT_RECURSIVE, MS_SLAVE)
mount_setattr(source-3, MOUNT_ATTR_RDONLY)`)
  expect(linesOf(steps)).toBe('move_mount(source-3, target)')
})

test('only a shared root leaves a bind mount a peer, for which the executor has to take it', () => {
  const { before } = bind(['bind'], { hostMounts: 'shared' })
  expect(linesOf(before)).toBe('source-3 = open_tree("/srv", OPEN_TREE_CLONE)')
  expect(bind(['bind'], { hostMounts: 'shared', isRootless: true }).before).toEqual([])
})

test('an idmapped mount takes its maps from a namespace of a process that has ended', () => {
  const { before } = bind(['bind', 'idmap', 'ro'], {}, MAPS)
  expect(linesOf(before)).toBe(`idmap-pid, idmap-pidfd = clone3(CLONE_NEWUSER, pidfd=&idmap-pidfd, SIGCHLD)
 the child:
  getpid()
idmap-file = openat2(host-proc, "<idmap-pid>/uid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
write(idmap-file, "0 1000 10\\n") == 10 else EIO
idmap-file = openat2(host-proc, "<idmap-pid>/gid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
write(idmap-file, "0 2000 10\\n") == 10 else EIO
idmap-0 = openat(host-proc, "<idmap-pid>/ns/user", O_RDONLY)
waitid(P_PIDFD, idmap-pidfd, &idmap-exit, WEXITED) or ECHILD
source-3 = open_tree("/srv", OPEN_TREE_CLONE)
mount_setattr(source-3, MOUNT_ATTR_RDONLY|MOUNT_ATTR_IDMAP, MS_SLAVE, userns=idmap-0)`)
  expect(undoOf(before)).toContain('waitid')
})

test('mounts with equal maps share a namespace', () => {
  const idmaps = new Map()
  bind(['bind', 'idmap'], { idmaps }, MAPS)
  expect(linesOf(bind(['rbind', 'ridmap'], { idmaps }, MAPS).before)).not.toContain('clone3')
})

test('without maps of its own an idmapped mount has those of the container', () => {
  expect(linesOf(bind(['bind', 'idmap'], { containerMaps: MAPS }).before)).toContain('0 1000 10')
  const joined = linesOf(bind(['bind', 'idmap'], { userNamespace: slot('user namespace') }).before)
  expect(joined).toContain('userns=user namespace')
  expect(joined).not.toContain('clone3')
})

test('an idmapped mount without privilege is refused by its field', () => {
  expect(() => bind(['bind', 'idmap'], { isRootless: true }, MAPS)).toThrow(
    'mounts[3].options asks for an idmapped mount',
  )
})

test('a path below the source is found without leaving it, whatever links are on the way (S21)', () => {
  expect(inInit(['rbind', 'x-coffer.subpath=logs/today'])).toBe(`bind-volume = openat2("/srv", O_PATH)
bind-subpath = openat2(bind-volume, "logs/today", O_PATH, RESOLVE_BENEATH|RESOLVE_NO_MAGICLINKS) again while EAGAIN
source = open_tree(bind-subpath, OPEN_TREE_CLONE|AT_RECURSIVE)
move_mount(source, target)`)
})
