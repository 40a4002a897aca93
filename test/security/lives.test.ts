/** The life of a container under those who do not follow its rules, and the words in which it ends. */

import { afterEach, expect, test } from 'bun:test'
import { join } from 'node:path'
import type { Changes } from '../kernel/bundle.ts'
import { processesOf, until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite } from '../kernel/site.ts'

afterEach(expectNothingLeft)

test('every exit status arrives as it is, and a signal as 128 and its number (S251)', () => {
  using site = makeSite()
  const statusOf = (script: string): number | null => site.run({ 'process.args': ['sh', '-c', script] }).exitCode
  for (const status of [0, 1, 2, 63, 64, 100, 125, 126, 127, 128, 129, 137, 143, 200, 254, 255])
    expect([status, statusOf(`exit ${status}`)]).toEqual([status, status])
  site.up()
  for (const signal of [1, 2, 6, 9, 10, 13, 14, 15])
    expect([signal, site.exec(`kill -${signal} $$`).exitCode]).toEqual([signal, 128 + signal])
  site.call(['delete', '--force', site.id])
  // The kernel ends it for want of memory.
  const limits = { 'linux.resources.memory': { limit: 16 << 20, swap: 16 << 20 } }
  const hungry = ['dd', 'if=/dev/zero', 'of=/dev/null', 'bs=64M', 'count=1']
  expect(site.run({ ...limits, 'process.args': hungry }).exitCode).toBe(137)
})

type Status = 'none' | 'created' | 'running' | 'paused' | 'stopped'

/** What is not allowed where; what is not listed is: a container that waits for start may be paused and deleted, as with runc. */
const ILLEGAL: Readonly<Record<Status, readonly string[]>> = {
  none: ['start', 'kill', 'pause', 'resume', 'delete', 'exec', 'state'],
  created: ['create', 'resume'],
  running: ['create', 'start', 'resume', 'delete'],
  paused: ['create', 'start', 'pause', 'delete', 'exec'],
  stopped: ['create', 'start', 'kill', 'pause', 'resume', 'exec'],
}

const STATUSES: readonly Status[] = ['none', 'created', 'running', 'paused', 'stopped']

test('what the life of a container does not allow is an error and changes nothing (S253)', () => {
  using site = makeSite()
  site.configure()
  const call = (...words: readonly string[]) => site.call(words)
  const ways: Readonly<Record<Status, () => void>> = {
    none: () => call('delete', '--force', site.id),
    created: () => call('create', site.id),
    running: () => call('start', site.id),
    paused: () => call('pause', site.id),
    stopped: () => {
      call('kill', site.id, 'KILL')
      call('resume', site.id)
      until('the end', () => site.state().status === 'stopped')
    },
  }
  for (const status of STATUSES) {
    ways[status]()
    const seen = (): string => (status === 'none' ? 'none' : `${site.state().status} ${site.state().pid}`)
    const before = seen()
    expect(before).toStartWith(status)
    for (const command of ILLEGAL[status]) {
      const { exitCode, stderr } = call(command, site.id, ...(command === 'exec' ? ['true'] : []))
      expect([status, command, exitCode !== 0, stderr.startsWith('error: ')]).toEqual([status, command, true, true])
      expect([status, command, seen()]).toEqual([status, command, before])
    }
  }
})

test('of those who make and remove one name at once nobody leaves half of it (S254)', async () => {
  using site = makeSite()
  site.configure()
  for (let round = 0; round < 5; round++) {
    const made = Array.from({ length: 12 }, () => site.spawn(['create', site.id]).outcome())
    const outcomes = await Promise.all(made)
    expect(outcomes.filter(({ exitCode }) => exitCode === 0)).toHaveLength(1)
    const removed = Array.from({ length: 12 }, () => site.spawn(['delete', '--force', site.id]).outcome())
    expect((await Promise.all(removed)).every(({ exitCode }) => exitCode === 0)).toBe(true)
    expect(site.leaks()).toEqual([])
  }
  const mixed = Array.from({ length: 16 }, (_, index) =>
    site.spawn(index % 2 === 0 ? ['create', site.id] : ['delete', '--force', site.id]).outcome(),
  )
  await Promise.all(mixed)
  site.call(['delete', '--force', site.id])
  expect(site.leaks()).toEqual([])
})

test('a bomb of forks is held, and can be ended and removed while it goes off (S120)', () => {
  using site = makeSite()
  const bomb: Changes = {
    'linux.resources.pids': { limit: 64 },
    'process.args': ['sh', '-c', 'b() { b 2>/dev/null & b 2>/dev/null & sleep 1; }; while :; do b; done'],
  }
  site.up(bomb)
  until('the bomb', () => processesOf(site.id).length > 30)
  const most = Math.max(...Array.from({ length: 20 }, () => processesOf(site.id).length))
  expect(most).toBeLessThanOrEqual(64)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(processesOf(site.id)).toEqual([])
})

test('every kind of memory counts: files in memory, shared ones, and that of the kernel for pipes (S122)', () => {
  using site = makeSite()
  const limit = { 'linux.resources.memory': { limit: 24 << 20, swap: 24 << 20 } }
  const tmpfs = { '+mounts': [{ destination: '/mnt', type: 'tmpfs', source: 'tmpfs', options: ['size=64m'] }] }
  const taken = (script: string, changes: Changes): boolean =>
    site.run({ ...tmpfs, ...changes, 'process.args': ['sh', '-c', `(${script}) >/dev/null 2>&1`] }).exitCode === 0
  const kinds: Readonly<Record<string, string>> = {
    'a tmpfs': 'dd if=/dev/zero of=/mnt/x bs=1M count=48',
    'shared memory': 'dd if=/dev/zero of=/dev/shm/x bs=1M count=40',
    'an array': 'dd if=/dev/zero of=/dev/null bs=48M count=1',
  }
  const shm = { 'linux.resources.pids': undefined }
  for (const [kind, script] of Object.entries(kinds)) {
    const enlarged = kind === 'shared memory' ? { '+mounts': [SHM] } : shm
    expect([kind, taken(script, { ...limit, ...enlarged })]).toEqual([kind, false])
    expect([kind, taken(script, enlarged)]).toEqual([kind, true])
  }
})

const SHM = { destination: '/dev/shm', type: 'tmpfs', source: 'shm', options: ['size=64m'] }

test('a storm of exec leaves nothing behind (S135)', async () => {
  using site = makeSite()
  site.up()
  const script = 'head -c 100000 /dev/zero | tr "\\0" x'
  const storm = Array.from({ length: 40 }, () => site.spawn(['exec', site.id, 'sh', '-c', script]).outcome())
  for (const { exitCode, stdout } of await Promise.all(storm)) expect([exitCode, stdout.length]).toEqual([0, 100_000])
  expect(processesOf(site.id)).toHaveLength(1)
})

const DENIED: readonly (readonly [protection: string, call: string, changes: Changes])[] = [
  [
    'a filter',
    'seccomp',
    { 'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['acct'], action: 'SCMP_ACT_ERRNO' }] } },
  ],
  ['a root of its own', 'pivot_root', {}],
  ['attributes of mounts', 'mount_setattr', {}],
  ['the bounding set', 'prctl', {}],
  ['paths below the root', 'openat2', {}],
  ['descriptors that are closed', 'close_range', {}],
  ['groups', 'setgroups', {}],
]

test('where the kernel denies what a protection needs, there is no container without it (S297, S304)', () => {
  using site = makeSite()
  for (const [protection, call, changes] of DENIED) {
    site.configure({ ...changes, 'process.args': ['echo', 'unprotected'] })
    for (const errno of ['EPERM', 'ENOSYS']) {
      const log = join(site.directory, 'strace')
      const through = ['strace', '-f', '-qq', '-o', log, '-e', `trace=${call}`, '-e', `inject=${call}:error=${errno}`]
      const { exitCode, stdout, stderr } = site.call(['run', site.id], { through })
      expect([protection, errno, exitCode, stdout]).toEqual([protection, errno, 1, ''])
      expect([protection, stderr]).toEqual([
        protection,
        expect.stringMatching(new RegExp(`${call}.* = ${errno}|${errno}`)),
      ])
    }
  }
})
