/** Devices of containers: the nodes that are there, and what may be done with them. */

import { afterEach, expect, test } from 'bun:test'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { bind } from './bundle.ts'
import { expectNothingLeft, makeSite } from './site.ts'

afterEach(expectNothingLeft)

const CAPABLE = {
  'process.capabilities': Object.fromEntries(
    ['bounding', 'permitted', 'effective'].map((set) => [set, ['CAP_MKNOD', 'CAP_DAC_OVERRIDE', 'CAP_SYS_ADMIN']]),
  ),
}

const NODES = `/dev/full 1:7 666
/dev/null 1:3 666
/dev/random 1:8 666
/dev/tty 5:0 666
/dev/urandom 1:9 666
/dev/zero 1:5 666
`

const LINKS = `/dev/fd -> /proc/self/fd
/dev/ptmx -> pts/ptmx
/dev/stderr -> /proc/self/fd/2
/dev/stdin -> /proc/self/fd/0
/dev/stdout -> /proc/self/fd/1
`

test('/dev has the devices and links of the specification, and they work', () => {
  using site = makeSite()
  expect(site.inside('for f in /dev/*; do [ ! -L $f ] && [ -c $f ] && stat -c "%n %t:%T %a" $f; done; exit 0')).toBe(
    NODES,
  )
  expect(site.inside('for f in /dev/*; do [ -L $f ] && echo "$f -> $(readlink $f)"; done | grep -v core; exit 0')).toBe(
    LINKS,
  )
  const script =
    'head -c3 /dev/zero | xxd -p; head -c1 /dev/urandom | wc -c; echo x >/dev/null; (echo x >/dev/full) 2>&1; (echo out >/dev/stdout) | cat; ls /dev/fd/0'
  expect(site.inside(script)).toBe('000000\n1\nsh: write error: No space left on device\nout\n/dev/fd/0\n')
})

test('an image without a tmpfs at /dev gets the same devices in its own', () => {
  using site = makeSite()
  writeFileSync(join(site.rootfs, 'dev', 'ptmx'), 'fake')
  const mounts = [{ destination: '/proc', type: 'proc', source: 'proc' }]
  const script =
    'for f in /dev/*; do [ ! -L $f ] && [ -c $f ] && stat -c "%n %t:%T %a" $f; done; readlink /dev/ptmx; exit 0'
  expect(site.inside(script, { mounts, 'root.readonly': false })).toBe(`${NODES}pts/ptmx\n`)
})

test('devices of the configuration have their type, number, mode and owner, and their directories are made', () => {
  using site = makeSite()
  const devices = [
    { path: '/dev/one', type: 'c', major: 1, minor: 11, fileMode: 0o640, uid: 5, gid: 6 },
    { path: '/dev/sub/dir/two', type: 'b', major: 7, minor: 200, fileMode: 0o600 },
    { path: '/dev/pipe', type: 'p', fileMode: 0o622 },
    { path: '/dev/unbuffered', type: 'u', major: 1, minor: 5 },
    { path: '/dev/null', type: 'c', major: 1, minor: 3, fileMode: 0o600 },
    { path: '/elsewhere/three', type: 'c', major: 1, minor: 3 },
  ]
  const script =
    'stat -c "%n %F %t:%T %a %u:%g" /dev/one /dev/sub/dir/two /dev/pipe /dev/unbuffered /dev/null /elsewhere/three'
  expect(site.inside(script, { 'linux.devices': devices, 'root.readonly': false })).toBe(
    [
      '/dev/one character special file 1:b 640 5:6',
      '/dev/sub/dir/two block special file 7:c8 600 0:0',
      '/dev/pipe fifo 0:0 622 0:0',
      '/dev/unbuffered character special file 1:5 666 0:0',
      '/dev/null character special file 1:3 600 0:0',
      '/elsewhere/three character special file 1:3 666 0:0',
      '',
    ].join('\n'),
  )
})

const probe = (path: string): string => `(: <${path}) 2>/dev/null && echo r; (: >>${path}) 2>/dev/null && echo w`

test('who may make device nodes may still not open what the list does not allow (S92)', () => {
  using site = makeSite()
  const script = `
    cd /dev; mknod kmsg c 1 11 && mknod mem c 1 1 && mknod loop b 7 0 && mknod vda b 254 0 && echo made
    for d in kmsg mem loop vda; do ${probe('$d')}; done
    for d in null zero full random urandom; do (: <$d) && echo $d; done; exit 0`
  expect(site.inside(script, CAPABLE)).toBe('made\nnull\nzero\nfull\nrandom\nurandom\n')
})

test('an allowed device is allowed just what its access says (S92)', () => {
  using site = makeSite()
  const deny = { allow: false, access: 'rwm' }
  const seen = (access: string): string =>
    site.inside(`cd /dev; ${probe('/volume/fuse')}; exit 0`, {
      ...CAPABLE,
      '+mounts': [bind(volume, '/volume')],
      'linux.resources': { devices: [deny, { allow: true, type: 'c', major: 10, minor: 229, access }] },
    })
  const volume = join(site.directory, 'volume')
  mkdirSync(volume)
  Bun.spawnSync(['mknod', '-m', '666', join(volume, 'fuse'), 'c', '10', '229'])
  expect([seen('r'), seen('w'), seen('rw')]).toEqual(['r\n', 'w\n', 'r\nw\n'])
})

test('a device node in the layers of an image opens nothing (S94)', () => {
  using site = makeSite()
  for (const [name, ...numbers] of [
    ['kmsg', 'c', '1', '11'],
    ['mem', 'c', '1', '1'],
    ['disk', 'b', '254', '0'],
  ] as const)
    Bun.spawnSync(['mknod', '-m', '666', join(site.rootfs, name), ...numbers])
  const script = ['/kmsg', '/mem', '/disk'].map(probe).join('; ')
  expect(site.inside(`${script}; exit 0`, { ...CAPABLE, 'root.readonly': false })).toBe('')
})

test('the devices hold for a process of exec as well (S92)', () => {
  using site = makeSite()
  site.up(CAPABLE)
  const { stdout } = site.exec(`cd /dev; mknod kmsg c 1 11; ${probe('/dev/kmsg')}; (: <zero) && echo zero`)
  expect(stdout).toBe('zero\n')
})

test('in a user namespace the devices are those of the host, and work', () => {
  using site = makeSite()
  Bun.spawnSync(['chown', '-R', '200000:200000', site.rootfs])
  const script =
    'stat -c "%n %t:%T" /dev/null /dev/zero /dev/urandom; echo x >/dev/null && head -c2 /dev/zero | xxd -p; mknod /dev/x c 1 3 2>/dev/null; echo $?'
  const seen = site.inside(script, {
    'linux.namespaces': ['pid', 'mount', 'user', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    'linux.uidMappings': [{ containerID: 0, hostID: 200_000, size: 65_536 }],
    'linux.gidMappings': [{ containerID: 0, hostID: 200_000, size: 65_536 }],
  })
  expect(seen).toBe('/dev/null 1:3\n/dev/zero 1:5\n/dev/urandom 1:9\n0000\n1\n')
})
