/** Scenarios of hostile images, volumes and callers: where paths lead. */

import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ADMIN, bind } from '../kernel/bundle.ts'
import { canaryOf, traps } from '../kernel/canary.ts'
import { installInside } from '../kernel/programs.ts'
import type { Site } from '../kernel/site.ts'
import { is } from './facts.ts'
import { ALONE, play, type Scenario } from './scenario.ts'

const UP = '../'.repeat(20)
const canaries = new WeakMap<Site, () => string>()

/** A canary whose state is remembered, and the fact whether it is as it was. */
function guard(site: Site): string {
  const canary = canaryOf(site)
  const before = canary.state()
  canaries.set(site, () => (canary.state() === before ? 'whole' : 'changed'))
  return canary.path
}
const lookAtCanary = (site: Site): Readonly<Record<string, string>> => ({ canary: canaries.get(site)?.() ?? '?' })

const WHOLE = is('canary', 'the tree of the host is as it was', 'canary', 'whole')
const noProc = { 'linux.maskedPaths': [], 'linux.readonlyPaths': [] }

export const links: Scenario = play({
  name: 'an image with links that lead to the host',
  prepare: (site) => {
    const canary = guard(site)
    const { absolute = '' } = traps(site, canary)
    mkdirSync(join(site.rootfs, canary), { recursive: true })
    writeFileSync(join(site.rootfs, canary, 'file'), 'of the image')
    mkdirSync(join(site.directory, 'volume'))
    writeFileSync(join(site.directory, 'volume', 'x'), 'of the volume')
    return {
      'root.readonly': false,
      '+mounts': [
        bind(join(site.directory, 'volume'), '/absolute/new/dir'),
        bind(join(site.directory, 'volume', 'x'), '/chained/made'),
        { destination: '/absolute/tmpfs', type: 'tmpfs', source: 'tmpfs' },
      ],
      'linux.maskedPaths': [`${absolute}/file`],
      'linux.readonlyPaths': [`${absolute}/new`],
      'linux.devices': [{ path: '/absolute/node', type: 'c', major: 1, minor: 3 }],
      'process.cwd': '/absolute/work',
    }
  },
  script:
    'echo "volume $(cat /relative/new/dir/x)"; touch /deep/er/link/new/x 2>/dev/null && echo "written yes" || echo "written no"; echo "cwd $(pwd -P)"; echo "masked $(cat /absolute/file)"',
  look: lookAtCanary,
  checks: [
    is('start', 'the program runs to its end', 'exit', '0'),
    is('S18', 'the mount is where its link leads inside', 'volume', 'of the volume'),
    is('S32', 'the working directory is', 'cwd', /canary\/work$/),
    is('S24', 'the mask is', 'masked', ''),
    is('S48', 'the read-only path is', 'written', 'no'),
    WHOLE,
  ],
})

export const procLink: Scenario = play({
  name: 'an image whose /proc is a link to a directory of its own',
  prepare: (site) => {
    mkdirSync(join(site.rootfs, 'tmp', 'p', 'self'), { recursive: true })
    rmSync(join(site.rootfs, 'proc'), { recursive: true })
    symlinkSync('tmp/p', join(site.rootfs, 'proc'))
    return { ...noProc, 'root.readonly': false }
  },
  script: 'echo "proc $(readlink /proc)"',
  checks: [is('S19', 'nothing is mounted behind it', 'failures', /proc.*(ELOOP|ENOTDIR|EEXIST)/)],
})

export const devLink: Scenario = play({
  name: 'an image whose /dev is a link to the host',
  prepare: (site) => {
    const canary = guard(site)
    rmSync(join(site.rootfs, 'dev'), { recursive: true })
    symlinkSync(`${UP}${canary.slice(1)}`, join(site.rootfs, 'dev'))
    return {
      ...noProc,
      'root.readonly': false,
      mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    }
  },
  script: 'true',
  look: lookAtCanary,
  checks: [is('S22', 'no device is made behind it', 'failures', /dev.*(ELOOP|ENOTDIR|EEXIST)/), WHOLE],
})

export const procMount: Scenario = play({
  name: 'a volume whose target is a link into procfs',
  prepare: (site) => {
    mkdirSync(join(site.directory, 'volume'))
    symlinkSync('/proc/1', join(site.rootfs, 'into'))
    return { '+mounts': [bind(join(site.directory, 'volume'), '/into/net')] }
  },
  script: 'echo "mounted $(cut -d" " -f5 /proc/self/mountinfo | grep -c net)"',
  checks: [is('S20', 'nothing is mounted in procfs', 'failures', /not inside a procfs: EPERM/)],
})

export const procBind: Scenario = play({
  name: 'a directory that shall be /proc',
  prepare: (site) => {
    mkdirSync(join(site.directory, 'fake', 'self'), { recursive: true })
    return { ...noProc, mounts: [bind(join(site.directory, 'fake'), '/proc')] }
  },
  script: 'true',
  checks: [is('S20', 'only a procfs is', 'failures', /root of a procfs.*EPERM/)],
})

export const procPart: Scenario = play({
  name: 'a part of procfs that shall be /proc',
  prepare: () => ({ ...noProc, mounts: [bind('/proc/sys', '/proc')] }),
  script: 'true',
  checks: [is('S20', 'only the root of a procfs is', 'failures', /root of a procfs.*EPERM/)],
})

/** What is not the null device, and makes a mask that shows or takes something. */
const fakeNull = (name: string, make: string): Scenario =>
  play({
    name: `a host whose /dev/null is ${name}`,
    prepare: (site) => {
      Bun.spawnSync(['sh', '-c', make.replaceAll('FAKE', join(site.directory, 'fake'))])
      writeFileSync(join(site.rootfs, 'etc', 'secret'), 'secret')
      return {
        'linux.maskedPaths': ['/etc/secret'],
        'linux.readonlyPaths': [],
        mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
        'root.readonly': false,
      }
    },
    run: (site) => ({
      through: [...ALONE, 'sh', '-c', `mount --bind ${join(site.directory, 'fake')} /dev/null && exec "$@"`, 'sh'],
    }),
    script: 'true',
    checks: [is('S24', 'nothing is masked with it', 'failures', /character device 1:3: ENODEV/)],
  })

export const nullFile: Scenario = fakeNull('a file', 'echo x >FAKE')
export const nullMinor: Scenario = fakeNull('another memory device', 'mknod FAKE c 1 5')
export const nullMajor: Scenario = fakeNull('a device of another kind', 'mknod FAKE c 2 3')
export const nullBlock: Scenario = fakeNull('a block device', 'mknod FAKE b 1 3')

/** Procfs of the caller replaced by files: whoever writes there without a look gives settings to an impostor. */
export const impostor: Scenario = play({
  name: 'a caller whose /proc is an impostor',
  prepare: () => ({ ...noProc, mounts: [], 'process.oomScoreAdj': 77, 'root.readonly': false }),
  run: () => ({
    through: [
      ...ALONE,
      'sh',
      '-c',
      `mount -t tmpfs tmpfs /proc
      i=1; while [ $i -lt 9 ]; do mkdir /proc/$i; echo >/proc/$i/oom_score_adj; echo "$i (x) S" >/proc/$i/stat; i=$((i+1)); done
      "$@"; grep -l 77 /proc/*/oom_score_adj 2>/dev/null`,
      'sh',
    ],
  }),
  script: 'true',
  checks: [is('S45', 'it is seen through before anything is made', 'failures', 'be sure that it is procfs: ENODEV')],
})

/** The pid file and records are in a directory of root, so the probe is what others may open. */
export const shared: Scenario = play({
  name: 'a volume of shared mounts, and a container that mounts in it',
  prepare: (site) => {
    mkdirSync(join(site.directory, 'volume'))
    return {
      ...ADMIN,
      ...noProc,
      '+mounts': [{ ...bind(join(site.directory, 'volume'), '/mnt'), options: ['rbind', 'rprivate'] }],
    }
  },
  run: (site) => {
    const volume = join(site.directory, 'volume')
    const make = `mount --make-rshared / && mount -t tmpfs tmpfs ${volume} && mkdir ${volume}/sub`
    const sum = 'cut -d" " -f4,5 /proc/self/mountinfo | sort | md5sum'
    return {
      through: [...ALONE, 'sh', '-c', `${make}; echo "before $(${sum})"; "$@"; echo "after $(${sum})"`, 'sh'],
    }
  },
  script: 'mount -t tmpfs tmpfs /mnt/sub && echo "mounted yes"',
  checks: [
    is('start', 'the container can mount', 'mounted', 'yes'),
    {
      number: 'S29',
      claim: 'the mounts of the host are as they were',
      holds: (fact) => fact('before') === fact('after') && fact('after') !== 'untold',
    },
  ],
})

export const cwdDescriptor: Scenario = play({
  name: 'a working directory that is a descriptor of the caller',
  prepare: (site) => {
    installInside(site)
    writeFileSync(join(site.directory, 'secret'), 'of the host')
    return { 'process.cwd': '/proc/self/fd/7', 'root.readonly': false }
  },
  run: (site) => ({ through: [...ALONE, 'sh', '-c', `exec 7<${site.directory}; exec "$@"`, 'sh'] }),
  script: 'echo "seen $(cat secret ../secret 2>/dev/null)"',
  checks: [is('S6', 'no file of the host is seen', 'seen', /^(?!.*of the host)/)],
})

/** A fifo is what blocks whoever opens it before looking. */
const LIMIT_MS = 3000
export const namespaceFifo: Scenario = play({
  name: 'a namespace path that is a fifo',
  prepare: (site) => {
    const path = join(site.directory, 'fifo')
    Bun.spawnSync(['mkfifo', path])
    return { hostname: undefined, 'linux.namespaces': [{ type: 'mount' }, { type: 'pid' }, { type: 'network', path }] }
  },
  run: () => ({ timeoutMs: LIMIT_MS }),
  script: 'true',
  checks: [is('S110', 'it is refused without being opened', 'failures', /is a namespace: EINVAL/)],
})

export const PATH_SCENARIOS: readonly Scenario[] = [
  links,
  procLink,
  devLink,
  procMount,
  procBind,
  procPart,
  nullFile,
  nullMinor,
  nullMajor,
  nullBlock,
  impostor,
  shared,
  cwdDescriptor,
  namespaceFifo,
]
