import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf, undoOf } from '../../test/plan-lines.ts'
import { planNamespaces } from './namespaces.ts'
import { planRestore, type RestoreRequest, restoreArguments } from './restore.ts'

const host = planHost()
const namespaces = planNamespaces({ namespaces: [{ type: 'cgroup' }], isHosts: () => false })
const request: RestoreRequest = {
  place: { root: '/run/coffer', id: 'web-1' },
  stateSource: 5,
  pidSource: 6,
  criu: { path: '/usr/sbin/criu', environment: ['PATH=/usr/sbin:/bin'] },
  cgroup: { paths: {}, create: [], open: [], join: [], kill: [], remove: [] },
  rootfs: '/bundle/rootfs',
  isReadonly: false,
  process: { noNewPrivileges: false },
  mountPoints: [],
  external: [],
  inherited: [],
  namespaces,
  joined: [],
  cgroupRoots: [],
  options: {
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
  },
  waits: false,
}
const words = (change: Partial<RestoreRequest>): string => restoreArguments({ ...request, ...change }).join(' ')
const lines = (change: Partial<RestoreRequest>): string => linesOf(planRestore({ ...request, ...change }, host).steps)

test('init comes back as a child of the executor, which is told its pid, and records it', () => {
  expect(lines({})).toMatchInlineSnapshot(`
    "ppoll({fd=4, events=0}, {tv_sec=0}) == 0 else EPIPE
    mkdirat("/run/coffer", 0711) or EEXIST
    mkdirat("/run/coffer/web-1", 0700)
    state-directory = openat("/run/coffer/web-1", O_RDONLY)
    flock(state-directory, LOCK_EX)
    state-file = openat(state-directory, "state.json", O_WRONLY|O_CREAT|O_EXCL, 0600)
    sendfile(state-file, 5, 67108864)
    read(5, &state-rest) == 0 else ENOSPC
    host-proc = openat("/proc", O_PATH)
    fstatfs(host-proc, &host-proc-statfs) if host-proc-statfs[0:4] == 0x9fa0 else ENODEV
    flock(state-directory, LOCK_UN)
    criu-pidfd = clone3(pidfd=&criu-pidfd, SIGCHLD)
     the child:
      keyctl(KEYCTL_JOIN_SESSION_KEYRING, "_ses.web-1") or ENOSYS or EPERM
      unshare(CLONE_NEWNS)
      mount("/", MS_REC|MS_SLAVE)
      root = open_tree("/bundle/rootfs", OPEN_TREE_CLONE|AT_RECURSIVE)
      umask(0000)
      umask(0022)
      move_mount(root, "/run/coffer/web-1")
      close_range(3, ~0)
      rt_sigprocmask(SIG_SETMASK, [])
      execve("/usr/sbin/criu", ["/usr/sbin/criu", "restore", "--images-dir", "/images", "--work-dir", …], 1 variable)
    waitid(P_PIDFD, criu-pidfd, &criu-end, WEXITED) if criu-end[24:28] == 0 else ECANCELED
    executor-pid = getpid()
    report()
    init-pid = read(6, &init-pid) == 4 else ESRCH
    init-pidfd = pidfd_open(init-pid)
    waitid(P_PIDFD, init-pidfd, &init-exit, WNOHANG|WEXITED|WNOWAIT)
    init-stat-source = openat("/proc/<init-pid>/stat", O_RDONLY)
    init-stat-length = read(init-stat-source, &init-stat)
    init-record = openat(state-directory, "init", O_WRONLY|O_CREAT|O_EXCL, 0600)
    write(init-record, &init-stat) >= 1 else ENOSPC
    ppoll({fd=4, events=0}, {tv_sec=0}) == 0 else EPIPE"
  `)
})

test('a restore that fails behind criu takes back init and what was made for it', () => {
  expect(undoOf(planRestore({ ...request, pidFile: '/pid' }, host).steps)).toMatchInlineSnapshot(`
    "statx(state-directory, STATX_NLINK, &state-statx) if state-statx[16:20] == 0 else EEXIST
     or, if EEXIST or EBADF:
      unlinkat("/run/coffer/web-1", AT_REMOVEDIR) or ENOTEMPTY
    flock(state-directory, LOCK_EX)
    getpid() if left-statx[16:20] == 0 else EBUSY, or EBUSY
     then:
      unlinkat(state-directory, "state.json")
    pidfd_send_signal(criu-pidfd, SIGKILL) or ESRCH
    waitid(P_PIDFD, criu-pidfd, &init-exit, WEXITED) or ECHILD
    pidfd_send_signal(init-pidfd, SIGKILL) or ESRCH
    waitid(P_PIDFD, init-pidfd, &init-exit, WEXITED) or ECHILD
    unlinkat(state-directory, "init")
    flock(state-directory, LOCK_EX)
    statx(state-directory, "state.json", STATX_NLINK, &state-statx) or ENOENT
     then:
      unlinkat("/pid.coffer")
    flock(state-directory, LOCK_EX)
    statx(state-directory, "state.json", STATX_NLINK, &state-statx) or ENOENT
     then:
      unlinkat("/pid")"
  `)
})

test('what belongs to others is found by keys, and namespaces are descriptors from 3 on', () => {
  const joined = [{ type: 'network', key: 'extRootNetNS' }] as const
  expect(
    words({
      joined,
      inherited: ['fd[1]:pipe:[5]'],
      external: ['mnt[/data]:/srv'],
      cgroupRoots: ['cpu:/web-1', '/web-1'],
    }),
  ).toEndWith(
    '--cgroup-root cpu:/web-1 --cgroup-root /web-1 --inherit-fd fd[3]:extRootNetNS --inherit-fd fd[1]:pipe:[5] ' +
      '--external mnt[/data]:/srv',
  )
})

test('with --manage-cgroups-mode ignore the container sees its own cgroup as the root, not that of the host', () => {
  const options = { ...request.options, cgroupMode: 'ignore' } as const
  expect(words({ options, cgroupRoots: ['/web-1'] })).not.toContain('--cgroup-root')
  expect(lines({ options })).toContain('unshare(CLONE_NEWCGROUP)')
  expect(lines({})).not.toContain('unshare(CLONE_NEWCGROUP)')
})

test('what criu does not know of is inherited from it', () => {
  const process = { noNewPrivileges: true, ioPriority: { class: 'IOPRIO_CLASS_IDLE', priority: 0 } } as const
  const text = lines({ process })
  expect(text).toContain('prctl(PR_SET_NO_NEW_PRIVS, 1')
  expect(text).toContain('ioprio_set(')
})

test('the root of a user namespace may enter the directory of the images, and mount points that are missing are made', () => {
  const text = lines({
    root: { hostUid: 100000, hostGid: 100001 },
    isReadonly: true,
    mountPoints: [{ path: '/data', kind: 'directory' }],
  })
  expect(text).toContain('fchownat("/images", 100000, 100001)')
  expect(text.indexOf('mkdirat(root, "data"')).toBeGreaterThan(0)
  // A mount point cannot be made in what is read-only already.
  expect(text.indexOf('MOUNT_ATTR_RDONLY')).toBeGreaterThan(text.indexOf('mkdirat(root, "data"'))
})
