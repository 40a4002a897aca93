/** checkpoint and restore, with the criu of Debian, which knows the kernel of the guest. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bind, type Changes } from '../kernel/bundle.ts'
import { until } from '../kernel/leaks.ts'
import { type CallOptions, expectNothingLeft, fileOf, makeSite, type Site } from '../kernel/site.ts'
import { host, limits, MIB, setting } from './guest.ts'

afterEach(expectNothingLeft)

/** Counts in a file of the image; `n` is nowhere but in memory. */
const COUNTER: Changes = {
  'root.readonly': false,
  'process.args': ['sh', '-c', 'n=0; while :; do n=$((n + 1)); echo $n >/count; sleep 0.05; done'],
}

const countOf = ({ rootfs }: Pick<Site, 'rootfs'>): number => {
  const path = join(rootfs, 'count')
  return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0
}

const untilCountIs = (site: Site, least: number): number =>
  until(`a count of ${least}`, () => {
    const count = countOf(site)
    return count >= least && count
  })

function succeed(site: Site, args: readonly string[], options: CallOptions = {}): string {
  const { exitCode, stdout, stderr } = site.call(args, options)
  if (exitCode !== 0) throw new Error(`${args.join(' ')}: ${stderr}`)
  return stdout
}

const images = (site: Site, name = 'images'): string => join(site.directory, name)

const checkpoint = (site: Site, ...flags: readonly string[]): string =>
  succeed(site, ['checkpoint', '--image-path', images(site), ...flags, site.id])

const restore = (site: Site, ...flags: readonly string[]): string =>
  succeed(site, ['restore', '--detach', '--image-path', images(site), ...flags, site.id])

test('a counter goes on where it was; until then nothing of it is on the machine, and afterwards it is like any other container', () => {
  using site = makeSite()
  site.up(COUNTER)
  untilCountIs(site, 5)
  checkpoint(site)
  const count = countOf(site)
  expect(site.leaks()).toEqual([])
  expect(site.call(['state', site.id]).stderr).toContain('does not exist')
  const pidFile = fileOf(site, 'pid')
  restore(site, '--pid-file', pidFile)
  const after = untilCountIs(site, count + 1)
  expect(after).toBeWithin(count + 1, count + 200)
  expect(site.state()).toMatchObject({ status: 'running', pid: Number(readFileSync(pidFile, 'utf8')) })
  expect(Number(site.exec('cat /count').stdout)).toBeGreaterThan(count)
  succeed(site, ['pause', site.id])
  expect(site.state().status).toBe('paused')
  succeed(site, ['resume', site.id])
  succeed(site, ['kill', site.id, 'KILL'])
  until('its end', () => site.state().status === 'stopped')
  succeed(site, ['delete', site.id])
  expect(site.leaks()).toEqual([])
})

test('with --leave-running it goes on, and the images are of the moment', () => {
  using site = makeSite()
  const pid = site.up(COUNTER)
  untilCountIs(site, 5)
  checkpoint(site, '--leave-running')
  const count = countOf(site)
  untilCountIs(site, count + 3)
  expect(site.state()).toMatchObject({ status: 'running', pid })
  succeed(site, ['delete', '--force', site.id])
  restore(site)
  expect(until('a count', () => countOf(site) < count + 3)).toBe(true)
})

/** What the kernel says of init, without what is new each time. */
const CONFINEMENT = `
grep -E 'Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp:|Cpus_allowed:' /proc/1/status
cat /proc/1/limits /proc/1/oom_score_adj /proc/1/uid_map
hostname
cut -d ' ' -f 4-6 /proc/1/mountinfo | grep -v '^/null' | sort
for path in /proc/kcore /proc/keys /etc/passwd /run/there; do head -c 9 $path 2>&1; echo; done
for path in /proc/sys/vm/swappiness /image /etc/passwd /run/there; do echo x 2>&1 >$path; done
id -u; mkdir /tmp/x`

test('what confines a container is the same after a restore', () => {
  using site = makeSite()
  const file = fileOf(site, 'file', 'ours')
  writeFileSync(join(site.rootfs, 'there'), '')
  site.up({
    'process.noNewPrivileges': true,
    'process.user.additionalGids': [7, 9],
    'process.oomScoreAdj': 200,
    'process.rlimits': [{ type: 'RLIMIT_NOFILE', hard: 512, soft: 500 }],
    'linux.seccomp': {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }],
    },
    ...limits({ memory: { limit: 64 * MIB }, pids: { limit: 50 } }),
    '+mounts': [bind(file, '/etc/passwd', 'ro'), bind(file, '/there', 'nosuid', 'ro')],
  })
  const script = CONFINEMENT.replaceAll('/run/there', '/there')
  const before = site.exec(script)
  expect(before.stdout).toContain('NoNewPrivs:\t1')
  expect(before.stdout).toContain('ours')
  checkpoint(site)
  restore(site)
  expect(site.exec(script)).toEqual(before)
  expect([setting(site, 'memory.max'), setting(site, 'pids.max')]).toEqual([`${64 * MIB}`, '50'])
  const keyrings = readFileSync('/proc/keys', 'utf8')
  expect(keyrings).toContain(`_ses.${site.id}`)
})

test('the foreground gets the exit status of what it restored, whose output goes to the new caller; the cgroup may be another one', async () => {
  using site = makeSite()
  site.up({
    'root.readonly': false,
    'process.args': ['sh', '-c', 'trap "echo caught; exit 9" HUP; >/ready; while :; do sleep 0.05; done'],
  })
  until('its trap', () => existsSync(join(site.rootfs, 'ready')))
  checkpoint(site)
  site.configure({ 'root.readonly': false, 'linux.cgroupsPath': `${site.cgroup}-other` })
  const pidFile = fileOf(site, 'pid')
  const running = site.spawn(['restore', '--image-path', images(site), '--pid-file', pidFile, site.id])
  const pid = until('init', () => existsSync(pidFile) && Number(readFileSync(pidFile, 'utf8')))
  expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toBe(`0::${site.cgroup}-other\n`)
  until('the trap to be hit', () => {
    running.kill('SIGHUP')
    return !existsSync(`/proc/${pid}/exe`)
  })
  const { exitCode, stdout } = await running.outcome()
  // Once for each signal that came before the shell had gone.
  expect([exitCode, stdout]).toEqual([9, expect.stringMatching(/^(caught\n)+$/)])
})

test('a container with users of its own comes back with them', () => {
  using site = makeSite()
  const ids = [{ containerID: 0, hostID: 100_000, size: 65_536 }]
  const quiet: CallOptions = { redirect: '>/dev/null 2>&1' }
  const changes = { '+linux.namespaces': [{ type: 'user' }], 'linux.uidMappings': ids, 'linux.gidMappings': ids }
  host(`chown -R 100000:100000 ${site.rootfs}`)
  site.up({ ...COUNTER, ...changes }, quiet)
  untilCountIs(site, 3)
  checkpoint(site)
  const count = countOf(site)
  succeed(site, ['restore', '--detach', '--image-path', images(site), site.id], quiet)
  untilCountIs(site, count + 2)
  expect(site.exec('cat /proc/1/uid_map').stdout.trim().split(/\s+/)).toEqual(['0', '100000', '65536'])
})

test('a network namespace that was joined is joined again', () => {
  using site = makeSite()
  const other = Bun.spawn(['unshare', '--net', 'sleep', '1000'])
  const namespace = `/proc/${other.pid}/ns/net`
  const own = readlinkSync('/proc/self/ns/net')
  until('a network namespace', () => readlinkSync(namespace) !== own)
  const joined = { type: 'network', path: namespace }
  site.up({ ...COUNTER, 'linux.namespaces': [...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })), joined] })
  checkpoint(site)
  restore(site)
  expect(readlinkSync(`/proc/${site.state().pid}/ns/net`)).toBe(readlinkSync(namespace))
  other.kill()
})

test('a pre-dump lets it run, and a dump after it writes only what has changed since', () => {
  using site = makeSite()
  const memory = 'x=$(head -c 4000000 /dev/zero | tr "\\0" a)'
  const script = `${memory}; n=0; while :; do n=$((n + 1)); echo $n >/count; sleep 0.05; done`
  site.up({ ...COUNTER, 'process.args': ['sh', '-c', script] })
  untilCountIs(site, 2)
  succeed(site, ['checkpoint', '--pre-dump', '--image-path', images(site, 'before'), site.id])
  expect(site.state().status).toBe('running')
  checkpoint(site, '--parent-path', '../before', '--work-path', images(site, 'work'))
  expect(existsSync(join(images(site, 'work'), 'dump.log'))).toBe(true)
  const bytes = (name: string): number => readFileSync(join(images(site, name), 'pages-1.img')).length
  expect(bytes('before')).toBeGreaterThan(4_000_000)
  expect(bytes('images')).toBeLessThan(1_000_000)
  const count = countOf(site)
  restore(site, '--work-path', images(site, 'other-work'))
  untilCountIs(site, count + 2)
})

test('a restore that fails names the reason and the log, and leaves nothing', () => {
  using site = makeSite()
  site.up(COUNTER)
  checkpoint(site)
  writeFileSync(join(images(site), 'core-1.img'), 'no image')
  const { exitCode, stderr } = site.call(['restore', '--detach', '--image-path', images(site), site.id])
  expect(exitCode).toBe(1)
  expect(stderr).toMatch(/^error: cannot restore .*: criu failed: .*core-1\.img/m)
  expect(stderr).toContain(`its log is ${images(site)}/restore.log`)
  expect(site.leaks()).toEqual([])
})

const NO_PATH = ['/usr/bin/env', 'PATH=/nowhere']

test('what cannot come back is refused, and the container runs on', () => {
  using site = makeSite()
  const pid = site.up({ 'hooks.prestart': [{ path: '/bin/true' }] })
  const refused = site.call(['checkpoint', '--image-path', images(site), site.id])
  expect(refused.exitCode).toBe(1)
  expect(refused.stderr).toContain('hooks.prestart')
  expect(site.state()).toMatchObject({ status: 'running', pid })
  // There is no criu where nothing is.
  site.configure()
  const absent = site.call(['restore', '--image-path', images(site), `${site.id}-2`], { through: NO_PATH })
  expect(absent.stderr).toContain('apt-get install criu')
})
