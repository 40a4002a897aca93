/** Processes that exec adds to a container, with runc as the second opinion on what flags mean. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { mountedLines } from '../cgroup-lines.ts'
import type { Changes } from './bundle.ts'
import { cgroupsOf, until } from './leaks.ts'
import { readText } from './machine.ts'
import { installInside } from './programs.ts'
import { expectNothingLeft, fileOf, makeSite, type Outcome, type Site } from './site.ts'

afterEach(expectNothingLeft)

/** What a process sees of itself. */
const PORTRAIT =
  'id -u; id -g; inside groups; pwd; env | grep -v -e ^SHLVL -e ^_ -e ^PWD -e ^OLDPWD | sort; grep -E "^(Cap|NoNewPrivs|Seccomp:)" /proc/self/status; cat /proc/self/oom_score_adj'

const FLAGS: readonly (readonly string[])[] = [
  [],
  ['--user', '1000:50'],
  ['--user', '1000'],
  ['-u', '0'],
  ['--additional-gids', '5', '--additional-gids', '6'],
  ['-g', '7', '-u', '1000:1000'],
  ['--cwd', '/etc'],
  ['--env', 'A=1', '--env', 'B=2', '--env', 'PATH=/bin:/x'],
  ['-e', 'C=3'],
  ['--cap', 'CAP_SYS_TIME'],
  ['-c', 'CAP_CHOWN', '-u', '1000'],
  ['--no-new-privs'],
]

const CONTAINERS: readonly (readonly [claim: string, changes: Changes])[] = [
  [
    'of root',
    {
      'process.env': ['PATH=/bin', 'OWN=yes'],
      'process.cwd': '/tmp',
      'process.user': { uid: 0, gid: 0, umask: 0o27, additionalGids: [10, 11] },
    },
  ],
  [
    'of a user',
    {
      'process.user': { uid: 1000, gid: 1000, additionalGids: [20] },
      'process.noNewPrivileges': false,
      'process.oomScoreAdj': 50,
      'process.rlimits': [{ type: 'RLIMIT_NOFILE', soft: 100, hard: 200 }],
    },
  ],
]

for (const [claim, changes] of CONTAINERS) {
  test(`flags of exec mean what they mean to runc, in a container ${claim}`, () => {
    using site = makeSite()
    installInside(site)
    const portraits = (runtime: 'coffer' | 'runc'): readonly unknown[] => {
      site.configure(changes)
      expect(site.call(['run', '--detach', site.id], { runtime }).exitCode).toBe(0)
      const seen = FLAGS.map((flags) => {
        const { exitCode, stdout } = site.call(['exec', ...flags, site.id, 'sh', '-c', PORTRAIT], { runtime })
        return [flags.join(' '), exitCode, stdout]
      })
      site.call(['delete', '--force', site.id], { runtime })
      return seen
    }
    expect(portraits('coffer')).toEqual(portraits('runc') as unknown[])
  })
}

test('the exit status of exec is that of its process, 128 more than its signal, and 255 if there was none', () => {
  using site = makeSite()
  site.up()
  const { id } = site
  const status = (...words: readonly string[]): number | null => site.call(['exec', id, ...words]).exitCode
  expect(status('sh', '-c', 'exit 0')).toBe(0)
  expect(status('sh', '-c', 'exit 42')).toBe(42)
  expect(status('sh', '-c', 'kill -TERM $$')).toBe(143)
  expect(status('no-such-program')).toBe(255)
  expect(site.call(['exec', id]).exitCode).toBe(255)
  expect(site.call(['exec', '--no-such-flag', id, 'true']).exitCode).not.toBe(0)
  expect(site.call(['exec', 'no-such-container', 'true']).exitCode).toBe(255)
})

test('flags behind the command are those of the command', () => {
  using site = makeSite()
  site.up()
  expect(site.call(['exec', site.id, 'echo', '--user', '5', '-t']).stdout).toBe('--user 5 -t\n')
})

test('a document of the process replaces what flags say', () => {
  using site = makeSite()
  installInside(site)
  site.up({ 'root.readonly': false })
  const document = fileOf(
    site,
    'process.json',
    JSON.stringify({
      args: ['sh', '-c', 'id -u; umask; echo $A; pwd; grep CapEff /proc/self/status; ulimit -n; inside ioprio'],
      env: ['PATH=/bin', 'A=b'],
      cwd: '/etc',
      user: { uid: 0, gid: 0, umask: 0o57 },
      capabilities: { bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], effective: ['CAP_KILL'] },
      rlimits: [{ type: 'RLIMIT_NOFILE', soft: 33, hard: 44 }],
      ioPriority: { class: 'IOPRIO_CLASS_BE', priority: 7 },
    }),
  )
  for (const flag of ['--process', '-p'])
    expect(site.call(['exec', flag, document, site.id]).stdout).toBe(
      '0\n0057\nb\n/etc\nCapEff:\t0000000000000020\n33\n2 7\n',
    )
  fileOf(site, 'process.json', '{"args": []}')
  const { exitCode, stderr } = site.call(['exec', '--process', document, site.id])
  expect([exitCode, stderr]).toEqual([255, expect.stringContaining('process.json')])
})

test('a detached process runs on, and its pid is in the pid file', () => {
  using site = makeSite()
  site.up({ 'root.readonly': false })
  const pidFile = fileOf(site, 'pid')
  const { exitCode } = site.call(['exec', '--detach', '--pid-file', pidFile, site.id, 'sleep', '777'])
  expect(exitCode).toBe(0)
  const pid = readFileSync(pidFile, 'utf8')
  expect(pid).toMatch(/^\d+$/)
  expect(readText(`/proc/${pid}/cmdline`)).toBe('sleep\x00777\0')
  expect(readText(`/proc/${pid}/cgroup`)).toContain(`/${site.id}`)
  expect(JSON.parse(site.call(['ps', '--format', 'json', site.id]).stdout)).toContain(Number(pid))
})

test('standard input reaches the process, and output comes back from both streams', () => {
  using site = makeSite()
  site.up()
  const outcome = site.call(['exec', site.id, 'sh', '-c', 'cat; echo err >&2'], { stdin: 'some input' })
  expect(outcome).toEqual({ exitCode: 0, stdout: 'some input', stderr: 'err\n' })
})

test('a process of exec is restricted as init is (S69)', () => {
  using site = makeSite()
  installInside(site)
  const look =
    'grep -E "^(Cap|NoNewPrivs|Seccomp|Uid|Gid|Groups|Umask)" $p/status; cat $p/limits $p/oom_score_adj $p/cgroup; for n in cgroup ipc mnt net pid user uts; do readlink $p/ns/$n; done'
  site.up({
    'process.oomScoreAdj': 77,
    'process.user': { uid: 0, gid: 0, umask: 0o31, additionalGids: [9] },
    'linux.seccomp': { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['swapon'], action: 'SCMP_ACT_ERRNO' }] },
    'linux.personality': { domain: 'LINUX32' },
  })
  const init = site.exec(`p=/proc/1; ${look}`).stdout
  expect(init.split('\n').length).toBeGreaterThan(30)
  expect(site.exec(`p=/proc/self; ${look}`).stdout).toBe(init)
  expect(site.exec('inside personality').stdout).toBe('8\n')
})

test('exec --cgroup puts the process into a cgroup below that of the container, of some hierarchies or of all', () => {
  using site = makeSite()
  site.up()
  for (const path of cgroupsOf(site.id)) {
    mkdirSync(join(path, 'below'))
    // A new cpuset of v1 has no processor, and takes no process.
    for (const name of ['cpuset.cpus', 'cpuset.mems'])
      if (existsSync(join(path, 'below', name)))
        writeFileSync(join(path, 'below', name), readFileSync(join(path, name)))
  }
  const lines = (...cgroups: readonly string[]): readonly string[] => {
    const { stdout, stderr } = site.exec('cat /proc/self/cgroup', ...cgroups.flatMap((word) => ['--cgroup', word]))
    expect(stderr).toBe('')
    return mountedLines(stdout)
  }
  expect(lines('below').filter((line) => !line.endsWith(`/${site.id}/below`))).toEqual([])
  if (lines().length > 1)
    for (const line of lines('pids,memory:below'))
      expect(line).toEndWith(/:(pids|memory):/.test(line) ? `/${site.id}/below` : `/${site.id}`)
  for (const path of ['absent', '../..', '/../..'])
    expect([path, site.exec('true', '--cgroup', path).exitCode]).toEqual([path, 255])
})

test('a process of exec in a paused container waits until it is resumed, if that is asked for', async () => {
  using site = makeSite()
  site.up({ 'root.readonly': false })
  expect(site.call(['pause', site.id]).exitCode).toBe(0)
  const waiting = site.spawn(['exec', '--ignore-paused', site.id, 'touch', '/tmp/ran'])
  const ran = join(site.rootfs, 'tmp', 'ran')
  until('a frozen process beside init', () =>
    cgroupsOf(site.id).some((path) => /\d+\n\d+\n/.test(readText(join(path, 'cgroup.procs')) ?? '')),
  )
  expect(existsSync(ran)).toBe(false)
  expect(site.call(['resume', site.id]).exitCode).toBe(0)
  expect((await waiting.outcome()).exitCode).toBe(0)
  expect(existsSync(ran)).toBe(true)
})

test('exec into a created container runs beside the init that waits', () => {
  using site = makeSite()
  site.configure()
  site.call(['create', site.id])
  expect(site.exec('echo here; ps | grep -c "[c]offer"').stdout).toMatch(/^here\n/)
  expect(site.call(['start', site.id]).exitCode).toBe(0)
  expect(site.state().status).toBe('running')
})

test('an exec that ends the container under it answers like any other', () => {
  using site = makeSite()
  site.up({ 'process.args': ['sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.01; done'] })
  const { exitCode } = site.exec('kill -TERM 1; sleep 100')
  expect(exitCode).toBe(137)
  until('the end', () => site.state().status === 'stopped')
})

/** Fifty at once. */
async function crowd(site: Site, count: number): Promise<readonly Outcome[]> {
  return await Promise.all(
    Array.from({ length: count }, (_, index) => site.spawn(['exec', site.id, 'echo', `${index}`]).outcome()),
  )
}

test('many processes at once each get their own answer, and none stays', async () => {
  using site = makeSite()
  site.up()
  const outcomes = await crowd(site, 24)
  expect(outcomes.map(({ stdout }) => stdout.trim())).toEqual(outcomes.map((_, index) => `${index}`))
  expect(JSON.parse(site.call(['ps', '--format', 'json', site.id]).stdout)).toHaveLength(1)
})

test('a file that exec names as its pid file is replaced, never written through a link', () => {
  using site = makeSite()
  const canary = fileOf(site, 'canary', 'keep')
  const link = join(site.directory, 'pid')
  Bun.spawnSync(['ln', '-s', canary, link])
  site.configure()
  expect(site.call(['run', '--detach', '--pid-file', link, site.id]).exitCode).toBe(0)
  expect(readFileSync(canary, 'utf8')).toBe('keep')
  expect(readFileSync(link, 'utf8')).toBe(`${site.state().pid}`)
  writeFileSync(link, '')
})
