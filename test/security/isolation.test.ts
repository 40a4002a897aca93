/** What a container of its own namespaces can reach of the host and of its neighbours: nothing. Each with a twin that can. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Changes } from '../kernel/bundle.ts'
import { processesOf, until } from '../kernel/leaks.ts'
import { insideProgram, installInside } from '../kernel/programs.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { withoutNamespace } from '../mutants/mutants-usual.ts'
import type { Edit } from '../plan-edits.ts'
import { planOf, runTwin } from '../twin.ts'

afterEach(expectNothingLeft)

const keep: Edit = (plan) => plan

/** What a script prints in a container whose plan was changed, behind a command of the caller. */
function seenBy(site: Site, script: string, through: readonly string[], edit: Edit, changes: Changes = {}): string {
  const twin = planOf(site, { 'process.args': ['sh', '-c', `${script}; exit 0`], ...changes })
  const { stdout, failures } = runTwin(site, { ...twin, plan: edit(twin.plan) }, { through })
  expect(failures).toEqual([])
  return stdout
}

const capabilities = (...names: readonly string[]): Changes => ({
  'process.capabilities': { bounding: names, permitted: names, effective: names },
})

test('a signal of a container finds no process of the host (S100)', () => {
  using site = makeSite()
  const victim = Bun.spawn(['sleep', '1000'])
  try {
    const script = `kill -0 ${victim.pid} 2>/dev/null && echo found || echo none`
    const all = capabilities('CAP_KILL')
    expect(seenBy(site, script, [], keep, all)).toBe('none\n')
    expect(seenBy(site, script, [], withoutNamespace('pid'), all)).toBe('found\n')
    // To everybody that it sees; the twin of this one would end the machine.
    site.run({ ...all, 'process.args': ['sh', '-c', 'kill -9 -1'] })
    expect(victim.exitCode).toBeNull()
  } finally {
    victim.kill('SIGKILL')
  }
})

test('memory and queues that others share are not there, and its own have their size (S103)', () => {
  using site = makeSite()
  const through = ['unshare', '-i', 'sh', '-c', 'ipcmk -M 4096 >/dev/null; exec "$@"', 'sh']
  const count = 'tail -n +2 /proc/sysvipc/shm | wc -l'
  expect(seenBy(site, count, through, keep)).toBe('0\n')
  expect(seenBy(site, count, through, withoutNamespace('ipc'))).toBe('1\n')
  const fill = (bytes: number): string => `head -c ${bytes} /dev/zero >/dev/shm/x && echo fits || echo full`
  expect(site.inside(`(${fill(60 << 20)}; ${fill(70 << 20)}) 2>/dev/null`)).toBe('fits\nfull\n')
})

const abstractSockets = (): readonly string[] =>
  readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .map((line) => line.split(' ').at(-1) ?? '')
    .filter((name) => name.startsWith('@') && /coffer/.test(name))

test('no socket of coffer has an abstract name, which every container with the network of the host could reach (S104)', () => {
  using site = makeSite()
  const listener = Bun.listen({ unix: `\0coffer-${site.id}`, socket: { data: () => undefined } })
  expect(abstractSockets()).toHaveLength(1)
  listener.stop(true)
  const seen: string[] = []
  site.configure()
  for (const command of [
    ['create', site.id],
    ['start', site.id],
    ['exec', site.id, 'true'],
    ['delete', '--force', site.id],
  ]) {
    expect(site.call(command).exitCode).toBe(0)
    seen.push(...abstractSockets())
  }
  expect(seen).toEqual([])
})

test('with the processes of the host in sight a container cannot look into them, nor into coffer (S106)', async () => {
  using site = makeSite()
  const look = (pid: number): string =>
    `(cat /proc/${pid}/environ; readlink /proc/${pid}/fd/*; head -c1 /proc/${pid}/mem) 2>/dev/null | grep -c .`
  const victim = Bun.spawn(['sleep', '1000'], { env: { SECRET: 'of the host' } })
  const namespaces = { 'linux.namespaces': ['mount', 'ipc', 'uts'].map((type) => ({ type })) }
  const mounts = { mounts: [{ destination: '/proc', type: 'none', source: '/proc', options: ['rbind'] }] }
  const shared = { ...namespaces, ...mounts, 'linux.maskedPaths': [], 'linux.readonlyPaths': [] }
  try {
    site.configure({
      ...shared,
      ...capabilities('CAP_KILL'),
      'process.args': ['sh', '-c', `${look(victim.pid)}; sleep 1000`],
    })
    const front = site.spawn(['run', site.id])
    until('the container', () => site.call(['state', site.id]).stdout.includes('"running"'))
    const seen = site.exec(`${look(victim.pid)}; ${look(front.pid)}; exit 0`)
    expect(seen.stdout).toBe('0\n0\n')
    site.call(['delete', '--force', site.id])
    await front.exited
    // With the privilege to trace it can: the environment, at least.
    const tracer = capabilities('CAP_SYS_PTRACE')
    expect(site.inside(`${look(victim.pid)}; exit 0`, { ...shared, ...tracer })).not.toBe('0\n')
  } finally {
    victim.kill('SIGKILL')
  }
})

test('devices that show or change the machine are not there, and the log of the kernel is not told (S108)', () => {
  using site = makeSite()
  installInside(site)
  const names = 'kmsg mem port fuse kvm vsock net/tun loop0 sda vda'
  const script = `for d in ${names}; do [ -e /dev/$d ] && echo $d; done; dmesg >/dev/null 2>&1 && echo log; exit 0`
  expect(site.inside(script)).toBe('')
  const kmsg = [{ path: '/dev/kmsg', type: 'c', major: 1, minor: 11 }]
  expect(site.inside(script, { 'linux.devices': kmsg, ...capabilities('CAP_SYSLOG') })).toBe('kmsg\nlog\n')
})

test('all that a container has started ends with it, though it shares the pid namespace of the host (S118)', () => {
  using site = makeSite()
  const storm =
    'i=0; while [ $i -lt 20 ]; do setsid sh -c "trap : TERM HUP INT; sleep 1000 & wait" & i=$((i+1)); done; sleep 1000'
  site.up({
    hostname: undefined,
    'linux.namespaces': [{ type: 'mount' }],
    'linux.resources.pids': { limit: 60 },
    mounts: [],
    'linux.maskedPaths': [],
    'linux.readonlyPaths': [],
    'process.args': ['sh', '-c', storm],
  })
  until('the storm', () => processesOf(site.id).length > 20)
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(processesOf(site.id)).toEqual([])
})

const VETH = [
  'unshare',
  '-n',
  'sh',
  '-c',
  'ip link add one type veth peer name two; echo 0 >/proc/sys/net/ipv4/ip_forward; exec "$@"',
  'sh',
]

test('a network of its own has lo and nothing else (S237)', () => {
  using site = makeSite()
  const script = 'tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d " "; tail -n +2 /proc/net/route'
  expect(seenBy(site, script, VETH, keep)).toBe('lo\n')
  expect(seenBy(site, script, VETH, withoutNamespace('network'))).toContain('one')
})

test('a container in the network of others changes nothing in it without CAP_NET_ADMIN (S248)', () => {
  using site = makeSite()
  const changes: Changes = { 'linux.namespaces': ['mount', 'pid', 'ipc', 'uts'].map((type) => ({ type })) }
  const script =
    'ip link set one up 2>/dev/null; cat /sys/class/net/one/flags; (echo 1 >/proc/sys/net/ipv4/ip_forward) 2>/dev/null; cat /proc/sys/net/ipv4/ip_forward'
  const sysfs = {
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['ro'] },
    ],
  }
  expect(seenBy(site, script, VETH, keep, { ...changes, ...sysfs })).toBe('0x1002\n0\n')
  expect(seenBy(site, script, VETH, keep, { ...changes, ...sysfs, ...capabilities('CAP_NET_ADMIN') })).toBe(
    '0x1003\n0\n',
  )
  const { exitCode, stderr } = site.run({ ...changes, 'linux.sysctl': { 'net.ipv4.ip_forward': '1' } })
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('net.ipv4.ip_forward')])
})

/** What an attacker does who has a descriptor of a program: waits until it has ended, and writes then. CVE-2019-5736 */
const OVERWRITE = `
hold() {
  while [ -e $1 ]; do :; done
  (echo overwritten >>/proc/self/fd/9) && : >>/tmp/written
}
while :; do for p in /proc/[0-9]*; do
  case $(readlink $p/exe) in ""|*/busybox|/bin/sh) ;; *) : >>/tmp/met; hold $p 9<$p/exe;; esac
done; done 2>/dev/null`

test('a program of the host that was in a container cannot be overwritten behind its end (S1)', () => {
  using site = makeSite()
  const attack = {
    ...capabilities('CAP_SYS_PTRACE', 'CAP_DAC_OVERRIDE'),
    'process.args': ['sh', '-c', OVERWRITE],
    'root.readonly': false,
  }
  const pid = site.up(attack)
  const programs = ['coffer-runc', 'coffer', 'coffer-executor'].map((name) => join(import.meta.dir, '../../dist', name))
  const digests = (): readonly string[] =>
    programs.map((path) => new Bun.CryptoHasher('sha256').update(readFileSync(path)).digest('hex'))
  const before = digests()
  const note = (name: string): string => join(site.rootfs, 'tmp', name)
  for (let round = 0; round < 100; round++) site.call(['exec', site.id, '/proc/self/exe'])
  expect([digests(), existsSync(note('written'))]).toEqual([before, false])
  // A program that comes into the container from its file is lost.
  expect(existsSync(note('met'))).toBe(true)
  const twin = join(site.directory, 'twin')
  const enter = join(site.directory, 'enter')
  Bun.spawnSync(['cp', insideProgram(), twin])
  // What enters is there for a moment as well, so it is a copy.
  Bun.spawnSync(['cp', Bun.which('nsenter') ?? '', enter])
  until('the twin to be overwritten', () => {
    Bun.spawnSync([enter, '--target', `${pid}`, '--pid', twin, 'sleep'])
    return readFileSync(twin, 'latin1').endsWith('overwritten\n')
  })
})
