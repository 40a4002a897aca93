import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const refused = (mount: object) => refusalOf({ mounts: [mount] })

test('a relative destination starts at the root', () => {
  expect(exampleConfig({ mounts: [{ destination: 'data/x', type: 'tmpfs' }] }).mounts[0]?.destination).toBe('/data/x')
  expect(refused({ type: 'tmpfs' })).toStartWith('mounts[0].destination is missing')
})

test('a mount without a type is a bind mount or changes one that is there', () => {
  expect(refused({ destination: '/a' })).toStartWith('mounts[0].type is missing\nhint:  name a file system')
  expect(refused({ destination: '/a', options: ['ro'] })).toStartWith('mounts[0].type is missing')
  for (const word of ['remount', 'rslave', 'private']) {
    expect(refused({ destination: '/a', options: [word] })).toBe('accepted')
  }
})

test('a bind mount has a source', () => {
  for (const mount of [{ options: ['bind'] }, { options: ['rbind'] }, { type: 'bind' }]) {
    expect(refused({ destination: '/a', ...mount })).toBe('mounts[0].source is missing, and is what to bind')
    expect(refused({ destination: '/a', source: 'relative', ...mount })).toBe('accepted')
  }
})

test('mappings of a mount come in pairs', () => {
  const mappings = [{ containerID: 0, hostID: 5, size: 1 }]
  const mount = { destination: '/a', source: '/s', options: ['bind'] }
  expect(refused({ ...mount, uidMappings: mappings })).toBe(
    'mounts[0].gidMappings is missing, while uidMappings is there',
  )
  expect(refused({ ...mount, gidMappings: mappings })).toBe(
    'mounts[0].uidMappings is missing, while gidMappings is there',
  )
  expect(refused({ ...mount, uidMappings: mappings, gidMappings: mappings })).toBe('accepted')
})
