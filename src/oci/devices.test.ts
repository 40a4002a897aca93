import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const fuse = { type: 'c', path: '/dev/fuse', major: 10, minor: 229 }
const device = (value: object) => exampleConfig({ 'linux.devices': [value] }).linux.devices[0]
const refusedDevice = (value: object) => refusalOf({ 'linux.devices': [value] })

test('a pipe has no device numbers, every other device has', () => {
  expect(device({ type: 'p', path: '/dev/pipe', major: 1 })).toEqual({ type: 'p', path: '/dev/pipe' })
  expect(device({ ...fuse, type: 'u' })).toEqual({ ...fuse, type: 'u' })
  expect(refusedDevice({ ...fuse, minor: undefined })).toStartWith('linux.devices[0].minor is missing')
})

test('the file type that some engines leave in the mode is dropped', () => {
  expect(device({ ...fuse, fileMode: 0o20666 })?.fileMode).toBe(0o666)
  expect(device({ ...fuse, fileMode: 0o4755 })?.fileMode).toBe(0o4755)
  expect(refusedDevice({ ...fuse, fileMode: 0o200000 })).toContain('which is more than 65535')
})

test('a number that mknod would cut is refused, since it would be another device', () => {
  expect(refusedDevice({ ...fuse, major: 4096 })).toBe('linux.devices[0].major is 4096, which is more than 4095')
  expect(refusedDevice({ ...fuse, minor: 1048576 })).toContain('which is more than 1048575')
})

test('a device has an absolute path and one of four types', () => {
  expect(refusedDevice({ ...fuse, path: 'dev/fuse' })).toContain('which is not an absolute path')
  expect(refusedDevice({ ...fuse, type: 'char' })).toBe(
    'linux.devices[0].type is "char", which it cannot be\nhint:  it is one of: c, b, u, p',
  )
})

const rule = (value: object) => exampleConfig({ 'linux.resources.devices': [value] }).linux.resources?.devices[0]
const refusedRule = (value: object) => refusalOf({ 'linux.resources.devices': [value] })

test('a rule that leaves things out is for all of them', () => {
  expect(rule({ allow: false })).toEqual({ allow: false, type: 'a', access: 'rwm' })
  expect(rule({ allow: true, type: 'c', major: 5, minor: -1, access: 'rw' })).toEqual({
    allow: true,
    type: 'c',
    major: 5,
    access: 'rw',
  })
})

test('a rule says whether it allows', () => {
  expect(refusedRule({ access: 'r' })).toStartWith('linux.resources.devices[0].allow is missing')
})

test('a rule for every device with the number of one is refused: the kernel would open all', () => {
  expect(refusedRule({ allow: true, major: 1, minor: 3, access: 'r' })).toStartWith(
    'linux.resources.devices[0] has a device number, and type "a", which is every device',
  )
})

test('access is made of the letters r, w and m', () => {
  for (const access of ['x', 'rwx', 'rr', 'r w']) {
    expect(refusedRule({ allow: true, access })).toStartWith(`linux.resources.devices[0].access is "${access}"`)
  }
  expect(rule({ allow: true, access: 'mr' })?.access).toBe('mr')
})
