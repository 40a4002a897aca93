import { expect, test } from 'bun:test'
import { OperationError } from '../base/errors.ts'
import { parseConfig, readConfig } from './config.ts'
import { exampleConfig, exampleDocument, refusalOf } from './example-config.ts'
import { parseProcess } from './process.ts'
import { parseResources } from './resources.ts'

test('what a document leaves out is empty, false or undefined', () => {
  expect(exampleConfig()).toEqual({
    ociVersion: '1.0.2',
    root: { path: 'rootfs', readonly: false },
    process: {
      terminal: false,
      user: { uid: 0, gid: 0, additionalGids: [] },
      args: ['sh'],
      env: [],
      cwd: '/',
      rlimits: [],
      noNewPrivileges: false,
    },
    mounts: [],
    hooks: { prestart: [], createRuntime: [], createContainer: [], startContainer: [], poststart: [], poststop: [] },
    annotations: {},
    linux: {
      namespaces: [{ type: 'mount' }, { type: 'pid' }],
      uidMappings: [],
      gidMappings: [],
      devices: [],
      netDevices: [],
      sysctl: [],
      maskedPaths: [],
      readonlyPaths: [],
    },
  })
})

test('null counts as absent, as encoding/json of Go has it', () => {
  const nulls = { mounts: null, hooks: null, annotations: null, 'process.env': null, 'linux.resources': null }
  expect(exampleConfig(nulls)).toEqual(exampleConfig())
})

test('an empty string counts as absent where a word or a path is wanted', () => {
  expect(exampleConfig({ hostname: '', 'linux.cgroupsPath': '', 'linux.rootfsPropagation': '' })).toEqual(
    exampleConfig(),
  )
  expect(exampleConfig({ 'linux.namespaces': [{ type: 'pid', path: '' }] }).linux.namespaces).toEqual([{ type: 'pid' }])
})

test('properties that the specification does not have are ignored, at every level', () => {
  const unknown = { extra: 1, 'process.extra': 1, 'linux.extra': 1, 'linux.resources': { extra: 1 } }
  expect(exampleConfig(unknown).process).toEqual(exampleConfig().process)
})

test('64-bit integers of a text keep every digit', () => {
  const text = JSON.stringify(exampleDocument({ 'process.rlimits': ['HERE'], 'linux.resources.memory.limit': 'LIMIT' }))
    .replace('"HERE"', '{"type":"RLIMIT_CORE","soft":9223372036854775807,"hard":18446744073709551615}')
    .replace('"LIMIT"', '9223372036854771712')
  const config = readConfig(text)
  expect(config.process.rlimits).toEqual([
    { type: 'RLIMIT_CORE', soft: 9223372036854775807n, hard: 18446744073709551615n },
  ])
  expect(config.linux.resources?.memory?.limit).toBe(9223372036854771712n)
})

test('a number that JavaScript rounded is refused rather than used', () => {
  for (const limit of [2 ** 53, 2 ** 60, 2 ** 64, -(2 ** 60)]) {
    expect(refusalOf({ 'linux.resources.memory.limit': limit })).toBe(
      `linux.resources.memory.limit is ${limit}, which a JavaScript number does not hold exactly\nhint:  pass a bigint`,
    )
  }
})

test('a wrong value is shown, with the path of its field and what is right', () => {
  expect(refusalOf({ 'linux.resources.cpu.period': 'fast' })).toBe(
    'linux.resources.cpu.period is "fast", which is not an integer',
  )
  expect(refusalOf({ 'linux.resources.cpu.period': -1 })).toBe('linux.resources.cpu.period is -1, which is less than 0')
  expect(refusalOf({ 'process.user.uid': 1.5 })).toBe('process.user.uid is 1.5, which is not an integer')
  expect(refusalOf({ 'process.terminal': 'true' })).toBe('process.terminal is "true", which is not true or false')
  expect(refusalOf({ mounts: [{ destination: '/a', type: 'tmpfs', options: ['ro', 5] }] })).toBe(
    'mounts[0].options[1] is 5, which is not a string',
  )
  expect(refusalOf({ 'linux.namespaces': [{ type: 'nework' }] })).toBe(
    'linux.namespaces[0].type is "nework", which it cannot be\nhint:  did you mean "network"?',
  )
  expect(refusalOf({ 'linux.personality.domain': 'WINDOWS' })).toBe(
    'linux.personality.domain is "WINDOWS", which it cannot be\nhint:  it is one of: LINUX, LINUX32',
  )
  expect(refusalOf({ annotations: { 'a b': {} } })).toBe('annotations["a b"] is an object, which is not a string')
})

test('what is required and missing is named', () => {
  expect(refusalOf({ process: undefined })).toBe('process is missing, and has to be an object')
  expect(refusalOf({ root: null })).toBe('root is missing, and has to be an object')
  expect(refusalOf({ 'root.path': '' })).toBe('root.path is empty')
  expect(refusalOf({ ociVersion: undefined })).toBe('ociVersion is missing, and has to be a string')
  expect(refusalOf({ 'linux.devices': [{ type: 'c', path: '/dev/x', minor: 1 }] })).toBe(
    'linux.devices[0].major is missing, and has to be an integer',
  )
})

test('a NUL in a string is refused, because the kernel would stop reading there', () => {
  expect(refusalOf({ 'root.path': '/safe\0/../..' })).toStartWith(
    'root.path is "/safe\\u0000/../..", which has a NUL in it',
  )
  expect(refusalOf({ 'process.args': ['sh', 'a\0b'] })).toStartWith('process.args[1] is "a\\u0000b", which has a NUL')
})

test('the document may be for any 1.x, and for 0.x', () => {
  for (const ociVersion of ['1.0.0', '1.0.2-dev', '1.3.0', '1.9.3+build.5', '0.5.0-dev']) {
    expect(exampleConfig({ ociVersion }).ociVersion).toBe(ociVersion)
  }
  expect(refusalOf({ ociVersion: '2.0.0' })).toContain(
    'ociVersion is "2.0.0"; coffer knows the runtime specification up to',
  )
  for (const ociVersion of ['banana', '1.0', 'v1.0.0', '01.0.0', '1.0.0 ']) {
    expect(refusalOf({ ociVersion }), ociVersion).toContain('which is not a version of the form 1.2.3')
  }
})

test('sections for other platforms are ignored beside linux and refused without it', () => {
  expect(exampleConfig({ windows: { layerFolders: ['C:\\a'] }, solaris: { milestone: 'x' } })).toEqual(exampleConfig())
  for (const platform of ['windows', 'solaris', 'freebsd', 'zos']) {
    expect(refusalOf({ linux: undefined, [platform]: { a: 1 } })).toStartWith(
      `${platform} makes this a document for another platform`,
    )
  }
  expect(exampleConfig({ linux: undefined }).linux.namespaces).toEqual([])
})

test('a demand for a virtual machine is refused as unsupported, and not dropped', () => {
  expect(() => exampleConfig({ vm: { kernel: { path: '/vmlinuz' } } })).toThrow('vm asks for a virtual machine')
  expect(exampleConfig({ vm: {} })).toEqual(exampleConfig())
})

test('annotations keep any key, and none of them touches a prototype', () => {
  const text = JSON.stringify(exampleDocument()).replace(/}$/, ',"annotations":{"__proto__":"a","constructor":"b"}}')
  const { annotations } = readConfig(text)
  expect(Object.keys(annotations)).toEqual(['__proto__', 'constructor'])
  expect(Object.getPrototypeOf(annotations)).toBe(Object.prototype)
  expect(refusalOf({ annotations: { '': 'x' } })).toBe('annotations has an empty key')
})

test('the error names the document that was read', () => {
  expect(() => parseConfig([], '/b/config.json')).toThrow('cannot read /b/config.json: the document is a list')
  expect(() => parseProcess({ cwd: '/' }, 'process.json')).toThrow('cannot read process.json: args is missing')
  expect(() => parseResources({ pids: { limit: 'x' } }, 'r.json')).toThrow('cannot read r.json: pids.limit is "x"')
})

test('a field that is not as the specification wants it is invalid', () => {
  try {
    exampleConfig({ 'process.cwd': 'home' })
    expect.unreachable()
  } catch (error) {
    expect(error).toBeInstanceOf(OperationError)
    expect((error as OperationError).kind).toBe('invalid')
    expect((error as OperationError).message).toBe(
      'cannot read config.json: process.cwd is "home", which is not an absolute path',
    )
  }
})
