/**
 * Paths of a hostile image, or of a volume that others change, never lead out of the container: nothing of the host is mounted over, made,
 * written or read. Each trap is first shown to be one for who follows it.
 */

import { afterEach, expect, test } from 'bun:test'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { bind } from './bundle.ts'
import { canaryOf, traps } from './canary.ts'
import { swapper } from './programs.ts'
import { expectNothingLeft, makeSite } from './site.ts'

afterEach(expectNothingLeft)

const proc = { destination: '/proc', type: 'proc', source: 'proc' }
const tmpfs = (destination: string): object => ({ destination, type: 'tmpfs', source: 'tmpfs' })

test('a mount on a link of the image goes to what it names inside, and nothing happens on the host (S18)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const links = traps(site, canary.path)
  const volume = join(site.directory, 'volume')
  mkdirSync(volume)
  writeFileSync(join(volume, 'of-the-volume'), '')
  mkdirSync(join(site.rootfs, canary.path), { recursive: true })
  for (const [name, link] of Object.entries(links)) {
    for (const mount of [
      bind(volume, link),
      { ...tmpfs(link) },
      bind(volume, `${link}/new/dir`),
      bind(join(canary.path, 'file'), `${link}/new/file`),
    ]) {
      const script = `cut -d" " -f5 /proc/self/mountinfo | grep canary; touch ${link}/written 2>/dev/null; exit 0`
      const { exitCode, stdout, stderr } = site.run({
        'root.readonly': false,
        '+mounts': [mount],
        'process.args': ['sh', '-c', script],
      })
      expect([name, exitCode, stderr]).toEqual([name, 0, ''])
      expect(stdout).toStartWith(canary.path)
      expect(canary.state()).toBe(before)
    }
  }
  expect(readdirSync(join(site.rootfs, canary.path)).sort()).toEqual(['new', 'written'])
})

test('a file that a link of the image names and that is missing is made inside, and mounted on (S18)', () => {
  using site = makeSite()
  const absent = join(site.directory, 'absent')
  const source = join(site.directory, 'source')
  writeFileSync(source, 'mounted')
  const links = {
    absolute: absent,
    relative: '../run/made/by/it',
    up: `${'../'.repeat(20)}${absent.slice(1)}`,
    chained: 'absolute',
  }
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(site.rootfs, 'etc', name))
  symlinkSync('/etc/loop', join(site.rootfs, 'etc', 'loop'))
  symlinkSync('/proc/self/made', join(site.rootfs, 'etc', 'kernel'))
  const run = (path: string) =>
    site.run({ 'root.readonly': false, '+mounts': [bind(source, path)], 'process.args': ['cat', path] })
  for (const name of Object.keys(links)) {
    const { exitCode, stdout, stderr } = run(`/etc/${name}`)
    expect([name, exitCode, stdout, stderr, existsSync(absent)]).toEqual([name, 0, 'mounted', '', false])
  }
  for (const name of ['loop', 'kernel']) expect([name, run(`/etc/${name}`).exitCode]).toEqual([name, 1])
})

test('a mount behind a dangling link is refused, and nothing is made where it leads (S18)', () => {
  using site = makeSite()
  const absent = join(site.directory, 'absent')
  symlinkSync(absent, join(site.rootfs, 'dangling'))
  symlinkSync('/loop', join(site.rootfs, 'loop'))
  for (const destination of ['/dangling', '/dangling/below', '/loop', '/loop/below', '/etc/passwd/below']) {
    const { exitCode } = site.run({ 'root.readonly': false, '+mounts': [tmpfs(destination)], 'process.args': ['true'] })
    expect([destination, exitCode]).toEqual([destination, 1])
    expect(existsSync(absent)).toBe(false)
  }
})

test('a destination with .. in it stays inside (S18)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const up = '/..'.repeat(20)
  const seen = site.inside('cut -d" " -f5 /proc/self/mountinfo | grep canary', {
    'root.readonly': false,
    '+mounts': [tmpfs(`/mnt${up}${canary.path}`)],
  })
  expect([seen, canary.state()]).toEqual([`${canary.path}\n`, before])
})

test('/proc and /sys of an image that are links or full directories do not fool anyone (S19)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const proc = join(site.rootfs, 'proc')
  const sys = join(site.rootfs, 'sys')
  mkdirSync(join(site.rootfs, 'tmp', 'p', 'self', 'attr'), { recursive: true })
  mkdirSync(join(site.rootfs, 'tmp', 'p', 'sys', 'kernel'), { recursive: true })
  for (const target of ['/tmp/p', 'tmp/p', canary.path, '..', '/', 'proc2']) {
    for (const trap of [proc, sys]) {
      rmSync(trap, { recursive: true })
      symlinkSync(target, trap)
      const script = 'stat -f -c %T /proc /sys; [ -L /proc ] && echo link'
      const { exitCode, stdout } = site.run({ 'root.readonly': false, 'process.args': ['sh', '-c', script] })
      if (exitCode === 0) expect([trap, target, stdout]).toEqual([trap, target, 'proc\nsysfs\n'])
      expect(canary.state()).toBe(before)
      rmSync(trap)
      mkdirSync(trap)
    }
  }
  // What is in a real directory is covered.
  mkdirSync(join(proc, 'self', 'attr'), { recursive: true })
  writeFileSync(join(proc, 'self', 'attr', 'exec'), 'fake')
  const { exitCode, stdout } = site.run({
    'process.args': ['sh', '-c', 'stat -f -c %T /proc; cat /proc/self/attr/exec'],
  })
  expect([exitCode === 0 || exitCode === 1, stdout.includes('fake')]).toEqual([true, false])
  expect(stdout).toStartWith('proc\n')
})

test('nothing but procfs goes on /proc, and into it only files that runc allows (S20)', () => {
  using site = makeSite()
  const volume = join(site.directory, 'volume')
  mkdirSync(join(volume, 'self'), { recursive: true })
  const file = join(volume, 'file')
  writeFileSync(file, 'of the volume')
  for (const mount of [
    bind(volume, '/proc'),
    tmpfs('/proc'),
    bind(volume, '/proc/self'),
    bind(file, '/proc/self/attr/exec'),
    bind(file, '/proc/1/environ'),
    bind(file, '/proc/sys/kernel/hostname'),
    bind(volume, '/proc/sys'),
    tmpfs('/proc/sys'),
    tmpfs('/proc/bus/../sys'),
    bind(file, '//proc//./cpuinfo/../version'),
    bind(file, '/mnt/../proc/version'),
  ]) {
    const { exitCode, stderr } = site.run({ '+mounts': [mount], 'process.args': ['true'] })
    expect([mount, exitCode, stderr.includes('proc')]).toEqual([mount, 1, true])
  }
  const allowed = ['cpuinfo', 'diskstats', 'meminfo', 'stat', 'swaps', 'uptime', 'loadavg'].map(
    (name) => `/proc/${name}`,
  )
  const seen = site.inside(`cat ${allowed.join(' ')}`, { '+mounts': allowed.map((path) => bind(file, path)) })
  expect(seen).toBe('of the volume'.repeat(allowed.length))
})

test('a link of the image into /proc does not let a mount in (S20)', () => {
  using site = makeSite()
  const file = join(site.directory, 'file')
  writeFileSync(file, 'of the volume')
  symlinkSync('/proc/sys/kernel/hostname', join(site.rootfs, 'to-file'))
  symlinkSync('/proc', join(site.rootfs, 'to-proc'))
  symlinkSync('/proc/self', join(site.rootfs, 'to-self'))
  for (const mount of [
    bind(file, '/to-file'),
    tmpfs('/to-proc'),
    tmpfs('/to-proc/sys'),
    tmpfs('/to-self/attr'),
    bind(file, '/to-proc/version'),
  ]) {
    const { exitCode } = site.run({ '+mounts': [mount], 'process.args': ['true'] })
    expect([mount, exitCode]).toEqual([mount, 1])
  }
})

const withoutDev = { mounts: [proc], 'root.readonly': false }

test('a /dev of the image that is a link has no device or link made anywhere else (S22)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const dev = join(site.rootfs, 'dev')
  const up = '../'.repeat(20)
  for (const target of [canary.path, `${up}${canary.path.slice(1)}`, '/proc/self/cwd', '/proc/self/root/tmp']) {
    rmSync(dev, { recursive: true })
    symlinkSync(target, dev)
    if (target.includes('canary')) expect(realpathSync(dev)).toBe(canary.path)
    for (const terminal of [false, true])
      site.run({ ...withoutDev, 'process.terminal': terminal, 'process.args': ['true'] })
    expect(canary.state()).toBe(before)
    rmSync(dev)
    mkdirSync(dev)
  }
  expect(readdirSync(join(site.rootfs, 'tmp'))).toEqual([])
})

test('links in /dev of the image are not written through (S22)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  for (const name of ['null', 'zero', 'ptmx', 'fd', 'stdin', 'console', 'core', 'pts', 'shm'])
    symlinkSync(join(canary.path, 'inner', name), join(site.rootfs, 'dev', name))
  site.run({ ...withoutDev, 'process.args': ['true'] })
  site.run({ ...withoutDev, 'process.terminal': true, 'process.args': ['true'] })
  expect(canary.state()).toBe(before)
})

const hidden = '/proc/sys/kernel/core_pattern'

test('a /dev/null of the image or of a volume does not take part in masking (S24)', () => {
  using site = makeSite()
  const pattern = readFileSync(hidden, 'utf8')
  const fakes: readonly ((path: string) => void)[] = [
    (path) => symlinkSync(hidden, path),
    (path) => writeFileSync(path, 'fake'),
    (path) => Bun.spawnSync(['mknod', path, 'c', '1', '5']),
    (path) => mkdirSync(path),
  ]
  const masked = ['/proc/keys', '/proc/timer_list', '/etc/passwd']
  const script = `for p in ${masked.join(' ')}; do stat -c %t:%T $p; (echo core >$p) 2>/dev/null; cat $p; done; exit 0`
  for (const [index, fake] of fakes.entries()) {
    const volume = join(site.directory, `dev${index}`)
    mkdirSync(volume)
    fake(join(volume, 'null'))
    rmSync(join(site.rootfs, 'dev'), { recursive: true })
    mkdirSync(join(site.rootfs, 'dev'))
    fake(join(site.rootfs, 'dev', 'null'))
    const late = { destination: '/dev/null', type: 'bind', source: join(volume, 'null'), options: ['bind'] }
    for (const mounts of [[proc], [proc, bind(volume, '/dev')], [proc, { ...tmpfs('/dev') }, late]]) {
      const { exitCode, stdout } = site.run({
        mounts,
        'root.readonly': false,
        'linux.maskedPaths': masked,
        'process.args': ['sh', '-c', script],
      })
      if (exitCode === 0) expect([index, stdout]).toEqual([index, '1:3\n1:3\n1:3\n'])
      expect(readFileSync(hidden, 'utf8')).toBe(pattern)
    }
  }
})

test('a masked or read-only path behind a link of the image covers nothing of the host (S24, S45)', () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const links = Object.values(traps(site, canary.path))
  const { exitCode } = site.run({
    'linux.maskedPaths': links.map((link) => `${link}/file`),
    'linux.readonlyPaths': links,
    'process.args': ['true'],
  })
  expect([0, 1]).toContain(exitCode ?? -1)
  expect([canary.state(), readFileSync(join(canary.path, 'file'), 'utf8')]).toEqual([before, 'of the host'])
})

test('what is mounted over files of /proc before does not get what is written to the real ones (S45)', () => {
  using site = makeSite()
  const rootProc = join(site.rootfs, 'proc')
  mkdirSync(join(rootProc, 'self', 'attr'), { recursive: true })
  mkdirSync(join(rootProc, 'sys', 'net', 'core'), { recursive: true })
  for (const name of ['self/oom_score_adj', 'self/attr/exec', 'sys/net/core/somaxconn', 'self/setgroups'])
    writeFileSync(join(rootProc, name), '')
  const { stdout } = site.run({
    mounts: [],
    'root.readonly': false,
    'linux.maskedPaths': [],
    'linux.readonlyPaths': [],
    'process.oomScoreAdj': 99,
    'linux.sysctl': { 'net.core.somaxconn': '55' },
    'process.args': ['sh', '-c', 'cat /proc/self/oom_score_adj /proc/sys/net/core/somaxconn; ls /proc'],
  })
  expect(stdout).toBe('self\nsys\n')
  for (const name of ['self/oom_score_adj', 'self/attr/exec', 'sys/net/core/somaxconn'])
    expect(readFileSync(join(rootProc, name), 'utf8')).toBe('')
})

test('a source that is a link is the file that it names when the container starts', () => {
  using site = makeSite()
  const volume = join(site.directory, 'volume')
  mkdirSync(volume)
  writeFileSync(join(volume, 'file'), 'x')
  symlinkSync(volume, join(site.directory, 'to-volume'))
  expect(site.inside('cat /mnt/file', { '+mounts': [bind(join(site.directory, 'to-volume'), '/mnt')] })).toBe('x')
})

const inodes = (path: string): number => Number(Bun.spawnSync(['sh', '-c', `find ${path} | wc -l`]).stdout.toString())

test('who changes a shared volume while a container starts never gets a mount or a file on the host (S17, S33)', async () => {
  using site = makeSite()
  const canary = canaryOf(site)
  const before = canary.state()
  const volume = join(site.directory, 'volume')
  mkdirSync(join(volume, 'a'), { recursive: true })
  symlinkSync(`${'../'.repeat(20)}${canary.path.slice(1)}`, join(volume, 'b'))
  mkdirSync(join(site.rootfs, canary.path), { recursive: true })
  const swapping = Bun.spawn([swapper(), 'a', 'b'], { cwd: volume, stderr: 'ignore' })
  const mounts = [bind(volume, '/mnt'), tmpfs('/mnt/a/made/deep'), bind(join(canary.path, 'file'), '/mnt/b/file2')]
  const won = { inVolume: 0, inRoot: 0, refused: 0 }
  for (let round = 0; round < 60; round++) {
    const { exitCode, stdout } = site.run({
      'root.readonly': false,
      '+mounts': mounts,
      'process.args': ['sh', '-c', 'cut -d" " -f5 /proc/self/mountinfo | grep -E "made|file2"'],
    })
    if (exitCode !== 0) won.refused++
    else if (stdout.includes(`${canary.path}/made`)) won.inRoot++
    else won.inVolume++
  }
  swapping.kill('SIGKILL')
  await swapping.exited
  expect(canary.state()).toBe(before)
  expect(inodes(canary.path)).toBe(6)
  // Otherwise nobody changed anything in time, and the test has shown nothing.
  expect([won, [won.inVolume, won.inRoot, won.refused].filter((count) => count > 0).length >= 2]).toEqual([won, true])
})

test('a root that is itself a link is the directory that it names', () => {
  using site = makeSite()
  symlinkSync('rootfs', join(site.bundle, 'link'))
  expect(site.inside('ls /bin/busybox', { 'root.path': 'link' })).toBe('/bin/busybox\n')
  expect(statSync(site.rootfs).isDirectory()).toBe(true)
})
