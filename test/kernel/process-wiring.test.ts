/** What the executor does for a process from outside, and what it says of hooks: seen from inside, or in what the program answers. */

import { afterEach, expect, test } from 'bun:test'
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { buffer, slot } from '../../src/linux/call.ts'
import { read } from '../../src/linux/files.ts'
import type { Step } from '../../src/plan/plan.ts'
import { PARENT_END } from '../../src/plan/slots.ts'
import { BE_KNOWN, planStage } from '../../src/plan/stage.ts'
import { hear, planTurns, tell } from '../../src/plan/turns.ts'
import { runSteps } from '../executor-run.ts'
import { bind, type Changes } from './bundle.ts'
import { until } from './leaks.ts'
import { receiver } from './programs.ts'
import { expectNothingLeft, fileOf, makeSite, type Outcome, type Site } from './site.ts'

afterEach(expectNothingLeft)

const PROCESSORS = cpus().length

/** A hook of the host that runs a script. */
const hook = (script: string): object => ({ path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/usr/bin:/bin'] })

/** A hook in the container. */
const inner = (script: string): object => ({ path: '/bin/sh', args: ['sh', '-c', script], env: ['PATH=/bin'] })

const ONE_PROCESSOR = ['taskset', '-c', '0']
const allowed = 'grep Cpus_allowed_list /proc/self/status'

test.if(PROCESSORS > 1)(
  'a container and a process of exec may use all processors, whatever their caller is bound to',
  () => {
    using site = makeSite()
    const all = `Cpus_allowed_list:\t0-${PROCESSORS - 1}\n`
    expect(site.inside(allowed, {}, { through: ONE_PROCESSOR })).toBe(all)
    site.up()
    expect(site.call(['exec', site.id, 'sh', '-c', allowed], { through: ONE_PROCESSOR }).stdout).toBe(all)
  },
)

test.if(PROCESSORS > 1)('execCPUAffinity is for processes of exec alone', () => {
  using site = makeSite()
  const changes = { 'process.execCPUAffinity': { initial: '0', final: '1' } }
  expect(site.inside(allowed, changes)).toBe(`Cpus_allowed_list:\t0-${PROCESSORS - 1}\n`)
  site.up(changes)
  expect(site.exec(allowed).stdout).toBe('Cpus_allowed_list:\t1\n')
})

const USER = ['setpriv', '--reuid', '1000', '--regid', '1000', '--clear-groups', '--inh-caps=-all']

/** In namespaces that a user may make. */
const ROOTLESS: Changes = {
  'linux.cgroupsPath': undefined,
  'linux.resources': undefined,
  'linux.namespaces': ['user', 'pid', 'mount', 'ipc', 'uts'].map((type) => ({ type })),
  'linux.uidMappings': [{ containerID: 0, hostID: 1000, size: 1 }],
  'linux.gidMappings': [{ containerID: 0, hostID: 1000, size: 1 }],
  mounts: [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
  ],
}

function allowUser(site: Site): void {
  mkdirSync(site.root())
  chmodSync(site.root(), 0o777)
}

test('without privilege a process gets its oom_score_adj and its limits as well', () => {
  using site = makeSite()
  allowUser(site)
  const rlimits = [{ type: 'RLIMIT_NOFILE', soft: 20, hard: 30 }]
  const changes = { ...ROOTLESS, 'process.oomScoreAdj': 444, 'process.rlimits': rlimits }
  const script = 'cat /proc/self/oom_score_adj; ulimit -n; ulimit -Hn'
  expect(site.inside(script, changes, { through: USER })).toBe('444\n20\n30\n')
  site.up(changes, { through: USER })
  expect(site.call(['exec', site.id, 'sh', '-c', script], { through: USER }).stdout).toBe('444\n20\n30\n')
  expect(site.call(['delete', '--force', site.id], { through: USER }).exitCode).toBe(0)
})

test('limits hold for a user other than root', () => {
  using site = makeSite()
  const rlimits = [
    { type: 'RLIMIT_NOFILE', soft: 3, hard: 4 },
    { type: 'RLIMIT_NPROC', soft: 50, hard: 60 },
  ]
  const changes = { 'process.rlimits': rlimits, 'process.user': { uid: 1000, gid: 1000 } }
  expect(site.inside('ulimit -n; ulimit -Hn; ulimit -u', changes)).toBe('3\n4\n50\n')
})

test('limits are in force before the first instruction of a created container', () => {
  using site = makeSite()
  site.configure({ 'process.oomScoreAdj': 77, 'process.rlimits': [{ type: 'RLIMIT_NOFILE', soft: 9, hard: 10 }] })
  expect(site.call(['create', site.id]).exitCode).toBe(0)
  const pid = Number(site.state().pid)
  expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/Max open files +9 +10 /)
  expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('77\n')
})

const UNKNOWN = { 'process.capabilities': { bounding: ['CAP_KILL', 'CAP_NOT_THERE'], permitted: ['CAP_KILL'] } }
const WARNING = 'warning: CAP_NOT_THERE is ignored: this kernel has no such capability\n'

test('a capability that the kernel has not is a warning each time, and no error', () => {
  using site = makeSite()
  const changes = { ...UNKNOWN, 'process.args': ['true'] }
  for (const round of [1, 2, 3, 4]) expect([round, site.run(changes).stderr]).toEqual([round, WARNING])
  site.configure(UNKNOWN)
  expect(site.call(['create', site.id]).stderr).toBe(WARNING)
  expect(site.call(['exec', site.id, 'true']).stderr).toBe(WARNING)
})

const DENY_MKDIR = {
  'linux.seccomp': {
    defaultAction: 'SCMP_ACT_ALLOW',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO' }],
  },
}

test('startContainer hooks run behind the seccomp filter and with the capabilities of the container', () => {
  using site = makeSite()
  const out = fileOf(site, 'out', '')
  const script =
    'mkdir /tmp/made 2>/dev/null || echo denied >>/mnt/out; grep -E "^Cap(Prm|Bnd)" /proc/self/status >>/mnt/out'
  writeFileSync(join(site.rootfs, 'mnt', 'out'), '')
  const changes = {
    ...DENY_MKDIR,
    'root.readonly': false,
    'process.noNewPrivileges': false,
    'process.args': ['true'],
    '+mounts': [bind(out, '/mnt/out')],
    'process.capabilities': { bounding: ['CAP_KILL'], permitted: ['CAP_KILL'], effective: ['CAP_KILL'] },
    'hooks.startContainer': [inner(script)],
  }
  expect(site.run(changes)).toMatchObject({ exitCode: 0, stderr: '' })
  expect(readFileSync(out, 'utf8')).toBe('denied\nCapPrm:\t0000000000000020\nCapBnd:\t0000000000000020\n')
})

for (const kind of ['prestart', 'createRuntime', 'createContainer'])
  test(`the error of a failed ${kind} hook has what it printed`, () => {
    using site = makeSite()
    const hooks = [hook('echo well'), hook('echo "no bridge" >&2; printf "\\033[2J%03000d" 7; exit 3')]
    const { exitCode, stdout, stderr } = site.run({ [`hooks.${kind}`]: hooks })
    expect([exitCode, stdout]).toEqual([1, ''])
    const end = kind === 'createContainer' ? 'it failed' : 'it ended with status 3'
    expect(stderr).toStartWith(
      `error: cannot have the ${kind} hook /bin/sh succeed: ${end}, and printed "well\\nno bridge\\n?[2J0000`,
    )
    expect(stderr.length).toBeLessThan(2500)
  })

test('the error of a failed startContainer hook has what it printed, while the runtime is there to tell', () => {
  using site = makeSite()
  const { exitCode, stderr } = site.run({ 'hooks.startContainer': [inner('echo sorry; exit 1')] })
  expect(exitCode).toBe(1)
  expect(stderr).toContain('cannot have the startContainer hook /bin/sh succeed: it failed, and printed "sorry"')
})

test('the error of a hook that is too late says so', () => {
  using site = makeSite()
  const late = { ...hook('echo begun; exec sleep 100'), timeout: 1 }
  expect(site.run({ 'hooks.createRuntime': [late] }).stderr).toContain(
    'cannot have the createRuntime hook /bin/sh end within 1 s: it was still running, and printed "begun"',
  )
})

test('hooks run for a container without a mount namespace as well', () => {
  using site = makeSite()
  const out = fileOf(site, 'out', '')
  const say = (kind: string): readonly object[] => [hook(`echo ${kind} >>${out}`)]
  const changes = {
    'linux.namespaces': [{ type: 'pid' }],
    mounts: [],
    'root.readonly': false,
    hostname: undefined,
    'linux.maskedPaths': undefined,
    'linux.readonlyPaths': undefined,
    'process.args': ['true'],
    'hooks.createRuntime': say('createRuntime'),
    'hooks.createContainer': say('createContainer'),
  }
  expect(site.run(changes)).toMatchObject({ exitCode: 0, stderr: '' })
  expect(readFileSync(out, 'utf8')).toBe('createRuntime\ncreateContainer\n')
})

test('a poststart hook that fails ends the container, with the hook in the error', () => {
  using site = makeSite()
  site.configure({ 'hooks.poststart': [hook('echo no route; exit 4')] })
  expect(site.call(['create', site.id]).exitCode).toBe(0)
  const { exitCode, stderr } = site.call(['start', site.id])
  expect(exitCode).toBe(1)
  expect(stderr).toContain('the poststart hook /bin/sh succeed: it ended with status 4, and printed "no route"')
  expect(site.state().status).toBe('stopped')
  expect(site.call(['start', site.id]).stderr).toContain('cannot start a container that has stopped')
  expect(site.call(['delete', site.id]).exitCode).toBe(0)
})

test('start is over when its hooks are, and fails with them', () => {
  using site = makeSite()
  const out = fileOf(site, 'out', '')
  writeFileSync(join(site.rootfs, 'mnt', 'out'), '')
  const begin = (script: string): Outcome => {
    site.configure({
      'hooks.startContainer': [inner(script)],
      'hooks.poststart': [hook(`tr '\\0' ' ' </proc/$(sed 's/.*"pid":\\([0-9]*\\).*/\\1/')/cmdline >>${out}`)],
      '+mounts': [bind(out, '/mnt/out')],
    })
    expect(site.call(['create', site.id]).exitCode).toBe(0)
    return site.call(['start', site.id])
  }
  expect(begin('sleep 0.3; echo hook >>/mnt/out')).toMatchObject({ exitCode: 0, stderr: '' })
  expect(readFileSync(out, 'utf8')).toBe('hook\nsleep 1000 ')
  expect(site.call(['delete', '--force', site.id]).exitCode).toBe(0)

  const { exitCode, stderr } = begin('sleep 0.1; exit 3')
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`the startContainer hooks of ${site.id} succeed`)])
  expect(site.state().status).toBe('stopped')
  expect(readFileSync(out, 'utf8')).toBe('hook\nsleep 1000 ')
})

test('a poststart hook that fails leaves nothing of a container that was to run detached', () => {
  using site = makeSite()
  site.configure({ 'hooks.poststart': [hook('exit 4')] })
  expect(site.call(['run', '--detach', site.id]).exitCode).toBe(1)
  expect(site.leaks()).toEqual([])
})

const POSTSTOP = [
  hook('echo first; exit 5'),
  { path: '/nowhere/hook' },
  hook('exit 0'),
  hook('echo last; kill -9 $$'),
  { ...hook('exec sleep 100'), timeout: 1 },
]
const WARNINGS = [
  'warning: the poststop hook /bin/sh failed: it ended with status 5, and printed "first"',
  'warning: the poststop hook /nowhere/hook failed: it could not be executed, ENOENT',
  'warning: the poststop hook /bin/sh failed: it was killed by SIGKILL, and printed "last"',
  'warning: the poststop hook /bin/sh failed: it was killed by SIGKILL, after 1 s at most',
  '',
].join('\n')

test('poststop hooks that fail are warnings with what they printed, and the status is that of the program', () => {
  using site = makeSite()
  const changes = { 'hooks.poststop': POSTSTOP, 'process.args': ['sh', '-c', 'exit 9'] }
  expect(site.run(changes)).toEqual({ exitCode: 9, stdout: '', stderr: WARNINGS })
  site.up({ 'hooks.poststop': POSTSTOP })
  expect(site.call(['delete', '--force', site.id])).toEqual({ exitCode: 0, stdout: '', stderr: WARNINGS })
})

test('start and delete read no more of the configuration than the hooks', () => {
  using site = makeSite()
  site.configure()
  expect(site.call(['create', site.id]).exitCode).toBe(0)
  const record = join(site.root(), site.id, 'state.json')
  const state = JSON.parse(readFileSync(record, 'utf8'))
  writeFileSync(record, JSON.stringify({ ...state, config: { ...state.config, linux: 'changed', process: 7 } }))
  expect(site.call(['start', site.id])).toMatchObject({ exitCode: 0, stderr: '' })
  expect(site.call(['delete', '--force', site.id])).toMatchObject({ exitCode: 0, stderr: '' })
})

const SHARED_PIDS = { 'linux.namespaces': [{ type: 'mount' }, { type: 'ipc' }, { type: 'uts' }] }
const LEAVES_SOME = 'for i in 1 2 3; do setsid sleep 1000 >/dev/null 2>&1 & done; exit 6'

test('what init leaves running without a pid namespace ends with the container', () => {
  using site = makeSite()
  expect(site.run({ ...SHARED_PIDS, 'process.args': ['sh', '-c', LEAVES_SOME] }).exitCode).toBe(6)
  expect(site.leaks()).toEqual([])
})

/** Whatever is mounted or unmounted there is so for the program alone. */
const inPrivateMounts = (script: string): readonly string[] => [
  'unshare',
  '--mount',
  'sh',
  '-c',
  `${script} && exec "$@"`,
  'sh',
]

const UNIFIED = '/sys/fs/cgroup/unified'

test.if(existsSync(UNIFIED))('without cgroup v2 what init leaves running is ended one by one', () => {
  using site = makeSite()
  const changes = { ...SHARED_PIDS, 'hooks.poststop': [hook('exit 5')], 'process.args': ['sh', '-c', LEAVES_SOME] }
  const { exitCode, stderr } = site.run(changes, { through: inPrivateMounts(`umount ${UNIFIED}`) })
  expect([exitCode, stderr]).toEqual([6, 'warning: the poststop hook /bin/sh failed: it ended with status 5\n'])
  expect(site.leaks()).toEqual([])
})

const ACTIVE = '/sys/kernel/security/lsm'

test('a label of a security module that is not active is refused by name', () => {
  using site = makeSite()
  const mount = `{ test -e ${ACTIVE} || mount -t securityfs none /sys/kernel/security; }`
  const through = inPrivateMounts(mount)
  const active = site.call(['--version'], { through: inPrivateMounts(`${mount} && cat ${ACTIVE}`) }).stdout
  for (const [module, field, label] of [
    ['apparmor', 'process.apparmorProfile', 'web'],
    ['selinux', 'process.selinuxLabel', 'a:b:c'],
    ['selinux', 'linux.mountLabel', 'a:b:c'],
  ] as const) {
    if (active.includes(module)) continue
    const { exitCode, stderr } = site.run({ [field]: label, 'process.args': ['true'] }, { through })
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(`${module} is not active on this host`)])
  }
})

test('what coffer does not do is refused by name', () => {
  using site = makeSite()
  expect(site.run({ 'linux.intelRdt': { closID: 'a' } }).stderr).toContain('linux.intelRdt')
})

/** Somebody at a socket who answers EOPNOTSUPP, until the process that asks is gone. */
function startAgent(socket: string, out: string): Disposable & { readonly heard: () => readonly string[] } {
  writeFileSync(out, '')
  const child = Bun.spawn([receiver(), 'notify', socket, '95'], { stdout: Bun.file(out) })
  const heard = (): readonly string[] => readFileSync(out, 'utf8').split('\n')
  until('the agent to listen', () => heard()[0] === 'ready')
  return { heard, [Symbol.dispose]: () => child.kill('SIGKILL') }
}

test('the agent of a seccomp filter gets the listener of a process of exec, and whose it is', () => {
  using site = makeSite()
  const listenerPath = fileOf(site, 'agent.sock')
  const seccomp = {
    defaultAction: 'SCMP_ACT_ALLOW',
    listenerPath,
    listenerMetadata: 'some words',
    syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_NOTIFY' }],
  }
  using _first = startAgent(listenerPath, fileOf(site, 'first'))
  const pid = site.up({ 'linux.seccomp': seccomp })
  rmSync(listenerPath)
  using second = startAgent(listenerPath, fileOf(site, 'second'))
  expect(site.exec('mkdir /tmp/denied').stderr).toContain('Operation not supported')
  const message = JSON.parse(second.heard()[1] ?? '')
  expect(message).toMatchObject({
    fds: ['seccompFd'],
    metadata: 'some words',
    state: { id: site.id, status: 'running', pid, bundle: site.bundle },
  })
  expect(message.pid).not.toBe(pid)
})

test('a stage that is slow to tell which process is init does not take the words of init for it', () => {
  const nap = new Uint8Array(16)
  new DataView(nap.buffer).setUint32(8, 50_000_000, true)
  const slow: Step = { call: { name: 'nanosleep', args: [nap, 0] }, why: 'be slow', see: [] }
  const isTelling = ({ call, child }: Step): boolean => child === undefined && call.name === 'sendto'
  const delayed = (steps: readonly Step[]): readonly Step[] =>
    steps.flatMap((step) => (isTelling(step) ? [slow, step] : [step]))
  const stage = planStage({
    of: 'a test',
    enter: [],
    meanwhile: [],
    cloneFlags: 0,
    child: [BE_KNOWN, tell('child', 'c', 'say something at once')],
  }).map((step) => (step.child === undefined ? step : { ...step, child: delayed(step.child) }))
  const end: Step = { call: read(PARENT_END, buffer('turn', 1)), why: 'see it end', see: [], into: slot('end') }
  const { failures } = runSteps([planTurns(), ...stage, hear('executor', 'c', 'hear it'), end])
  expect(failures).toEqual([])
})
