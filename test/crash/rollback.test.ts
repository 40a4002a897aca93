/** A start that fails leaves nothing, wherever it fails, and the same name can be used at once. */

import { afterEach, expect, test } from 'bun:test'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bind, type Changes } from '../kernel/bundle.ts'
import { cgroupPaths, cgroupsOf } from '../kernel/leaks.ts'
import { expectNothingLeft, fileOf, makeSite, type Site } from '../kernel/site.ts'

afterEach(expectNothingLeft)

const hook = (script: string): object => ({ path: '/bin/sh', args: ['sh', '-c', script] })

/** What goes wrong, in the order in which a start meets it. */
const FAILURES: readonly (readonly [what: string, changes: Changes, flags?: readonly string[]])[] = [
  ['a root that is missing', { 'root.path': 'nowhere' }],
  ['a root that is a file', { 'root.path': 'config.json' }],
  [
    'a namespace that is missing',
    { 'linux.namespaces': [{ type: 'mount' }, { type: 'network', path: '/no/such/ns' }], hostname: undefined },
  ],
  ['a cgroup limit that the kernel refuses', { 'linux.resources.cpu': { cpus: '900-901' } }],
  ['a device limit that is nonsense', { 'linux.resources.devices': [{ allow: true, type: 'x', access: 'rwm' }] }],
  ['a sysctl that the kernel refuses', { 'linux.sysctl': { 'net.core.somaxconn': 'many' } }],
  ['a first mount that fails', { mounts: [{ destination: '/mnt', type: 'nosuchfs', source: 'x' }] }],
  [
    'a last mount that fails',
    { '+mounts': [{ destination: '/mnt', type: 'tmpfs', source: 'x', options: ['size=lots'] }] },
  ],
  ['a bind mount whose source is missing', { '+mounts': [bind('/no/such/source', '/mnt')] }],
  ['a destination that dangles', { '+mounts': [bind('/tmp', '/dangling')] }],
  ['a masked path in a file', { 'linux.maskedPaths': ['relative'] }],
  ['a prestart hook', { hooks: { prestart: [hook('exit 1')] } }],
  ['a createRuntime hook', { hooks: { createRuntime: [hook('exit 1')] } }],
  ['a createContainer hook', { hooks: { createContainer: [hook('exit 1')] } }],
  ['a working directory that is a file', { 'process.cwd': '/etc/passwd' }],
  ['a capability set that cannot be', { 'process.capabilities': { effective: ['CAP_KILL'] } }],
  ['a program that is missing', { 'process.args': ['/no/such/program'] }],
  ['a program that is not found in PATH', { 'process.args': ['no-such-program'] }],
  [
    'a seccomp agent that is not there',
    {
      'linux.seccomp': {
        defaultAction: 'SCMP_ACT_ALLOW',
        listenerPath: '/no/agent',
        syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
      },
    },
  ],
  ['a pid file that cannot be written', {}, ['--pid-file', '/no/such/directory/pid']],
  ['a console socket that is not there', { 'process.terminal': true }, ['--console-socket', '/no/such/socket']],
  ['a pidfd socket that is not there', {}, ['--pidfd-socket', '/no/such/socket']],
]

for (const [what, changes, flags = []] of FAILURES) {
  test(`nothing is left of a container that failed by ${what} (S276)`, () => {
    using site = makeSite()
    symlinkSync('/nowhere/at/all', join(site.rootfs, 'dangling'))
    for (const command of [['create'], ['run'], ['run', '--detach']]) {
      const isTerminal = changes['process.terminal'] === true
      site.configure(changes)
      const { exitCode, stderr } = site.call([...command, ...flags, site.id])
      expect([command, exitCode, stderr !== '']).toEqual([command, 1, true])
      expect([command, site.leaks(), isTerminal]).toEqual([command, [], isTerminal])
    }
    // The same name works at once.
    expect(site.run({ 'process.args': ['true'] }).exitCode).toBe(0)
  })
}

test('a name that is taken stays with the container that has it', () => {
  using site = makeSite()
  const pid = site.up()
  for (const command of [['create'], ['run'], ['run', '--detach']]) {
    const { exitCode, stderr } = site.call([...command, site.id])
    expect([command, exitCode, stderr]).toEqual([command, 1, expect.stringContaining('already exists')])
  }
  expect(site.state()).toMatchObject({ status: 'running', pid })
  expect(cgroupsOf(site.id).length).toBeGreaterThan(0)
})

test('a cgroup that another container is in is not taken', () => {
  using site = makeSite()
  const pid = site.up()
  const other = `${site.id}-other`
  const { exitCode } = site.call(['run', '--detach', other])
  expect(exitCode).toBe(1)
  expect(site.state()).toMatchObject({ status: 'running', pid })
  expect(site.call(['state', other]).exitCode).toBe(1)
})

test('a start whose program is gone since create fails, and the container can be deleted', () => {
  using site = makeSite()
  const program = join(site.rootfs, 'bin', 'own')
  writeFileSync(program, '#!/bin/sh\nexit 0\n', { mode: 0o755 })
  site.configure({ 'process.args': ['own'] })
  expect(site.call(['create', site.id]).exitCode).toBe(0)
  rmSync(program)
  site.call(['start', site.id])
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)
  expect(site.leaks()).toEqual([])
})

function readsAfter(site: Site, script: string): string {
  site.configure()
  return site.inside(script)
}

test('many starts leave nothing behind, neither mounts nor cgroups nor processes nor files', () => {
  using site = makeSite()
  for (let round = 0; round < 30; round++) expect(readsAfter(site, 'echo ok')).toBe('ok\n')
  expect(site.leaks()).toEqual([])
})

test('states that are not whole do not stop list, state or delete (S270)', () => {
  using site = makeSite()
  site.up()
  const texts = ['', '{', '{}', 'null', '[]', '{"version":2}', '{"version":1}', '\0'.repeat(100), 'x'.repeat(70_000)]
  for (const [index, text] of texts.entries()) {
    const directory = join(site.root(), `torn${index}`)
    mkdirSync(directory)
    writeFileSync(join(directory, 'state.json'), text)
  }
  writeFileSync(join(site.root(), 'a-file'), '')
  mkdirSync(join(site.root(), 'empty'))
  const { exitCode, stdout } = site.call(['list', '--quiet'])
  expect([exitCode, stdout.split('\n').includes(site.id)]).toEqual([0, true])
  for (const name of [...texts.map((_, index) => `torn${index}`), 'empty'])
    expect([name, site.call(['delete', '--force', name]).exitCode]).toEqual([name, 0])
  rmSync(join(site.root(), 'a-file'))
  expect(site.state().status).toBe('running')
})

test('the log of a failure does not grow beyond its message', () => {
  using site = makeSite()
  const log = fileOf(site, 'log')
  site.configure({ 'root.path': 'nowhere' })
  site.call(['create', site.id], { globals: ['--log', log, '--log-format', 'json'] })
  expect(readsAfter(site, 'echo ok')).toBe('ok\n')
})

test('a failed start whose cgroup is still in use is remembered, and taken away by who deletes it', () => {
  using site = makeSite()
  const [cgroup] = cgroupPaths(site.cgroup)
  const pidFile = join(site.directory, 'stays')
  const stays = `sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >${pidFile}; echo $! >${cgroup}/cgroup.procs; exit 1`
  for (const command of [['create'], ['run'], ['run', '--detach']]) {
    site.configure({ hooks: { createRuntime: [hook(stays)] } })
    const { exitCode } = site.call([...command, site.id])
    expect([command, exitCode, cgroupsOf(site.id)]).toEqual([command, 1, [cgroup ?? '']])
    expect(site.call(['list', '--quiet']).stdout).toBe(`${site.id}\n`)
    expect(site.call(['delete', '--force', site.id])).toMatchObject({ exitCode: 0, stderr: '' })
    expect([command, site.leaks()]).toEqual([command, []])
    expect(site.call(['list', '--quiet']).stdout).toBe('')
  }
})
