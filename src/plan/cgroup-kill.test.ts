import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { planKillAll } from './cgroup-kill.ts'
import { planCgroupRemove } from './cgroup-remove.ts'

test('SIGKILL goes to the cgroup as a whole, and to each process where a kernel cannot do that', () => {
  expect(
    linesOf(planKillAll({ cgroup: { paths: { '': '/v2/x' } }, signal: 9, pids: [7] })),
  ).toBe(`cgroup.kill = openat("/v2/x/cgroup.kill", O_WRONLY)
 then:
  write(cgroup.kill, "1")
 or, if ENOENT:
  kill(7, SIGKILL) or ESRCH`)
})

test('other signals, and those without v2, go to each process', () => {
  const both = 'kill(7, SIGTERM) or ESRCH\nkill(8, SIGTERM) or ESRCH'
  expect(linesOf(planKillAll({ cgroup: { paths: { '': '/v2/x' } }, signal: 15, pids: [7, 8] }))).toBe(both)
  const v1 = { paths: { memory: '/v1/memory/x' } }
  expect(linesOf(planKillAll({ cgroup: v1, signal: 9, pids: [7] }))).toBe('kill(7, SIGKILL) or ESRCH')
})

test('cgroups that the container made are removed before its own', () => {
  const cgroup = { paths: { cpu: '/v1/cpu/x', cpuacct: '/v1/cpu/x', '': '/v2/x' } }
  expect(linesOf(planCgroupRemove(cgroup, '/run/coffer', ['/v2/x/a/b', '/v2/x/a']))).toBe(
    ['/v2/x/a/b', '/v2/x/a', '/v1/cpu/x', '/v2/x']
      .map((path) => `unlinkat("${path}", AT_REMOVEDIR) again while EBUSY, or ENOENT`)
      .join('\n'),
  )
})

test('a private hierarchy is mounted to remove its cgroup, and let go when the kernel has freed it', () => {
  expect(
    linesOf(planCgroupRemove({ paths: {}, unmounted: { net_cls: 'x' } }, '/run/coffer')),
  ).toEndWith(`close(cgroup-mount-context)
unlinkat(cgroup-mount:net_cls, "x", AT_REMOVEDIR) again while EBUSY, or ENOENT
nanosleep({tv_sec=0, tv_nsec=150000000})
close(cgroup-mount:net_cls)`)
})
