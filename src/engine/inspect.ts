/** A container as `docker inspect` prints it: names, types and units are docker's. Source: docker: api/swagger.yaml, ContainerInspect */

import type { Json } from '../base/json.ts'
import { readConnection } from './connection.ts'
import { type EngineContainer, UNSEEN_STATUS } from './containers.ts'
import { readEnd } from './end.ts'
import { healthSection, healthOf as readHealth } from './health.ts'
import { hostConfigOf, isReadOnly, orNull, PROPAGATIONS } from './inspect-host.ts'
import { networkSettings } from './inspect-network.ts'
import type { Intent, IntentMount } from './intent.ts'
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
    Mounts: mountsOf(record),
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

function layersOf({ root }: Intent): Json {
  if (root.kind !== 'layers') return {}
  return { LowerDir: root.layers.join(':'), MergedDir: root.at, UpperDir: root.upper, WorkDir: root.work }
}

/** In the order of docker's fields. A tmpfs of --tmpfs is among HostConfig.Tmpfs alone. */
function mountsOf({ intent: { mounts }, typed }: ContainerRecord): Json {
  const places = typed?.mountPlaces ?? []
  const bound = typed?.binds.map((word) => word.split(':')[1]?.replace(/\/+$/, '') || '/')
  return mounts
    .filter(({ kind, destination }) => kind !== 'tmpfs' || places.includes(destination))
    .map((one) => mountOf(one, places.includes(one.destination), bound?.includes(one.destination) !== false))
}

/** One of another container is in neither. */
function mountOf(one: IntentMount, isOfMount: boolean, isBound: boolean): Json {
  const isOwn = isOfMount || isBound
  const isVolume = one.kind === 'volume'
  const propagation = one.options.find((option) => PROPAGATIONS.includes(option)) ?? 'rprivate'
  const access = isReadOnly(one) && !isOfMount ? 'ro' : ''
  const spread = one.kind === 'bind' && propagation !== 'rprivate' && !isOfMount ? propagation : ''
  return {
    Type: one.kind,
    Name: isVolume ? one.name : '',
    Source: one.kind === 'tmpfs' ? '' : one.source,
    Destination: one.destination,
    Driver: isVolume ? 'local' : '',
    Mode:
      [access, spread].filter((word) => word !== '').join(',') || (isVolume && isOwn && !one.isAnonymous ? 'z' : ''),
    RW: !isReadOnly(one),
    Propagation: one.kind === 'bind' ? propagation : '',
  }
}

/** As docker has it: null for none. */
export function programOf({
  intent: { args },
  entrypointWords = 0,
}: ContainerRecord): Readonly<Record<'entrypoint' | 'cmd', readonly string[] | null>> {
  const orNull = (words: readonly string[]): readonly string[] | null => (words.length === 0 ? null : words)
  return { entrypoint: orNull(args.slice(0, entrypointWords)), cmd: orNull(args.slice(entrypointWords)) }
}

function configOf(record: ContainerRecord): Json {
  const { intent, image, labels, hasInput, network, typed, exposed = [] } = record
  const { entrypoint, cmd } = programOf(record)
  const published = 'ports' in network ? network.ports.map(({ port, protocol }) => `${port}/${protocol}`) : []
  const ports = [...new Set([...exposed, ...published])].sort()
  const anonymous = intent.mounts.filter(
    (one) => one.kind === 'volume' && one.isAnonymous && typed?.mountPlaces.includes(one.destination) !== true,
  )
  const attaches = typed?.attaches ?? { stdin: false, stdout: false, stderr: false }
  return {
    Hostname: intent.hostname,
    Domainname: intent.domainname ?? '',
    User: typed?.user ?? userText(intent),
    AttachStdin: attaches.stdin,
    AttachStdout: attaches.stdout,
    AttachStderr: attaches.stderr,
    ...(ports.length === 0 ? {} : { ExposedPorts: emptyEach(ports) }),
    Tty: intent.terminal,
    OpenStdin: hasInput,
    StdinOnce: hasInput && attaches.stdin,
    Env: orNull(intent.env),
    Cmd: cmd,
    Healthcheck: healthcheckOf(record),
    Image: image.name,
    Volumes: anonymous.length === 0 ? null : emptyEach(anonymous.map(({ destination }) => destination)),
    WorkingDir: typed?.workdir ?? intent.cwd,
    Entrypoint: entrypoint,
    ...(typed?.hardwareAddress === undefined ? {} : { MacAddress: typed.hardwareAddress }),
    OnBuild: null,
    Labels: labels,
    ...endOf(record),
  }
}

const userText = ({ user: { uid, gid } }: Intent): string => (uid === 0 && gid === 0 ? '' : `${uid}:${gid}`)

const healthcheckOf = ({ health, typed }: ContainerRecord): Json =>
  health === undefined ? (typed?.hasNoHealthcheck === true ? { Test: ['NONE'] } : null) : healthSection(health)

/** Of docker's defaults it says nothing. */
function endOf({ typed, stopSignal, stopSeconds }: ContainerRecord): { readonly [name: string]: Json } {
  if (typed === undefined) return { StopSignal: stopSignal, StopTimeout: stopSeconds }
  return {
    ...(typed.stopSignal === undefined ? {} : { StopSignal: typed.stopSignal }),
    ...(typed.stopSeconds === undefined ? {} : { StopTimeout: typed.stopSeconds }),
  }
}

/** Of Go: a map whose keys alone say something. */
const emptyEach = (keys: readonly string[]): Json => Object.fromEntries(keys.map((key) => [key, {}]))

/** As docker prints it whole: without fields that are empty and that its JSON leaves out then. A template finds these all the same. */
export function withoutEmpty(inspected: { readonly [name: string]: unknown }): object {
  return JSON.parse(
    JSON.stringify(inspected, function (this: Readonly<Record<string, unknown>>, name: string, value: unknown) {
      if ((name === 'Health' || name === 'Healthcheck') && value === null) return undefined
      if ((name === 'Name' || name === 'Driver') && value === '' && 'Propagation' in this) return undefined
      const isMap = name === 'Tmpfs' || name === 'Sysctls'
      return isMap && Object.keys(value as object).length === 0 && 'Binds' in this ? undefined : value
    }),
  )
}
