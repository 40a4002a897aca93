import { expect, test } from 'bun:test'
import { linesOf, undoOf } from '../../test/plan-lines.ts'
import { planFreeze, planThaw } from './cgroup-freeze.ts'

const v1 = { paths: { freezer: '/v1/freezer/x', '': '/v2/x' } }
const v2 = { paths: { '': '/v2/x' } }

test('v1 is told again to freeze as long as a task escapes', () => {
  const lines = linesOf(planFreeze(v1)).split('\n')
  expect(lines.slice(0, 6)).toEqual([
    'freezer.state = openat("/v1/freezer/x/freezer.state", O_RDWR)',
    'write(freezer.state, "FROZEN")',
    'pread64(freezer.state, &freezer-state, 0) if freezer-state[2:3] == 79 else ETIMEDOUT',
    ' or, if ETIMEDOUT:',
    '  nanosleep({tv_sec=0, tv_nsec=1000000})',
    '  write(freezer.state, "FROZEN")',
  ])
  expect(lines.filter((line) => line.includes('nanosleep'))).toHaveLength(10)
})

test('v2 freezes by itself, and says in cgroup.events when it is done', () => {
  const lines = linesOf(planFreeze(v2)).split('\n')
  expect(lines.slice(0, 4)).toEqual([
    'cgroup.events = openat("/v2/x/cgroup.events", O_RDONLY)',
    'cgroup.freeze = openat("/v2/x/cgroup.freeze", O_WRONLY)',
    'write(cgroup.freeze, "1")',
    'pread64(cgroup.events, &cgroup-events, 0) if cgroup-events[19:20] == 49 else ETIMEDOUT',
  ])
})

test('a container that cannot be frozen goes on', () => {
  expect(undoOf(planFreeze(v1))).toBe('write(freezer.state, "THAWED")')
  expect(undoOf(planFreeze(v2))).toBe('write(cgroup.freeze, "0")')
})

test('thawing is one write', () => {
  expect(linesOf(planThaw(v1)).split('\n')[1]).toBe('write(freezer.state, "THAWED")')
  expect(linesOf(planThaw(v2)).split('\n')[1]).toBe('write(cgroup.freeze, "0")')
})

test('a container without a freezer is refused', () => {
  expect(() => planFreeze({ paths: { memory: '/v1/memory/x' } })).toThrow(
    'cannot freeze the container: it has no cgroup with a freezer',
  )
})
