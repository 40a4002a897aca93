import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { linesOf, undoOf } from '../../test/plan-lines.ts'
import { planCgroup } from './cgroup.ts'
import { planNamespaces } from './namespaces.ts'
import { planRestore, type RestoreRequest, restoreArguments } from './restore.ts'

const host = planHost()
const namespaces = planNamespaces({ namespaces: [{ type: 'cgroup' }], isHosts: () => false })
const request: RestoreRequest = {
  place: { root: '/run/coffer', id: 'web-1' },
  stateSource: 5,
  pidSource: 6,
  criu: { path: '/usr/sbin/criu', environment: ['PATH=/usr/sbin:/bin'] },
  cgroup: planCgroup({ id: 'web-1', cgroupsPath: '/web-1', layout: host.cgroup, isRootless: false }),
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
  expect(lines({})).toMatchInlineSnapshot()
})

test('a restore that fails behind criu takes back init and what was made for it', () => {
  expect(undoOf(planRestore({ ...request, pidFile: '/pid' }, host).steps)).toMatchInlineSnapshot()
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
  expect(text).toContain('fchownat(AT_FDCWD, "/images", 100000, 100001')
  expect(text.indexOf('mkdirat(root, "data"')).toBeGreaterThan(0)
  // A mount point cannot be made in what is read-only already.
  expect(text.indexOf('MOUNT_ATTR_RDONLY')).toBeGreaterThan(text.indexOf('mkdirat(root, "data"'))
})
