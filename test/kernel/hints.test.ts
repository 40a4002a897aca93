/** Hints behind failures that this kernel really has: the table of src/plan/hints.test.ts is what they say, and this is when. */

import { afterEach, describe, expect, test } from 'bun:test'
import { chmodSync, closeSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { COFFER, call } from '../tools/call.ts'
import type { Changes } from './bundle.ts'
import { expectNothingLeft, makeSite, type Site } from './site.ts'

afterEach(expectNothingLeft)

interface Case {
  readonly what: string
  /** Part of the hint. */
  readonly hint: string
  readonly changes: Changes | ((site: Site) => Changes)
  /** A command that coffer is started through. */
  readonly through?: readonly string[]
  readonly flags?: readonly string[]
}

const all = ['mount', 'pid', 'network', 'ipc', 'uts', 'user', 'cgroup']
const map = [{ containerID: 0, hostID: 0, size: 1000 }]
const users: Changes = {
  'linux.namespaces': all.map((type) => ({ type })),
  'linux.uidMappings': map,
  'linux.gidMappings': map,
}
/** A program in the root that has this text, and is executable. */
const program = (site: Site, text: string): Changes => {
  const path = join(site.rootfs, 'bin', 'program')
  writeFileSync(path, text)
  chmodSync(path, 0o755)
  return { 'process.args': ['/bin/program'] }
}
/** In a user namespace whose own limits can be set without harm to the machine: namespaces(7). */
const inUserNamespace = (script: string): readonly string[] => [
  'unshare',
  '--user',
  '--map-root-user',
  'sh',
  '-c',
  `${script}; exec "$@"`,
  'sh',
]

const CASES: readonly Case[] = [
  {
    what: 'a script whose interpreter is missing',
    hint: 'its interpreter /no/such/sh is not in the image',
    changes: (site) => program(site, '#!/no/such/sh\n'),
  },
  { what: 'a program of no known format', hint: 'begin with #!', changes: (site) => program(site, 'words\n') },
  {
    what: 'an argument of 200 KiB',
    hint: 'pass large data in a file',
    changes: { 'process.args': ['/bin/true', 'x'.repeat(200 << 10)] },
  },
  {
    what: 'more open files than fs.nr_open',
    hint: 'not above fs.nr_open',
    changes: { 'process.rlimits': [{ type: 'RLIMIT_NOFILE', soft: 1024, hard: 2 ** 40 }] },
  },
  {
    what: 'a socket where nobody listens',
    hint: 'start the program that does first',
    changes: { 'process.terminal': true },
    flags: ['--console-socket', '/no/such/socket'],
  },
  {
    what: 'user namespaces that are switched off',
    hint: 'user.max_user_namespaces = 0',
    changes: users,
    through: inUserNamespace('echo 0 >/proc/sys/user/max_user_namespaces'),
  },
  {
    what: 'a kind of namespace whose limit is 0',
    hint: 'sysctl -w user.max_net_namespaces=15000',
    changes: { ...users, 'linux.uidMappings': [{ ...map[0], size: 1 }], 'linux.gidMappings': [{ ...map[0], size: 1 }] },
    through: inUserNamespace('echo 0 >/proc/sys/user/max_net_namespaces'),
  },
  {
    what: 'ids that the user namespace of coffer does not have',
    hint: 'coffer is in a user namespace itself',
    changes: users,
    through: inUserNamespace(':'),
  },
  {
    what: 'a clock before the boot',
    hint: 'neither below 0',
    changes: {
      '+linux.namespaces': [{ type: 'time' }],
      'linux.timeOffsets': { monotonic: { secs: -1e9, nanosecs: 0 } },
    },
  },
  {
    what: 'a file system that the kernel does not have',
    hint: 'modprobe nosuchfs',
    changes: { '+mounts': [{ destination: '/mnt', type: 'nosuchfs', source: 'none' }] },
  },
  {
    what: 'a setting of the kernel that there is not',
    hint: 'linux.sysctl',
    changes: { 'linux.sysctl': { 'net.core.no_such_setting': '1' } },
  },
  {
    what: 'CPU time of less than a millisecond',
    hint: 'at least 1,000 µs',
    changes: { 'linux.resources.cpu': { quota: 10, period: 100_000 } },
  },
  {
    what: 'a CPU that the machine does not have',
    hint: '/sys/devices/system/cpu/online',
    changes: { 'linux.resources.cpu': { cpus: '900' } },
  },
  {
    what: 'a limit for a disk that there is not',
    hint: 'whole disk',
    changes: { 'linux.resources.blockIO': { throttleReadBpsDevice: [{ major: 250, minor: 250, rate: 1 << 20 }] } },
  },
]

for (const { what, hint, changes, through, flags = [] } of CASES)
  test(`${what}: ${hint}`, () => {
    using site = makeSite()
    site.configure({ 'process.args': ['true'], ...(typeof changes === 'function' ? changes(site) : changes) })
    const { exitCode, stderr } = site.call(['run', ...flags, site.id], through === undefined ? {} : { through })
    expect(exitCode).not.toBe(0)
    expect(stderr).toContain('hint:  ')
    expect(stderr).toContain(hint)
  })

test('a program that somebody has open for writing: until it is closed', () => {
  using site = makeSite()
  const changes = program(site, '#!/bin/sh\n')
  const fd = openSync(join(site.rootfs, 'bin', 'program'), 'r+')
  expect(site.run(changes).stderr).toContain('fuser -v FILE')
  closeSync(fd)
  expect(site.run(changes).exitCode).toBe(0)
})

test('exec into a container with as many processes as it may have: pids.max', () => {
  using site = makeSite()
  site.up({ 'linux.resources.pids': { limit: 1 } })
  expect(site.exec('true').stderr).toContain('pids.max of the cgroup')
})

describe('tools', () => {
  const nobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', COFFER]
  for (const [words, hint, program] of [
    [['unshare', '--net', 'true'], '--map-root-user', nobody],
    [['chroot', '/tmp', 'true'], 'CAP_SYS_CHROOT', nobody],
    [['nsenter', '--target', '4194303', '--net', 'true'], 'ps -e', [COFFER]],
    [['nsenter', '--target', `${process.pid}`, '--user', 'true'], 'leave --user out', [COFFER]],
    [['nsenter', '--net=/proc/self/ns/uts', 'true'], 'no namespace of that kind', [COFFER]],
    [['unshare', '-T', '--monotonic=-1000000000', 'true'], '--boottime', [COFFER]],
    [['unshare', '-U', '--map-users=0:0:1', '--map-users=0:0:1', 'true'], '--map-users', [COFFER]],
  ] as const)
    test(`${words.join(' ')}: ${hint}`, () => {
      expect(call([...program, ...words]).stderr).toContain(hint)
    })
})
