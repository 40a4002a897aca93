import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { type CheckpointOptions, type CheckpointRequest, dumpArguments, planCheckpoint } from './checkpoint.ts'

const options: CheckpointOptions = {
  imagesDirectory: '/images',
  workDirectory: '/images',
  tcpEstablished: false,
  extUnixSockets: false,
  shellJob: false,
  fileLocks: false,
  lazyPages: false,
  autoDedup: false,
  cgroupMode: 'soft',
  emptyNetwork: false,
  preDump: false,
  leaveRunning: false,
  skipInFlight: false,
  linkRemap: false,
}
const request: CheckpointRequest = {
  id: 'web-1',
  criu: { path: '/usr/sbin/criu', environment: ['PATH=/usr/sbin:/bin'] },
  pid: 4711,
  rootfs: '/bundle/rootfs',
  external: [],
  descriptors: ['/dev/null', 'pipe:[5]', 'pipe:[6]'],
  options,
}
const words = (change: Partial<CheckpointOptions>, rest: Partial<CheckpointRequest> = {}): string =>
  dumpArguments({ ...request, ...rest, options: { ...options, ...change } }).join(' ')

const USUAL = '--images-dir /images --work-dir /images --log-file dump.log -v4'

test('without wishes criu dumps the tree of init, with its cgroups', () => {
  expect(words({})).toBe(`dump --tree 4711 ${USUAL} --manage-cgroups=soft --root /bundle/rootfs`)
})

test('each wish is a word of criu', () => {
  const all: Partial<CheckpointOptions> = {
    tcpEstablished: true,
    extUnixSockets: true,
    shellJob: true,
    fileLocks: true,
    autoDedup: true,
    emptyNetwork: true,
    leaveRunning: true,
    skipInFlight: true,
    linkRemap: true,
    cgroupMode: 'full',
  }
  const rest = { freezer: '/sys/fs/cgroup/web-1', external: ['mnt[/data]:/data', 'net[17]:extRootNetNS'] }
  expect(words(all, rest)).toBe(
    `dump --tree 4711 ${USUAL} --tcp-established --ext-unix-sk --shell-job --file-locks --auto-dedup --manage-cgroups=full ` +
      '--empty-ns net --root /bundle/rootfs --freeze-cgroup /sys/fs/cgroup/web-1 --leave-running --skip-in-flight ' +
      '--link-remap --external mnt[/data]:/data --external net[17]:extRootNetNS',
  )
})

test('a pre-dump follows memory, and a dump after it names it and goes on following', () => {
  expect(words({ preDump: true, leaveRunning: true })).toBe(
    `pre-dump --tree 4711 ${USUAL} --manage-cgroups=soft --root /bundle/rootfs --track-mem`,
  )
  expect(words({ parentPath: '../before' })).toEndWith('--prev-images-dir ../before --track-mem')
})

test('memory goes to a page server, or with lazy pages is served there', () => {
  const pageServer = { address: '10.0.0.1', port: 9876 }
  expect(words({ pageServer })).toEndWith('--page-server --address 10.0.0.1 --port 9876')
  expect(words({ pageServer, lazyPages: true }, { statusFd: 5 })).toEndWith(
    '/bundle/rootfs --address 10.0.0.1 --port 9876 --status-fd 3',
  )
})

test('criu runs with an environment of its own, and the plan fails if criu does', () => {
  expect(linesOf(planCheckpoint({ ...request, statusFd: 5 }).steps)).toMatchInlineSnapshot(`
    "mkdirat("/images", 0700) or EEXIST
    descriptors = openat("/images/descriptors.json", O_WRONLY|O_CREAT|O_TRUNC, 0600)
    write(descriptors, "[\\"/dev/null\\",\\"pipe:[5]\\",\\"pipe:[6]\\"]")
    criu-pidfd = clone3(pidfd=&criu-pidfd, SIGCHLD)
     the child:
      dup3(5, 3)
      close_range(4, ~0)
      rt_sigprocmask(SIG_SETMASK, [])
      execve("/usr/sbin/criu", ["/usr/sbin/criu", "dump", "--tree", "4711", "--images-dir", "/images", …], 1 variable)
    waitid(P_PIDFD, criu-pidfd, &criu-end, WEXITED) if criu-end[24:28] == 0 else ECANCELED"
  `)
})

test('what init was given is not written down again by a pre-dump', () => {
  const steps = planCheckpoint({ ...request, options: { ...options, preDump: true } }).steps
  expect(linesOf(steps)).not.toContain('descriptors.json')
})
