/** The document that `spec` writes: a shell in a container of its own, to be edited. The content is that of `runc spec` 1.1. */

import { OCI_VERSION } from './version.ts'

export interface DefaultSpecOptions {
  /** For a caller without privileges: a user namespace with one id, and nothing that needs more. */
  readonly rootless: boolean
  /** Who becomes root of a rootless container. */
  readonly hostUid: number
  readonly hostGid: number
  /** On a host with only cgroup v2 the container gets a cgroup namespace, because its /sys/fs/cgroup shows the whole tree otherwise. */
  readonly hasCgroupV2Only: boolean
}

interface DocumentMount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options?: readonly string[]
}

interface DocumentIdMapping {
  readonly containerID: number
  readonly hostID: number
  readonly size: number
}

/** A config.json, as far as `spec` fills it in; the order of the keys is that of runc. */
export interface DefaultSpec {
  readonly ociVersion: string
  readonly process: {
    readonly terminal: boolean
    readonly user: { readonly uid: number; readonly gid: number }
    readonly args: readonly string[]
    readonly env: readonly string[]
    readonly cwd: string
    readonly capabilities: Readonly<Record<'bounding' | 'effective' | 'permitted' | 'ambient', readonly string[]>>
    readonly rlimits: readonly { readonly type: string; readonly hard: number; readonly soft: number }[]
    readonly noNewPrivileges: boolean
  }
  readonly root: { readonly path: string; readonly readonly: boolean }
  readonly hostname: string
  readonly mounts: readonly DocumentMount[]
  readonly linux: {
    readonly uidMappings?: readonly DocumentIdMapping[]
    readonly gidMappings?: readonly DocumentIdMapping[]
    readonly resources?: { readonly devices: readonly { readonly allow: boolean; readonly access: string }[] }
    readonly namespaces: readonly { readonly type: string }[]
    readonly maskedPaths: readonly string[]
    readonly readonlyPaths: readonly string[]
  }
}

export const defaultSpec = (options: DefaultSpecOptions): DefaultSpec => ({
  ociVersion: OCI_VERSION,
  process: defaultProcess(),
  root: { path: 'rootfs', readonly: true },
  hostname: 'coffer',
  mounts: defaultMounts(options.rootless),
  linux: {
    ...(options.rootless ? rootlessMappings(options) : DENY_DEVICES),
    namespaces: namespaceTypes(options).map((type) => ({ type })),
    maskedPaths: words(MASKED_PATHS),
    readonlyPaths: words('/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'),
  },
})

const words = (text: string): readonly string[] => text.split(' ')

const MASKED_PATHS =
  '/proc/acpi /proc/asound /proc/kcore /proc/keys /proc/latency_stats /proc/timer_list /proc/timer_stats ' +
  '/proc/sched_debug /sys/firmware /proc/scsi'

const DENY_DEVICES: Pick<DefaultSpec['linux'], 'resources'> = {
  resources: { devices: [{ allow: false, access: 'rwm' }] },
}

function defaultProcess(): DefaultSpec['process'] {
  const capabilities = words('CAP_AUDIT_WRITE CAP_KILL CAP_NET_BIND_SERVICE')
  return {
    terminal: true,
    user: { uid: 0, gid: 0 },
    args: ['sh'],
    env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=xterm'],
    cwd: '/',
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
      ambient: capabilities,
    },
    rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    noNewPrivileges: true,
  }
}

const mount = (destination: string, type: string, source: string, options: string): DocumentMount => ({
  destination,
  type,
  source,
  ...(options === '' ? {} : { options: words(options) }),
})

const defaultMounts = (rootless: boolean): readonly DocumentMount[] => [
  mount('/proc', 'proc', 'proc', ''),
  mount('/dev', 'tmpfs', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
  // Group 5 is tty, which a map of a single id does not have.
  mount('/dev/pts', 'devpts', 'devpts', `nosuid noexec newinstance ptmxmode=0666 mode=0620${rootless ? '' : ' gid=5'}`),
  mount('/dev/shm', 'tmpfs', 'shm', 'nosuid noexec nodev mode=1777 size=65536k'),
  mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid noexec nodev'),
  // Only who owns the network namespace may mount a new sysfs, and a rootless container stays in that of the host.
  rootless
    ? mount('/sys', 'none', '/sys', 'rbind nosuid noexec nodev ro')
    : mount('/sys', 'sysfs', 'sysfs', 'nosuid noexec nodev ro'),
  mount('/sys/fs/cgroup', 'cgroup', 'cgroup', 'nosuid noexec nodev relatime ro'),
]

function namespaceTypes({ rootless, hasCgroupV2Only }: DefaultSpecOptions): readonly string[] {
  const types = ['pid', ...(rootless ? [] : ['network']), 'ipc', 'uts', 'mount']
  if (hasCgroupV2Only) types.push('cgroup')
  if (rootless) types.push('user')
  return types
}

const rootlessMappings = ({ hostUid, hostGid }: DefaultSpecOptions): Partial<DefaultSpec['linux']> => ({
  uidMappings: [{ containerID: 0, hostID: hostUid, size: 1 }],
  gidMappings: [{ containerID: 0, hostID: hostGid, size: 1 }],
})
