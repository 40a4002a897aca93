/** Options → what planContainer takes. What does not depend on the command is made once and used again. */

import { OperationError } from '../base/errors.ts'
import { rootLayers } from '../container/links.ts'
import { configOf } from '../engine/config.ts'
import { type Intent, type IntentMount, SHM_BYTES } from '../engine/intent.ts'
import type { CgroupLayout } from '../linux/cgroup.ts'
import { parseRules, type Rules } from '../network/egress-rules.ts'
import type { ResolvedUser } from '../observe/users.ts'
import { type Config, readConfig } from '../oci/config.ts'
import { type CgroupPlan, planCgroup } from '../plan/cgroup.ts'
import type { EgressRequest } from '../plan/egress.ts'
import type { Host } from '../plan/host.ts'
import type { ContainerRequest } from '../plan/request.ts'
import { CONTROLLERS, type Feature, featuresOf, hasController } from './features.ts'
import type { BoxImage } from './image.ts'
import { DEFAULT_LIMITS, type ExactLimits, exactLimits, type LimitName } from './limits.ts'
import { allowedHosts, engineNetwork, type Network } from './network.ts'
import { type BoxOptions, checkNetwork, checkWord, invalid, type Root, type UserOption } from './options.ts'

/** What is known of the machine and the caller. */
export interface Surroundings {
  readonly host: Host
  readonly ids: Intent['userMaps']
  readonly hiddenPaths: readonly string[]
  readonly cwd: string
  readonly home: string
  /** That of the root, if it is one. */
  readonly image?: BoxImage | undefined
  /** Files with the names that a container with these roots and this hostname knows, and where it has them. */
  readonly nameFiles: (
    roots: readonly string[],
    hostname: string,
  ) => readonly { readonly source: string; readonly target: string }[]
}

/** A kind of container, of which many can be made. */
export interface Shape {
  /** No two shapes of a program have the same. */
  readonly key: number
  readonly config: Config
  readonly limits: ExactLimits
  readonly enforced: readonly Feature[]
  readonly env: readonly string[]
  /** What it starts from: directories that lie over one another, the uppermost first. */
  readonly origin: readonly string[]
  /** What is written is kept apart from that. */
  readonly hasLayer: boolean
  /** A directory that is locked for as long as it lives. */
  readonly holds: string | undefined
  /** Whether its caller is told what it is denied. */
  readonly denials: boolean
  /** The hosts that it may reach, where there is a list of them. */
  readonly hosts?: Rules | undefined
  /** The network of the engine that it is in. */
  readonly joins?: string | undefined
}

/** What is made of a network of the engine for one box: engine/box-network.ts. */
export interface Joined {
  /** The file of the network namespace. */
  readonly namespace: string
  /** Where hosts and resolv.conf are. */
  readonly directory: string
}

/** What stands for that in a shape, of which many boxes are made, and in plans that are only shown. */
export const JOINED: Joined = { namespace: '/network-of-the-box/namespace', directory: '/network-of-the-box' }

/** Throws `invalid` for options that are wrong and `unsupported` for what this machine cannot enforce. */
export function shapeOf(options: BoxOptions, around: Surroundings, defaults: ExactLimits = DEFAULT_LIMITS): Shape {
  const limits = exactLimits(options.limits, defaults)
  const network = options.network ?? 'none'
  checkNetwork(network)
  const allowed = allowedHosts(network)
  const hosts = allowed === undefined ? undefined : parseRules(allowed, 'network.allow')
  const joins = engineNetwork(network)
  if (joins !== undefined) refuseJoining(joins, around.host)
  const enforced = featuresOf(around.host, { limits, network, hasLayer: hasLayer(options.root) })
  refuseMissing(options, { enforced, limits, host: around.host })
  const env = environmentOf(options, around)
  const intent = intentOf(options, { around, limits, network, env })
  const { architecture, kernel, cgroup, isRootless } = around.host
  const facts = { architecture, kernel, hasCgroupV2Only: cgroup.mode === 'v2', isRootless, capabilities: [] }
  const config = readConfig(
    JSON.stringify(configOf(intent, facts, '')),
    'the configuration that coffer made of the options',
  )
  const { root } = options
  return {
    key: ++lastKey,
    config,
    limits,
    enforced,
    env,
    origin: originOf(root, around.image),
    hasLayer: hasLayer(root),
    holds: around.image?.store,
    denials: options.denials === true,
    hosts,
    joins,
  }
}

function refuseJoining(name: string, { isRootless }: Host): void {
  checkWord('network', name)
  if (!isRootless) return
  throw new OperationError({
    kind: 'unsupported',
    operation: `join the network ${name}`,
    reason: 'bridges, addresses and rules of this machine are for root to make',
    hint: "network: { allow: ['example.com:443'] } reaches hosts that are named, without root",
  })
}

let lastKey = 0

/** A limit that was given is required, a default is not. */
function refuseMissing(
  options: BoxOptions,
  { enforced, limits, host }: Pick<Shape, 'enforced' | 'limits'> & { readonly host: Host },
): void {
  const given = Object.entries(options.limits ?? {}).filter(([, value]) => value !== undefined && value !== 'unlimited')
  const required = [...(options.requires ?? []), ...given.map(([name]) => name as LimitName)]
  const missing = required.find((feature) => !enforced.includes(feature))
  if (missing === undefined) return
  if (missing === 'diskBytes' && limits.diskBytes !== undefined)
    throw invalid(
      'diskBytes is required, and what is written goes to root.directory itself, where nobody counts it',
      'give root copyOnWrite: true, or leave diskBytes out',
    )
  throw new OperationError({
    kind: 'unsupported',
    operation: 'run a container with what it requires',
    reason: `this machine cannot enforce ${missing} for this caller`,
    hint: host.isRootless
      ? 'give the caller a cgroup of its own: systemd-run --user --scope -p Delegate=yes PROGRAM; probe() tells more'
      : 'probe() tells what there is',
  })
}

interface Parts {
  readonly around: Surroundings
  readonly limits: ExactLimits
  readonly network: Network
  readonly env: readonly string[]
}

const PRIVATE = { kind: 'private' } as const

function namespaceOf(network: Network): Intent['namespaces']['network'] {
  if (network === 'host') return { kind: 'host' }
  return engineNetwork(network) === undefined ? PRIVATE : { kind: 'path', path: JOINED.namespace }
}

function intentOf(options: BoxOptions, { around, limits, network, env }: Parts): Intent {
  const { root, mounts = [] } = options
  const isHost = root === 'host'
  const hostname = options.hostname ?? 'coffer'
  return {
    root: rootOf(root, around.image),
    args: ['true'],
    env,
    cwd: options.cwd ?? (isHost ? around.cwd : (around.image?.cwd ?? '/')),
    user: userOf(options.user ?? around.image?.user ?? 0),
    terminal: false,
    hostname,
    readonlyRoot: false,
    privileged: false,
    noNewPrivileges: true,
    capabilitiesAdded: [],
    capabilitiesDropped: ['ALL'],
    namespaces: {
      pid: PRIVATE,
      network: namespaceOf(network),
      ipc: PRIVATE,
      uts: PRIVATE,
      cgroup: PRIVATE,
      mount: PRIVATE,
      time: { kind: 'host' },
      user: around.ids === undefined ? { kind: 'host' } : PRIVATE,
    },
    security: { seccomp: 'default', hidesSystemPaths: true, writesCgroups: false },
    sysctls: {},
    annotations: {},
    shmBytes: SHM_BYTES,
    hasSharedMemory: true,
    devices: [],
    deviceRules: [],
    mounts: [
      ...(allowedHosts(network) !== undefined || engineNetwork(network) !== undefined
        ? around.nameFiles(originOf(root, around.image), hostname)
        : []
      ).map(({ source, target }) => bindOf(source, target, ['bind', 'rprivate', 'ro', 'nosuid', 'nodev', 'noexec'])),
      ...mounts.map(({ source, target = source, writable = false }, index) => {
        for (const path of [source, target]) if (!path.startsWith('/')) throw notAbsolute(`mounts[${index}]`, path)
        return bindOf(source, target, ['rbind', 'rprivate', writable ? 'rw' : 'ro'])
      }),
    ],
    resources: intentResources(limits, around.host),
    ulimits: rlimitsOf(limits),
    hiddenPaths: isHost ? around.hiddenPaths : [],
    layerBytes: limits.diskBytes,
    userMaps: around.ids,
  }
}

const bindOf = (source: string, destination: string, options: readonly string[]): IntentMount => ({
  kind: 'bind',
  source,
  destination,
  options,
  makesSource: false,
})

export function userOf(user: UserOption | ResolvedUser): Intent['user'] {
  if (typeof user === 'number') return { uid: user, gid: user, additionalGids: [] }
  return { uid: user.uid, gid: user.gid ?? user.uid, additionalGids: 'home' in user ? user.additionalGids : [] }
}

const hasLayer = (root: Root): boolean => root === 'host' || 'image' in root || root.copyOnWrite === true

/** What it begins with: a directory, or the layers of an image, the uppermost first. */
const originOf = (root: Root, image: BoxImage | undefined): readonly string[] =>
  root === 'host' ? ['/'] : (image?.layers ?? [directoryOf(root)])

/** The root is mounted at a place that is there in any case: the uppermost layer. */
function rootOf(root: Root, image: BoxImage | undefined): Intent['root'] {
  if (root === 'host') return { kind: 'host', at: '/' }
  if (image !== undefined) return { kind: 'ephemeral', at: image.layers[0] ?? '/', layers: image.layers }
  return { kind: 'directory', path: directoryOf(root), copyOnWrite: hasLayer(root) }
}

function directoryOf(root: Exclude<Root, 'host'>): string {
  if (root === null || typeof root !== 'object' || !('directory' in root))
    throw invalid(`root is ${JSON.stringify(root)}`, "use 'host', { directory: '/path' } or { image: 'name' }")
  if (!root.directory.startsWith('/')) throw notAbsolute('root.directory', root.directory)
  if (root.copyOnWrite === true && /[\\:,]/.test(root.directory))
    throw invalid(
      `root.directory is ${JSON.stringify(root.directory)}`,
      'to overlay, a backslash, colon or comma in a path means something else: give it another name',
    )
  return root.directory
}

const notAbsolute = (field: string, path: string): OperationError =>
  invalid(`${field} has the path ${JSON.stringify(path)}`, 'begin it with a slash')

/** Defaults that this machine cannot enforce are left out; `enforced` tells. */
export function intentResources(limits: ExactLimits, host: Host): Intent['resources'] {
  const has = (name: LimitName): boolean =>
    limits[name] !== undefined &&
    CONTROLLERS.some(([limit, controller]) => limit === name && hasController(host, controller))
  const { memory, swap } = limits
  return {
    ...(has('memory')
      ? { memoryBytes: memory, memorySwapBytes: swap === undefined || memory === undefined ? -1 : memory + swap }
      : {}),
    ...(has('pids') ? { pids: limits.pids } : {}),
    ...(has('cpus') ? { cpus: limits.cpus } : {}),
  }
}

/** Of each process. The kernel counts CPU time in seconds; exact is what the library does with the cgroup. setrlimit(2) */
function rlimitsOf({ openFiles, diskBytes, cpuTimeMs }: ExactLimits): Intent['ulimits'] {
  const rows = [
    ['RLIMIT_CORE', 0],
    ['RLIMIT_NOFILE', openFiles],
    ['RLIMIT_FSIZE', diskBytes],
    ['RLIMIT_CPU', cpuTimeMs === undefined ? undefined : Math.ceil(cpuTimeMs / 1000) + 1],
  ] as const
  return rows.flatMap(([type, limit]) => (limit === undefined ? [] : [{ type, soft: limit, hard: limit }]))
}

const USUAL_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function environmentOf(
  { env = {}, root }: Pick<BoxOptions, 'env' | 'root'>,
  { home, image }: Pick<Surroundings, 'home' | 'image'>,
): readonly string[] {
  const usual = { PATH: USUAL_PATH, HOME: root === 'host' ? home : (image?.user.home ?? '/') }
  const all: Readonly<Record<string, string>> = { ...usual, ...variablesOf(image?.env ?? []), ...env }
  return Object.entries(all).map(([name, value]) => {
    checkWord(`env.${name}`, value)
    if (!/^[^=\0]+$/.test(name)) throw invalid(`env has the name ${JSON.stringify(name)}`, 'give it a name without =')
    return `${name}=${value}`
  })
}

/** As images have them. One without a value, or without a name, is none: docker would take it from its own environment. */
const variablesOf = (env: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(
    env.flatMap((entry) => {
      const at = entry.indexOf('=')
      return at < 1 || entry.includes('\0') ? [] : [[entry.slice(0, at), entry.slice(at + 1)]]
    }),
  )

export interface Instance {
  readonly id: string
  readonly shape: Shape
  readonly host: Host
  readonly hostParts: ContainerRequest['hostParts']
  /** Of an image, by the directories of its root: container/links.ts. */
  readonly behindLinks: (layers: readonly string[], path: string) => string
  /** Whether it can be stopped where it is, which takes one more cgroup on v1. */
  readonly stays?: boolean | undefined
  readonly egress?: EgressRequest | undefined
  /** For a shape that joins a network. Default JOINED, for a plan that is not run. */
  readonly joined?: Joined | undefined
}

export interface InstanceRequest {
  readonly cgroup: CgroupPlan
  readonly request: ContainerRequest
}

/**
 * The hierarchies that the library uses. One of v1 costs about 75 µs a container, and nobody but the library looks for this one: cpuset, and
 * those without a controller, are left out.
 */
function layoutFor(layout: CgroupLayout, stays: boolean): CgroupLayout {
  if (layout.mode === 'v2') return layout
  const used = ['memory', 'pids', 'cpu', 'cpuacct', 'blkio', 'devices', ...(stays ? ['freezer'] : [])]
  const hierarchies = layout.hierarchies.filter(({ controllers }) => controllers.some((name) => used.includes(name)))
  return { ...layout, hierarchies }
}

/** One container of a shape; what it shall run comes on top. */
export function requestFor(instance: Instance): InstanceRequest {
  const { id, shape, host, hostParts, egress, joined, stays = false } = instance
  const config = joined === undefined ? shape.config : withNetwork(shape.config, joined)
  const { linux } = config
  const layout = layoutFor(host.cgroup, stays)
  // Without a path of its own a cgroup has no directories on the way to it.
  const way = { root: '/run/coffer', isThere: () => true }
  const cgroup = planCgroup({ id, resources: linux.resources, layout, isRootless: host.isRootless, way })
  return {
    cgroup,
    request: {
      config,
      place: { root: '/run/coffer', id },
      bundle: '/',
      rootfs: config.root.path,
      stateSource: undefined,
      cgroup,
      ending: 'wait',
      egress,
      noPivot: false,
      noNewKeyring: false,
      listenFds: 0,
      preserveFds: 0,
      isHosts: () => false,
      netDevices: [],
      hostParts,
      listTree: () => [],
      behindLinks: (path) => instance.behindLinks(rootLayers(config, config.root.path), path),
      keep: false,
    },
  }
}

/** With what was made of the network in the place of what stands for it. */
function withNetwork(config: Config, { namespace, directory }: Joined): Config {
  const { linux, mounts } = config
  const namespaces = linux.namespaces.map((one) => (one.path === JOINED.namespace ? { ...one, path: namespace } : one))
  const place = `${JOINED.directory}/`
  return {
    ...config,
    linux: { ...linux, namespaces },
    mounts: mounts.map((mount) => {
      const { source } = mount
      return source?.startsWith(place) === true
        ? { ...mount, source: `${directory}/${source.slice(place.length)}` }
        : mount
    }),
  }
}
