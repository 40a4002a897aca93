/** What is mounted in a container: what docker always mounts, then what was asked for. */

import { SUBPATH } from '../oci/mount-options.ts'
import { EPHEMERAL } from '../plan/overlay.ts'
import type { CopyOnWrite, Intent, IntentMount, IntentRoot } from './intent.ts'

/** Of the init, inside the container; as docker calls it. */
export const INIT_PATH = '/sbin/docker-init'

/** oci:runtime-spec/config.md#mounts */
interface Mount {
  readonly destination: string
  readonly type: string
  readonly source: string
  readonly options: readonly string[]
}

const words = (text: string): readonly string[] => text.split(' ')

const mount = (destination: string, type: string, source: string, options: string): Mount => ({
  destination,
  type,
  source,
  options: words(options),
})

const bind = (source: string, destination: string, options: readonly string[]): Mount => ({
  destination,
  type: 'bind',
  source,
  options,
})

export function mountsOf(intent: Intent, { isRootless }: { readonly isRootless: boolean }): readonly object[] {
  const notes = isRootless ? ['userxattr'] : []
  const { root, mounts, names, initPath, layerBytes } = intent
  const size = layerBytes === undefined ? '' : ` size=${layerBytes}`
  const translated = root.kind === 'layers' && root.translatesIds === true ? ['idmap'] : []
  return [
    ...rootMounts(root, size, notes),
    ...systemMounts(intent),
    ...sharedMemory(intent),
    ...(root.kind === 'host' ? [mount('/tmp', 'tmpfs', 'tmpfs', `nosuid nodev mode=1777${size}`)] : []),
    // What is asked for covers a file of ours, but not by a directory around it; as with docker.
    ...inOrder([
      ...(initPath === undefined ? [] : [bind(initPath, INIT_PATH, ['bind', 'ro', 'nosuid', 'nodev'])]),
      ...(names === undefined
        ? []
        : NAMED_FILES.map((name) =>
            bind(`${names.directory}/${name}`, `/etc/${name}`, ['bind', 'rprivate', ...translated]),
          )),
      ...mounts.map((one) => asked(one, { binds: one.kind === 'volume' ? translated : [], notes })),
    ]),
  ]
}

export const NAMED_FILES = ['hosts', 'hostname', 'resolv.conf'] as const

function systemMounts({ privileged, userMaps, namespaces, security }: Intent): readonly object[] {
  const access = privileged ? 'rw' : 'ro'
  const cgroups = privileged || security.writesCgroups ? 'rw' : 'ro'
  const hasOwnIds = userMaps !== undefined
  // Who owns the network namespace may mount a new sysfs; one that is joined without root is that of the user namespace that is joined.
  const { network, user } = namespaces
  const canMountSysfs = !hasOwnIds || network.kind === 'private' || (network.kind === 'path' && user.kind === 'path')
  return [
    mount('/proc', 'proc', 'proc', 'nosuid noexec nodev'),
    mount('/dev', 'tmpfs', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
    mount(
      '/dev/pts',
      'devpts',
      'devpts',
      `nosuid noexec newinstance ptmxmode=0666 mode=0620${hasOwnIds ? '' : ' gid=5'}`,
    ),
    canMountSysfs
      ? mount('/sys', 'sysfs', 'sysfs', `nosuid noexec nodev ${access}`)
      : mount('/sys', 'none', '/sys', `rbind nosuid noexec nodev ${access}`),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', `${cgroups} nosuid noexec nodev`),
    mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid noexec nodev'),
  ]
}

/** With the System V objects and message queues of the host goes its shared memory. */
const sharedMemory = ({ namespaces, shmBytes, hasSharedMemory, layerBytes }: Intent): readonly object[] => {
  if (!hasSharedMemory) return []
  return namespaces.ipc.kind === 'host'
    ? [bind('/dev/shm', '/dev/shm', ['rbind', 'rprivate', 'nosuid', 'noexec', 'nodev'])]
    : [
        mount(
          '/dev/shm',
          'tmpfs',
          'shm',
          `nosuid noexec nodev mode=1777 size=${Math.min(layerBytes ?? shmBytes, shmBytes)}`,
        ),
      ]
}

/** What is mounted into another mount comes behind it. */
const inOrder = (mounts: readonly Mount[]): readonly Mount[] => {
  const depth = ({ destination }: Mount): number => destination.split('/').filter((part) => part !== '').length
  return [...mounts].sort((a, b) => depth(a) - depth(b))
}

interface MoreOptions {
  readonly binds: readonly string[]
  /** Of overlays with an upper directory. */
  readonly notes: readonly string[]
}

function asked(one: IntentMount, { binds, notes }: MoreOptions): Mount {
  const { destination } = one
  const options = [...one.options, ...binds]
  if (one.kind === 'tmpfs')
    return { destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'nodev', 'noexec', ...options] }
  if (one.view !== undefined) return copyOnWrite(one.source, one.view, { destination, options: [...options, ...notes] })
  const below = one.kind === 'volume' && one.subpath !== undefined ? [`${SUBPATH}=${one.subpath}`] : []
  return bind(one.source, destination, [...options, ...below])
}

const copyOnWrite = (
  source: string,
  { upper, work }: CopyOnWrite,
  { destination, options }: Pick<IntentMount, 'destination' | 'options'>,
): Mount => ({
  destination,
  type: 'overlay',
  source: 'overlay',
  options: [
    ...options.filter((option) => option !== 'rbind' && option !== 'bind'),
    ...[`lowerdir=${source}`, `upperdir=${upper}`, `workdir=${work}`].map((option) =>
      option.replace(/[\\:,]/g, '\\$&'),
    ),
  ],
})

/** The layers of an overlay, as its option has them. */
export const lowerOf = ({ layers, below }: Extract<IntentRoot, { readonly kind: 'layers' }>): string =>
  [...layers, ...(below === undefined ? [] : [below])].join(':')

function rootMounts(root: IntentRoot, size: string, notes: readonly string[]): readonly object[] {
  const overlay = (...options: readonly string[]): object => ({
    destination: '/',
    type: 'overlay',
    source: 'overlay',
    options,
  })
  switch (root.kind) {
    case 'directory':
      return root.copyOnWrite === true ? [overlay(`lowerdir=${root.path}`, ...words(size.trim()).filter(Boolean))] : []
    case 'host':
      // Below a layer that is gone with the container.
      return [overlay('lowerdir=/', ...words(size.trim()).filter(Boolean))]
    case 'ephemeral':
      return [overlay(`lowerdir=${root.layers.join(':')}`, EPHEMERAL, ...words(size.trim()).filter(Boolean))]
    case 'layers':
      return [
        overlay(
          `lowerdir=${lowerOf(root)}`,
          `upperdir=${root.upper}`,
          `workdir=${root.work}`,
          ...(root.translatesIds === true ? ['idmap'] : []),
          ...notes,
        ),
      ]
  }
}
