import { afterAll, expect, test } from 'bun:test'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { allCapabilities } from '../../src/linux/capabilities.ts'
import { COFFER_RUNC, ids, place, sh, USUAL, type Wanted } from './namespace-bundle.ts'

const site = place()
afterAll(() => site[Symbol.dispose]())

const range = (containerID: number, hostID: number, size: number): object => ({ containerID, hostID, size })
const mapped = (...ranges: readonly object[]): object => ({ uidMappings: ranges, gidMappings: ranges })
const ALL = allCapabilities()
const NEW = `user ${USUAL}`
/** Makes a user namespace with one id, in front of a command. */
const UNSHARE = ['unshare', '--user', '--map-root-user']
const refused = (wanted: Wanted, as?: readonly string[]): string => {
  const { exitCode, stderr } = site.run(wanted, as)
  expect(exitCode).toBe(1)
  return stderr
}

test('several ranges of ids are mapped as they are asked for', () => {
  const linux = mapped(range(0, 100_000, 10), range(10, 300_000, 5), range(1000, 200_000, 1))
  const user = { uid: 1000, gid: 1000, additionalGids: [3, 12] }
  const script = 'cat /proc/self/uid_map /proc/self/gid_map | tr -s " "; id -u; id -g; id -G; touch /tmp/mine'
  sh(`chmod 1777 '${site.rootfs}/tmp'`)
  const { stdout, stderr } = site.run({ namespaces: NEW, linux, process: { user }, script })
  expect(stderr).toBe('')
  const maps = ' 0 100000 10\n 10 300000 5\n 1000 200000 1\n'
  expect(stdout).toBe(`${maps}${maps}1000\n1000\n1000 3 12\n`)
  expect(sh(`stat -c '%u %g' '${site.rootfs}/tmp/mine'`).stdout).toBe('200000 200000\n')
})

test('as many ranges as fit into the page that the kernel takes are mapped, and more are refused by name', () => {
  const linux = (count: number): object =>
    mapped(...Array.from({ length: count }, (_, i) => range(i * 2, 1_000_000 + i * 2, 1)))
  const namespaces = 'user mount pid'
  expect(site.run({ namespaces, linux: linux(250), script: 'grep -c . /proc/self/uid_map' }).stdout).toBe('250\n')
  expect(refused({ namespaces, linux: linux(340) })).toContain('linux.uidMappings has 340 ranges, whose text of')
})

test('a map without the root of the container is refused by name', () => {
  const linux = mapped(range(1000, 100_000, 1))
  expect(refused({ namespaces: NEW, linux, process: { user: { uid: 1000, gid: 1000 } } })).toContain(
    'linux.uidMappings does not map 0',
  )
  expect(refused({ namespaces: NEW })).toContain('linux.uidMappings is empty')
})

test('a new user namespace lets setgroups(2), and processes of exec get their groups by it', () => {
  using live = site.start({ namespaces: NEW, linux: ids(100_000) })
  expect(live.exec('cat /proc/self/setgroups; id -G').stdout).toBe('allow\n0\n')
  expect(live.exec('id -G', ['--user', '5:6', '--additional-gids', '7']).stdout).toBe('6 7\n')
})

test('init and processes of exec have no group of the caller (S61)', () => {
  const as = ['setpriv', '--groups', '4,20']
  for (const [namespaces, linux] of [
    [USUAL, {}],
    [NEW, ids(100_000)],
  ] as const) {
    using live = site.start({ namespaces, linux }, as)
    const script = "grep Groups: /proc/self/status | tr -d '\\t '"
    expect(live.exec(script).stdout).toBe('Groups:\n')
    expect(sh(`${script.replace('self', `${live.pid}`)}`).stdout).toBe('Groups:\n')
  }
})

test('a process of exec is root of the user namespace, and nobody outside of it', () => {
  using live = site.start({ namespaces: NEW, linux: ids(100_000) })
  const script = "grep -E '^(Uid|Gid):' /proc/self/status | tr -s '\\t' ' '; exec sleep 0.1"
  expect(live.exec(script).stdout).toBe('Uid: 0 0 0 0\nGid: 0 0 0 0\n')
  expect(sh(`stat -c %u /proc/${live.pid}`).stdout).toBe('100000\n')
})

test('coffer inside of a user namespace makes containers with and without one of their own', () => {
  const script = 'id -u; echo hello >/dev/null && echo written'
  for (const namespaces of ['mount', 'mount pid', USUAL]) {
    expect(site.run({ namespaces, script }, UNSHARE)).toEqual({ exitCode: 0, stdout: '0\nwritten\n', stderr: '' })
  }
  const linux = mapped(range(0, 0, 1))
  expect(site.run({ namespaces: NEW, linux, script }, UNSHARE)).toEqual({
    exitCode: 0,
    stdout: '0\nwritten\n',
    stderr: '',
  })
  using live = site.start({ namespaces: NEW, linux }, UNSHARE)
  // Another user namespace of the same user: its root is not above that of the container.
  expect(live.exec('id -u').stderr).toContain('EPERM')
})

test('ids that the user namespace of coffer does not have are refused with the reason', () => {
  const stderr = refused({ namespaces: NEW, linux: ids(0, 10) }, UNSHARE)
  expect(stderr).toMatch(/cannot map 10 user ids into the user namespace: write\(\/proc\/.*uid_map\) = EPERM/)
  expect(stderr).toContain('coffer is in a user namespace itself')
})

test('a limit of namespaces that is 0 is named', () => {
  const limit = (name: string): readonly string[] => [
    ...UNSHARE,
    'sh',
    '-c',
    `echo 0 >/proc/sys/user/max_${name}_namespaces; exec "$@"`,
    'sh',
  ]
  const linux = mapped(range(0, 0, 1))
  expect(refused({ namespaces: NEW, linux }, limit('user'))).toMatch(
    /clone3.* = ENOSPC\n.*user\.max_user_namespaces = 0/,
  )
  expect(refused({ namespaces: USUAL }, limit('net'))).toMatch(
    /clone3.* = ENOSPC\n.*sysctl -w user\.max_net_namespaces=/,
  )
  expect(refused({ namespaces: 'mount time' }, limit('time'))).toContain('user.max_time_namespaces')
})

/** Bundles of the nested coffers: the file system of the outer one, and a script that knows how deep it is. */
function nest(depth: number): Wanted {
  copyFileSync(COFFER_RUNC, join(site.rootfs, 'bin', 'coffer-runc'))
  const script = `
    echo "$DEPTH $(id -u) $(grep -c . /proc/self/uid_map)"
    [ "$DEPTH" -lt ${depth} ] || exit 0
    mkdir -p /tmp/next && sed -e "s/DEPTH=$DEPTH/DEPTH=$((DEPTH+1))/" -e 's/"hostID":100000/"hostID":0/g' /bundle.json >/tmp/next/config.json
    cp /tmp/next/config.json /tmp/bundle.json
    coffer-runc --root /tmp/run run --bundle /tmp/next nested-$DEPTH`
  const mounts = [
    { destination: '/proc', type: 'proc', source: 'proc' },
    { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['mode=755'] },
    { destination: '/tmp', type: 'tmpfs', source: 'tmpfs', options: ['mode=1777'] },
    { destination: '/bundle.json', type: 'bind', source: '/tmp/bundle.json', options: ['bind'] },
  ]
  const wanted: Wanted = {
    namespaces: NEW,
    linux: ids(100_000),
    mounts,
    script,
    process: { env: ['PATH=/bin', 'DEPTH=1'], capabilities: { bounding: ALL, effective: ALL, permitted: ALL } },
    config: { root: { path: '/' } },
  }
  return wanted
}

test('coffer runs in a container of coffer in a container of coffer, each in the user namespace of the one around it', () => {
  const wanted = nest(5)
  const bundle = site.bundle(wanted)
  // Each level finds its own configuration in the file system of the one around it.
  const config = JSON.stringify(JSON.parse(sh(`cat '${bundle}/config.json'`).stdout))
  writeFileSync(join(site.rootfs, 'bundle.json'), config)
  const first = config
    .replace('"root":{"path":"/"}', `"root":{"path":"${site.rootfs}"}`)
    .replace('"source":"/tmp/bundle.json"', `"source":"${site.rootfs}/bundle.json"`)
  writeFileSync(join(bundle, 'config.json'), first)
  const { exitCode, stdout, stderr } = site.runc(['run', '--bundle', bundle, `nested-${process.pid}`])
  expect(stderr).toBe('')
  expect(stdout).toBe('1 0 1\n2 0 1\n3 0 1\n4 0 1\n5 0 1\n')
  expect(exitCode).toBe(0)
})

test('at the depth where the kernel has no more user namespaces the error says so', () => {
  const linux = mapped(range(0, 0, 1))
  const deep = (depth: number): readonly string[] => Array.from({ length: depth }, () => UNSHARE).flat()
  // kernel/user_namespace.c, create_user_ns: the parent may be at level 32.
  expect(site.run({ namespaces: NEW, linux, script: 'id -u' }, deep(32)).stdout).toBe('0\n')
  expect(refused({ namespaces: NEW, linux }, deep(33))).toMatch(/clone3.* = ENOSPC\n.*nested 32 deep/)
  expect(site.run({ namespaces: USUAL, script: 'id -u' }, deep(33)).stdout).toBe('0\n')
})
