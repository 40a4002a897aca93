/**
 * A request → an OCI configuration, once: what a person or a program asks for, with docker's defaults for what they leave open.
 *
 * Doors turn their flags and bodies into `Intent` and nothing else; from the document on there is one way.
 */

import { OperationError } from '../base/errors.ts'
import { nearest } from '../base/nearest.ts'
import { allCapabilities, type Capability, isCapability } from '../linux/capabilities.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import { OCI_VERSION } from '../oci/version.ts'
import { mobyDefaultProfile } from '../seccomp/moby-default.ts'

export type NamespaceChoice =
  | { readonly kind: 'private' }
  | { readonly kind: 'host' }
  | { readonly kind: 'path'; readonly path: string }

/** All paths are absolute. `at` is an empty directory, at which the root is mounted in the container's own mount namespace. */
export type IntentRoot =
  | { readonly kind: 'directory'; readonly path: string; readonly copyOnWrite?: boolean | undefined }
  /** That of this machine, copy-on-write. */
  | { readonly kind: 'host'; readonly at: string }
  /** The uppermost of the layers comes first; what the container writes is in `upper`. */
  | {
      readonly kind: 'layers'
      readonly at: string
      readonly layers: readonly string[]
      readonly upper: string
      readonly work: string
    }

export interface Intent {
  readonly root: IntentRoot
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly terminal: boolean
  readonly hostname: string
  readonly readonlyRoot: boolean
  readonly privileged: boolean
  readonly noNewPrivileges: boolean
  readonly capabilitiesAdded: readonly string[]
  readonly capabilitiesDropped: readonly string[]
  readonly namespaces: Readonly<Record<IntentNamespace, NamespaceChoice>>
  readonly binds: readonly { readonly source: string; readonly destination: string; readonly readonly: boolean }[]
  readonly tmpfs: readonly { readonly destination: string; readonly options: readonly string[] }[]
  readonly resources: IntentResources
  /** Soft and hard at once. */
  readonly rlimits?: readonly { readonly type: string; readonly limit: number }[] | undefined
  /** Absolute paths of the container that nobody shall read, beside those of procfs and sysfs. */
  readonly hiddenPaths?: readonly string[] | undefined
  /** With the root of this machine: how much may be written to the copy-on-write layer, and to /tmp and /dev/shm each. */
  readonly layerBytes?: number | undefined
  /** True without privilege over the machine: the caller becomes root of a user namespace. */
  readonly rootless?:
    | { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] }
    | undefined
}

export type IntentNamespace = 'pid' | 'network' | 'ipc' | 'uts' | 'cgroup' | 'mount' | 'time'

export interface IntentResources {
  readonly memoryBytes?: number | undefined
  /** Memory and swap together; -1 is no limit. */
  readonly memorySwapBytes?: number | undefined
  readonly memoryReservationBytes?: number | undefined
  readonly cpus?: number | undefined
  readonly cpuShares?: number | undefined
  readonly cpuQuotaMicros?: number | undefined
  readonly cpuPeriodMicros?: number | undefined
  readonly cpusetCpus?: string | undefined
  readonly cpusetMems?: string | undefined
  readonly pids?: number | undefined
}

export interface IntentFacts {
  readonly architecture: 'x86_64' | 'aarch64'
  readonly kernel: { readonly major: number; readonly minor: number }
  readonly hasCgroupV2Only: boolean
  /** What the caller may give: nobody has more than all of these. */
  readonly capabilities: readonly Capability[]
}

/** The document; it has still to be read by oci/config.ts, as one that came from elsewhere. */
export function configOf(intent: Intent, facts: IntentFacts): object {
  const capabilities = capabilitiesOf(intent, facts)
  return {
    ociVersion: OCI_VERSION,
    process: {
      terminal: intent.terminal,
      user: intent.user,
      args: intent.args,
      env: intent.env,
      cwd: intent.cwd,
      capabilities: { bounding: capabilities, effective: capabilities, permitted: capabilities },
      noNewPrivileges: intent.noNewPrivileges,
      rlimits: (intent.rlimits ?? []).map(({ type, limit }) => ({ type, soft: limit, hard: limit })),
    },
    root: {
      path: intent.root.kind === 'directory' ? intent.root.path : intent.root.at,
      readonly: intent.readonlyRoot,
    },
    hostname: intent.namespaces.uts.kind === 'private' ? intent.hostname : undefined,
    mounts: mountsOf(intent),
    linux: {
      namespaces: namespacesOf(intent),
      ...mappingsOf(intent),
      resources: resourcesOf(intent),
      maskedPaths: [...(intent.privileged ? [] : words(MASKED)), ...(intent.hiddenPaths ?? [])],
      ...(intent.privileged ? {} : { readonlyPaths: words(READONLY) }),
      ...(intent.privileged ? {} : { seccomp: seccompOf(capabilities, facts) }),
    },
  }
}

const words = (text: string): readonly string[] => text.split(' ')

const DEFAULT_CAPABILITIES =
  'CAP_CHOWN CAP_DAC_OVERRIDE CAP_FSETID CAP_FOWNER CAP_MKNOD CAP_NET_RAW CAP_SETGID CAP_SETUID CAP_SETFCAP CAP_SETPCAP ' +
  'CAP_NET_BIND_SERVICE CAP_SYS_CHROOT CAP_KILL CAP_AUDIT_WRITE'

const MASKED =
  '/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug /proc/scsi ' +
  '/proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware'

const READONLY = '/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger'

/** As docker: `ALL` in what is added starts from all, in what is dropped from none. */
function capabilitiesOf(
  { privileged, capabilitiesAdded, capabilitiesDropped }: Intent,
  { capabilities }: IntentFacts,
): readonly string[] {
  if (privileged) return capabilities
  const added = capabilitiesAdded.map(capabilityWord)
  const dropped = capabilitiesDropped.map(capabilityWord)
  const start: readonly string[] = added.includes('CAP_ALL')
    ? capabilities
    : dropped.includes('CAP_ALL')
      ? []
      : words(DEFAULT_CAPABILITIES)
  const kept = start.filter((name) => !dropped.includes(name))
  return [...kept, ...added.filter((name) => name !== 'CAP_ALL' && !kept.includes(name))]
}

/** A name that nobody knows would add nothing, or worse, drop nothing (SECURITY-CHECKS S58). */
function capabilityWord(word: string): string {
  const upper = word.toUpperCase()
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`
  if (name === 'CAP_ALL' || isCapability(name)) return name
  const similar = nearest(name, allCapabilities())
  throw new OperationError({
    kind: 'invalid',
    operation: 'decide about capabilities',
    reason: `there is no ${name}`,
    hint: similar === undefined ? 'capabilities(7) has their names' : `did you mean ${JSON.stringify(similar)}?`,
    see: ['capabilities(7)'],
  })
}

function namespacesOf({ namespaces, rootless }: Intent): readonly object[] {
  const chosen = Object.entries(namespaces).flatMap(([type, choice]) => {
    if (choice.kind === 'host') return []
    return choice.kind === 'path' ? [{ type, path: choice.path }] : [{ type }]
  })
  return rootless === undefined ? chosen : [{ type: 'user' }, ...chosen]
}

const mappingsOf = ({ rootless }: Intent): object => rootless ?? {}

const mount = (destination: string, type: string, source: string, options: string): object => ({
  destination,
  type,
  source,
  options: words(options),
})

function mountsOf(intent: Intent): readonly object[] {
  const { root, privileged, rootless, namespaces, binds, tmpfs, layerBytes } = intent
  const size = layerBytes === undefined ? '' : ` size=${layerBytes}`
  const access = privileged ? 'rw' : 'ro'
  // Who owns the network namespace may mount a new sysfs.
  const canMountSysfs = rootless === undefined || namespaces.network.kind === 'private'
  return [
    ...rootMounts(root, size),
    mount('/proc', 'proc', 'proc', 'nosuid noexec nodev'),
    mount('/dev', 'tmpfs', 'tmpfs', 'nosuid strictatime mode=755 size=65536k'),
    mount(
      '/dev/pts',
      'devpts',
      'devpts',
      `nosuid noexec newinstance ptmxmode=0666 mode=0620${rootless === undefined ? ' gid=5' : ''}`,
    ),
    canMountSysfs
      ? mount('/sys', 'sysfs', 'sysfs', `nosuid noexec nodev ${access}`)
      : mount('/sys', 'none', '/sys', `rbind nosuid noexec nodev ${access}`),
    mount('/sys/fs/cgroup', 'cgroup', 'cgroup', `${access} nosuid noexec nodev`),
    mount('/dev/mqueue', 'mqueue', 'mqueue', 'nosuid noexec nodev'),
    mount(
      '/dev/shm',
      'tmpfs',
      'shm',
      `nosuid noexec nodev mode=1777 size=${Math.min(layerBytes ?? SHM_BYTES, SHM_BYTES)}`,
    ),
    ...(root.kind === 'host' ? [mount('/tmp', 'tmpfs', 'tmpfs', `nosuid nodev mode=1777${size}`)] : []),
    ...tmpfs.map(({ destination, options }) => ({
      destination,
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['noexec', 'nosuid', 'nodev', ...options],
    })),
    ...binds.map(({ source, destination, readonly }) => ({
      destination,
      type: 'bind',
      source,
      options: ['rbind', 'rprivate', readonly ? 'ro' : 'rw'],
    })),
  ]
}

/** docker's size of /dev/shm. */
const SHM_BYTES = 64 * 1024 * 1024

function rootMounts(root: IntentRoot, size: string): readonly object[] {
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
    case 'layers':
      return [overlay(`lowerdir=${root.layers.join(':')}`, `upperdir=${root.upper}`, `workdir=${root.work}`)]
  }
}

const DEFAULT_PERIOD_MICROS = 100_000

const resourcesOf = ({ resources, privileged }: Intent): object => ({
  devices: privileged ? [{ allow: true, access: 'rwm' }] : [{ allow: false, access: 'rwm' }, NO_TUN],
  ...limitsOf(resources),
})

/** The part of linux.resources that `update` takes as well. */
export function limitsOf(resources: IntentResources): object {
  const { memoryBytes, memorySwapBytes, memoryReservationBytes, cpus, pids } = resources
  const quota = cpus === undefined ? resources.cpuQuotaMicros : Math.round(cpus * DEFAULT_PERIOD_MICROS)
  const period = cpus === undefined ? resources.cpuPeriodMicros : DEFAULT_PERIOD_MICROS
  return {
    memory: { limit: memoryBytes, swap: swapOf(memoryBytes, memorySwapBytes), reservation: memoryReservationBytes },
    cpu: { shares: resources.cpuShares, quota, period, cpus: resources.cpusetCpus, mems: resources.cpusetMems },
    ...(pids === undefined ? {} : { pids: { limit: pids } }),
  }
}

/** Runtimes allow /dev/net/tun for the sake of engines that cannot; here nobody relies on it: plan/cgroup-devices.ts. */
const NO_TUN = { allow: false, type: 'c', major: 10, minor: 200, access: 'rwm' }

/** docker's rule: as much swap as memory if nothing is said. */
const swapOf = (memoryBytes: number | undefined, swapBytes: number | undefined): number | undefined =>
  swapBytes ?? (memoryBytes === undefined ? undefined : memoryBytes * 2)

const seccompOf = (capabilities: readonly string[], { architecture, kernel }: IntentFacts): object =>
  mobyDefaultProfile({
    capabilities: capabilities as readonly Capability[],
    nativeArchitecture: architecture === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64',
    kernel,
  })
