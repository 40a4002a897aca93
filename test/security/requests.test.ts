/** Requests that are too large, out of range or made to be read differently by others: an error that names them, or what they say. */

import { afterEach, expect, test } from 'bun:test'
import { chmodSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assemble } from '../../src/executor/assemble.ts'
import { setresuid } from '../../src/linux/process.ts'
import type { Changes } from '../kernel/bundle.ts'
import { cgroupsOf } from '../kernel/leaks.ts'
import { installInside } from '../kernel/programs.ts'
import { expectNothingLeft, fileOf, makeSite } from '../kernel/site.ts'

afterEach(expectNothingLeft)

const NUL = '\u0000'

/** Values that a limit cannot have; each would be another one for who cuts it to 32 or 64 bits. */
const LIMITS: readonly (readonly [field: string, values: readonly unknown[]])[] = [
  [
    'linux.resources.memory',
    [{ limit: 1.5 }, { limit: '64m' }, { limit: -2 }, { limit: 1e30 }, { limit: 64 << 20, swap: 1 << 20 }],
  ],
  ['linux.resources.pids', [{ limit: 1.5 }, { limit: '5' }, { limit: 2 ** 70 }]],
  [
    'linux.resources.cpu',
    [{ shares: -1 }, { quota: 1 }, { period: 1, quota: 1 }, { cpus: '0-' }, { cpus: '9999' }, { shares: 1.5 }],
  ],
  ['linux.resources.blockIO', [{ weight: 70_000 }, { weight: -1 }]],
]

test('limits out of their range are refused, and never wrap (S126)', () => {
  using site = makeSite()
  for (const [field, values] of LIMITS)
    for (const value of values) {
      const { exitCode, stderr } = site.run({ [field]: value, 'process.args': ['true'] })
      expect([field, value, exitCode]).toEqual([field, value, 1])
      expect(stderr).toMatch(/^error: cannot /)
      expect(site.leaks()).toEqual([])
    }
  // The largest that fits is not refused.
  const most = { limit: 2 ** 53 - 1 }
  expect(site.run({ 'linux.resources.memory': most, 'process.args': ['true'] }).exitCode).toBe(0)
})

const cgroupsInside = (pid: unknown): readonly string[] =>
  readFileSync(`/proc/${pid}/cgroup`, 'utf8')
    .trim()
    .split('\n')
    .filter((line) => /:(?:memory|pids|devices):/.test(line))
    .map((line) => line.split(':').slice(2).join(':'))

test('no path of a cgroup leads out of the hierarchy, or to the cgroup of others (S128)', () => {
  using site = makeSite()
  const { id } = site
  const refused = [
    '/',
    '/..',
    '/../../',
    `/a${NUL}b`,
    `/${id}/a\nb`,
    `/${id}-${'x'.repeat(4100)}`,
    `/${'x/'.repeat(2100)}`,
  ]
  for (const path of refused) {
    const { exitCode } = site.run({ 'linux.cgroupsPath': path, 'process.args': ['true'] })
    expect([path.slice(0, 20), exitCode]).toEqual([path.slice(0, 20), 1])
  }
  for (const path of [`/../../${id}`, `/${id}/../../../${id}/in`, `//${id}///c/.`]) {
    site.configure({ 'linux.cgroupsPath': path })
    const { exitCode, stderr } = site.call(['create', id])
    expect([path, exitCode, stderr]).toEqual([path, 0, ''])
    const seen = cgroupsInside(site.state().pid)
    expect(seen.length).toBeGreaterThan(0)
    for (const cgroup of seen) expect([path, cgroup]).toEqual([path, expect.stringMatching(new RegExp(`^/${id}(/|$)`))])
    site.call(['delete', '--force', id])
    // What lies above a cgroup may be that of others, so it stays, as with runc.
    for (const left of cgroupsOf(id)) {
      expect(left).toEndWith(`/${id}`)
      rmdirSync(left)
    }
  }
})

test('the cgroup of exec is below that of the container (S128)', () => {
  using site = makeSite()
  site.up()
  for (const path of ['..', '../..', '/../..', `a/../../..`, '/', 'a\nb']) {
    const { exitCode, stdout } = site.call(['exec', '--cgroup', path, site.id, 'cat', '/proc/self/cgroup'])
    if (exitCode !== 0) continue
    for (const line of stdout
      .trim()
      .split('\n')
      .filter((one) => /:(?:memory|pids|devices):/.test(one)))
      expect([path, line]).toEqual([path, expect.stringContaining(`:/${site.id}`)])
  }
})

/** Lengths around which those who keep them in 16 bits go wrong. CVE-2021-43784 */
const LENGTHS = [65_535, 65_536, 65_537, 131_071]

test('long values arrive whole or are errors, and the namespaces are new whatever is in them (S300)', () => {
  using site = makeSite()
  installInside(site)
  const own = (name: string): string =>
    `[ $(readlink /proc/self/ns/${name}) != ${readNamespace(name)} ] && echo ${name}`
  const spaces = ['mnt', 'pid', 'net', 'uts', 'ipc'].map(own).join('; ')
  for (const length of LENGTHS) {
    const value = 'v'.repeat(length - 6)
    const script = `echo \${#LONG}; ${spaces}; exit 0`
    const fits = length < 131_072
    const { stdout, exitCode } = site.run({
      'process.env': ['PATH=/bin', `LONG=${value}`],
      'process.args': ['sh', '-c', script],
    })
    expect([length, exitCode === 0 ? stdout : 'error']).toEqual([
      length,
      fits ? `${length - 6}\nmnt\npid\nnet\nuts\nipc\n` : 'error',
    ])
  }
  const refused: readonly (readonly [string, Changes])[] = [
    ['an argument of more than a page of the stack', { 'process.args': ['echo', 'x'.repeat(131_072)] }],
    ['a host name that is too long', { hostname: 'h'.repeat(65) }],
    [
      'a destination that is too long',
      { '+mounts': [{ destination: `/${'d/'.repeat(2100)}`, type: 'tmpfs', source: 'x' }] },
    ],
    [
      'options of a megabyte',
      { '+mounts': [{ destination: '/mnt', type: 'tmpfs', source: 'x', options: [`size=1${' '.repeat(1 << 20)}`] }] },
    ],
    ['a working directory that is too long', { 'process.cwd': `/${'d/'.repeat(2100)}` }],
    ['twenty thousand ranges of ids', { 'linux.namespaces': [{ type: 'mount' }, { type: 'user' }], ...many(20_000) }],
  ]
  for (const [what, changes] of refused) expect([what, site.run(changes).exitCode]).toEqual([what, 1])
})

const readNamespace = (name: string): string =>
  Bun.spawnSync(['readlink', `/proc/self/ns/${name}`])
    .stdout.toString()
    .trim()

function many(count: number): Changes {
  const ranges = Array.from({ length: count }, (_, index) => ({ containerID: index, hostID: 100_000 + index, size: 1 }))
  return { hostname: undefined, 'linux.uidMappings': ranges, 'linux.gidMappings': ranges }
}

test('a NUL inside of a value is an error, not the end of it (S300)', () => {
  using site = makeSite()
  const cases: readonly Changes[] = [
    { 'process.args': ['sh', `x${NUL}y`] },
    { 'process.env': ['PATH=/bin', `A=b${NUL}C=d`] },
    { 'process.cwd': `/tmp${NUL}/x` },
    { hostname: `a${NUL}b` },
    { 'root.path': `rootfs${NUL}x` },
    { '+mounts': [{ destination: `/mnt${NUL}`, type: 'tmpfs', source: 'x' }] },
    { '+mounts': [{ destination: '/mnt', type: `tmpfs${NUL}`, source: 'x' }] },
    { 'linux.maskedPaths': [`/proc/keys${NUL}x`] },
    { 'linux.sysctl': { 'net.core.somaxconn': `1${NUL}2` } },
  ]
  for (const changes of cases) {
    const { exitCode, stderr } = site.run(changes)
    expect([changes, exitCode, stderr.startsWith('error: ')]).toEqual([changes, 1, true])
  }
})

test('no shell and no program of the host is run for a container (S305)', () => {
  using site = makeSite()
  const log = fileOf(site, 'strace')
  site.configure({
    'process.args': ['/bin/true'],
    'process.cwd': '/$(touch x)',
    'root.readonly': false,
    hostname: '$(reboot)',
  })
  const through = ['strace', '-f', '-o', log, '-e', 'trace=execve,execveat']
  expect(site.call(['run', site.id], { through }).exitCode).toBe(0)
  const executed = readFileSync(log, 'utf8')
    .split('\n')
    .filter((line) => / = 0$/.test(line))
  // The front, the executor from its memory file, and the program.
  expect(executed.map((line) => /exec\w+\((?:\d+, )?"([^"]*)"/.exec(line)?.[1]?.split('/').at(-1))).toEqual([
    'coffer-runc',
    '',
    'true',
  ])
})

test('what a program prints is not heard by coffer, be it like its own messages (S13)', () => {
  using site = makeSite()
  const frame = 'COF1\\0\\0\\0\\1s\\nk\\nx'
  const script = `i=0; while [ $i -lt 2000 ]; do printf '${frame.repeat(16)}'; i=$((i+1)); done; printf '${frame}' >&2; (printf s >&3; printf s >&4) 2>/dev/null; exit 5`
  const { exitCode, stdout } = site.run({ 'process.args': ['sh', '-c', script] })
  expect([exitCode, stdout.length > 400_000]).toEqual([5, true])
})

const executor = join(import.meta.dir, '..', '..', 'dist', 'coffer-executor')

test('the programs gain nothing for who may run them, and are as hard as static programs are (S301, S303)', () => {
  for (const name of ['coffer', 'coffer-runc', 'coffer-executor']) {
    const path = join(executor, '..', name)
    const mode = Bun.spawnSync(['stat', '-c', '%a', path]).stdout.toString().trim()
    expect([name, mode]).toEqual([name, '755'])
    const status = Bun.spawnSync(['setpriv', '--reuid', '65534', '--clear-groups', path, '--version'])
    expect([name, status.stdout.toString().includes('CAP_')]).toEqual([name, false])
    const headers = Bun.spawnSync(['readelf', '-lW', path]).stdout.toString()
    expect(headers).not.toContain('INTERP')
    // No segment can be written and executed, the stack among them.
    const flags = [...headers.matchAll(/^ +(LOAD|GNU_STACK)(?: +0x[0-9a-f]+){5} +([RWE ]{3})/gm)]
    expect([name, flags.length > 1, flags.filter(([, , set = '']) => set.includes('W') && set.includes('E'))]).toEqual([
      name,
      true,
      [],
    ])
  }
  expect(readFileSync(executor).length).toBeLessThan(32_768)
})

test('who is not root gains nothing by the executor: a plan of its makes what it could itself (S303)', () => {
  using site = makeSite()
  chmodSync(site.directory, 0o777)
  const plan = { operation: 'test', steps: [{ call: setresuid(0, 0, 0), why: 'be root', see: [] }] }
  const frame = fileOf(site, 'frame')
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  writeFileSync(frame, assemble(plan, { architecture: process.arch === 'x64' ? 'x86_64' : 'aarch64', encode }).frame)
  const run = (...through: readonly string[]): Buffer => {
    Bun.spawnSync([...through, 'sh', '-c', `${executor} 3<${frame} 4>${site.directory}/report`])
    return readFileSync(join(site.directory, 'report'))
  }
  const kindOf = (report: Buffer): number => report.readUInt32LE(8)
  expect(kindOf(run('setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups'))).toBe(REPORT_FAILED)
  expect(kindOf(run())).toBe(REPORT_DONE)
})

const REPORT_DONE = 2
const REPORT_FAILED = 3
