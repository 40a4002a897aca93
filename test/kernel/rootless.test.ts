import { afterAll, expect, test } from 'bun:test'
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { defaultSpec } from '../../src/oci/spec.ts'
import { asSomeone, asSomeoneWithRanges, FIRST_SUBID, SOMEONE } from '../someone.ts'
import {
  COFFER,
  COFFER_RUNC,
  inScript,
  type Live,
  type Outcome,
  place,
  sh,
  spawn,
  USUAL,
  type Wanted,
} from './namespace-bundle.ts'

const site = place()
afterAll(() => {
  // It removes what cleaners are still at.
  coffer(['ps', '--all', '--quiet'])
  site[Symbol.dispose]()
})

const ID = SOMEONE
const USER = asSomeone
const NEW = `user ${USUAL}`
const mapped = (...ranges: readonly object[]): object => ({ uidMappings: ranges, gidMappings: ranges })
const SINGLE = mapped({ containerID: 0, hostID: ID, size: 1 })
const RANGES = mapped({ containerID: 0, hostID: ID, size: 1 }, { containerID: 1, hostID: FIRST_SUBID, size: 65_536 })

const RANGED = asSomeoneWithRanges(site.directory)

const RUNTIME_DIRECTORY = join(site.directory, 'xdg')
mkdirSync(RUNTIME_DIRECTORY)
chmodSync(RUNTIME_DIRECTORY, 0o700)
chownSync(RUNTIME_DIRECTORY, ID, ID)
const DATA_DIRECTORY = join(site.directory, 'data')
mkdirSync(DATA_DIRECTORY)
chownSync(DATA_DIRECTORY, ID, ID)
const DIRECTORIES = [`XDG_RUNTIME_DIR=${RUNTIME_DIRECTORY}`, `XDG_DATA_HOME=${DATA_DIRECTORY}`]
const coffer = (args: readonly string[], as: readonly string[] = USER): Outcome =>
  spawn(['env', ...DIRECTORIES, ...as, COFFER, ...args])

const refused = (wanted: Wanted, as: readonly string[] = USER): string => {
  const { exitCode, stderr } = site.run(wanted, as)
  expect(exitCode).toBe(1)
  return stderr
}
const succeeds = (stdout: string): Outcome => ({ exitCode: 0, stdout, stderr: '' })

test('a user runs a container with one id, in all kinds of namespaces', () => {
  const script =
    'id -u; id -g; tr -s " " </proc/self/uid_map; cat /proc/self/setgroups; cat /proc/uptime | cut -d. -f1 | wc -c; hostname'
  const linux = { ...SINGLE, timeOffsets: { boottime: { secs: 1_000_000_000 } } }
  const outcome = site.run({ namespaces: `${NEW} time`, linux, script, config: { hostname: 'web' } }, USER)
  expect(outcome).toEqual(succeeds(`0\n0\n 0 ${ID} 1\ndeny\n11\nweb\n`))
})

test('a user with ranges in /etc/subuid has many ids in the container', () => {
  const script = 'id -u; id -G; tr -s " " </proc/self/uid_map; cat /proc/self/setgroups; touch /tmp/of-7'
  sh(`chmod 1777 ${site.rootfs}/tmp`)
  const user = { uid: 7, gid: 8, additionalGids: [9] }
  const outcome = site.run({ namespaces: `${NEW} time`, linux: RANGES, process: { user }, script }, RANGED)
  expect(outcome).toEqual(succeeds(`7\n8 9\n 0 ${ID} 1\n 1 500000 65536\nallow\n`))
  expect(sh(`stat -c '%u %g' ${site.rootfs}/tmp/of-7`).stdout).toBe('500006 500007\n')
})

test('without root no other program with privilege is run than newuidmap and newgidmap (S113)', () => {
  const log = join(site.directory, 'executed')
  const strace = ['strace', '-f', '-o', log, '-e', 'trace=execve,execveat']
  const executed = (linux: object, as: readonly string[]): readonly string[] => {
    expect(site.run({ namespaces: NEW, linux, script: 'exit 0' }, [...strace, ...as]).exitCode).toBe(0)
    const lines = readFileSync(log, 'utf8')
      .split('\n')
      .filter((line) => line.endsWith(' = 0'))
    const names = lines.map((line) => /exec\w+\((?:\d+, )?"([^"]*)"/.exec(line)?.[1]?.split('/').at(-1) ?? '?')
    return names.slice(names.indexOf('coffer-runc') + 1)
  }
  // The executor from its memory file, and the program.
  expect(executed(SINGLE, USER)).toEqual(['', 'sh'])
  expect(executed(RANGES, RANGED)).toEqual(['', 'newgidmap', 'newuidmap', 'sh'])
})

test('time offsets work with ranges, where the stage and init have different ids outside', () => {
  const linux = { ...RANGES, timeOffsets: { monotonic: { secs: 5 } } }
  const { stdout } = site.run(
    { namespaces: `${NEW} time`, linux, script: 'grep -c "monotonic *5 " /proc/self/timens_offsets' },
    RANGED,
  )
  expect(stdout).toBe('1\n')
})

test('what spec --rootless writes runs, and nothing in it can write to a cgroup of the host (S114)', () => {
  const spec = defaultSpec({ rootless: true, hostUid: ID, hostGid: ID, hasCgroupV2Only: false })
  const script = `
    mkdir /sys/fs/cgroup/mine 2>/dev/null && echo made
    for file in $(find /sys/fs/cgroup -type f); do echo >>$file && echo $file; done 2>/dev/null
    id -u; mount | grep -c "on / type"`
  const process = { ...spec.process, terminal: false, args: ['sh', '-c', script] }
  const config = { ...spec, process, root: { path: site.rootfs, readonly: true } }
  const { exitCode, stdout, stderr } = site.run({ namespaces: '', config }, USER)
  expect(stderr).toBe('')
  expect(exitCode).toBe(0)
  expect(stdout).toBe('0\n1\n')
})

test('limits that nobody can set for this user are refused by name', () => {
  const limited = (resources: object): string => refused({ namespaces: NEW, linux: { ...SINGLE, resources } })
  expect(limited({ memory: { limit: 1 << 25 } })).toContain('cannot apply linux.resources.memory.limit')
  expect(limited({ pids: { limit: 10 } })).toContain('cannot apply linux.resources.pids.limit')
  expect(limited({ cpu: { shares: 100 } })).toContain('cannot apply linux.resources.cpu.shares')
  expect(limited({ unified: { 'memory.max': '1' } })).toContain('cannot apply linux.resources.unified["memory.max"]')
  const { stderr } = site.run(
    { namespaces: NEW, linux: { ...SINGLE, resources: { devices: [{ allow: false, access: 'rwm' }] } } },
    USER,
  )
  expect(stderr).toBe('')
})

test('what a user may not do is refused with what to do about it', () => {
  expect(refused({ namespaces: USUAL })).toMatch(/clone3.* = EPERM\n.*add {"type": "user"}/)
  expect(refused({ namespaces: NEW, linux: RANGES })).toMatch(/newgidmap.* = EPERM\n.*usermod --add-subuids/)
  const others = mapped({ containerID: 0, hostID: 400_000, size: 10 })
  expect(refused({ namespaces: NEW, linux: others }, RANGED)).toMatch(/newgidmap.* = EPERM\n.*may only name ids/)
  expect(refused({ namespaces: NEW, linux: RANGES }, [...RANGED, 'setpriv', '--no-new-privs'])).toContain(
    'no_new_privs',
  )
  const groups = { user: { uid: 0, gid: 0, additionalGids: [0] } }
  expect(refused({ namespaces: NEW, linux: SINGLE, process: groups })).toContain('setgroups(2) is denied')
  expect(refused({ namespaces: 'user mount pid network=/proc/1/ns/net', linux: SINGLE })).toMatch(
    /openat\(\/proc\/1\/ns\/net\) = EACCES\n.*only who might trace/,
  )
  expect(refused({ namespaces: NEW, linux: { ...SINGLE, cgroupsPath: '/elsewhere' } })).toContain('EACCES')
})

const LINKS = 'for n in pid mnt ipc uts net cgroup user time; do readlink /proc/self/ns/$n; done'
const linksOf = ({ pid }: Live): string => sh(LINKS.replaceAll('self', `${pid}`)).stdout

test('a user adds processes to its containers, and lists, signals and removes what is in them', () => {
  for (const [linux, as] of [
    [SINGLE, USER],
    [RANGES, RANGED],
  ] as const) {
    using live = site.start({ namespaces: `${NEW} time`, linux }, as)
    expect(live.exec(`${LINKS}; id -u`)).toEqual(succeeds(`${linksOf(live)}0\n`))
    expect(site.quietly(['exec', '--detach', live.id, 'sleep', '601'], as).exitCode).toBe(0)
    expect(site.runc(['ps', live.id], as).stdout).toMatch(/sleep 600\n.*sleep 601\n$/)
    expect(site.runc(['kill', '--all', live.id, 'KILL'], as).exitCode).toBe(0)
    expect(site.runc(['delete', '--force', live.id], as)).toEqual(succeeds(''))
  }
})

test('a process of exec is the user that it is asked to be', () => {
  using live = site.start({ namespaces: NEW, linux: RANGES, process: { user: { uid: 3, gid: 4 } } }, RANGED)
  expect(live.exec('id -u; id -g; id -G')).toEqual(succeeds('3\n4\n4\n'))
  expect(live.exec('id -u; id -G', ['--user', '7:8', '--additional-gids', '9'])).toEqual(succeeds('7\n8 9\n'))
  expect(sh(`stat -c %u /proc/${live.pid}`).stdout).toBe('500002\n')
})

test('root adds processes to a container of a user', () => {
  using live = site.start({ namespaces: NEW, linux: SINGLE }, USER)
  const root = sh(
    `cat /proc/${live.pid}/status >/dev/null; dirname $(find ${site.directory}/run -name '${live.id}')`,
  ).stdout.trim()
  const { stdout, stderr } = spawn([
    'setpriv',
    '--groups',
    '20',
    COFFER_RUNC,
    '--root',
    root,
    'exec',
    live.id,
    'sh',
    '-c',
    'id -u; grep Groups: /proc/self/status | tr -d "\\t "',
  ])
  expect(stderr).toBe('')
  expect(stdout).toBe('0\nGroups:\n')
})

test('a container that waits for start can be entered only by who may trace its init', () => {
  const bundle = site.bundle({ namespaces: NEW, linux: SINGLE, process: { args: ['sleep', '600'] } })
  const id = `waits-${process.pid}`
  expect(site.quietly(['create', '--bundle', bundle, id], USER).exitCode).toBe(0)
  expect(site.runc(['exec', id, 'true'], USER).stderr).toContain('only one that is started')
  // Until it has become its program it cannot be entered, and start has not answered.
  const { pid } = JSON.parse(site.runc(['state', id], USER).stdout)
  process.kill(pid, 'SIGSTOP')
  Bun.spawn(['sh', '-c', `sleep 0.3; kill -CONT ${pid}`])
  expect(site.runc(['start', id], USER).exitCode).toBe(0)
  expect(site.runc(['exec', id, 'true'], USER).exitCode).toBe(0)
  expect(site.runc(['delete', '--force', id], USER).exitCode).toBe(0)
})

test('containers of a user share namespaces by sharing the user namespace that owns them', () => {
  using live = site.start({ namespaces: `${NEW} time`, linux: SINGLE }, USER)
  const file = (name: string): string => `/proc/${live.pid}/ns/${name}`
  const namespaces = `user=${file('user')} mount pid=${file('pid')} network=${file('net')} ipc=${file('ipc')} uts=${file('uts')} time=${file('time')}`
  const { stdout, stderr } = site.run({ namespaces, script: `cat /proc/1/comm; ${LINKS}` }, USER)
  expect(stderr).toBe('')
  const [comm, ...links] = stdout.trim().split('\n')
  const differing = linksOf(live)
    .trim()
    .split('\n')
    .filter((link) => !links.includes(link))
  expect(comm).toBe('sleep')
  expect(differing.map((link) => link.split(':')[0])).toEqual(['mnt', 'cgroup'])
  expect(refused({ namespaces: `user mount pid network=${file('net')}`, linux: SINGLE })).toMatch(
    /setns.* = EPERM\n.*join that one, too/,
  )
})

test('nobody of the same user outside can look into a process that is being made, which holds nothing of the host (S4, S9)', () => {
  const bundle = site.bundle({ namespaces: NEW, linux: SINGLE, process: { args: ['sleep', '600'] } })
  const id = `hidden-${process.pid}`
  expect(site.quietly(['create', '--bundle', bundle, id], USER).exitCode).toBe(0)
  const { pid } = JSON.parse(site.runc(['state', id], USER).stdout)
  expect(spawn([...USER, 'ls', `/proc/${pid}/fd`]).stderr).toContain('Permission denied')
  const open = readdirSync(`/proc/${pid}/fd`).filter((fd) => Number(fd) > 2)
  expect(
    open.map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`)).filter((path) => !path.endsWith('/exec.fifo')),
  ).toEqual([])
  expect(site.runc(['delete', '--force', id], USER).exitCode).toBe(0)
})

test('states are kept below XDG_RUNTIME_DIR, and the error says so where there is none', () => {
  const bundle = site.bundle({ namespaces: NEW, linux: SINGLE, script: 'echo ran' })
  const run = (directory: string): Outcome =>
    spawn(['env', `XDG_RUNTIME_DIR=${directory}`, ...USER, COFFER_RUNC, 'run', '--bundle', bundle, 'one'])
  expect(run(RUNTIME_DIRECTORY)).toEqual(succeeds('ran\n'))
  expect(readdirSync(RUNTIME_DIRECTORY)).toEqual(['coffer'])
  const absent = `/nowhere-${process.pid}`
  expect(run(absent).stderr).toContain(`mkdirat(${absent}/coffer) = ENOENT`)
  expect(run(absent).stderr).toMatch(/^hint: .*XDG_RUNTIME_DIR/m)
  expect(run('').stderr).toContain(`mkdirat(/run/user/${ID}/coffer)`)
})

test('coffer run gives a user a copy-on-write view of the machine, which is gone with the container', () => {
  const mark = `/usr/mark-${process.pid}`
  const script = `id -u; echo x >${mark} && cat ${mark}; echo y >>/etc/hostname-of-coffer; ls -di / /.. | cut -d' ' -f1 | uniq | wc -l; grep -c ' / / ' /proc/self/mountinfo; readlink /bin`
  expect(coffer(['run', '--rm', 'host', 'sh', '-c', script])).toEqual(succeeds('0\nx\n1\n1\nusr/bin\n'))
  expect(existsSync(mark)).toBe(false)
  expect(readdirSync(join(RUNTIME_DIRECTORY, 'coffer')).filter((name) => !name.startsWith('.'))).toEqual([])
  // The disk may take its time to give up its files. What another command finds of them, it removes.
  expect(coffer(['ps', '--all', '--quiet'])).toEqual(succeeds(''))
  expect(readdirSync(join(DATA_DIRECTORY, 'coffer', 'containers'))).toEqual([])
})

test('coffer run gives a user all the ids that it has', () => {
  const script = ['run', '--rm', '--rootfs', site.rootfs, 'sh', '-c', 'grep -c . /proc/self/uid_map']
  expect(coffer(script)).toEqual(succeeds('1\n'))
  expect(coffer(script, RANGED)).toEqual(succeeds('2\n'))
  expect(coffer(script, [...RANGED, 'setpriv', '--no-new-privs'])).toEqual(succeeds('1\n'))
  expect(coffer(['run', '--rm', 'host', 'su', '-s', '/bin/sh', '-c', 'id -u', 'nobody'], RANGED)).toEqual(
    succeeds('65534\n'),
  )
})

test('coffer run works for the root of an unprivileged user namespace', () => {
  for (const flags of [[], ['--mount']]) {
    const as = [...USER, 'unshare', '--user', '--map-root-user', ...flags]
    expect(coffer(['run', '--rm', 'host', 'sh', '-c', 'id -u; touch /usr/mine && echo kept'], as)).toEqual(
      succeeds('0\nkept\n'),
    )
  }
})

test('coffer run refuses limits that it cannot set for a user', () => {
  const { exitCode, stderr } = coffer(['run', '--rm', '--memory', '64m', 'host', 'true'])
  expect(exitCode).toBe(125)
  expect(stderr).toContain('cannot apply linux.resources.memory.limit')
})

test('a user gets a terminal', () => {
  const command = `${COFFER} run --rm -it --rootfs ${site.rootfs} sh -c 'tty; test -c /dev/console && echo console'`
  const printed = inScript(join(site.directory, 'silent'), command, ['env', ...DIRECTORIES, ...USER])
  expect(printed).toContain('/dev/pts/0\nconsole\n')
})
