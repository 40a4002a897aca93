/** What `coffer run` gives without being asked, as a program inside finds out; and what it gives when it is asked for more. */

import { afterEach, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { syscallNumber } from '../../src/linux/syscalls.ts'
import { installInside } from '../kernel/programs.ts'
import { expectNothingLeft, makeSite, type Outcome, type Site } from '../kernel/site.ts'

afterEach(expectNothingLeft)

const coffer = join(import.meta.dir, '..', '..', 'dist', 'coffer')
const source = readFileSync(join(import.meta.dir, '../../src/engine/config.ts'), 'utf8')
const architecture = process.arch === 'x64' ? 'x86_64' : 'aarch64'

/** `coffer run` of a script on the root file system of a site; its container is taken away with the site. */
function runDefault(site: Site, script: string, ...flags: readonly string[]): Outcome {
  const command = [
    coffer,
    'run',
    '--rm',
    '--network',
    'none',
    '--name',
    site.id,
    ...flags,
    '--rootfs',
    site.rootfs,
    'sh',
    '-c',
    script,
  ]
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'pipe',
    timeout: 20_000,
  })
  return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
}

/** Words of a list in intent.ts, so that a path that is taken off the list is missed here. */
const MASKED =
  '/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware'.split(
    ' ',
  )
const READONLY = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'.split(' ')

const LOOK = `
for p in ${MASKED.join(' ')}; do
  if [ -d $p ]; then echo "$p $(ls -A $p | wc -l)"; elif [ -e $p ]; then echo "$p $(stat -c %t:%T $p)"; fi
done
for p in ${READONLY.join(' ')}; do
  for f in $(find $p -type f 2>/dev/null | head -300); do (: >>$f) 2>/dev/null && echo "written $f"; done
done
exit 0`

test('what tells of the machine is masked and what changes it is read-only, as in moby (S47, S48)', () => {
  using site = makeSite()
  const lines = runDefault(site, LOOK).stdout.trim().split('\n')
  expect(lines.length).toBeGreaterThan(3)
  expect(lines.filter((line) => !/ (0|1:3)$/.test(line))).toEqual([])
  // Privileged containers see and write all of it.
  const open = runDefault(site, LOOK, '--privileged').stdout
  expect(open).toContain('written /proc/sys/')
  expect(open).toMatch(/^\/proc\/keys 0:0$/m)
  for (const path of [...MASKED, ...READONLY]) expect(source).toContain(path)
})

const sets = (text: string): string =>
  [...text.matchAll(/^Cap(?:Bnd|Prm|Inh|Amb):\t0*([0-9a-f]*)$/gm)].map(([, bits]) => bits).join(' ')
const MOBY = 'a80425fb'
const status = 'grep ^Cap /proc/self/status'

test('the capabilities are the fourteen of moby, and a user has none of them (S57)', () => {
  using site = makeSite()
  expect(sets(runDefault(site, status).stdout)).toBe(` ${MOBY} ${MOBY} `)
  expect(sets(runDefault(site, status, '--user', '1000:1000').stdout)).toBe(`  ${MOBY} `)
})

test('capabilities are added and dropped by name, in any spelling, and unknown ones are errors (S58)', () => {
  using site = makeSite()
  const bounding = (...flags: readonly string[]): string =>
    /^CapBnd:\t0*([0-9a-f]*)$/m.exec(runDefault(site, status, ...flags).stdout)?.[1] ?? 'error'
  const own = /^CapEff:\t0*([0-9a-f]*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  const cases: readonly (readonly [flags: string, bits: string | undefined])[] = [
    ['--cap-drop ALL', ''],
    ['--cap-drop all --cap-add chown', '1'],
    ['--cap-drop ALL --cap-add CAP_KILL', '20'],
    ['--cap-drop KILL', (0xa80425fb - 0x20).toString(16)],
    ['--cap-drop cap_kill --cap-drop KILL', (0xa80425fb - 0x20).toString(16)],
    ['--cap-add CHOWN', MOBY],
    ['--cap-add ALL', own],
    ['--privileged', own],
    ['--cap-add NOSUCH', 'error'],
    ['--cap-drop CAP_SYS_CHROOTS', 'error'],
  ]
  for (const [flags, bits] of cases) expect([flags, bounding(...flags.split(' '))]).toEqual([flags, bits ?? '?'])
})

const numberOf = (name: string): number => syscallNumber(architecture, name) ?? -1
const CLONE_NEWUSER = 0x1000_0000
const CLONE_NEWCGROUP = 0x0200_0000

test('nobody inside makes a user namespace, root or not (S116)', () => {
  using site = makeSite()
  installInside(site)
  const script = `inside call ${numberOf('unshare')} ${CLONE_NEWUSER}`
  expect(runDefault(site, script).stdout).toBe('-1\n')
  expect(runDefault(site, script, '--user', '1000:1000').stdout).toBe('-1\n')
  expect(runDefault(site, script, '--privileged', '--user', '1000:1000').stdout).toBe('0\n')
})

test('the release agent of cgroup v1 is out of reach: no new namespace, no mount (S54)', () => {
  using site = makeSite()
  installInside(site)
  const script = `inside call ${numberOf('unshare')} ${CLONE_NEWCGROUP}; mkdir -p /tmp/c
    mount -t cgroup -o memory none /tmp/c 2>/dev/null && echo mounted; exit 0`
  expect(runDefault(site, script).stdout).toBe('-1\n')
  // Without a filter the capability is missing all the same.
  const docker = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_MKNOD', 'CAP_SYS_CHROOT', 'CAP_SETUID']
  const capabilities = (...names: readonly string[]) => ({
    'root.readonly': false,
    'process.capabilities': { bounding: names, permitted: names, effective: names },
  })
  expect(site.inside(script, capabilities(...docker))).toBe('-1\n')
  expect(site.inside(script, capabilities('CAP_SYS_ADMIN'))).toBe('0\nmounted\n')
  expect(runDefault(site, script, '--privileged').stdout).toBe('0\nmounted\n')
})

test('tun is denied where nobody asked for it, and allowed by the runtime for engines that cannot ask (S92)', () => {
  using site = makeSite()
  const capabilities = ['bounding', 'permitted', 'effective'].map((set) => [set, ['CAP_MKNOD', 'CAP_DAC_OVERRIDE']])
  const script = 'mknod /dev/tun c 10 200; (: <>/dev/tun) 2>/dev/null && echo open || echo denied'
  expect(runDefault(site, script).stdout).toBe('denied\n')
  expect(runDefault(site, script, '--privileged').stdout).toBe('open\n')
  expect(site.inside(script, { 'process.capabilities': Object.fromEntries(capabilities) })).toBe('open\n')
})

test('words that a bind mount ignores are told, and the container is made all the same (S39)', () => {
  using site = makeSite()
  const mount = { destination: '/mnt', type: 'bind', source: '/etc', options: ['bind', 'ro', 'readonly'] }
  const { exitCode, stderr } = site.run({ '+mounts': [mount], 'process.args': ['true'] })
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining('mounts[7].options has "readonly"')])
  const other = { ...mount, options: ['bind', 'ro'] }
  expect(site.run({ '+mounts': [other], 'process.args': ['true'] }).stderr).toBe('')
})

test('who is not root sees no state, no configuration and no plan of root, and no start is theirs (S43, S255)', () => {
  using site = makeSite()
  site.configure()
  expect(site.call(['create', site.id]).exitCode).toBe(0)
  const nobody = (...command: readonly string[]): string =>
    Bun.spawnSync(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', ...command]).stdout.toString()
  const directory = join(site.root(), site.id)
  expect(
    nobody(
      'sh',
      '-c',
      `ls ${site.root()} ${directory}; cat ${directory}/state.json ${directory}/init; ls -A ${site.root()}/.plans`,
    ),
  ).toBe('')
  expect(nobody('sh', '-c', `ls ${site.directory}`)).not.toBe('')
  expect(Bun.spawnSync(['ls', directory]).stdout.toString()).toContain('state.json')
})
