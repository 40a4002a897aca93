/**
 * Somebody who shares a volume, or the image, changes it while a container is made. 500 starts each, none of which may go wrong; that the
 * window was hit is shown by the starts themselves, which met both states, and by a twin without the protection, which loses in it.
 */

import { afterEach, expect, test } from 'bun:test'
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  AT_FDCWD,
  O_RDONLY,
  openat,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_SYMLINKS,
} from '../../src/linux/files.ts'
import { SUBPATH } from '../../src/oci/mount-options.ts'
import { ROOT } from '../../src/plan/slots.ts'
import { bind, type Mount } from '../kernel/bundle.ts'
import { canaryOf } from '../kernel/canary.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { byPath, withoutResolve } from '../mutants/mutants.ts'
import { all, drop, dropCheck, edit, setArgument } from '../plan-edits.ts'
import { type Result, ROUNDS, race } from './race.ts'

afterEach(expectNothingLeft)

const LONG_MS = 600_000

/** No start went wrong, both states were met, and the twin has lost. */
function expectWon({ outcomes, exchanges, twinLostAt }: Result): void {
  expect(outcomes.lost ?? 0).toBe(0)
  expect(Object.keys(outcomes).length).toBeGreaterThanOrEqual(2)
  expect(exchanges).toBeGreaterThan(ROUNDS)
  expect(twinLostAt).toBeGreaterThan(0)
}

interface Arena {
  readonly canary: string
  readonly isWhole: () => boolean
  readonly volume: string
}

/** A volume with a directory `a` and a link `b` to a directory of the host, whose path is one of the image as well. */
function arenaOf(site: Site): Arena {
  const canary = canaryOf(site)
  const before = canary.state()
  const volume = join(site.directory, 'volume')
  mkdirSync(join(volume, 'a'), { recursive: true })
  symlinkSync(canary.path, join(volume, 'b'))
  mkdirSync(join(site.rootfs, canary.path), { recursive: true })
  return { canary: canary.path, isWhole: () => canary.state() === before, volume }
}

const tmpfs = (destination: string): Mount => ({ destination, type: 'tmpfs', source: 'tmpfs' })
const LINES = 'cut -d" " -f5 /proc/self/mountinfo'

test(
  'a mount never lands on the host, whoever exchanges its target (S17)',
  async () => {
    using site = makeSite()
    const { canary, isWhole, volume } = arenaOf(site)
    const result = await race({
      name: 'target of a mount (S17)',
      site,
      directory: volume,
      names: ['a', 'b'],
      changes: {
        '+mounts': [bind(volume, '/mnt'), tmpfs('/mnt/a')],
        'process.args': ['sh', '-c', `touch /mnt/a/x /mnt/b/x 2>/dev/null; ${LINES}`],
      },
      unprotected: all(byPath('for a new tmpfs'), dropCheck('take /mnt/a')),
      outcome: ({ stdout, failures }) => {
        if (stdout.split('\n').some((line) => line.startsWith(site.directory) && line !== canary)) return 'lost'
        // A twin that mounted over the tree of the host has nothing of the mount left in the container.
        if (failures.length === 0 && !/^\/mnt\/[ab]$/m.test(stdout) && !stdout.includes(canary)) return 'lost'
        if (!isWhole()) return 'lost'
        if (failures.length > 0) return 'refused'
        return stdout.includes(canary) ? 'behind the link, inside' : 'in the volume'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'nothing is made on the host for a mount, whoever exchanges a directory on the way (S33)',
  async () => {
    using site = makeSite()
    const { canary, isWhole, volume } = arenaOf(site)
    const result = await race({
      name: 'what is made for a mount (S33)',
      site,
      directory: volume,
      names: ['a', 'b'],
      changes: {
        '+mounts': [bind(volume, '/mnt'), bind(join(canary, 'file'), '/mnt/a/made/deep/file')],
        'process.args': ['sh', '-c', LINES],
      },
      unprotected: byPath('the bind mount of'),
      outcome: ({ stdout, failures }) => {
        for (const path of [join(volume, 'a', 'made'), join(site.rootfs, canary, 'made')])
          rmSync(path, { recursive: true, force: true })
        if (!isWhole()) return 'lost'
        if (failures.length > 0) return 'refused'
        return stdout.includes(canary) ? 'behind the link, inside' : 'in the volume'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'a masked file is covered by character device 1:3, whoever exchanges /dev/null of the container (S24)',
  async () => {
    using site = makeSite()
    const volume = join(site.directory, 'volume')
    mkdirSync(volume)
    Bun.spawnSync(['mknod', '-m', '666', join(volume, 'null'), 'c', '1', '3'])
    writeFileSync(join(volume, 'fake'), 'fake')
    writeFileSync(join(site.rootfs, 'etc', 'secret'), 'secret')
    const result = await race({
      name: '/dev/null of the container (S24)',
      site,
      directory: volume,
      names: ['null', 'fake'],
      changes: {
        '+mounts': [bind(volume, '/dev')],
        'linux.maskedPaths': ['/etc/secret'],
        'process.args': ['sh', '-c', 'stat -c "mask %t:%T" /etc/secret; stat -c "null %F" /dev/null'],
      },
      unprotected: all(
        setArgument('have a /dev/null to cover', 0, () => ROOT),
        setArgument('have a /dev/null to cover', 1, () => 'dev/null'),
        drop('be sure that it is character device'),
      ),
      outcome: ({ stdout, failures }) => {
        if (failures.length > 0) return 'refused'
        if (!stdout.includes('mask 1:3')) return 'lost'
        return stdout.includes('null char') ? 'beside the device' : 'beside the fake'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'no device is made on the host, whoever exchanges /dev of the image (S22)',
  async () => {
    using site = makeSite()
    const { canary, isWhole } = arenaOf(site)
    symlinkSync(canary, join(site.rootfs, 'devlink'))
    const result = await race({
      name: '/dev of the image (S22)',
      site,
      directory: site.rootfs,
      names: ['dev', 'devlink'],
      changes: { 'process.args': ['true'] },
      unprotected: all(withoutResolve('for devices', RESOLVE_NO_SYMLINKS | RESOLVE_IN_ROOT), byPath('for devices')),
      outcome: ({ failures }) => {
        if (!isWhole()) return 'lost'
        return failures.length > 0 ? 'refused' : 'in the image'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'the working directory is inside and is made inside, whoever exchanges a directory on the way (S6, S32)',
  async () => {
    using site = makeSite()
    const { canary, isWhole } = arenaOf(site)
    const volume = join(site.directory, 'magic')
    mkdirSync(join(volume, 'a'), { recursive: true })
    symlinkSync('/proc/self/fd/7', join(volume, 'b'))
    const result = await race({
      name: 'the working directory (S6, S32)',
      site,
      directory: volume,
      names: ['a', 'b'],
      changes: {
        '+mounts': [bind(volume, '/mnt')],
        'process.cwd': '/mnt/a/work',
        'process.args': ['sh', '-c', 'pwd -P; cat ../file 2>/dev/null'],
      },
      options: {
        through: ['sh', '-c', `exec 7<${canary}; exec "$@"`, 'sh'],
      },
      unprotected: all(withoutResolve('make the working directory', 0xff), dropCheck('is inside the container')),
      outcome: ({ stdout, failures }) => {
        Bun.spawnSync(['rmdir', 'a/work', 'b/work'], { cwd: volume, stderr: 'ignore' })
        if (stdout.includes('of the host') || !isWhole()) return 'lost'
        if (failures.length > 0) return 'refused'
        return /^\/mnt\/[ab]\/work\n$/.test(stdout) ? 'inside' : 'lost'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'a program that is exchanged for a fifo blocks nobody (S11)',
  async () => {
    using site = makeSite()
    const volume = join(site.directory, 'volume')
    mkdirSync(volume)
    Bun.spawnSync(['cp', join(site.rootfs, 'bin', 'busybox'), join(volume, 'true')])
    Bun.spawnSync(['mkfifo', '-m', '777', join(volume, 'fifo')])
    const path = '/mnt/true'
    const result = await race({
      name: 'the program (S11)',
      site,
      directory: volume,
      names: ['true', 'fifo'],
      changes: { '+mounts': [bind(volume, '/mnt')], 'process.args': [path] },
      options: { timeoutMs: 3000 },
      unprotected: edit(
        `find ${path}`,
        (step) => [step, { call: openat(AT_FDCWD, path, O_RDONLY), why: 'look into the program', see: [] }],
        'statx',
      ),
      outcome: ({ exitCode, failures }) => {
        if (exitCode === 0) return 'ran'
        return failures.some((line) => line.startsWith('no report')) || failures.length === 0 ? 'lost' : 'refused'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'the options of a bind mount hold for whatever was mounted, whoever exchanges its source (S21, S28)',
  async () => {
    using site = makeSite()
    const { isWhole, volume } = arenaOf(site)
    const result = await race({
      name: 'the source of a bind mount (S21, S28)',
      site,
      directory: volume,
      names: ['a', 'b'],
      changes: {
        '+mounts': [bind(join(volume, 'a'), '/mnt', 'ro')],
        'process.args': ['sh', '-c', 'touch /mnt/written 2>/dev/null && echo written; ls /mnt'],
      },
      // As a remount by path does it: what gets the attributes is looked up once more.
      unprotected: edit('at /mnt its attributes', (step) => [
        { ...openAgain(join(volume, 'a')), into: AGAIN },
        { ...step, call: { ...step.call, args: [AGAIN, ...step.call.args.slice(1)] } },
      ]),
      outcome: ({ stdout, failures }) => {
        if (stdout.includes('written') || !isWhole()) return 'lost'
        if (failures.length > 0) return 'refused'
        return stdout.includes('file') ? 'the one' : 'the other'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

test(
  'a path below a volume never leads out of it, whoever exchanges it for a link (S21)',
  async () => {
    using site = makeSite()
    const { isWhole, volume } = arenaOf(site)
    writeFileSync(join(volume, 'a', 'inside'), '')
    const result = await race({
      name: 'a path below a volume (S21)',
      site,
      directory: volume,
      names: ['a', 'b'],
      changes: {
        '+mounts': [bind(volume, '/mnt', `${SUBPATH}=a`)],
        'process.args': ['ls', '/mnt'],
      },
      unprotected: withoutResolve('without leaving', RESOLVE_BENEATH),
      outcome: ({ stdout, failures }) => {
        if (!isWhole()) return 'lost'
        if (failures.length > 0) return 'refused'
        return stdout === 'inside\n' ? 'in the volume' : 'lost'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)

const AGAIN = { slot: 'again' } as const
const openAgain = (path: string) => ({
  call: { name: 'open_tree', args: [AT_FDCWD, path, 1] },
  why: 'look the source up again',
  see: [],
})

test(
  'a path of a namespace that is exchanged for a fifo blocks nobody (S110)',
  async () => {
    using site = makeSite()
    const paths = join(site.directory, 'paths')
    mkdirSync(paths)
    symlinkSync('/proc/self/ns/uts', join(paths, 'a'))
    Bun.spawnSync(['mkfifo', join(paths, 'b')])
    const path = join(paths, 'a')
    const result = await race({
      name: 'the path of a namespace (S110)',
      site,
      directory: paths,
      names: ['a', 'b'],
      changes: { 'linux.namespaces': [{ type: 'mount' }, { type: 'uts', path }], 'process.args': ['true'], mounts: [] },
      options: { timeoutMs: 3000 },
      unprotected: all(
        setArgument(/openat\(host-proc, "self\/fd\//, 1, () => path),
        setArgument(/openat\(host-proc, "[^"]*volume|openat\(host-proc, ".*paths\/a"/, 0, () => AT_FDCWD),
      ),
      outcome: ({ exitCode, failures }) => {
        if (exitCode === 0) return 'joined'
        return failures.some((line) => line.startsWith('no report')) || failures.length === 0 ? 'lost' : 'refused'
      },
    })
    expectWon(result)
  },
  LONG_MS,
)
