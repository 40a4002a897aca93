import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { type CgroupJoin, planCgroupJoin } from './cgroup-join.ts'

const hybrid = {
  paths: { cpu: '/v1/cpu/x', cpuacct: '/v1/cpu/x', memory: '/v1/memory/x', '': '/v2/x' },
  unmounted: { net_cls: 'x' },
}
const join = (subCgroups: readonly string[], cgroup = hybrid): CgroupJoin => planCgroupJoin({ cgroup, subCgroups })

test('exec joins all cgroups of the container, those of one hierarchy once', () => {
  const plan = planCgroupJoin({ cgroup: hybrid })
  expect(linesOf(plan.open)).toEndWith(`close(cgroup-mount-context)
cgroup = openat("/v2/x", O_RDONLY)
tasks:cpu,cpuacct = openat("/v1/cpu/x/tasks", O_WRONLY)
tasks:memory = openat("/v1/memory/x/tasks", O_WRONLY)
tasks:net_cls = openat(cgroup-mount:net_cls, "x/tasks", O_WRONLY)`)
  expect(linesOf(plan.join)).toBe('write(tasks:cpu,cpuacct, "0")\nwrite(tasks:memory, "0")\nwrite(tasks:net_cls, "0")')
  expect(plan.cloneInto).toEqual({ slot: 'cgroup' })
})

test('a container without cgroups has none to join', () => {
  expect(planCgroupJoin({ cgroup: { paths: {} } })).toEqual({ open: [], join: [], cloneInto: undefined })
})

test('a path without a controller leads below all cgroups', () => {
  const lines = linesOf(join(['a/./b']).open)
  expect(lines).toContain('"/v1/memory/x/a/b/tasks"')
  expect(lines).toContain('"/v2/x/a/b"')
})

test('a path with controllers leads below theirs', () => {
  const lines = linesOf(join(['memory:a', 'cpu,net_cls:b']).open)
  expect(lines).toContain('"/v1/memory/x/a/tasks"')
  expect(lines).toContain('"/v1/cpu/x/b/tasks"')
  expect(lines).toContain('"x/b/tasks"')
  expect(lines).toContain('"/v2/x"')
})

test('a path out of the cgroup of the container is refused, and one that comes back is not', () => {
  expect(() => join(['../y'])).toThrow('cannot join the cgroup: --cgroup "../y" leads out of the container\'s cgroup')
  expect(() => join(['memory:a/../../y'])).toThrow("leads out of the container's cgroup")
  expect(linesOf(join(['a/../b']).open)).toContain('"/v2/x/b"')
  expect(linesOf(join(['/']).open)).toContain('"/v2/x"')
})

test('flags that do not say what they mean are refused', () => {
  expect(() => join(['a', 'memory:b'])).toThrow('--cgroup "a" has no controller before its path')
  expect(() => join(['memory:a', 'memory:b'])).toThrow('names memory a second time')
  expect(() => join([':a'])).toThrow('has an empty controller')
  expect(() => join(['pids:a'])).toThrow('names a controller in which the container has no cgroup')
})

test('in v2 exec follows init to where it has moved, unless told otherwise', () => {
  const cgroup = { paths: { '': '/v2/x' } }
  const moved = { cgroup, initDirectory: '/v2/x/init' }
  expect(linesOf(planCgroupJoin(moved).open)).toBe('cgroup = openat("/v2/x/init", O_RDONLY)')
  expect(linesOf(planCgroupJoin({ ...moved, subCgroups: ['a'] }).open)).toBe('cgroup = openat("/v2/x/a", O_RDONLY)')
})
