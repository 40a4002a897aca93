/** Capabilities and privileges of processes in containers, as the kernel shows them and as they act. */

import { afterEach, expect, test } from 'bun:test'
import { chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Capability, capabilityBit } from '../../src/linux/capabilities.ts'
import type { Changes } from './bundle.ts'
import { insideProgram, installInside } from './programs.ts'
import { expectNothingLeft, makeSite, type Runtime, type Site } from './site.ts'

afterEach(expectNothingLeft)

type CapabilitySet = 'Inh' | 'Prm' | 'Eff' | 'Bnd' | 'Amb'

/** The sets of /proc/self/status. */
function setsIn(status: string): Record<CapabilitySet, string> {
  const of = (name: string): string => new RegExp(`^Cap${name}:\t0*([0-9a-f]*)$`, 'm').exec(status)?.[1] ?? '?'
  return { Inh: of('Inh'), Prm: of('Prm'), Eff: of('Eff'), Bnd: of('Bnd'), Amb: of('Amb') }
}

const mask = (...names: readonly Capability[]): string =>
  names.reduce((sum, name) => sum | (1 << capabilityBit(name)), 0).toString(16)

const KILL = 'CAP_KILL'
const CHOWN = 'CAP_CHOWN'
const NET_RAW = 'CAP_NET_RAW'
const user = { uid: 1000, gid: 1000 }

function sets(names: {
  readonly bounding?: readonly string[]
  readonly permitted?: readonly string[]
  readonly inheritable?: readonly string[]
  readonly ambient?: readonly string[]
}): object {
  const { bounding = [], permitted = [], inheritable = [], ambient = [] } = names
  return { bounding, permitted, effective: permitted, inheritable, ambient }
}

const seenBy = (site: Site, changes: Changes, runtime: Runtime = 'coffer'): Record<CapabilitySet, string> =>
  setsIn(site.inside('cat /proc/self/status', changes, { runtime }))

test('root gets the bounding set, and nothing is inheritable or ambient by default (S56)', () => {
  using site = makeSite()
  const capabilities = sets({ bounding: [KILL, CHOWN], permitted: [KILL, CHOWN] })
  const both = mask(KILL, CHOWN)
  expect(seenBy(site, { 'process.capabilities': capabilities })).toEqual({
    Inh: '',
    Prm: both,
    Eff: both,
    Bnd: both,
    Amb: '',
  })
})

test('a user has only ambient capabilities, and none without them', () => {
  using site = makeSite()
  const without = sets({ bounding: [KILL, CHOWN], permitted: [KILL, CHOWN] })
  const bounding = mask(KILL, CHOWN)
  expect(seenBy(site, { 'process.user': user, 'process.rlimits': [], 'process.capabilities': without })).toEqual({
    Inh: '',
    Prm: '',
    Eff: '',
    Bnd: bounding,
    Amb: '',
  })
  const within = sets({ bounding: [KILL, CHOWN], permitted: [KILL], inheritable: [KILL], ambient: [KILL] })
  expect(seenBy(site, { 'process.user': user, 'process.rlimits': [], 'process.capabilities': within })).toEqual({
    Inh: mask(KILL),
    Prm: mask(KILL),
    Eff: mask(KILL),
    Bnd: bounding,
    Amb: mask(KILL),
  })
})

const CASES: readonly (readonly [claim: string, changes: Changes])[] = [
  ['as spec writes it', {}],
  ['without a section', { 'process.capabilities': undefined }],
  ['with an empty section', { 'process.capabilities': {} }],
  ['with only a bounding set', { 'process.capabilities': sets({ bounding: [KILL] }) }],
  [
    'with more permitted than bounding',
    { 'process.capabilities': sets({ bounding: [KILL], permitted: [KILL, CHOWN] }) },
  ],
  [
    'inheritable for root',
    { 'process.capabilities': sets({ bounding: [KILL, CHOWN], permitted: [KILL, CHOWN], inheritable: [KILL] }) },
  ],
  [
    'ambient without inheritable',
    {
      'process.user': user,
      'process.rlimits': [],
      'process.capabilities': sets({ bounding: [KILL], permitted: [KILL], ambient: [KILL] }),
    },
  ],
  ['a user without any', { 'process.user': user, 'process.rlimits': [], 'process.capabilities': {} }],
  [
    'with a name that no kernel has',
    { 'process.capabilities': sets({ bounding: [KILL, 'CAP_FUTURE'], permitted: [KILL] }) },
  ],
]

for (const [claim, changes] of CASES) {
  test(`capabilities are those that runc gives: ${claim}`, () => {
    using site = makeSite()
    expect(seenBy(site, changes)).toEqual(seenBy(site, changes, 'runc'))
  })
}

const MOBY =
  'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE'.split(
    ' ',
  )
const moby = { 'process.capabilities': sets({ bounding: MOBY, permitted: MOBY }) }

test("Docker's fourteen capabilities are exactly those of init and of exec (S57)", () => {
  using site = makeSite()
  expect(seenBy(site, moby)).toEqual({ Inh: '', Prm: 'a80425fb', Eff: 'a80425fb', Bnd: 'a80425fb', Amb: '' })
  site.up(moby)
  const status = site.exec('cat /proc/self/status').stdout
  expect(setsIn(status)).toEqual({ Inh: '', Prm: 'a80425fb', Eff: 'a80425fb', Bnd: 'a80425fb', Amb: '' })
})

/** Copies of `inside` that give privileges: of root by its mode, of cap_net_raw by its file capabilities. */
function installPrivileged(site: Site): void {
  installInside(site)
  const path = (name: string): string => join(site.rootfs, 'bin', name)
  copyFileSync(insideProgram(), path('as-root'))
  chmodSync(path('as-root'), 0o4755)
  for (const [name, permitted, inheritable, effective] of [
    ['raw', '0x2000', '0', '1'],
    ['raw-inheritable', '0', '0x2000', '1'],
  ] as const) {
    copyFileSync(join(site.rootfs, 'bin', 'busybox'), path(name))
    const { exitCode, stderr } = Bun.spawnSync([
      insideProgram(),
      'setcap',
      path(name),
      permitted,
      inheritable,
      effective,
    ])
    if (exitCode !== 0) throw new Error(stderr.toString())
  }
  // Which applet busybox is depends on its name.
  for (const name of ['raw', 'raw-inheritable']) {
    Bun.spawnSync(['mkdir', path(`${name}-bin`)])
    Bun.spawnSync(['mv', path(name), path(`${name}-bin/cat`)])
  }
}

test('with no_new_privs set-user-ID programs and file capabilities give nothing, without it they do (S15)', () => {
  using site = makeSite()
  installPrivileged(site)
  const script = 'as-root ids; /bin/raw-bin/cat /proc/self/status'
  const changes = { ...moby, 'process.user': user, 'process.rlimits': [] }
  const [ids, status] = split(site.inside(script, { ...changes, 'process.noNewPrivileges': true }))
  expect(ids).toBe('1000 1000 1000')
  expect(status).toContain('NoNewPrivs:\t1')
  expect(setsIn(status)).toMatchObject({ Prm: '', Eff: '' })
  const [privileged, more] = split(site.inside(script, { ...changes, 'process.noNewPrivileges': false }))
  expect(privileged).toBe('1000 0 0')
  expect(setsIn(more)).toMatchObject({ Prm: mask(NET_RAW), Eff: mask(NET_RAW) })
})

function split(text: string): readonly [string, string] {
  const at = text.indexOf('\n')
  return [text.slice(0, at), text.slice(at + 1)]
}

test('a program with an inheritable file capability gives a user nothing (S56)', () => {
  using site = makeSite()
  installPrivileged(site)
  const changes = { ...moby, 'process.user': user, 'process.rlimits': [], 'process.noNewPrivileges': false }
  const status = site.inside('/bin/raw-inheritable-bin/cat /proc/self/status', changes)
  expect(setsIn(status)).toMatchObject({ Inh: '', Prm: '', Eff: '' })
})

test('a capability that is not in the bounding set never comes back, by no program and by no exec (S59)', () => {
  using site = makeSite()
  installPrivileged(site)
  const capabilities = sets({ bounding: [KILL], permitted: [KILL] })
  const changes = { 'process.capabilities': capabilities, 'process.noNewPrivileges': false, 'process.rlimits': [] }
  const asUser = { ...changes, 'process.user': user }
  expect(site.run({ ...asUser, 'process.args': ['/bin/raw-bin/cat', '/proc/self/status'] }).exitCode).not.toBe(0)
  expect(setsIn(site.inside('exec cat /proc/self/status', changes))).toMatchObject({ Bnd: mask(KILL), Prm: mask(KILL) })
  site.up(changes)
  expect(setsIn(site.exec('cat /proc/self/status').stdout)).toMatchObject({ Bnd: mask(KILL), Prm: mask(KILL) })
})

test('no_new_privs holds for every exec (S15)', () => {
  using site = makeSite()
  site.up({ 'process.noNewPrivileges': true, 'process.rlimits': [] })
  for (const flags of [[], ['--user', '1000:1000'], ['--cap', 'CAP_KILL']]) {
    const { stdout, stderr } = site.exec('grep NoNewPrivs /proc/self/status', ...flags)
    expect([flags, stdout, stderr]).toEqual([flags, 'NoNewPrivs:\t1\n', ''])
  }
})

test('with CAP_SYS_CHROOT the classic way out of a chroot ends in the root of the container (S30)', () => {
  using site = makeSite()
  installInside(site)
  const seen = site.inside('inside chroot-escape', { ...moby, 'root.readonly': false })
  expect(seen.split('\n')).toContain('sys')
  expect(seen.trim().split('\n').sort()).toEqual('bin dev etc mnt proc root sys tmp'.split(' '))
})
