import { expect, test } from 'bun:test'
import { describeError } from '../base/errors.ts'
import { parseConfig } from '../oci/config.ts'
import { exampleDocument } from '../oci/example-config.ts'
import { refuseCheckpoint } from './checkpoint-refusals.ts'

const facts = { operation: 'checkpoint web-1', isRootless: false, isHosts: () => false }

function refusal(changes: Readonly<Record<string, unknown>>, change: Partial<typeof facts> = {}): string | undefined {
  try {
    refuseCheckpoint(parseConfig(exampleDocument(changes)), { ...facts, ...change })
    return undefined
  } catch (error) {
    return describeError(error)
  }
}

const MOUNT_NAMESPACE = { type: 'mount' }

test('a container of usual configuration is not refused', () => {
  expect(refusal({})).toBeUndefined()
  const bind = { destination: '/data', type: 'bind', source: '/srv', options: ['rbind', 'rprivate', 'ro'] }
  expect(refusal({ mounts: [bind], 'linux.rootfsPropagation': 'rslave' })).toBeUndefined()
})

test('namespaces of the network and of pids may be those of others; others may be those of the host', () => {
  const joined = ['network', 'pid'].map((type) => ({ type, path: `/proc/1/ns/${type}` }))
  expect(refusal({ 'linux.namespaces': [MOUNT_NAMESPACE, ...joined] })).toBeUndefined()
  const ipc = { 'linux.namespaces': [MOUNT_NAMESPACE, { type: 'ipc', path: '/proc/1/ns/ipc' }] }
  expect(refusal(ipc, { isHosts: () => true })).toBeUndefined()
  expect(refusal(ipc)).toStartWith('cannot checkpoint web-1: linux.namespaces[1] joins the ipc namespace of others')
})

const IDS = [{ containerID: 0, hostID: 1000, size: 1 }]

test.each([
  ['process.terminal', { 'process.terminal': true }],
  ['linux.seccomp.listenerPath', { 'linux.seccomp': { defaultAction: 'SCMP_ACT_NOTIFY', listenerPath: '/agent' } }],
  [
    'linux.netDevices',
    { 'linux.namespaces': [MOUNT_NAMESPACE, { type: 'network' }], 'linux.netDevices': { eth1: {} } },
  ],
  ['hooks.prestart', { 'hooks.prestart': [{ path: '/bin/true' }] }],
  ['hooks.createRuntime', { 'hooks.createRuntime': [{ path: '/bin/true' }] }],
  ['linux.namespaces', { 'linux.namespaces': [{ type: 'pid' }] }],
  ['linux.rootfsPropagation', { 'linux.rootfsPropagation': 'rshared' }],
  ['mounts[0]', { mounts: [{ destination: '/d', type: 'bind', source: '/s', options: ['bind', 'rshared'] }] }],
  ['mounts[0]', { mounts: [{ destination: '/d', type: 'bind', source: '/s', uidMappings: IDS, gidMappings: IDS }] }],
  ['mounts[0]', { mounts: [{ destination: '/a:b', type: 'bind', source: '/s', options: ['bind'] }] }],
] as const)('%s of this kind is refused by name', (field, changes) => {
  expect(refusal(changes)).toStartWith(`cannot checkpoint web-1: ${field} `)
})

test('a caller without privilege is refused', () => {
  expect(refusal({}, { isRootless: true })).toContain('criu needs root')
})
