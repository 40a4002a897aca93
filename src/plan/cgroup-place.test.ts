import { expect, test } from 'bun:test'
import type { CgroupLayout, Hierarchy } from '../linux/cgroup.ts'
import { type CgroupAddress, directoriesOf, placesAt, placesOf, unmountedPlace } from './cgroup-place.ts'

const hierarchy = (mountPoint: string, fields: Partial<Hierarchy>): Hierarchy => ({
  version: 1,
  controllers: [],
  mountPoint,
  own: '/jobs/a',
  readonly: false,
  isDelegated: true,
  ...fields,
})
const memory = hierarchy('/sys/fs/cgroup/memory', { controllers: ['memory'] })
const unified = hierarchy('/sys/fs/cgroup/unified', { version: 2 })
const hybrid: CgroupLayout = {
  mode: 'hybrid',
  hierarchies: [memory, unified],
  unmounted: [],
  available: [],
  enabled: [],
}
const paths = (cgroupsPath: string | undefined, more: Partial<CgroupAddress> = {}): readonly string[] =>
  placesOf({ id: 'web-1', cgroupsPath, layout: hybrid, isRootless: false, ...more }).map(({ path }) => path)

test('an absolute path counts from the mount', () => {
  expect(paths('/x/y')).toEqual(['/sys/fs/cgroup/memory/x/y', '/sys/fs/cgroup/unified/x/y'])
})

test("a relative path counts from the caller's cgroup, in v2 from the parent of it", () => {
  expect(paths('x')).toEqual(['/sys/fs/cgroup/memory/jobs/a/x', '/sys/fs/cgroup/unified/jobs/x'])
})

test('only what may be missing on the way is made', () => {
  const [v1, v2] = placesOf({ id: 'web-1', cgroupsPath: 'x/y/z', layout: hybrid, isRootless: false })
  expect(v1?.parents).toEqual(['/sys/fs/cgroup/memory/jobs/a/x', '/sys/fs/cgroup/memory/jobs/a/x/y'])
  expect([v2?.top, v2?.parents[0]]).toEqual(['/sys/fs/cgroup/unified/jobs', '/sys/fs/cgroup/unified/jobs/x'])
})

test('a container without a path has one directory of its own, without privilege beside the caller', () => {
  expect(paths(undefined)[0]).toBe('/sys/fs/cgroup/memory/coffer-web-1')
  expect(paths('', { isRootless: true })[1]).toBe('/sys/fs/cgroup/unified/jobs/coffer-web-1')
})

test('no path leads out of the mount', () => {
  expect(paths('/../../etc')[0]).toBe('/sys/fs/cgroup/memory/etc')
  expect(paths('../../../x')[0]).toBe('/sys/fs/cgroup/memory/jobs/a/x')
  expect(paths('/a/./b//../c')[0]).toBe('/sys/fs/cgroup/memory/a/c')
})

test('the root is not a cgroup for a container', () => {
  for (const path of ['/', '/..', '.', 'a/..']) {
    expect(() => paths(path)).toThrow(`cannot place the cgroup: linux.cgroupsPath is "${path}", which names no cgroup`)
  }
})

test('a path with a control character is refused, as it ends up in lines of other files', () => {
  expect(() => paths('/a\nb')).toThrow('has a control character in it')
  expect(() => paths('/a\0b')).toThrow('has a control character in it')
  expect(() => paths(`/${'x/'.repeat(2048)}`)).toThrow('is longer than a path can be')
})

test('colons are part of a name', () => {
  expect(paths('/system.slice:cri:0a1b')[0]).toBe('/sys/fs/cgroup/memory/system.slice:cri:0a1b')
})

test('a relative path needs the cgroup of the caller in sight', () => {
  const layout = { ...hybrid, hierarchies: [{ ...memory, own: undefined }] }
  expect(() => paths('x', { layout })).toThrow("the caller's own cgroup is not below the mounted one")
})

test('hierarchies that are read-only or not delegated are left alone', () => {
  const readonly = { ...hybrid, hierarchies: [{ ...memory, readonly: true }, unified] }
  expect(paths('/x', { layout: readonly })).toEqual(['/sys/fs/cgroup/unified/x'])
  const foreign = { ...hybrid, hierarchies: [memory, { ...unified, isDelegated: false }] }
  expect(paths(undefined, { layout: foreign, isRootless: true })).toEqual(['/sys/fs/cgroup/memory/jobs/a/coffer-web-1'])
})

test('a v2 path that a caller without privilege asks for is tried, whoever owns it', () => {
  const foreign = { ...hybrid, mode: 'v2' as const, hierarchies: [{ ...unified, isDelegated: false }] }
  expect(paths('/user/x', { layout: foreign, isRootless: true })).toEqual(['/sys/fs/cgroup/unified/user/x'])
})

test('a named hierarchy beside v2 alone is not joined', () => {
  const systemd = hierarchy('/sys/fs/cgroup/systemd', { controllers: ['name=systemd'] })
  const layout = { ...hybrid, mode: 'v2' as const, hierarchies: [systemd, unified] }
  expect(paths('/x', { layout })).toEqual(['/sys/fs/cgroup/unified/x'])
})

test('what is remembered of a cgroup leads back to the same directories', () => {
  const address = { id: 'web-1', cgroupsPath: '/x/y', layout: hybrid, isRootless: false }
  const both = hierarchy('/sys/fs/cgroup/cpu', { controllers: ['cpu', 'cpuacct'] })
  const places = [
    ...placesOf({ ...address, layout: { ...hybrid, hierarchies: [both, unified] } }),
    unmountedPlace(['net_cls'], address),
  ]
  const directories = directoriesOf(places)
  expect(directories).toEqual({
    paths: { cpu: '/sys/fs/cgroup/cpu/x/y', cpuacct: '/sys/fs/cgroup/cpu/x/y', '': '/sys/fs/cgroup/unified/x/y' },
    unmounted: { net_cls: 'x~y' },
  })
  expect(directoriesOf(placesAt(directories))).toEqual(directories)
})
