/** A container as `docker inspect` prints it: names, types and units are docker's. Source: docker: api/swagger.yaml, ContainerInspect */

import type { Json } from '../base/json.ts'
import { readConnection } from './connection.ts'
import { type EngineContainer, UNSEEN_STATUS } from './containers.ts'
import { readEnd } from './end.ts'
import { healthSection, healthOf as readHealth } from './health.ts'
import { networkMode, networkSettings, wantedBindings } from './inspect-network.ts'
import { resourceSettings } from './inspect-resources.ts'
import type { Intent, IntentMount, NamespaceChoice } from './intent.ts'
import { networkAt } from './network-plan.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { readRestarts } from './restart.ts'
import { writtenSize } from './size.ts'

const NEVER = '0001-01-01T00:00:00Z'

export function inspectContainer(
  engine: Engine,
  container: EngineContainer,
  { withSize }: { readonly withSize: boolean },
): { readonly [name: string]: Json } {
  const { record } = container
  const { id, intent } = record
  const directory = containerPath(engine, id)
  const size = withSize ? writtenSize(engine, record) : undefined
  return {
    Id: id,
    Created: record.created,
    Path: intent.args[0] ?? '',
    Args: intent.args.slice(1),
    State: stateOf(engine, container),
    Image: record.image.id ?? '',
    ResolvConfPath: `${directory}/resolv.conf`,
    HostnamePath: `${directory}/hostname`,
    HostsPath: `${directory}/hosts`,
    LogPath: record.log.driver === 'none' ? '' : `${directory}/log`,
    Name: `/${record.name}`,
    RestartCount: readRestarts(engine, id).count,
    Driver: 'overlay2',
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: null,
    HostConfig: hostConfigOf(record),
    GraphDriver: { Data: layersOf(intent), Name: 'overlay2' },
    ...(size === undefined ? {} : { SizeRw: size.written, SizeRootFs: size.whole }),
    Mounts: mountsOf(intent),
    Config: configOf(record),
    NetworkSettings: networkSettings(record, readConnection(engine, id), {
      sandboxKey: sandboxOf(container),
      idOf: (name) => networkAt(engine, name)?.id ?? '',
    }),
  }
}

function stateOf(engine: Engine, container: EngineContainer): Json {
  const { status } = container
  const isAlive = status === 'running' || status === 'paused'
  const hasEnded = status === 'exited' || status === 'restarting'
  const exit = hasEnded ? container.exit : undefined
  return {
    Status: status,
    Running: isAlive || status === 'restarting',
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: hasEnded && readEnd(engine, container).memory !== undefined,
    Dead: false,
    Pid: isAlive ? container.pid : 0,
    ExitCode: hasEnded ? (exit?.status ?? UNSEEN_STATUS) : 0,
    Error: '',
    StartedAt: status === 'created' ? NEVER : container.started,
    FinishedAt: exit?.at ?? NEVER,
    ...healthOf(engine, container),
  }
}

/** A template may ask whether there is one. */
function healthOf(engine: Engine, container: EngineContainer): { readonly Health: Json } {
  const health = readHealth(engine, container)
  if (health === undefined) return { Health: null }
  const log = health.log.map(({ start, end, exitCode, output }) => ({
    Start: start,
    End: end,
    ExitCode: exitCode,
    Output: output,
  }))
  return { Health: { Status: health.status, FailingStreak: health.failingStreak, Log: log } }
}

/** The process whose namespaces these are, where there is one. */
const sandboxOf = (container: EngineContainer): string =>
  container.status === 'running' || container.status === 'paused' ? `/proc/${container.pid}/ns/net` : ''

/** docker says nothing of namespaces of pids and names that are its own. */
const quietModeOf = (choice: NamespaceChoice): string => (choice.kind === 'private' ? '' : modeOf(choice))

const modeOf = (choice: NamespaceChoice): string =>
  choice.kind === 'path' ? `ns:${choice.path}` : choice.kind === 'host' ? 'host' : 'private'

function hostConfigOf(record: ContainerRecord): Json {
  const { intent, restart, removesItself, log, network } = record
  const { namespaces } = intent
  return {
    Binds: intent.mounts.flatMap((one) =>
      one.kind === 'tmpfs'
        ? []
        : [`${one.kind === 'volume' ? one.name : one.source}:${one.destination}${isReadOnly(one) ? ':ro' : ''}`],
    ),
    LogConfig: {
      Type: log.driver,
      Config: log.limitBytes > 0 ? { 'max-size': `${log.limitBytes}`, 'max-file': `${log.files}` } : {},
    },
    NetworkMode: networkMode(record),
    ...(network.kind === 'egress' ? { Egress: network.hosts } : {}),
    PortBindings: wantedBindings('ports' in network ? network.ports : []),
    RestartPolicy: { Name: restart.when, MaximumRetryCount: restart.maxRetries },
    AutoRemove: removesItself,
    CapAdd: orNull(intent.capabilitiesAdded),
    CapDrop: orNull(intent.capabilitiesDropped),
    CgroupnsMode: modeOf(namespaces.cgroup),
    IpcMode: modeOf(namespaces.ipc),
    PidMode: quietModeOf(namespaces.pid),
    UTSMode: quietModeOf(namespaces.uts),
    UsernsMode: namespaces.user.kind === 'host' ? '' : modeOf(namespaces.user),
    Runtime: 'coffer',
    Links: null,
    VolumeDriver: '',
    ...(intent.initPath === undefined ? {} : { Init: true }),
    Privileged: intent.privileged,
    ReadonlyRootfs: intent.readonlyRoot,
    Tmpfs: Object.fromEntries(
      intent.mounts.flatMap(({ kind, destination, options }) =>
        kind === 'tmpfs' ? [[destination, options.join(',')] as const] : [],
      ),
    ),
    ...resourceSettings(intent),
    ...settingsOf(intent),
  }
}

function settingsOf(intent: Intent): { readonly [name: string]: Json } {
  const { hosts = [], servers = [], search = [], options = [] } = intent.names ?? {}
  return {
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
  }
}

const orNull = (list: readonly Json[]): Json => (list.length === 0 ? null : list)

const securityOf = ({ noNewPrivileges, security }: Intent): readonly string[] => [
  ...(noNewPrivileges ? ['no-new-privileges'] : []),
  ...(security.seccomp === 'unconfined' ? ['seccomp=unconfined'] : []),
  ...(security.apparmorProfile === undefined ? [] : [`apparmor=${security.apparmorProfile}`]),
  ...(security.hidesSystemPaths ? [] : ['systempaths=unconfined']),
]

function layersOf({ root }: Intent): Json {
  if (root.kind !== 'layers') return {}
  return { LowerDir: root.layers.join(':'), MergedDir: root.at, UpperDir: root.upper, WorkDir: root.work }
}

const isReadOnly = ({ options }: Pick<IntentMount, 'options'>): boolean => options.includes('ro')

/** A tmpfs is among HostConfig.Tmpfs. */
const mountsOf = ({ mounts }: Intent): Json =>
  mounts.flatMap((one) => {
    if (one.kind === 'tmpfs') return []
    const isVolume = one.kind === 'volume'
    const propagation = one.options.find((option) => PROPAGATIONS.includes(option)) ?? 'rprivate'
    return [
      {
        Type: one.kind,
        Name: isVolume ? one.name : '',
        Driver: isVolume ? 'local' : '',
        Source: one.source,
        Destination: one.destination,
        Mode: isReadOnly(one) ? 'ro' : isVolume ? 'z' : '',
        RW: !isReadOnly(one),
        Propagation: isVolume ? '' : propagation,
      },
    ]
  })

const PROPAGATIONS = ['shared', 'rshared', 'slave', 'rslave', 'private', 'rprivate']

/** As docker has it: null for none. */
export function programOf({
  intent: { args },
  entrypointWords = 0,
}: ContainerRecord): Readonly<Record<'entrypoint' | 'cmd', readonly string[] | null>> {
  const orNull = (words: readonly string[]): readonly string[] | null => (words.length === 0 ? null : words)
  return { entrypoint: orNull(args.slice(0, entrypointWords)), cmd: orNull(args.slice(entrypointWords)) }
}

function configOf(record: ContainerRecord): Json {
  const { intent, image, labels, hasInput, stopSignal, stopSeconds, health, network, exposed = [] } = record
  const { entrypoint, cmd } = programOf(record)
  const published = 'ports' in network ? network.ports.map(({ port, protocol }) => `${port}/${protocol}`) : []
  const ports = [...new Set([...exposed, ...published])].sort()
  const anonymous = intent.mounts.filter((one) => one.kind === 'volume' && one.isAnonymous)
  return {
    Hostname: intent.hostname,
    Domainname: intent.domainname ?? '',
    User: intent.user.uid === 0 && intent.user.gid === 0 ? '' : `${intent.user.uid}:${intent.user.gid}`,
    ...(ports.length === 0 ? {} : { ExposedPorts: emptyEach(ports) }),
    Tty: intent.terminal,
    OpenStdin: hasInput,
    Env: intent.env,
    Cmd: cmd,
    Image: image.name,
    Volumes: anonymous.length === 0 ? null : emptyEach(anonymous.map(({ destination }) => destination)),
    WorkingDir: intent.cwd,
    Entrypoint: entrypoint,
    OnBuild: null,
    Labels: labels,
    StopSignal: stopSignal,
    StopTimeout: stopSeconds,
    Healthcheck: health === undefined ? null : healthSection(health),
  }
}

/** Of Go: a map whose keys alone say something. */
const emptyEach = (keys: readonly string[]): Json => Object.fromEntries(keys.map((key) => [key, {}]))
