import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

test('there is one namespace of a type', () => {
  const namespaces = [{ type: 'pid' }, { type: 'mount' }, { type: 'pid', path: '/proc/7/ns/pid' }]
  expect(refusalOf({ 'linux.namespaces': namespaces })).toBe(
    'linux.namespaces[2] is a second pid namespace, and a process is in one',
  )
})

test('a namespace is joined by an absolute path', () => {
  expect(refusalOf({ 'linux.namespaces': [{ type: 'pid', path: 'proc/7/ns/pid' }] })).toBe(
    'linux.namespaces[0].path is "proc/7/ns/pid", which is not an absolute path\nhint:  begin it with a slash',
  )
})

const userNamespace = (...mappings: object[]) => ({
  'linux.namespaces': [{ type: 'user' }],
  'linux.uidMappings': mappings,
  'linux.gidMappings': mappings,
})

test('a mapping names ids that exist', () => {
  const refused = (mapping: object) => refusalOf(userNamespace({ containerID: 0, hostID: 0, size: 1, ...mapping }))
  expect(refused({ size: 0 })).toBe('linux.uidMappings[0].size is 0, which maps nothing')
  expect(refused({ size: 4294967295 })).toBe('accepted')
  expect(refused({ containerID: 1, size: 4294967295 })).toContain('ends beyond 4294967294, the last id inside')
  expect(refused({ hostID: 1, size: 4294967295 })).toContain('ends beyond 4294967294, the last id of the host')
  expect(refused({ hostID: -1 })).toContain('linux.uidMappings[0].hostID is -1, which is less than 0')
})

test('mappings overlap neither inside nor outside, in whatever order they stand', () => {
  const inside = [
    { containerID: 5, hostID: 100, size: 5 },
    { containerID: 0, hostID: 0, size: 6 },
  ]
  const outside = [
    { containerID: 0, hostID: 5, size: 5 },
    { containerID: 50, hostID: 0, size: 6 },
  ]
  expect(refusalOf(userNamespace(...inside))).toBe(
    'linux.uidMappings[1] has a containerID in the range of linux.uidMappings[0]',
  )
  expect(refusalOf(userNamespace(...outside))).toBe(
    'linux.uidMappings[1] has a hostID in the range of linux.uidMappings[0]',
  )
  const touching = [
    { containerID: 0, hostID: 1000, size: 1 },
    { containerID: 1, hostID: 100000, size: 65536 },
  ]
  expect(exampleConfig(userNamespace(...touching)).linux.uidMappings).toEqual(touching)
})

test('a map has at most the 340 ranges of the kernel', () => {
  const ranges = (count: number) =>
    Array.from({ length: count }, (_, i) => ({ containerID: i, hostID: i * 2, size: 1 }))
  expect(refusalOf(userNamespace(...ranges(340)))).toBe('accepted')
  expect(refusalOf(userNamespace(...ranges(341)))).toBe('linux.uidMappings has 341 ranges; the kernel takes 340')
})

test('only the clocks of a time namespace have offsets', () => {
  const offsets = (timeOffsets: object) => ({
    'linux.namespaces': [{ type: 'time' }],
    'linux.timeOffsets': timeOffsets,
  })
  expect(exampleConfig(offsets({ monotonic: { secs: -5 } })).linux.timeOffsets).toEqual({
    monotonic: { secs: -5, nanosecs: 0 },
  })
  expect(refusalOf(offsets({ boottme: {} }))).toBe(
    'linux.timeOffsets has an offset for "boottme", which is no clock of a time namespace\nhint:  did you mean "boottime"?',
  )
  expect(refusalOf(offsets({ realtime: {} }))).toContain('the clocks with an offset are boottime and monotonic')
  expect(refusalOf(offsets({ boottime: { nanosecs: 1e9 } }))).toContain('which is more than 999999999')
})
