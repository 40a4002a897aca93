/** HostConfig of `docker inspect`: what was asked of the machine, in docker's names, units and order. Source: docker: api/types/container/host_config.go */

import type { Json } from '../base/json.ts'
import { sorted } from '../base/sorted.ts'
import { DEFAULT_NETWORK } from '../network/networks.ts'
import { MASKED, READONLY } from './config.ts'
import { linkWord, networkMode, wantedBindings } from './inspect-network.ts'
import { resourceSettings } from './inspect-resources.ts'
import type { Intent, IntentMount, NamespaceChoice } from './intent.ts'
import type { ContainerRecord, PortWish, TypedWords } from './record.ts'

/** Of containers without privilege over the machine some of it has no effect: Windows, and what the kernel has no more. */
const ABSENT: { readonly [name: string]: Json } = {
  VolumeDriver: '',
  Cgroup: '',
  ConsoleSize: [0, 0],
  Isolation: '',
  KernelMemory: 0,
  KernelMemoryTCP: 0,
  CpuCount: 0,
  CpuPercent: 0,
  IOMaximumIOps: 0,
  IOMaximumBandwidth: 0,
}

const ORDER =
  'Binds ContainerIDFile LogConfig NetworkMode Egress PortBindings RestartPolicy AutoRemove VolumeDriver VolumesFrom CapAdd CapDrop ' +
  'CgroupnsMode Dns DnsOptions DnsSearch ExtraHosts GroupAdd IpcMode Cgroup Links OomScoreAdj PidMode Privileged PublishAllPorts ' +
  'ReadonlyRootfs SecurityOpt Tmpfs UTSMode UsernsMode ShmSize Sysctls Runtime ConsoleSize Isolation CpuShares Memory NanoCpus ' +
  'CgroupParent BlkioWeight BlkioWeightDevice BlkioDeviceReadBps BlkioDeviceWriteBps BlkioDeviceReadIOps BlkioDeviceWriteIOps CpuPeriod ' +
  'CpuQuota CpuRealtimePeriod CpuRealtimeRuntime CpusetCpus CpusetMems Devices DeviceCgroupRules DeviceRequests KernelMemory ' +
  'KernelMemoryTCP MemoryReservation MemorySwap MemorySwappiness OomKillDisable PidsLimit Ulimits CpuCount CpuPercent IOMaximumIOps ' +
  'IOMaximumBandwidth Mounts MaskedPaths ReadonlyPaths Init'

export function hostConfigOf(record: ContainerRecord): Json {
  const { intent, typed } = record
  const all: { readonly [name: string]: Json } = {
    ...ABSENT,
    ...lifeSettings(record),
    ...namespaceSettings(record),
    ...mountSettings(intent, typed),
    ...processSettings(intent, typed),
    ...resourceSettings(intent),
    ...(typed === undefined || intent.privileged ? {} : { Devices: typed.devices.map(deviceOf) }),
  }
  const names = ORDER.split(' ')
  return Object.fromEntries(names.flatMap((name) => (name in all ? [[name, all[name] ?? null] as const] : [])))
}

function lifeSettings(record: ContainerRecord): { readonly [name: string]: Json } {
  const { restart, removesItself, log, network, typed } = record
  const limits = log.limitBytes > 0 ? { 'max-file': `${log.files}`, 'max-size': `${log.limitBytes}` } : {}
  return {
    ContainerIDFile: typed?.idFile ?? '',
    LogConfig: { Type: log.driver, Config: typed === undefined ? limits : sorted(typed.logOptions) },
    ...(network.kind === 'egress' ? { Egress: network.hosts } : {}),
    PortBindings: wantedBindings('ports' in network ? network.ports.filter((port) => !isOfAll(record, port)) : []),
    Links: orNull(linkWords(record)),
    PublishAllPorts: typed?.publishesAll ?? false,
    RestartPolicy: { Name: restart.when, MaximumRetryCount: restart.maxRetries },
    AutoRemove: removesItself,
    Runtime: 'coffer',
  }
}

/** In the default network; of others they are among those of the network. */
const linkWords = ({ name, network, typed }: ContainerRecord): readonly string[] =>
  network.kind === 'networks' && network.networks.some((one) => one.network === DEFAULT_NETWORK)
    ? (typed?.links ?? []).map((word) => linkWord(word).replace(/^(.*):(.*)$/, `/$1:/${name}/$2`))
    : []

/** -P says so for all that are exposed. */
const isOfAll = (
  { typed, exposed = [] }: ContainerRecord,
  { hostPort, hostAddress, port, protocol }: PortWish,
): boolean =>
  typed?.publishesAll === true && hostPort === 0 && hostAddress === undefined && exposed.includes(`${port}/${protocol}`)

/** docker says nothing of namespaces of pids and names that are its own. */
const quietModeOf = (choice: NamespaceChoice): string => (choice.kind === 'private' ? '' : modeOf(choice))

const modeOf = (choice: NamespaceChoice): string =>
  choice.kind === 'path' ? `ns:${choice.path}` : choice.kind === 'host' ? 'host' : 'private'

function namespaceSettings(record: ContainerRecord): { readonly [name: string]: Json } {
  const { namespaces } = record.intent
  return {
    NetworkMode: networkMode(record),
    CgroupnsMode: modeOf(namespaces.cgroup),
    IpcMode: modeOf(namespaces.ipc),
    PidMode: quietModeOf(namespaces.pid),
    UTSMode: quietModeOf(namespaces.uts),
    UsernsMode: namespaces.user.kind === 'host' ? '' : modeOf(namespaces.user),
  }
}

const bindWord = (one: Exclude<IntentMount, { kind: 'tmpfs' }>): string =>
  `${one.kind === 'volume' ? one.name : one.source}:${one.destination}${isReadOnly(one) ? ':ro' : ''}`

/** A tmpfs of --mount is among Mounts, one of --tmpfs in Tmpfs. */
function mountSettings(
  { mounts, readonlyRoot }: Intent,
  typed: TypedWords | undefined,
): { readonly [name: string]: Json } {
  const places = typed?.mountPlaces ?? []
  const binds = typed?.binds ?? mounts.flatMap((one) => (one.kind === 'tmpfs' ? [] : [bindWord(one)]))
  const asked = mounts.filter(({ destination }) => places.includes(destination))
  const memory = mounts.filter(({ kind, destination }) => kind === 'tmpfs' && !places.includes(destination))
  return {
    Binds: orNull(binds),
    VolumesFrom: orNull(typed?.volumesFrom ?? []),
    ReadonlyRootfs: readonlyRoot,
    Tmpfs: Object.fromEntries(memory.map(({ destination, options }) => [destination, options.join(',')])),
    ...(asked.length === 0 ? {} : { Mounts: asked.map(askedMount) }),
  }
}

function askedMount(one: IntentMount): Json {
  const source = one.kind === 'volume' ? (one.isAnonymous ? '' : one.name) : one.kind === 'bind' ? one.source : ''
  const propagation = one.kind === 'bind' ? one.options.find((option) => PROPAGATIONS.includes(option)) : undefined
  return {
    Type: one.kind,
    ...(source === '' ? {} : { Source: source }),
    Target: one.destination,
    ...(isReadOnly(one) ? { ReadOnly: true } : {}),
    ...(propagation === undefined || propagation === 'rprivate' ? {} : { BindOptions: { Propagation: propagation } }),
    ...(one.kind === 'volume' ? volumeSettings(one) : {}),
    ...(one.kind === 'tmpfs' ? memorySettings(one.options) : {}),
  }
}

function volumeSettings(one: Extract<IntentMount, { kind: 'volume' }>): { readonly [name: string]: Json } {
  const { labels = {}, volumeOptions, copiesUp, subpath } = one
  const options = {
    ...(copiesUp || subpath !== undefined ? {} : { NoCopy: true }),
    ...(Object.keys(labels).length === 0 ? {} : { Labels: labels }),
    ...(subpath === undefined ? {} : { Subpath: subpath }),
    ...(volumeOptions === undefined ? {} : { DriverConfig: { Name: 'local', Options: sorted(volumeOptions) } }),
  }
  return Object.keys(options).length === 0
    ? {}
    : { VolumeOptions: { ...options, DriverConfig: options.DriverConfig ?? {} } }
}

function memorySettings(options: readonly string[]): { readonly [name: string]: Json } {
  const value = (key: string): string | undefined =>
    options.find((option) => option.startsWith(`${key}=`))?.slice(key.length + 1)
  const [size, mode] = [value('size'), value('mode')]
  const settings = {
    ...(size === undefined ? {} : { SizeBytes: Number(size) }),
    ...(mode === undefined ? {} : { Mode: Number.parseInt(mode, 8) }),
  }
  return Object.keys(settings).length === 0 ? {} : { TmpfsOptions: settings }
}

export const PROPAGATIONS: readonly string[] = ['shared', 'rshared', 'slave', 'rslave', 'private', 'rprivate']

export const isReadOnly = ({ options }: Pick<IntentMount, 'options'>): boolean => options.includes('ro')

function processSettings(intent: Intent, typed: TypedWords | undefined): { readonly [name: string]: Json } {
  const { hosts = [], servers = [], search = [], options = [] } = intent.names ?? {}
  const { privileged, security } = intent
  const protects = (paths: string): Json => (privileged ? null : security.hidesSystemPaths ? paths.split(' ') : [])
  return {
    CapAdd: orNull(intent.capabilitiesAdded),
    CapDrop: orNull(intent.capabilitiesDropped),
    GroupAdd: orNull(typed?.groups ?? []),
    Privileged: privileged,
    ExtraHosts: orNull(hosts.map(({ name, address }) => `${name}:${address}`)),
    Dns: servers,
    DnsSearch: search,
    DnsOptions: options,
    ShmSize: intent.shmBytes,
    OomScoreAdj: intent.oomScoreAdj ?? 0,
    Sysctls: intent.sysctls,
    SecurityOpt: orNull(securityOf(intent)),
    Ulimits: orNull(
      intent.ulimits.map(({ type, soft, hard }) => ({
        Name: type.replace('RLIMIT_', '').toLowerCase(),
        Hard: hard,
        Soft: soft,
      })),
    ),
    MaskedPaths: protects(MASKED),
    ReadonlyPaths: protects(READONLY),
    ...(intent.initPath === undefined ? {} : { Init: true }),
  }
}

export const orNull = (list: readonly Json[]): Json => (list.length === 0 ? null : list)

const securityOf = ({ noNewPrivileges, security, privileged, namespaces }: Intent): readonly string[] => [
  ...(noNewPrivileges ? ['no-new-privileges'] : []),
  ...(security.seccomp === 'unconfined' ? ['seccomp=unconfined'] : []),
  ...(security.apparmorProfile === undefined ? [] : [`apparmor=${security.apparmorProfile}`]),
  ...(security.hidesSystemPaths ? [] : ['systempaths=unconfined']),
  // As docker notes it: there is nothing left to separate.
  ...(privileged || namespaces.pid.kind === 'host' || namespaces.ipc.kind === 'host' ? ['label=disable'] : []),
]

/** `HOST[:CONTAINER][:RIGHTS]`, as it was typed. docker: cli/command/container/opts.go, parseLinuxDevice */
function deviceOf(word: string): Json {
  const parts = word.split(':')
  const last = parts[parts.length - 1] ?? ''
  const hasRights = parts.length > 1 && /^[rwm]+$/.test(last)
  const [host = '', inside = host] = hasRights ? parts.slice(0, -1) : parts
  return { PathOnHost: host, PathInContainer: inside, CgroupPermissions: hasRights ? last : 'rwm' }
}
