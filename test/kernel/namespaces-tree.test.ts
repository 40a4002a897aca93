import { afterAll, expect, test } from 'bun:test'
import { chmodSync, existsSync, readFileSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  COFFER,
  COFFER_RUNC,
  inScript,
  type Live,
  MOUNTS,
  type Outcome,
  place,
  spawn,
  USUAL,
  type Wanted,
} from './namespace-bundle.ts'

const site = place()
afterAll(() => site[Symbol.dispose]())

const PTS = { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['newinstance', 'ptmxmode=0666'] }
/** Where nothing of the host is left, `..` of the root is the root, and one mount is at `/`. */
const LOOK_UP = "ls -di / /.. | awk '{ print $1 }' | uniq | wc -l; awk '$5 == \"/\"' /proc/self/mountinfo | wc -l"
const NOTHING_ABOVE: Outcome = { exitCode: 0, stdout: '1\n1\n', stderr: '' }
const joinTree = ({ pid }: Live): string => `pid=/proc/${pid}/ns/pid mount=/proc/${pid}/ns/mnt`

test('nothing of the host is left above the root, however many mounts the configuration puts over it (S30)', () => {
  const bind = { destination: '/', type: 'bind', source: site.rootfs, options: ['rbind'] }
  const view = { destination: '/', type: 'overlay', source: 'overlay', options: [`lowerdir=${site.rootfs}`] }
  for (const over of [[], [bind], [bind, view], [view, bind, bind]]) {
    const mounts = [...over, ...MOUNTS]
    expect(site.run({ namespaces: USUAL, mounts, script: LOOK_UP })).toEqual(NOTHING_ABOVE)
    using live = site.start({ namespaces: USUAL, mounts })
    expect(live.exec(LOOK_UP)).toEqual(NOTHING_ABOVE)
  }
})

test('nothing of the host is left above a view of this machine (S30)', () => {
  const mark = `/usr/mark-${process.pid}`
  expect(
    spawn([COFFER, 'run', '--rm', '--network', 'none', 'host', 'sh', '-c', `${LOOK_UP}; echo x >${mark}`]),
  ).toEqual(NOTHING_ABOVE)
  expect(existsSync(mark)).toBe(false)
})

/** Two overlays may be on top of each other, and each view is one: FILESYSTEM_MAX_STACK_DEPTH in include/linux/fs.h. */
const OVERLAYFS_SUPER_MAGIC = 0x794c7630
const isOverlay = statfsSync('/').type === OVERLAYFS_SUPER_MAGIC

test.skipIf(isOverlay)('a view of this machine is made in a view of this machine', () => {
  const inner = ['/bin/coffer', 'run', '--rm', '--network', 'none', 'host', 'sh', '-c', LOOK_UP]
  const outcome = spawn([
    COFFER,
    'run',
    '--network',
    'none',
    '--rm',
    '--privileged',
    '--volume',
    `${COFFER}:/bin/coffer:ro`,
    'host',
    ...inner,
  ])
  expect(outcome).toEqual(NOTHING_ABOVE)
})

const inTerminal = (wanted: Wanted): string => {
  const bundle = site.bundle({ ...wanted, process: { ...wanted.process, terminal: true } })
  const command = `${COFFER_RUNC} --root ${site.directory}/terminals run --bundle ${bundle} terminal-${process.pid}`
  return inScript(`${site.directory}/silent`, command)
}

test('a container has a terminal whether it makes, joins or lacks a mount namespace', () => {
  using live = site.start({ namespaces: USUAL, mounts: [...MOUNTS, PTS] })
  const process = { args: ['sh', '-c', 'test -t 0 && echo terminal; ls /dev/pts 2>/dev/null | head -1'] }
  expect(inTerminal({ namespaces: USUAL, mounts: [...MOUNTS, PTS], process })).toContain('terminal\n0\n')
  expect(inTerminal({ namespaces: joinTree(live), mounts: [], process })).toContain('terminal\n0\n')
  expect(inTerminal({ namespaces: 'pid', mounts: [], process })).toEndWith('terminal\n')
})

/** A hook that appends what it is told to a file. */
function recorder(): {
  readonly path: string
  readonly states: () => readonly { readonly status: string; readonly pid: number }[]
} {
  const path = join(site.directory, 'hook')
  const record = join(site.directory, 'told')
  writeFileSync(path, `#!/bin/sh\ncat >>${record}\necho >>${record}\n`)
  chmodSync(path, 0o755)
  writeFileSync(record, '')
  return {
    path,
    states: () =>
      readFileSync(record, 'utf8')
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
  }
}

test('hooks run for a container without a mount namespace, and for one that joins it', () => {
  const { path, states } = recorder()
  const hooks = { prestart: [{ path }], createRuntime: [{ path }], poststart: [{ path }] }
  using live = site.start({ namespaces: USUAL })
  expect(
    site.run({ namespaces: 'pid', mounts: [], config: { hooks: { ...hooks, createContainer: [{ path }] } } }).stderr,
  ).toBe('')
  expect(site.run({ namespaces: joinTree(live), mounts: [], config: { hooks } }).stderr).toBe('')
  const creating = ['creating', 'creating']
  expect(states().map(({ status }) => status)).toEqual([...creating, 'creating', 'running', ...creating, 'running'])
  // Inside of the new pid namespace.
  expect(states()[2]?.pid).toBe(1)
  const createContainer = site.run({
    namespaces: joinTree(live),
    mounts: [],
    config: { hooks: { createContainer: [{ path }] } },
  })
  expect(createContainer.stderr).toContain('hooks.createContainer needs a new mount namespace')
})

test('a hook inside of the container is told the pid that the container has there', () => {
  using live = site.start({ namespaces: USUAL })
  const hook = { path: '/bin/sh', args: ['sh', '-c', 'cat >/tmp/state'], env: ['PATH=/bin'] }
  const script = 'echo $$; cat /tmp/state'
  const config = { hooks: { startContainer: [hook] } }
  const { stdout } = site.run({ namespaces: `mount pid=/proc/${live.pid}/ns/pid`, config, script })
  const [pid = '', state = ''] = stdout.split('\n')
  expect(JSON.parse(state).pid).toBe(Number(pid))
  expect(Number(pid)).toBeGreaterThan(1)
})
