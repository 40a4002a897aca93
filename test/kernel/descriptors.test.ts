/** No descriptor, binary or handle of the host gets into a container, from the first moment on. */

import { afterEach, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { chmodSync, readdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inject, pointsOf, sample } from '../crash/injection.ts'
import { bind } from './bundle.ts'
import { until } from './leaks.ts'
import { installInside } from './programs.ts'
import { expectNothingLeft, fileOf, makeSite, PROGRAMS, type Site } from './site.ts'

afterEach(expectNothingLeft)

/** What the caller has open without close-on-exec: directories, a secret, a device, a pipe. */
const MANY: string = Array.from({ length: 7 }, (_, index) => index + 3)
  .map((fd) => `${fd}<${['/', '/etc', '/etc/shadow', '/dev/zero', '/proc/self', '/sys/fs/cgroup', '/tmp'][fd - 3]}`)
  .join(' ')

/** Passes descriptors 3 to 64 on as well, which a shell cannot name. */
const THROUGH = [
  'python3',
  '-c',
  'import os,sys\nfor fd in range(10,65): os.dup2(3+fd%7,fd)\nos.execvp(sys.argv[1],sys.argv[1:])',
]

const descriptorsOf = (pid: number): ReadonlyMap<number, string> =>
  new Map(readdirSync(`/proc/${pid}/fd`).map((fd) => [Number(fd), readlinkSync(`/proc/${pid}/fd/${fd}`)]))

test('a program has descriptors 0, 1 and 2 and no other, whatever its caller had open (S4, S5, S13)', () => {
  using site = makeSite()
  installInside(site)
  expect(site.inside('inside fds', {}, { redirect: MANY, through: THROUGH })).toBe('0 1 2 \n')
  site.up({ 'process.args': ['sh', '-c', 'inside fds; exec sleep 1000'] }, { redirect: MANY })
  expect(site.exec('inside fds').stdout).toBe('0 1 2 \n')
  site.configure({ 'process.args': ['inside', 'fds'] })
  site.call(['delete', '--force', site.id])
  expect(site.call(['create', site.id], { redirect: MANY, through: THROUGH }).exitCode).toBe(0)
  const created = site.output()
  expect(site.call(['start', site.id], { redirect: MANY, through: THROUGH }).exitCode).toBe(0)
  until('its answer', () => readFileSync(created, 'utf8') === '0 1 2 \n')
  site.call(['delete', '--force', site.id])
})

test('a process of exec has only the descriptors that it is given (S4, S5)', () => {
  using site = makeSite()
  installInside(site)
  site.up()
  const exec = (...flags: readonly string[]): string =>
    site.call(['exec', ...flags, site.id, 'inside', 'fds'], { redirect: MANY, through: THROUGH }).stdout
  expect(exec()).toBe('0 1 2 \n')
  expect(exec('--user', '1000')).toBe('0 1 2 \n')
  expect(exec('--preserve-fds', '2')).toBe('0 1 2 3 4 \n')
})

test('a created container holds no directory and no file of the host while it waits (S4)', () => {
  using site = makeSite()
  site.configure()
  expect(site.call(['create', site.id], { redirect: MANY, through: THROUGH }).exitCode).toBe(0)
  const held = descriptorsOf(Number(site.state().pid))
  for (const [fd, target] of held)
    if (fd > 2) expect([fd, target]).toEqual([fd, expect.stringMatching(/^(pipe|socket|anon_inode):|\/exec\.fifo/)])
  expect(held.size).toBeLessThan(7)
})

test('the descriptors of --preserve-fds come behind those of LISTEN_FDS, and all are the right ones (S5)', () => {
  using site = makeSite()
  const files = ['a', 'b', 'c', 'd'].map((name) => fileOf(site, name, name))
  const redirect = files.map((path, index) => `${index + 3}<${path}`).join(' ')
  const script = 'cat <&3; cat <&4; (cat <&5) 2>/dev/null; echo ":$LISTEN_FDS:$LISTEN_PID"'
  const given = (flags: readonly string[], env: Record<string, string> = {}): string => {
    site.configure({ 'process.args': ['sh', '-c', script] })
    return site.call(['run', ...flags, site.id], { redirect, env }).stdout
  }
  expect(given(['--preserve-fds', '2'])).toBe('ab::\n')
  expect(given(['--preserve-fds', '1'], { LISTEN_FDS: '1', LISTEN_PID: '1' })).toBe('ab:1:1\n')
  expect(given([], { LISTEN_FDS: '3' })).toBe('abc:3:1\n')
})

test('more descriptors to preserve than are open is an error', () => {
  using site = makeSite()
  site.configure()
  const { exitCode } = site.call(['run', '--preserve-fds', '3', site.id], { redirect: '3</dev/null' })
  expect(exitCode).toBe(1)
})

test('hooks have the state as standard input, and no descriptor of the runtime (S4)', () => {
  using site = makeSite()
  installInside(site)
  const answer = fileOf(site, 'answer')
  const inside = join(site.rootfs, 'bin', 'inside')
  const script = `${inside} fds >>${answer}`
  const hook = { path: '/bin/sh', args: ['sh', '-c', script] }
  const within = { path: '/bin/sh', args: ['sh', '-c', 'inside fds >>/tmp/answer'] }
  site.run(
    {
      'process.args': ['true'],
      'root.readonly': false,
      hooks: {
        prestart: [hook],
        createRuntime: [hook],
        createContainer: [hook],
        startContainer: [within],
        poststart: [hook],
        poststop: [hook],
      },
    },
    { redirect: MANY, through: THROUGH },
  )
  expect(readFileSync(answer, 'utf8')).toBe('0 1 2 \n'.repeat(5))
  expect(readFileSync(join(site.rootfs, 'tmp', 'answer'), 'utf8')).toBe('0 1 2 \n')
})

const digest = (path: string): string => createHash('sha256').update(readFileSync(path)).digest('hex')

test('the program of the host cannot be written to through /proc/PID/exe by what runs inside (S1)', () => {
  using site = makeSite()
  const before = digest(PROGRAMS.coffer)
  const overwrite =
    'while :; do for p in /proc/[0-9]*/exe; do (: >>$p) 2>/dev/null && case $(readlink $p) in /bin/busybox) ;; *) readlink $p >>/tmp/written;; esac; done; done'
  site.up({ 'process.args': ['sh', '-c', overwrite], 'root.readonly': false })
  symlinkSync('/proc/self/exe', join(site.rootfs, 'bin', 'self'))
  writeFileSync(join(site.rootfs, 'bin', 'script'), '#!/proc/self/exe\n')
  chmodSync(join(site.rootfs, 'bin', 'script'), 0o755)
  for (let round = 0; round < 40; round++)
    for (const name of ['self', 'script']) site.call(['exec', site.id, `/bin/${name}`])
  expect(readdirSync(join(site.rootfs, 'tmp'))).toEqual([])
  expect(digest(PROGRAMS.coffer)).toBe(before)
})

/** As the root of the container, looks into every process whose command begins with a word: that it was met, and what was to be seen. */
const LOOK = `#!/bin/sh
for p in /proc/[0-9]*; do
  case $(tr -d '\\0' <$p/cmdline 2>/dev/null) in "$1"*) ;; *) continue ;; esac
  echo met
  ls -l $p/fd $p/root $p/cwd 2>/dev/null | grep -e '->'
  { cat $p/environ; head -c 1 $p/mem; } 2>/dev/null
done
exit 0
`

test('what runs inside cannot look into a process of exec before it is a program (S9)', () => {
  using site = makeSite()
  writeFileSync(join(site.rootfs, 'bin', 'look'), LOOK, { mode: 0o755 })
  site.up()
  const command = { args: ['exec', site.id, 'true'] }
  // It is held at its calls, in equal steps from the first to the last; its parent is not in sight.
  const all = pointsOf(site, command).filter(({ role }) => role === '1.1.1')
  const points = sample(all, 30)
  expect(points.length).toBeGreaterThan(20)
  const answer = fileOf(site, 'answer', '')
  const look = `${PROGRAMS.coffer} --root ${site.root()} exec ${site.id} look coffer >>${answer} 2>&1`
  for (const point of points) inject(site, command, point, `do=${look}`)
  const lines = readFileSync(answer, 'utf8').trim().split('\n')
  expect(lines.filter((line) => line !== 'met')).toEqual([])
  expect(lines.length).toBeGreaterThan(points.length / 2)
  // Of a program everything is to be seen.
  expect(site.exec('look sleep').stdout).toContain(' 0 -> /dev/null')
})

const opens = (text: string): readonly string[] =>
  [...text.matchAll(/(?:open|openat|openat2)\((.*?)\) = (\d+)/g)].map(([, args = '']) => args)

test('behind pivot_root nothing of the image is opened but what the configuration names (S3)', () => {
  using site = makeSite()
  // What the C library of a dynamically linked helper would look for.
  for (const name of ['ld.so.preload', 'ld.so.cache', 'nsswitch.conf', 'locale.alias'])
    writeFileSync(join(site.rootfs, 'etc', name), 'hostile')
  const log = fileOf(site, 'strace')
  site.configure({ 'process.args': ['true'] })
  const through = ['strace', '-f', '-o', log, '-e', 'trace=open,openat,openat2,pivot_root,execve']
  expect(site.call(['run', site.id], { through }).exitCode).toBe(0)
  const lines = readFileSync(log, 'utf8').split('\n')
  const pivot = lines.findIndex((line) => line.includes('pivot_root('))
  expect(pivot).toBeGreaterThan(0)
  const pid = lines[pivot]?.split(' ')[0]
  const ofInit = lines.slice(pivot).filter((line) => line.startsWith(`${pid} `))
  const execve = ofInit.findIndex((line) => line.includes('execve('))
  expect(execve).toBeGreaterThan(0)
  expect(opens(ofInit.slice(0, execve).join('\n'))).toEqual([])
})

test('the programs that are shipped need no library and no interpreter (S3)', () => {
  const PT_INTERP = 3
  const PT_DYNAMIC = 2
  for (const path of [PROGRAMS.coffer, join(PROGRAMS.coffer, '..', 'coffer-executor')]) {
    const elf = readFileSync(path)
    const view = new DataView(elf.buffer, elf.byteOffset)
    const [at, size, count] = [Number(view.getBigUint64(32, true)), view.getUint16(54, true), view.getUint16(56, true)]
    const types = Array.from({ length: count }, (_, index) => view.getUint32(at + index * size, true))
    expect([path, types.includes(PT_INTERP), types.includes(PT_DYNAMIC)]).toEqual([path, false, false])
  }
})

function rootsSeen(site: Site, script: string): string {
  return site.inside(script, { '+mounts': [bind('/etc', '/mnt')] })
}

test('nothing of the host is in sight behind the root, the working directory or the descriptors of init (S30)', () => {
  using site = makeSite()
  const canary = fileOf(site, 'canary', 'of the host')
  const seen = rootsSeen(
    site,
    `ls /proc/1/root/ /proc/1/cwd/; cat /proc/1/root${canary} /proc/1/cwd/..${canary} 2>&1; exit 0`,
  )
  expect(seen).not.toContain('of the host')
  const mounts = site.inside('cat /proc/self/mountinfo').trim().split('\n')
  expect(mounts[0]?.split(' ')[4]).toBe('/')
  const points = mounts.map((line) => line.split(' ')[4] ?? '')
  expect(points.filter((point) => !/^\/(proc|sys|dev)?(\/|$)/.test(point))).toEqual([])
})
