import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const withNamespaces = (...types: string[]) => ({
  'linux.namespaces': types.map((type) => {
    const [name = '', path] = type.split('=')
    return { type: name, path }
  }),
})
const oneId = [{ containerID: 0, hostID: 1000, size: 1 }]
const mapped = { 'linux.uidMappings': oneId, 'linux.gidMappings': oneId }

test('host name and domain name need a UTS namespace, new or joined', () => {
  expect(refusalOf({ hostname: 'web-1' })).toStartWith('hostname needs a uts namespace')
  expect(refusalOf({ domainname: 'example.org' })).toStartWith('domainname needs a uts namespace')
  for (const uts of ['uts', 'uts=/proc/7/ns/uts']) {
    const config = exampleConfig({ hostname: 'web-1', domainname: 'example.org', ...withNamespaces(uts) })
    expect([config.hostname, config.domainname]).toEqual(['web-1', 'example.org'])
  }
  expect(refusalOf({ hostname: 'x'.repeat(65), ...withNamespaces('uts') })).toBe(
    'hostname has 65 letters, and the kernel takes 64',
  )
})

test('id mappings need a user namespace, which may leave them to the runtime', () => {
  expect(refusalOf(mapped)).toStartWith('linux.uidMappings needs a user namespace')
  expect(refusalOf(withNamespaces('user'))).toBe('accepted')
  expect(refusalOf({ ...withNamespaces('user'), ...mapped })).toBe('accepted')
  expect(refusalOf(withNamespaces('user=/proc/7/ns/user'))).toBe('accepted')
})

test('a process cannot be a user that its new user namespace does not map', () => {
  const config = { ...withNamespaces('user'), ...mapped }
  expect(refusalOf({ ...config, 'process.user.uid': 1 })).toBe(
    'process.user.uid is 1, which linux.uidMappings does not map',
  )
  expect(refusalOf({ ...config, 'process.user.gid': 1 })).toBe(
    'process.user.gid is 1, which linux.gidMappings does not map',
  )
  expect(refusalOf({ ...config, 'process.user.additionalGids': [0, 5] })).toBe(
    'process.user.additionalGids[1] is 5, which linux.gidMappings does not map',
  )
  expect(refusalOf({ ...withNamespaces('user=/proc/7/ns/user'), 'process.user.uid': 1 })).toBe('accepted')
})

test('clock offsets need a time namespace of its own', () => {
  const offsets = { 'linux.timeOffsets': { boottime: { secs: 1 } } }
  expect(refusalOf(offsets)).toStartWith('linux.timeOffsets needs a time namespace')
  expect(refusalOf({ ...offsets, ...withNamespaces('time=/proc/7/ns/time') })).toStartWith(
    'linux.timeOffsets cannot be given to a time namespace that exists already',
  )
  expect(refusalOf({ ...offsets, ...withNamespaces('time') })).toBe('accepted')
})

test('a kernel parameter needs the namespace that it is part of', () => {
  const parameters = {
    'net.core.somaxconn': 'network',
    'kernel.shmmax': 'ipc',
    'fs.mqueue.msg_max': 'ipc',
    'kernel.domainname': 'uts',
  }
  for (const [name, namespace] of Object.entries(parameters)) {
    const sysctl = { 'linux.sysctl': { [name]: '1' } }
    expect(refusalOf(sysctl)).toStartWith(`linux.sysctl["${name}"] needs a ${namespace} namespace`)
    expect(refusalOf({ ...sysctl, ...withNamespaces(namespace) })).toBe('accepted')
  }
})

test('paths are hidden only in a mount namespace', () => {
  expect(refusalOf({ ...withNamespaces('pid'), 'linux.maskedPaths': ['/proc/kcore'] })).toStartWith(
    'linux.maskedPaths needs a mount namespace',
  )
  expect(refusalOf({ ...withNamespaces('pid'), 'linux.readonlyPaths': ['/proc/sys'] })).toStartWith(
    'linux.readonlyPaths needs a mount namespace',
  )
})

test('network devices move only into a network namespace', () => {
  expect(refusalOf({ 'linux.netDevices': { eth1: {} } })).toStartWith('linux.netDevices needs a network namespace')
  expect(refusalOf({ 'linux.netDevices': { eth1: {} }, ...withNamespaces('network') })).toBe('accepted')
})

test('an idmapped mount takes its mappings from itself or from the user namespace', () => {
  const mount = { destination: '/d', source: '/s', options: ['rbind', 'ridmap'] }
  expect(refusalOf({ mounts: [mount] })).toStartWith('mounts[0] is to be idmapped, and there are no mappings')
  expect(refusalOf({ mounts: [{ ...mount, uidMappings: oneId, gidMappings: oneId }] })).toBe('accepted')
  expect(refusalOf({ mounts: [mount], ...withNamespaces('user'), ...mapped })).toBe('accepted')
})

test('swap counts memory too, so it is not below the limit', () => {
  const memory = (value: object) => refusalOf({ 'linux.resources.memory': value })
  expect(memory({ limit: 100, swap: 50 })).toStartWith(
    'linux.resources.memory.swap is 50, less than limit, which is 100',
  )
  expect(memory({ swap: 50 })).toStartWith('linux.resources.memory.swap is 50, and there is no limit of memory alone')
  expect(memory({ limit: 100, swap: 100 })).toBe('accepted')
  expect(memory({ limit: 100, swap: -1 })).toBe('accepted')
  expect(memory({ limit: 9223372036854771712n, swap: 50 })).toContain('less than limit, which is 9223372036854771712')
})

test('a burst is not above the quota, where there is one', () => {
  const cpu = (value: object) => refusalOf({ 'linux.resources.cpu': value })
  expect(cpu({ quota: 100, burst: 101 })).toBe('linux.resources.cpu.burst is 101, more than quota, which is 100')
  expect(cpu({ quota: 100, burst: 100 })).toBe('accepted')
  expect(cpu({ quota: -1, burst: 101 })).toBe('accepted')
})
