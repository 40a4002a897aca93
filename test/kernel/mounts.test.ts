/** Mounts of a container do what their options say, as programs inside find out. */

import { afterEach, expect, test } from 'bun:test'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ADMIN, bind, type Mount } from './bundle.ts'
import { insideProgram, installInside } from './programs.ts'
import { expectNothingLeft, makeSite, type Site } from './site.ts'

afterEach(expectNothingLeft)

const tmpfs = (destination: string, ...options: readonly string[]): Mount => ({
  destination,
  type: 'tmpfs',
  source: 'tmpfs',
  options,
})

/** A directory of the host beside the bundle. */
function directory(site: Site, name: string): string {
  const path = join(site.directory, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** The line of /proc/self/mountinfo about what is mounted at a path, in parts. */
function mountAt(site: Site, path: string, mounts: readonly Mount[], changes: object = {}) {
  const lines = site
    .inside('cat /proc/self/mountinfo', { '+mounts': mounts, ...changes })
    .trim()
    .split('\n')
  const line = lines.findLast((one) => one.split(' ')[4] === path)
  if (line === undefined) throw new Error(`nothing is mounted at ${path}:\n${lines.join('\n')}`)
  const [own = '', fs = ''] = line.split(' - ')
  const [, , , root, , options = '', ...propagation] = own.split(' ')
  const [type, source, fsOptions = ''] = fs.split(' ')
  return {
    root,
    options: options.split(','),
    propagation: propagation.join(' '),
    type,
    source,
    fsOptions: fsOptions.split(','),
  }
}

test('the usual mounts are there, each of its kind', () => {
  using site = makeSite()
  const script =
    'for p in / /proc /dev /dev/pts /dev/shm /dev/mqueue /sys; do stat -f -c "%n %T" $p; done; mount | wc -l'
  const kinds = site.inside(script).trim().split('\n').slice(1, 7)
  expect(kinds.map((line) => line.split(' ')[0])).toEqual([
    '/proc',
    '/dev',
    '/dev/pts',
    '/dev/shm',
    '/dev/mqueue',
    '/sys',
  ])
  expect(mountAt(site, '/proc', [])).toMatchObject({ type: 'proc', root: '/' })
  expect(mountAt(site, '/dev/mqueue', [])).toMatchObject({ type: 'mqueue' })
  expect(mountAt(site, '/sys', [])).toMatchObject({
    type: 'sysfs',
    options: expect.arrayContaining(['ro', 'nosuid', 'nodev', 'noexec']),
  })
})

test('a tmpfs has the size, mode and owner that it is given', () => {
  using site = makeSite()
  const script =
    'stat -c "%a %u %g" /mnt; df -k /mnt | tail -1 | tr -s " " | cut -d" " -f2; head -c 200000 /dev/zero >/mnt/x; echo $?'
  const seen = site.inside(`(${script}) 2>/dev/null`, {
    '+mounts': [tmpfs('/mnt', 'size=128k', 'mode=1700', 'uid=5', 'gid=6')],
  })
  expect(seen).toBe('1700 5 6\n128\n1\n')
})

test('a read-only root is not written to, and one that is not is', () => {
  using site = makeSite()
  expect(site.inside('touch /x 2>&1; exit 0', { 'root.readonly': true })).toContain('Read-only file system')
  expect(existsSync(join(site.rootfs, 'x'))).toBe(false)
  site.inside('touch /x', { 'root.readonly': false })
  expect(existsSync(join(site.rootfs, 'x'))).toBe(true)
})

test('ro, noexec, nodev and nosuid of a bind mount hold for what programs do (S28)', () => {
  using site = makeSite()
  installInside(site)
  const source = directory(site, 'volume')
  Bun.spawnSync(['mknod', '-m', '666', join(source, 'zero'), 'c', '1', '5'])
  Bun.spawnSync(['cp', insideProgram(), join(source, 'as-root')])
  chmodSync(join(source, 'as-root'), 0o4755)
  const script =
    '(touch /mnt/x) 2>/dev/null; echo w$?; (head -c1 /mnt/zero) >/dev/null 2>&1; echo d$?; (/mnt/as-root ids) 2>/dev/null; echo x$?'
  const seen = (...options: readonly string[]): string =>
    site
      .inside(script, {
        'process.user': { uid: 1000, gid: 1000 },
        'process.noNewPrivileges': false,
        'process.capabilities': { bounding: ['CAP_SETUID'] },
        '+mounts': [bind(source, '/mnt', ...options)],
      })
      .replaceAll('\n', ' ')
  chmodSync(source, 0o777)
  expect(seen()).toBe('w0 d0 1000 0 0 x0 ')
  expect(seen('ro')).toBe('w1 d0 1000 0 0 x0 ')
  expect(seen('nodev')).toBe('w0 d1 1000 0 0 x0 ')
  expect(seen('nosuid')).toBe('w0 d0 1000 1000 1000 x0 ')
  expect(seen('noexec')).toBe('w0 d0 x126 ')
  expect(seen('ro', 'nosuid', 'nodev', 'noexec')).toBe('w1 d1 x126 ')
  expect(seen('ro', 'rw', 'noexec', 'exec')).toBe('w0 d0 1000 0 0 x0 ')
})

/** Runs it where a tmpfs is mounted at `volume/sub`, in a mount namespace of its own. */
const withSubmount = (volume: string): readonly string[] => [
  'unshare',
  '-m',
  'sh',
  '-c',
  `mount -t tmpfs tmpfs ${volume}/sub && mount --make-rprivate / && exec "$@"`,
  'sh',
]

test('rro makes the mounts below read-only as well, ro only the one on top, and bind leaves them away (S28)', () => {
  using site = makeSite()
  const volume = directory(site, 'volume/sub')
  const through = withSubmount(join(volume, '..'))
  const script =
    '(touch /mnt/x) 2>/dev/null; echo $?; (touch /mnt/sub/x) 2>/dev/null; echo $?; grep -c " /mnt/sub " /proc/self/mountinfo; exit 0'
  const seen = (kind: string, ...options: readonly string[]): string => {
    const mount = { destination: '/mnt', type: 'none', source: join(volume, '..'), options: [kind, ...options] }
    return site.inside(script, { '+mounts': [mount] }, { through }).replaceAll('\n', ' ')
  }
  expect(seen('rbind')).toBe('0 0 1 ')
  expect(seen('rbind', 'ro')).toBe('1 0 1 ')
  expect(seen('rbind', 'rro')).toBe('1 1 1 ')
  expect(seen('bind', 'ro')).toBe('1 1 0 ')
})

test('access times are updated as the options say', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  for (const option of ['noatime', 'relatime', 'nodiratime'])
    expect(mountAt(site, '/mnt', [bind(source, '/mnt', option)]).options).toContain(option)
  expect(mountAt(site, '/mnt', [bind(source, '/mnt', 'strictatime')]).options).not.toContain('relatime')
})

test('a link in a mount with nosymfollow is not followed', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  writeFileSync(join(source, 'file'), 'x')
  symlinkSync('file', join(source, 'link'))
  const read = (...options: readonly string[]): number | null =>
    site.run({ '+mounts': [bind(source, '/mnt', ...options)], 'process.args': ['cat', '/mnt/link'] }).exitCode
  expect(read()).toBe(0)
  expect(read('nosymfollow')).toBe(1)
})

test('a file is mounted on a file, which is made if it is missing, with the directories above it', () => {
  using site = makeSite()
  const file = join(site.directory, 'hosts')
  writeFileSync(file, 'of the volume')
  const changes = { '+mounts': [bind(file, '/etc/hosts'), bind(file, '/made/new/file')] }
  expect(site.inside('cat /etc/hosts /made/new/file; stat -c %a /made /made/new', changes)).toBe(
    'of the volumeof the volume755\n755\n',
  )
  expect(statSync(join(site.rootfs, 'made/new/file')).size).toBe(0)
})

test('later mounts cover earlier ones, and go into them', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  const mounts = [tmpfs('/mnt'), bind(source, '/mnt/a/b'), tmpfs('/mnt/a/b/c'), tmpfs('/etc'), tmpfs('/etc')]
  const script = 'touch /mnt/a/b/x /mnt/a/b/c/y; ls /etc; grep -c " /etc " /proc/self/mountinfo'
  expect(site.inside(script, { '+mounts': mounts })).toBe('2\n')
  expect(readdirSync(source).sort()).toEqual(['c', 'x'])
  expect(readdirSync(join(site.rootfs, 'mnt'))).toEqual([])
})

test('a source that is missing fails with its path, and a relative one is below the bundle', () => {
  using site = makeSite()
  const absent = join(site.directory, 'absent')
  const { exitCode, stderr } = site.run({ '+mounts': [bind(absent, '/mnt')] })
  expect([exitCode, stderr]).toEqual([1, expect.stringContaining(absent)])
  mkdirSync(join(site.bundle, 'inner'))
  writeFileSync(join(site.bundle, 'inner', 'file'), 'x')
  expect(site.inside('cat /mnt/file', { '+mounts': [bind('inner', '/mnt')] })).toBe('x')
})

test('file systems and options that the kernel does not know are errors, not warnings', () => {
  using site = makeSite()
  for (const mount of [
    { destination: '/mnt', type: 'nosuchfs', source: 'x' },
    tmpfs('/mnt', 'size=lots'),
    tmpfs('/mnt', 'nosuchoption'),
    tmpfs('/mnt', 'size=1k,suid,exec=no'),
  ]) {
    const { exitCode } = site.run({ '+mounts': [mount], 'process.args': ['true'] })
    expect([mount, exitCode]).toEqual([mount, 1])
  }
})

test('one option cannot smuggle in others (S39)', () => {
  using site = makeSite()
  const strict = ['nosuid', 'nodev', 'noexec', 'ro']
  for (const smuggled of ['bind-propagation=rprivate,suid,dev,exec,rw', 'suid,dev', 'x\nrw'])
    expect(mountAt(site, '/mnt', [bind(directory(site, 'volume'), '/mnt', ...strict, smuggled)]).options).toEqual(
      expect.arrayContaining(strict),
    )
  for (const smuggled of ['size=4k,suid', 'mode=700,dev', 'mode=0700,exec=1']) {
    const { exitCode } = site.run({
      '+mounts': [tmpfs('/mnt', 'nosuid', 'nodev', 'noexec', smuggled)],
      'process.args': ['true'],
    })
    expect([smuggled, exitCode]).toEqual([smuggled, 1])
  }
})

/** A shared tmpfs at `volume`, made in a mount namespace whose mounts are printed behind the container. */
const withShared = (volume: string): readonly string[] => [
  'unshare',
  '-m',
  'sh',
  '-c',
  `mount -t tmpfs tmpfs ${volume} && mount --make-shared ${volume} && mkdir ${volume}/sub && "$@"; grep ${volume} /proc/self/mountinfo`,
  'sh',
]

test('what is mounted in a volume gets out only with rshared, and not from a private or slave one (S29)', () => {
  using site = makeSite()
  const volume = directory(site, 'volume')
  const got = (propagation: string): number => {
    const { stdout } = site.run(
      {
        ...ADMIN,
        '+mounts': [{ ...bind(volume, '/mnt'), options: ['rbind', propagation] }],
        'process.args': ['mount', '-t', 'tmpfs', 'tmpfs', '/mnt/sub'],
        // The host's mounts have to be its peers for one of them to be.
        ...(propagation === 'rshared' ? { 'linux.rootfsPropagation': 'rshared' } : {}),
      },
      { through: withShared(volume) },
    )
    return stdout
      .trim()
      .split('\n')
      .filter((line) => line.includes(`${volume}/sub `)).length
  }
  expect([got('rprivate'), got('rslave'), got('rshared')]).toEqual([0, 0, 1])
})

test('what the host mounts in a volume later gets in with rslave, and not with rprivate', () => {
  using site = makeSite()
  const volume = directory(site, 'volume')
  const seen = (propagation: string): string => {
    const hook = {
      path: '/bin/sh',
      args: ['sh', '-c', `mount -t tmpfs tmpfs ${volume}/sub && touch ${volume}/sub/file; touch ${volume}/done`],
    }
    const { stdout } = site.run(
      {
        '+mounts': [{ ...bind(volume, '/mnt'), options: ['rbind', propagation] }],
        hooks: { poststart: [hook] },
        'process.args': ['sh', '-c', 'until [ -e /mnt/done ]; do usleep 1000; done; ls /mnt/sub'],
      },
      { through: withShared(volume) },
    )
    return stdout.split('\n')[0] ?? ''
  }
  expect([seen('rslave'), seen('rprivate')]).toEqual(['file', expect.not.stringContaining('file')])
})

test('the propagation of the root is the one that is asked for, and without a word nothing gets out (S29)', () => {
  using site = makeSite()
  const root = (linux: object): string => mountAt(site, '/', [], linux).propagation
  expect(root({ 'linux.rootfsPropagation': 'private' })).toBe('')
  expect(root({ 'linux.rootfsPropagation': 'rprivate' })).toBe('')
  expect(root({ 'linux.rootfsPropagation': 'shared' })).toMatch(/shared:\d+/)
  expect(root({ 'linux.rootfsPropagation': 'rshared' })).toMatch(/shared:\d+/)
  expect(root({ 'linux.rootfsPropagation': 'unbindable' })).toBe('unbindable')
  // The positive control is that of volumes above. Here the root itself is on a shared mount.
  const shared = `mount --bind "$0" "$0" && mount --make-shared "$0" && "$@"; grep -c "$0" /proc/self/mountinfo`
  const through = ['unshare', '-m', 'sh', '-c', shared, site.directory]
  const script = 'mount -t tmpfs tmpfs /mnt && mount -t tmpfs tmpfs /tmp && echo done'
  expect(site.run({ ...ADMIN, 'process.args': ['sh', '-c', script] }, { through }).stdout).toBe('done\n1\n')
})

test('tmpcopyup begins with a copy of what it covers, and the image stays as it is', () => {
  using site = makeSite()
  const image = join(site.rootfs, 'data')
  mkdirSync(join(image, 'inner'), { recursive: true })
  writeFileSync(join(image, 'file'), 'content')
  writeFileSync(join(image, 'inner', 'big'), 'x'.repeat(300_000))
  chmodSync(join(image, 'file'), 0o640)
  chownSync(join(image, 'file'), 12, 34)
  chmodSync(join(image, 'inner'), 0o2751)
  chmodSync(image, 0o711)
  symlinkSync('/etc/passwd', join(image, 'link'))
  Bun.spawnSync(['mkfifo', '-m', '600', join(image, 'fifo')])
  const script =
    'cd /data; stat -c "%n %A %u:%g" . file inner link fifo; cat file; wc -c <inner/big; readlink link; echo changed >file; rm -r inner; stat -f -c %T /data'
  const seen = site.inside(script, { ...ADMIN, '+mounts': [tmpfs('/data', 'tmpcopyup')] })
  expect(seen).toBe(
    '. drwx--x--x 0:0\nfile -rw-r----- 12:34\ninner drwxr-s--x 0:0\nlink lrwxrwxrwx 0:0\nfifo prw------- 0:0\n' +
      'content300000\n/etc/passwd\ntmpfs\n',
  )
  expect(readFileSync(join(image, 'file'), 'utf8')).toBe('content')
  expect(readdirSync(join(image, 'inner'))).toEqual(['big'])
})

test('an idmapped mount shows other owners than the files have, and writes as them', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  writeFileSync(join(source, 'file'), '')
  chownSync(join(source, 'file'), 1000, 1000)
  chmodSync(source, 0o777)
  const maps = [
    { containerID: 1000, hostID: 5000, size: 10 },
    { containerID: 0, hostID: 0, size: 1 },
  ]
  const mount = { ...bind(source, '/mnt', 'idmap'), uidMappings: maps, gidMappings: maps }
  const { stdout, stderr } = site.run({
    '+mounts': [mount],
    'process.args': ['sh', '-c', 'stat -c %u:%g /mnt/file; touch /mnt/by-root; stat -c %u /mnt/by-root'],
  })
  expect([stdout, stderr]).toEqual(['5000:5000\n0\n', ''])
  expect(lstatSync(join(source, 'by-root')).uid).toBe(0)
})

test('in a user namespace an idmapped mount shows the files of the host as its own', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  writeFileSync(join(source, 'file'), '')
  Bun.spawnSync(['chown', '-R', '200000:200000', site.rootfs])
  const user = {
    'linux.namespaces': ['pid', 'mount', 'user', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    'linux.uidMappings': [{ containerID: 0, hostID: 200_000, size: 65_536 }],
    'linux.gidMappings': [{ containerID: 0, hostID: 200_000, size: 65_536 }],
  }
  const seen = (...options: readonly string[]): string =>
    site.inside('stat -c %u:%g /mnt/file', { ...user, '+mounts': [bind(source, '/mnt', ...options)] })
  expect(seen()).toBe('65534:65534\n')
  expect(seen('idmap')).toBe('0:0\n')
})

test('an overlay shows all layers, and keeps what is written in the upper one', () => {
  using site = makeSite()
  const [lower, upper, work] = ['lower', 'upper', 'work'].map((name) => directory(site, name)) as [
    string,
    string,
    string,
  ]
  writeFileSync(join(lower, 'below'), 'below')
  const overlay = {
    destination: '/mnt',
    type: 'overlay',
    source: 'overlay',
    options: [`lowerdir=${lower}`, `upperdir=${upper}`, `workdir=${work}`],
  }
  expect(site.inside('cat /mnt/below; echo more >/mnt/above; rm /mnt/below', { '+mounts': [overlay] })).toBe('below')
  expect(readdirSync(upper).sort()).toEqual(['above', 'below'])
  expect(readdirSync(lower)).toEqual(['below'])
})

test('an existing mount is changed by a remount', () => {
  using site = makeSite()
  const source = directory(site, 'volume')
  const again = { destination: '/mnt', options: ['remount', 'bind', 'ro', 'noexec'] }
  const options = mountAt(site, '/mnt', [bind(source, '/mnt', 'nosuid'), { ...again, type: 'bind', source }]).options
  expect(options).toEqual(expect.arrayContaining(['ro', 'noexec']))
})

test('the cgroup mount is read-only and shows the cgroup of the container alone (S53)', () => {
  using site = makeSite()
  const script =
    'cd /sys/fs/cgroup; (touch x) 2>/dev/null; echo $?; find . -name cgroup.procs | wc -l; find . -name cgroup.procs -exec cat {} + | sort -u | wc -l; for f in $(find . -name cgroup.procs); do (echo 0 >$f) 2>&1; done | grep -v -i "read-only"; mkdir $(dirname $(find . -name cgroup.procs | head -1))/x 2>&1'
  const [touched, files, , error] = site.inside(`${script}; exit 0`).trim().split('\n')
  expect(touched).toBe('1')
  expect(Number(files)).toBeGreaterThan(0)
  expect(error).toContain('Read-only')
})
