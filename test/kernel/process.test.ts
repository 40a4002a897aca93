/** The process of a container is what its configuration says, as it sees itself. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './leaks.ts'
import { readText } from './machine.ts'
import { installInside } from './programs.ts'
import { expectNothingLeft, makeSite } from './site.ts'

afterEach(expectNothingLeft)

const hostFile = (path: string): string => readFileSync(path, 'utf8').trim()

test('arguments arrive as they are, empty ones, dashes, line breaks and all', () => {
  using site = makeSite()
  const words = ['', 'a b', '-x', '--', '$HOME', "it's", 'two\nlines', 'Käse', '\\', '"']
  const { stdout } = site.run({ 'process.args': ['sh', '-c', 'cat /proc/1/cmdline; true', ...words] })
  expect(stdout.split('\0').slice(3, -1)).toEqual(words)
})

test('the environment is that of the configuration alone, of a name that comes twice the last value (S12)', () => {
  using site = makeSite()
  const env = ['PATH=/bin', 'A=1', 'EMPTY=', 'A=2', 'WITH=a=b c', 'HOME=/x']
  const caller = {
    CANARY_ENV: 'secret',
    NODE_OPTIONS: '--x',
    LD_PRELOAD: '',
    http_proxy: 'secret',
    XDG_RUNTIME_DIR: '/x',
  }
  const { stdout } = site.run({ 'process.env': env, 'process.args': ['cat', '/proc/self/environ'] }, { env: caller })
  expect(stdout.split('\0').slice(0, -1).sort()).toEqual(['A=2', 'EMPTY=', 'HOME=/x', 'PATH=/bin', 'WITH=a=b c'])
})

test('environment entries without a name or without = are refused, not filled in from the caller (S12)', () => {
  using site = makeSite()
  for (const entry of ['FOO', '*', 'CANARY*', '', '=x']) {
    const { exitCode, stderr } = site.run({ 'process.env': ['PATH=/bin', entry] }, { env: { FOO: 'secret' } })
    expect([entry, exitCode, stderr.includes('process.env[1]')]).toEqual([entry, 1, true])
  }
})

test('HOME is that of the passwd file of the container for the user', () => {
  using site = makeSite()
  expect(site.inside('echo $HOME')).toBe('/root\n')
  expect(site.inside('echo $HOME', { 'process.user': { uid: 1000, gid: 1000 } })).toBe('/home/user\n')
  // What runc and crun say of a user whom nobody knows.
  expect(site.inside('echo $HOME', { 'process.user': { uid: 4242, gid: 0 } })).toBe('/\n')
})

test('a passwd file that is no file, or has no end, neither blocks nor fills memory (S37)', () => {
  using site = makeSite()
  const passwd = join(site.rootfs, 'etc', 'passwd')
  const makers = [
    `mkfifo ${passwd}`,
    `mknod ${passwd} c 1 5`,
    `ln -s /proc/kcore ${passwd}`,
    `mkdir ${passwd}`,
    `truncate -s 8G ${passwd}`,
    `true`,
  ]
  for (const maker of makers) {
    Bun.spawnSync(['sh', '-c', `rm -rf ${passwd} && ${maker}`])
    // Whoever blocks, or reads 8 GiB, meets the time-out of the test.
    const { exitCode } = site.run({ 'process.user': { uid: 1000, gid: 1000 }, 'process.args': ['true'] })
    expect([maker, [0, 1].includes(exitCode ?? -1)]).toEqual([maker, true])
  }
})

test('the working directory is as it was asked for, and made with mode 755 if it is missing', () => {
  using site = makeSite()
  const writable = { 'root.readonly': false }
  expect(site.inside('pwd', { 'process.cwd': '/etc' })).toBe('/etc\n')
  expect(site.inside('pwd; stat -c %a:%u . ..', { ...writable, 'process.cwd': '/new/er' })).toBe(
    '/new/er\n755:0\n755:0\n',
  )
  symlinkSync('/etc', join(site.rootfs, 'link'))
  expect(site.inside('pwd -P', { 'process.cwd': '/link' })).toBe('/etc\n')
})

test('a working directory that is a file, or behind one, is an error', () => {
  using site = makeSite()
  for (const cwd of ['/etc/passwd', '/etc/passwd/x']) {
    const { exitCode, stderr } = site.run({ 'process.cwd': cwd, 'root.readonly': false })
    expect([cwd, exitCode, stderr.includes('ENOTDIR')]).toEqual([cwd, 1, true])
  }
})

test('no working directory leads out of the container through descriptors of the runtime (S6)', () => {
  using site = makeSite()
  const canary = join(site.directory, 'canary')
  writeFileSync(canary, 'of the host')
  const probe = `pwd -P; cat ../..${canary} ../../..${canary} ./..${canary} 2>/dev/null; exit 0`
  const tries: string[] = []
  for (let fd = 0; fd < 20; fd++) tries.push(`/proc/self/fd/${fd}`, `/proc/thread-self/fd/${fd}`)
  tries.push(
    '/proc/1/cwd',
    '/proc/self/root',
    '/proc/self/root/..',
    '/proc/self/cwd',
    '/dev/fd/7',
    '/proc/self/fd/7/..',
  )
  const redirect = '5</ 6</etc 7</ 8<.'
  for (const cwd of tries) {
    const { exitCode, stdout } = site.run({ 'process.cwd': cwd, 'process.args': ['sh', '-c', probe] }, { redirect })
    if (exitCode === 0) expect([cwd, stdout]).toEqual([cwd, expect.stringMatching(/^\/[^(]*\n$/)])
    expect(stdout).not.toContain('of the host')
  }
  for (const fd of [0, 1, 3, 5, 6, 7, 8, 9, 10, 11, 12]) {
    const link = `work${fd}`
    symlinkSync(`/proc/self/fd/${fd}`, join(site.rootfs, link))
    const { exitCode, stdout } = site.run(
      { 'process.cwd': `/${link}`, 'process.args': ['sh', '-c', probe] },
      { redirect },
    )
    if (exitCode === 0) expect([link, stdout]).toEqual([link, expect.stringMatching(/^\/[^(]*\n$/)])
    expect(stdout).not.toContain('of the host')
  }
})

test('a working directory behind a link of the image is made inside, and the host keeps its files (S32)', () => {
  using site = makeSite()
  const canary = join(site.directory, 'canary')
  mkdirSync(canary)
  const relative = `../../../../../../..${canary}`
  mkdirSync(join(site.rootfs, canary), { recursive: true })
  for (const [index, target] of [canary, relative, '/nowhere/yet'].entries()) {
    symlinkSync(target, join(site.rootfs, `link${index}`))
    const { exitCode, stdout } = site.run({
      'root.readonly': false,
      'process.cwd': `/link${index}/made`,
      'process.args': ['pwd', '-P'],
    })
    if (exitCode === 0) expect(stdout).toBe(`${canary}/made\n`)
    else expect(target).toBe('/nowhere/yet')
  }
  expect(readdirSync(canary)).toEqual([])
  expect(readdirSync(join(site.rootfs, canary))).toEqual(['made'])
  expect(existsSync('/nowhere')).toBe(false)
})

test('user, group, additional groups and umask are those of the configuration, and none of the caller (S61)', () => {
  using site = makeSite()
  installInside(site)
  const script = 'id -u; id -g; inside groups; umask; grep -E "^(Uid|Gid)" /proc/self/status'
  // Of setpriv(1): groups of the caller that must not be seen inside.
  const through = ['setpriv', '--groups', '27,999']
  const seen = (user: object): string => site.inside(script, { 'process.user': user }, { through })
  expect(seen({ uid: 0, gid: 0 })).toBe('0\n0\n\n0022\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n')
  expect(seen({ uid: 1000, gid: 50, umask: 0o77, additionalGids: [10, 20] })).toBe(
    '1000\n50\n10 20 \n0077\nUid:\t1000\t1000\t1000\t1000\nGid:\t50\t50\t50\t50\n',
  )
})

test('ids that do not fit are refused, and never wrap around to root (S62)', () => {
  using site = makeSite()
  for (const uid of [4294967295, 4294967296, -1, 1.5, '0', 1e20, null]) {
    const { exitCode, stdout } = site.run({ 'process.user': { uid, gid: 0 }, 'process.args': ['id', '-u'] })
    if (uid === null) expect(stdout).toBe('0\n')
    else expect([uid, exitCode, stdout]).toEqual([uid, 1, ''])
  }
  expect(site.inside('id -u', { 'process.user': { uid: 4294967294, gid: 4294967294 } })).toBe('4294967294\n')
})

const LIMITS: readonly (readonly [type: string, shown: string, soft: number, hard: number])[] = [
  ['CPU', 'Max cpu time', 100, 200],
  ['FSIZE', 'Max file size', 10_000_000, 20_000_000],
  ['DATA', 'Max data size', 500_000_000, 600_000_000],
  ['STACK', 'Max stack size', 4_194_304, 8_388_608],
  ['CORE', 'Max core file size', 0, 4096],
  ['RSS', 'Max resident set', 1_000_000_000, 2_000_000_000],
  ['NPROC', 'Max processes', 300, 400],
  ['NOFILE', 'Max open files', 64, 128],
  ['MEMLOCK', 'Max locked memory', 4096, 8192],
  ['AS', 'Max address space', 1_000_000_000, 2_000_000_000],
  ['LOCKS', 'Max file locks', 10, 20],
  ['SIGPENDING', 'Max pending signals', 30, 40],
  ['MSGQUEUE', 'Max msgqueue size', 1000, 2000],
  ['NICE', 'Max nice priority', 0, 0],
  ['RTPRIO', 'Max realtime priority', 0, 0],
  ['RTTIME', 'Max realtime timeout', 1_000_000, 2_000_000],
]

test('all sixteen resource limits are in force, for init and for exec', () => {
  using site = makeSite()
  const rlimits = LIMITS.map(([type, , soft, hard]) => ({ type: `RLIMIT_${type}`, soft, hard }))
  const changes = { 'process.rlimits': rlimits }
  const expected = LIMITS.map(([, name, soft, hard]) => [name, `${soft}`, `${hard}`])
  const parsed = (text: string): unknown =>
    LIMITS.map(([, name]) => {
      const line = text.split('\n').find((one) => one.startsWith(name)) ?? ''
      return [name, ...line.slice(26).split(/ +/).slice(0, 2)]
    })
  expect(parsed(site.inside('cat /proc/self/limits', changes))).toEqual(expected)
  site.up(changes)
  expect(parsed(site.exec('cat /proc/self/limits').stdout)).toEqual(expected)
})

test('oom_score_adj is set, for init and for exec', () => {
  using site = makeSite()
  expect(site.inside('cat /proc/self/oom_score_adj', { 'process.oomScoreAdj': 321 })).toBe('321\n')
  site.up({ 'process.oomScoreAdj': 123 })
  expect(site.exec('cat /proc/self/oom_score_adj').stdout).toBe('123\n')
})

test('the scheduler is the one that is asked for', () => {
  using site = makeSite()
  installInside(site)
  const seen = (scheduler: object): string => site.inside('inside scheduler', { 'process.scheduler': scheduler })
  expect(seen({ policy: 'SCHED_BATCH', nice: 7 })).toMatch(/^3 7 0 /)
  expect(seen({ policy: 'SCHED_OTHER', nice: -3 })).toMatch(/^0 -3 0 /)
  expect(seen({ policy: 'SCHED_IDLE' })).toMatch(/^5 0 0 /)
  expect(seen({ policy: 'SCHED_BATCH', nice: 1, flags: ['SCHED_FLAG_RESET_ON_FORK'] })).toMatch(/^[03] [01] 0 /)
})

test('the I/O priority is the one that is asked for', () => {
  using site = makeSite()
  installInside(site)
  const seen = (ioPriority: object): string => site.inside('inside ioprio', { 'process.ioPriority': ioPriority })
  expect(seen({ class: 'IOPRIO_CLASS_BE', priority: 6 })).toBe('2 6\n')
  expect(seen({ class: 'IOPRIO_CLASS_IDLE', priority: 0 })).toBe('3 0\n')
})

test('a 32-bit personality shows', () => {
  using site = makeSite()
  installInside(site)
  const changes = { 'linux.personality': { domain: 'LINUX32' } }
  expect(site.inside('inside personality', changes)).toBe('8\n')
  expect(site.inside('inside personality')).toBe('0\n')
})

test('kernel parameters of its namespaces are set, and those of the host stay', () => {
  using site = makeSite()
  const paths = ['kernel/shmmax', 'net/core/somaxconn', 'net/ipv4/ip_forward', 'kernel/msgmax'].map(
    (path) => `/proc/sys/${path}`,
  )
  const before = paths.map(hostFile)
  const sysctl = {
    'kernel.shmmax': '123456789',
    'net.core.somaxconn': '77',
    'net/ipv4/ip_forward': '1',
    'kernel.msgmax': '4321',
  }
  expect(site.inside(`cat ${paths.join(' ')}`, { 'linux.sysctl': sysctl })).toBe('123456789\n77\n1\n4321\n')
  expect(paths.map(hostFile)).toEqual(before)
})

test('kernel parameters of the host, and paths that lead to them, are refused (S46)', () => {
  using site = makeSite()
  const watched = ['kernel/core_pattern', 'vm/swappiness', 'kernel/hostname'].map((path) => `/proc/sys/${path}`)
  const before = watched.map(hostFile)
  for (const key of [
    'kernel.core_pattern',
    'vm.swappiness',
    'net/../kernel/core_pattern',
    'kernel.shmmax/../../kernel/core_pattern',
    'net..ipv4',
    'net.',
    '/proc/sys/kernel/core_pattern',
    '../sysrq-trigger',
    'fs.file-max',
    'kernel.hostname ',
    '',
  ]) {
    const { exitCode } = site.run({ 'linux.sysctl': { [key]: 'core' }, 'process.args': ['true'] })
    expect([key, exitCode]).toEqual([key, 1])
  }
  const shared = [{ type: 'mount' }, { type: 'pid' }, { type: 'uts' }, { type: 'ipc' }]
  const { exitCode, stderr } = site.run({
    'linux.namespaces': shared,
    'linux.sysctl': { 'net.ipv4.ip_forward': '1' },
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
  })
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining('network')])
  expect(watched.map(hostFile)).toEqual(before)
})

test('hostname and domainname are its own', () => {
  using site = makeSite()
  const before = [hostFile('/proc/sys/kernel/hostname'), hostFile('/proc/sys/kernel/domainname')]
  expect(site.inside('hostname; cat /proc/sys/kernel/domainname', { hostname: 'box', domainname: 'example.org' })).toBe(
    'box\nexample.org\n',
  )
  expect([hostFile('/proc/sys/kernel/hostname'), hostFile('/proc/sys/kernel/domainname')]).toEqual(before)
})

test('the session keyring is its own, and goes with the container (S81)', () => {
  using site = makeSite()
  installInside(site)
  expect(site.inside('inside keyring')).toEndWith(`;_ses.${site.id}\n`)
  until('the keyring to go', () => !(readText('/proc/keys') ?? '').includes(`_ses.${site.id}:`))
  site.configure({ 'process.args': ['inside', 'keyring'] })
  expect(site.call(['run', '--no-new-keyring', site.id]).stdout).not.toContain(site.id)
})

test('a process of exec has the keyring of its container', () => {
  using site = makeSite()
  installInside(site)
  site.up()
  expect(site.exec('inside keyring').stdout).toEndWith(`;_ses.${site.id}\n`)
})

test('init leads a session of its own, without a terminal (S96)', () => {
  using site = makeSite()
  installInside(site)
  expect(site.inside('inside tty')).toBe('session 1, no controlling terminal (6)\n')
})

test('no signal is blocked or ignored in the program, whatever its caller had done', () => {
  using site = makeSite()
  const script = 'grep -E "^Sig(Blk|Ign|Cgt)" /proc/1/status'
  const through = ['sh', '-c', 'trap "" HUP INT PIPE USR1; exec "$@"', 'sh']
  const seen = site.run({ 'process.args': ['cat', '/proc/self/status'] }, { through }).stdout
  expect(seen).toMatch(/^SigBlk:\t0+$/m)
  expect(seen).toMatch(/^SigIgn:\t0+$/m)
  site.up({}, { through })
  expect(site.exec(script).stdout).toMatch(/^SigBlk:\t0+\nSigIgn:\t0+\n/)
})

test('signals that the caller in the foreground gets go to the program', async () => {
  using site = makeSite()
  installInside(site)
  const fifo = join(site.rootfs, 'tmp', 'ready')
  Bun.spawnSync(['mkfifo', fifo])
  site.configure({ 'process.args': ['inside', 'ready', '/tmp/ready'] })
  const running = site.spawn(['run', site.id])
  expect(Bun.spawnSync(['cat', fifo], { timeout: 10_000 }).exitCode).toBe(0)
  const output = (): readonly string[] => readFileSync(site.output(), 'utf8').trim().split('\n')
  for (const [index, signal] of [1, 2, 3, 10, 12, 18, 28, 34, 15].entries()) {
    process.kill(running.pid, signal)
    until(`signal ${signal}`, () => output()[index] === `${signal}`)
  }
  expect((await running.outcome()).exitCode).toBe(0)
})

test('a signal that comes while the container is being made reaches the program', async () => {
  using site = makeSite()
  installInside(site)
  const fifo = join(site.directory, 'turn')
  Bun.spawnSync(['mkfifo', fifo])
  const wait = { path: '/bin/sh', args: ['sh', '-c', `echo >${fifo}; cat ${fifo}`] }
  // Without a pid namespace of its own, where the first process does not get signals that it does not handle.
  const namespaces = ['mount', 'ipc', 'uts', 'network'].map((type) => ({ type }))
  site.configure({ hooks: { prestart: [wait] }, 'linux.namespaces': namespaces })
  const running = site.spawn(['run', site.id])
  expect(Bun.spawnSync(['cat', fifo], { timeout: 10_000 }).exitCode).toBe(0)
  process.kill(running.pid, 'SIGTERM')
  writeFileSync(fifo, '')
  expect((await running.outcome()).exitCode).toBe(128 + 15)
})

test('a program without PATH is looked for nowhere, and one with a slash is not looked for', () => {
  using site = makeSite()
  expect(site.run({ 'process.env': [], 'process.args': ['true'] }).exitCode).toBe(1)
  expect(site.run({ 'process.env': [], 'process.args': ['/bin/true'] }).exitCode).toBe(0)
  expect(site.run({ 'process.cwd': '/bin', 'process.args': ['./true'] }).exitCode).toBe(0)
  const env = ['PATH=/nowhere::/etc:/bin']
  expect(site.run({ 'process.env': env, 'process.args': ['true'] }).exitCode).toBe(0)
})

test('a program that is a fifo, device, directory, dangling or circular link is refused, and not waited for (S11)', () => {
  using site = makeSite()
  const path = (name: string): string => join(site.rootfs, 'bin', name)
  Bun.spawnSync(['mkfifo', '-m', '755', path('a-fifo')])
  Bun.spawnSync(['mknod', '-m', '755', path('a-device'), 'c', '1', '5'])
  mkdirSync(path('a-directory'))
  symlinkSync('nothing', path('a-dangling-link'))
  symlinkSync('a-loop', path('a-loop'))
  writeFileSync(path('no-program'), 'neither ELF nor #!', { mode: 0o755 })
  writeFileSync(path('unreadable'), '#!/bin/sh\n', { mode: 0 })
  for (const name of ['a-fifo', 'a-device', 'a-directory', 'a-dangling-link', 'a-loop', 'no-program', 'unreadable']) {
    const { exitCode } = site.run({ 'process.args': [`/bin/${name}`] })
    expect([name, exitCode]).toEqual([name, 1])
  }
})
