/** restore: a container from the images of a checkpoint, by criu. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { parseJson } from '../base/json.ts'
import { refuse } from '../base/place.ts'
import { close, makeDirectories, memoryFile, pipe, writeAll } from '../executor/embedded-files.ts'
import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import { FIRST_EXTRA, finish, type Running, startPlan } from '../executor/run-embedded.ts'
import { readMounts } from '../observe/mounts.ts'
import type { Config } from '../oci/config.ts'
import { isBind, type Mount } from '../oci/mounts.ts'
import { OCI_VERSION } from '../oci/version.ts'
import { type CgroupPlan, planCgroup } from '../plan/cgroup.ts'
import { refuseCheckpoint } from '../plan/checkpoint-refusals.ts'
import { DESCRIPTORS_FILE, MASK_SOURCE, RESTORE_LOG } from '../plan/criu.ts'
import type { Host } from '../plan/host.ts'
import type { Plan } from '../plan/plan.ts'
import { EXECUTOR_PID, planRestore, type RestoreOptions, restoreWhy } from '../plan/restore.ts'
import { INIT_PID } from '../plan/slots.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { cleanPath, isBelow } from '../plan/targets.ts'
import { type Bundle, refuseTaken, wayOf } from './create.ts'
import { findCriu, hostsNamespace, namespacesFor, withLog } from './criu.ts'
import { cgroupKey, devicePaths } from './external.ts'
import { attend, holdSignals } from './foreground.ts'
import { hostFor, ownerName } from './host.ts'
import type { Machine } from './machine.ts'
import { printRecord, recordedDirectories } from './record.ts'
import { hookKinds } from './recorded-hooks.ts'
import { removeContainer } from './remove.ts'

export interface RestoreCall extends Bundle {
  readonly id: string
  readonly options: RestoreOptions
  /** Of the caller: criu is looked for in its $PATH. */
  readonly env: ReadonlyMap<string, string>
  readonly pidFile?: string | undefined
  readonly detach: boolean
  readonly warn: (text: string) => void
}

/**
 * Hooks of the container's start do not run, as in runc: what they did is behind it. Those of poststop do when it has ended.
 *
 * Answers the exit status of the program, or 128 and the signal that ended it; 0 if it runs on detached.
 *
 * Throws `conflict` if the name is taken, `missing` without images, and `unsupported` for what criu would not bring back.
 */
export function restoreContainer(machine: Machine, call: RestoreCall): number {
  const { native } = machine
  const { id, options, detach } = call
  refuseTaken(machine, id)
  const { plan, record } = preparePlan(machine, call)
  if (machine.files.status(machine.root) === undefined) makeDirectories(native, machine.root, 0o711)
  const state = memoryFile(native, 'state', native.encode(record))
  const pidPipe = pipe(native)
  const signals = detach ? undefined : holdSignals(native)
  const exit = withLog(machine, {
    why: restoreWhy(id),
    log: `${options.workDirectory}/${RESTORE_LOG}`,
    run: () => {
      const running = startPlan(native, plan, { extraFds: [state, pidPipe.readEnd] })
      close(native, pidPipe.readEnd)
      tellPid(machine, running, pidPipe.writeEnd)
      if (signals === undefined) {
        finish(running)
        return 0
      }
      const report = attend(native, running, { signals, pid: (progress) => progress.slot(INIT_PID) })
      return exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer)))
    },
  })
  if (!detach) removeContainer(machine, id, { force: true, warn: call.warn })
  return exit
}

/** Init is the only child that criu leaves to the executor; without an answer the plan fails, and is taken back. */
function tellPid({ native, files }: Machine, running: Running, pidFd: number): void {
  const executor = running.next().slot(EXECUTOR_PID)
  const children = files.readText(`/proc/${executor}/task/${executor}/children`) ?? ''
  const [pid, ...others] = children.split(' ').filter((word) => word !== '')
  if (pid !== undefined && others.length === 0)
    writeAll(native, pidFd, new Uint8Array(Int32Array.of(Number(pid)).buffer))
  close(native, pidFd)
}

interface Prepared {
  readonly plan: Plan
  /** The text of `state.json`. */
  readonly record: string
}

function preparePlan(machine: Machine, call: RestoreCall): Prepared {
  const { files, root } = machine
  const { id, bundle, options } = call
  const config = call.config()
  const { linux } = config
  const host = hostFor(machine, config.process, linux.mountLabel)
  const isHosts = hostsNamespace(files, linux)
  refuseStrict(options)
  refuseCheckpoint(config, { operation: restoreWhy(id), isRootless: host.isRootless, isHosts })
  const rootfs = config.root.path.startsWith('/') ? config.root.path : `${bundle}/${config.root.path}`
  const { cgroupsPath, resources } = linux
  const cgroup = planCgroup({ id, cgroupsPath, resources, layout: host.cgroup, isRootless: false, way: wayOf(machine) })
  const namespaces = namespacesFor(files, config)
  const plan = planRestore(
    {
      place: { root, id },
      stateSource: FIRST_EXTRA,
      pidSource: FIRST_EXTRA + 1,
      criu: findCriu(files, call.env, config),
      cgroup,
      rootfs,
      isReadonly: config.root.readonly,
      process: config.process,
      ...(namespaces.isNew('user') ? { root: rootIds(config) } : {}),
      mountPoints: mountPointsOf(config, bundle, host),
      external: externalsFor(config, bundle, cgroup),
      inherited: inheritedFor(files, options.imagesDirectory),
      namespaces,
      joined: namespaces.joined,
      cgroupRoots: cgroupRootsOf(files, cgroup, host),
      options,
      pidFile: call.pidFile,
      waits: !call.detach,
    },
    host,
  )
  const record = printRecord(
    {
      version: 1,
      ociVersion: OCI_VERSION,
      id,
      bundle,
      rootfs,
      created: machine.now().toISOString(),
      owner: ownerName(machine, host.hostUid),
      annotations: config.annotations,
      hasOwnPids: config.linux.namespaces.some(({ type, path }) => type === 'pid' && path === undefined),
      hooks: hookKinds(config.hooks),
      cgroup: recordedDirectories(cgroup),
    },
    call.configText(),
  )
  return { plan, record }
}

function refuseStrict({ cgroupMode }: RestoreOptions): void {
  if (cgroupMode !== 'strict') return
  throw new OperationError({
    kind: 'unsupported',
    operation: 'restore with --manage-cgroups-mode strict',
    reason: 'criu then wants no cgroup of the container to exist, and coffer makes them first, so that limits hold',
    hint: 'use soft, full or ignore',
    see: ['criu(8)'],
  })
}

/** Of id 0 in the container; what no id is mapped to, the kernel calls 65534. */
function rootIds({ linux }: Config): { readonly hostUid: number; readonly hostGid: number } {
  const hostId = (maps: Config['linux']['uidMappings']): number =>
    maps.find(({ containerID }) => containerID === 0)?.hostID ?? OVERFLOW_ID
  return { hostUid: hostId(linux.uidMappings), hostGid: hostId(linux.gidMappings) }
}

const OVERFLOW_ID = 65534

const sourceOf = ({ source = '' }: Mount, bundle: string): string =>
  source.startsWith('/') ? source : `${bundle}/${source}`

/** The places of mounts that are in the image itself, not in another mount. */
function mountPointsOf(
  { mounts }: Config,
  bundle: string,
  host: Host,
): Parameters<typeof planRestore>[0]['mountPoints'] {
  const paths = mounts.map(({ destination }) => cleanPath(destination))
  return mounts.flatMap((mount, index) => {
    const path = paths[index] ?? '/'
    if (path === '/' || paths.some((other) => other !== '/' && isBelow(path, other))) return []
    return [{ path, kind: isBind(mount) ? kindOf(sourceOf(mount, bundle), index, host) : ('directory' as const) }]
  })
}

function kindOf(source: string, index: number, host: Host): 'file' | 'directory' {
  const kind = host.kindOf(source)
  if (kind !== 'absent') return kind
  throw new OperationError({
    kind: 'invalid',
    operation: 'plan the mounts',
    reason: `mounts[${index}].source is ${JSON.stringify(source)}, which does not exist`,
    see: ['oci:runtime-spec/config.md#mounts'],
  })
}

/** What is mounted from outside, by the keys that the dump gave: `mnt[KEY]:PATH`. Those that it did not need are not missed. */
function externalsFor(config: Config, bundle: string, { paths }: CgroupPlan): readonly string[] {
  const sources = new Map([...devicePaths(config), MASK_SOURCE].map((path) => [path, path]))
  for (const [controller, path] of Object.entries(paths)) sources.set(cgroupKey(controller), path)
  for (const mount of config.mounts.filter(isBind)) sources.set(cleanPath(mount.destination), sourceOf(mount, bundle))
  return [...sources].map(([key, path]) => `mnt[${key}]:${path}`)
}

/** Our standard streams in place of those that init was given, as far as they came from outside. */
function inheritedFor(files: Files, imagesDirectory: string): readonly string[] {
  const path = `${imagesDirectory}/${DESCRIPTORS_FILE}`
  const text = files.readText(path)
  if (text === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: 'read the images of the checkpoint',
      reason: `there is no ${path}`,
      path,
      hint: 'give the directory that checkpoint wrote with --image-path',
    })
  const keys = parseJson(text, path)
  if (!Array.isArray(keys) || !keys.every((key): key is string => typeof key === 'string'))
    refuse(`${path}: `, 'is not a list of strings, which a runtime would have written')
  return keys.flatMap((key, fd) =>
    /^(?:pipe:|file)\[/.test(key) && keys.indexOf(key) === fd ? [`fd[${fd}]:${key}`] : [],
  )
}

/** Where the container's cgroups are now, as criu sees them from the root of each hierarchy: `CONTROLLER:PATH`, and `PATH` for v2. */
function cgroupRootsOf(files: Files, { paths, unmounted = {} }: CgroupPlan, { cgroup }: Host): readonly string[] {
  const mounts = readMounts(files) ?? []
  const mounted = Object.entries(paths).map(([controller, path]) => {
    const { mountPoint = '' } = cgroup.hierarchies.find((one) => isBelow(path, one.mountPoint)) ?? {}
    const top = mounts.find((mount) => mount.mountPoint === mountPoint)?.root ?? '/'
    const below = `${top === '/' ? '' : top}${path.slice(mountPoint.length)}`
    return controller === '' ? below : `${controller}:${below}`
  })
  const others = Object.entries(unmounted).flatMap(([list, path]) =>
    list.split(',').map((controller) => `${controller}:/${path}`),
  )
  return [...mounted, ...others]
}
