import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import { kindOf, parseKernelRelease, readHost, readIdentity } from './host.ts'

const status = (capEff: string): string =>
  `Name:\tbun\nUid:\t1000\t1001\t1002\t1003\nGid:\t100\t101\t102\t103\nCapEff:\t${capEff}\n`

const texts = {
  '/proc/self/status': status('000001ffffffffff'),
  '/proc/sys/kernel/osrelease': '6.1.0-18-amd64\n',
  '/proc/sys/kernel/cap_last_cap': '40\n',
  '/proc/self/cgroup': '0::/user.slice\n',
  '/proc/self/mountinfo': '30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n',
  '/proc/self/ns/net': '',
  '/proc/self/ns/pid_for_children': '',
}
const initial = { '/proc/self/ns/user': 'user:[4026531837]' }
const nested = { '/proc/self/ns/user': 'user:[4026532601]' }

const isRootless = (files: ReturnType<typeof capturedFiles>): boolean =>
  readHost(files, readIdentity(files, 'x86_64')).isRootless

test('releases of distributions are versions with something behind', () => {
  const versions = ['6.1.0-18-amd64', '5.14.0-427.el9.x86_64', '6.18', '7.0-rc1'].map(parseKernelRelease)
  expect(versions).toEqual([
    { major: 6, minor: 1 },
    { major: 5, minor: 14 },
    { major: 6, minor: 18 },
    { major: 7, minor: 0 },
  ])
})

test('permissions are those of the effective ids', () => {
  const { uid, gid, effectiveCapabilities } = readIdentity(capturedFiles(texts), 'x86_64')
  expect([uid, gid, effectiveCapabilities]).toEqual([1001, 101, { low: 0xffffffff, high: 0x1ff }])
})

test('a caller is rootless without CAP_SYS_ADMIN, and with it in a user namespace of its own', () => {
  expect(isRootless(capturedFiles(texts, initial))).toBe(false)
  expect(isRootless(capturedFiles(texts, nested))).toBe(true)
  const without = { ...texts, '/proc/self/status': status('000001ffffdfffff') }
  expect(isRootless(capturedFiles(without, initial))).toBe(true)
})

test('a host is what the kernel says of it', () => {
  const files = capturedFiles(texts, initial)
  const host = readHost(files, readIdentity(files, 'aarch64'))
  expect(host).toMatchObject({
    architecture: 'aarch64',
    kernel: { major: 6, minor: 1 },
    hostUid: 1001,
    lastCapability: 40,
  })
  expect(host.cgroup.mode).toBe('v2')
})

test('what is not a directory takes a bind mount of a file', () => {
  const files = capturedFiles({ '/etc/hosts': '' })
  expect([kindOf(files, '/etc/hosts'), kindOf(files, '/etc'), kindOf(files, '/no')]).toEqual([
    'file',
    'directory',
    'absent',
  ])
})

test('a machine without procfs is told what to do', () => {
  expect(() => readIdentity(capturedFiles({}), 'x86_64')).toThrow(
    'cannot learn about this machine: there is no /proc/self/status',
  )
})
