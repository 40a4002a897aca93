import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import { isEmpty, oomKills, oomWatch, parseOomKills } from './oom.ts'

const v1 = capturedFiles({
  '/cg/memory/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 2\n',
  '/cg/memory/cgroup.procs': '12\n',
})
const v2 = capturedFiles({
  '/cg/memory.events': 'low 0\nhigh 0\nmax 24\noom 1\noom_kill 3\noom_group_kill 0\n',
  '/cg/cgroup.events': 'populated 1\nfrozen 0\n',
})

test('kills are counted, and not what came near to one', () => {
  expect(oomKills({ memory: '/cg/memory' }, v1)).toBe(2)
  expect(oomKills({ '': '/cg' }, v2)).toBe(3)
  expect(parseOomKills('low 0\n')).toBe(0)
  expect(oomKills({ memory: '/gone' }, v1)).toBe(0)
})

test('v1 is watched through an eventfd that is registered with the control file', () => {
  const watch = oomWatch({ memory: '/cg/memory' }, v1)
  if (watch?.version !== 1) throw new Error('not v1')
  expect([watch.eventFile, watch.controlFile, watch.registration(5, 6)]).toEqual([
    '/cg/memory/memory.oom_control',
    '/cg/memory/cgroup.event_control',
    '5 6',
  ])
})

test('v2 is watched for kills and for the end of the last process', () => {
  expect(oomWatch({ unified: '/cg' }, v2)).toEqual({ version: 2, files: ['/cg/memory.events', '/cg/cgroup.events'] })
})

test('in the hybrid layout the directory without a memory controller is not watched', () => {
  const hybrid = capturedFiles({ '/cg/cgroup.events': 'populated 1\nfrozen 0\n' })
  expect(oomWatch({ unified: '/cg' }, hybrid)).toBeUndefined()
})

test('a container is empty when no cgroup of it has a process', () => {
  expect(isEmpty({ memory: '/cg/memory' }, v1)).toBe(false)
  expect(isEmpty({ '': '/cg' }, v2)).toBe(false)
  expect(isEmpty({ '': '/cg' }, capturedFiles({ '/cg/cgroup.events': 'populated 0\nfrozen 0\n' }))).toBe(true)
  expect(isEmpty({ pids: '/gone', memory: '/gone-too' }, v1)).toBe(true)
  expect(isEmpty({ freezer: '/gone', memory: '/cg/memory' }, v1)).toBe(false)
})

test('without a cgroup nothing says that the container has ended', () => {
  expect(isEmpty({}, v1)).toBe(false)
})
