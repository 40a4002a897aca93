import { expect, test } from 'bun:test'
import { parseConfig } from './config.ts'
import { type FeatureFacts, features } from './features.ts'
import { defaultSpec } from './spec.ts'
import { containerProcessState, containerSummary, stateDocument } from './state.ts'

const rootful = { rootless: false, hostUid: 0, hostGid: 0, hasCgroupV2Only: false }
const rootless = { rootless: true, hostUid: 1000, hostGid: 1001, hasCgroupV2Only: true }

test('the default document is a valid one', () => {
  const config = parseConfig(defaultSpec(rootful))
  expect(config.process.args).toEqual(['sh'])
  expect(config.linux.namespaces.map(({ type }) => type)).toEqual(['pid', 'network', 'ipc', 'uts', 'mount'])
  expect(config.linux.resources?.devices).toEqual([{ allow: false, type: 'a', access: 'rwm' }])
})

test('a rootless document needs no privileges: one id, no network namespace, no limits, no group but 0', () => {
  const config = parseConfig(defaultSpec(rootless))
  expect(config.linux.namespaces.map(({ type }) => type)).toEqual(['pid', 'ipc', 'uts', 'mount', 'cgroup', 'user'])
  expect(config.linux.uidMappings).toEqual([{ containerID: 0, hostID: 1000, size: 1 }])
  expect(config.linux.gidMappings).toEqual([{ containerID: 0, hostID: 1001, size: 1 }])
  expect(config.linux.resources).toBeUndefined()
  expect(config.mounts.flatMap(({ options }) => options).join(' ')).not.toContain('gid=')
  expect(config.mounts.find(({ destination }) => destination === '/sys')?.options).toContain('rbind')
})

const facts: FeatureFacts = {
  capabilities: ['CAP_CHOWN', 'CAP_KILL'],
  cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
  seccomp: { archs: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_AARCH64'], supportedFlags: ['SECCOMP_FILTER_FLAG_LOG'] },
  apparmor: true,
  selinux: false,
  intelRdt: true,
  idmap: true,
  netDevices: false,
  annotations: { 'org.example': 'x' },
}

test('features are those of the specification, sorted where order means nothing', () => {
  const document = features(facts)
  expect([document.ociVersionMin, document.ociVersionMax]).toEqual(['1.0.0', '1.3.0'])
  expect(document.hooks).toEqual([
    'prestart',
    'createRuntime',
    'createContainer',
    'startContainer',
    'poststart',
    'poststop',
  ])
  expect(document.linux.namespaces).toEqual(['cgroup', 'ipc', 'mount', 'network', 'pid', 'time', 'user', 'uts'])
  expect(document.linux.seccomp.archs).toEqual(['SCMP_ARCH_AARCH64', 'SCMP_ARCH_X86_64'])
  expect(document.linux.cgroup).toEqual(facts.cgroup)
  expect(document.linux.mountExtensions.idmap.enabled).toBe(true)
  expect(document.linux.netDevices.enabled).toBe(false)
})

const container = { id: 'web-1', status: 'created', pid: 42, bundle: '/b', annotations: { a: 'b' } } as const

test('the state that hooks read has the keys of the specification, in its order', () => {
  expect(JSON.stringify(stateDocument(container))).toBe(
    '{"ociVersion":"1.3.0","id":"web-1","status":"created","pid":42,"bundle":"/b","annotations":{"a":"b"}}',
  )
  expect(JSON.stringify(stateDocument({ ...container, pid: undefined, annotations: {} }))).toBe(
    '{"ociVersion":"1.3.0","id":"web-1","status":"created","bundle":"/b"}',
  )
})

test('the summary has the shape and the order of runc, and no process once it is stopped', () => {
  const summary = { ...container, rootfs: '/b/rootfs', created: '2026-11-22T00:29:07.528458237Z', owner: 'root' }
  expect(JSON.stringify(containerSummary(summary))).toBe(
    '{"ociVersion":"1.3.0","id":"web-1","pid":42,"status":"created","bundle":"/b","rootfs":"/b/rootfs",' +
      '"created":"2026-11-22T00:29:07.528458237Z","annotations":{"a":"b"},"owner":"root"}',
  )
  expect(containerSummary({ ...summary, status: 'stopped' }).pid).toBe(0)
})

test('the seccomp agent is told which descriptor it gets', () => {
  const state = stateDocument(container)
  expect(containerProcessState({ pid: 43, metadata: 'opaque', state })).toEqual({
    ociVersion: '1.3.0',
    fds: ['seccompFd'],
    pid: 43,
    metadata: 'opaque',
    state,
  })
  expect(containerProcessState({ pid: 43, metadata: undefined, state })).not.toHaveProperty('metadata')
})
