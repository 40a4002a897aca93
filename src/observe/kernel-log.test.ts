import { expect, test } from 'bun:test'
import { parseOomVictims } from './kernel-log.ts'

const LIMIT =
  '<6>[18420.894101] oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/web,task_memcg=/web/a,task=python3,pid=5949,uid=0'
const MACHINE =
  'oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/,task=a,pid=1,uid=2,pid=7,uid=1000'

test('a victim has its name, its cgroup, and the cgroup whose limit was met', () => {
  expect(parseOomVictims(`<4>[1.0] something else\n${LIMIT}\n`)).toEqual([
    { name: 'python3', pid: 5949, cgroup: '/web/a', limitedBy: '/web', atSeconds: 18420.894101 },
  ])
})

test('on a machine without memory no cgroup is to blame, and the name of the victim cannot forge its pid', () => {
  expect(parseOomVictims(MACHINE)).toEqual([
    { name: 'a,pid=1,uid=2', pid: 7, cgroup: '/', limitedBy: undefined, atSeconds: undefined },
  ])
})

test('other lines, and pieces of lines, are no victims', () => {
  expect(parseOomVictims(`oom-kill:constraint=CONSTRAINT_MEMCG\n${LIMIT.slice(60)}\n`)).toEqual([])
})
