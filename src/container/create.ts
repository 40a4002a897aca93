/** create: a bundle and the facts of the machine become a plan, and the plan a container. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { FIRST_EXTRA } from '../executor/run-embedded.ts'
import { type Config, readConfig } from '../oci/config.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { OCI_VERSION } from '../oci/version.ts'
import { capabilityWarnings } from '../plan/capabilities.ts'
import { planCgroup } from '../plan/cgroup.ts'
import type { CgroupWay } from '../plan/cgroup-parents.ts'
import { planContainer } from '../plan/container.ts'
import type { Host } from '../plan/host.ts'
import type { Watch } from '../plan/monitor.ts'
import { mountWarnings } from '../plan/mounts-flags.ts'
import type { Plan } from '../plan/plan.ts'
import type { ContainerRequest, Ending } from '../plan/request.ts'
import { homeOf } from './home.ts'
import { hostFor, ownerName } from './host.ts'
import { listHostParts } from './host-parts.ts'
import { behindLinks, rootLayers } from './links.ts'
import type { Machine } from './machine.ts'
import { isOwnNamespace } from './namespaces.ts'
import { readMovedDevices } from './net-devices.ts'
import { withNotifySocket } from './notify-socket.ts'
import { type RecordFacts, recordedDirectories } from './record.ts'
import { hookKinds } from './recorded-hooks.ts'
import { checkId, NETWORKS_DIRECTORY, readContainer } from './store.ts'
import { listTree } from './tree.ts'

export interface Bundle {
  /** Absolute. */
  readonly bundle: string
  readonly configText: () => string
  /** Where the text is made of something smaller, and of the id: that, as text. A plan that was kept is found by it. */
  readonly madeOf?: string
  /** Throws `invalid` and `unsupported` if the text is no configuration; a plan that was kept does without. */
  readonly config: () => Config
}

export interface CreateRequest extends Bundle {
  readonly id: string
  readonly consoleSocket?: string | undefined
  readonly pidFile?: string | undefined
  readonly pidfdSocket?: string | undefined
  readonly noPivot: boolean
  readonly noNewKeyring: boolean
  readonly preserveFds: number
  readonly listenFds: number
  /** The socket of sd_notify(3) that the caller was given. */
  readonly notifySocket?: string | undefined
  readonly warn: (text: string) => void
}

/** Throws `missing` if the bundle has no config.json, `invalid` if that is not a configuration. */
export function readBundle(files: Files, bundle: string, configPath: string = `${bundle}/config.json`): Bundle {
  const configText = files.readText(configPath)
  if (configText === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: 'read the bundle',
      reason: `there is no ${configPath}`,
      path: configPath,
      hint: `make one with: coffer-runc spec --bundle ${bundle}`,
      see: ['oci:runtime-spec/bundle.md'],
    })
  return { bundle, configText: () => configText, config: once(() => readConfig(configText)) }
}

/** Makes a value when it is first asked for. */
export function once<Value>(make: () => Value): () => Value {
  let made: { readonly value: Value } | undefined
  return () => {
    made ??= { value: make() }
    return made.value
  }
}

/** How the plan of a container ends, and where its terminal goes. */
export interface Manner {
  readonly ending: Ending
  /** Leave the record of the ended container behind. */
  readonly keep: boolean
  /** The descriptor to send the terminal's master to, where no socket was named. */
  readonly console?: number | undefined
  /** What the container gets as descriptors 0, 1 and 2, if not those of the caller. */
  readonly stdio?: readonly [number, number, number] | undefined
  /** With the ending `watch`; descriptors are those of the caller. */
  readonly watch?: Watch | undefined
}

/** Descriptors of the caller that the monitor gets, in the order in which the executor does. */
export function watchedDescriptors({
  image,
  directory,
  attach,
  log,
  stdin,
  stdout,
  stderr,
  console,
}: Watch): readonly number[] {
  const given = [image, directory, attach, log, stdin, stdout, stderr, console]
  return given.filter((fd): fd is number => fd !== undefined)
}

/** The same with the numbers that they have in the executor. */
function inExecutor(watch: Watch, first: number): Watch {
  const given = watchedDescriptors(watch)
  const numberOf = (fd: number): number => first + given.indexOf(fd)
  const optional = (fd: number | undefined): number | undefined => (fd === undefined ? undefined : numberOf(fd))
  return {
    ...watch,
    image: numberOf(watch.image),
    directory: numberOf(watch.directory),
    attach: numberOf(watch.attach),
    log: optional(watch.log),
    stdin: optional(watch.stdin),
    stdout: optional(watch.stdout),
    stderr: optional(watch.stderr),
    console: optional(watch.console),
  }
}

export interface PlannedContainer {
  readonly plan: Plan
  readonly host: Host
  /** What is remembered of the container. */
  readonly facts: RecordFacts
  /** One sentence each. */
  readonly warnings: readonly string[]
}

/** Reads the machine, changes nothing. */
export function planFor(machine: Machine, request: CreateRequest, manner: Manner): PlannedContainer {
  const { ending, keep, console, watch } = manner
  const { id, bundle } = request
  const config = withNotifySocket(machine.files, request.config(), request.notifySocket)
  const { linux, process } = config
  const host = hostFor(machine, process, linux.mountLabel)
  const cgroup = planCgroup({
    id,
    cgroupsPath: linux.cgroupsPath,
    resources: linux.resources,
    layout: host.cgroup,
    isRootless: host.isRootless,
    way: wayOf(machine),
  })
  const rootfs = config.root.path.startsWith('/') ? config.root.path : `${bundle}/${config.root.path}`
  const passed = request.listenFds + request.preserveFds
  const firstWatched = FIRST_EXTRA + passed + (console === undefined ? 1 : 2)
  const plain: ContainerRequest = {
    config,
    place: { root: machine.root, id },
    bundle,
    rootfs,
    stateSource: FIRST_EXTRA + passed,
    cgroup,
    ending,
    ...(watch === undefined ? {} : { watch: inExecutor(watch, firstWatched) }),
    pidFile: request.pidFile,
    pidfdSocket: request.pidfdSocket,
    noPivot: request.noPivot,
    noNewKeyring: request.noNewKeyring,
    consoleSocket: request.consoleSocket ?? (console === undefined ? undefined : FIRST_EXTRA + passed + 1),
    listenFds: request.listenFds,
    preserveFds: request.preserveFds,
    home: homeOf(machine.files, rootfs, process),
    isHosts: (type) => isHosts(machine, config, type),
    netDevices: readMovedDevices(machine, linux.netDevices),
    hostParts: () => listHostParts(machine.files),
    listTree: (path) => listTree(machine.files, rootfs, path),
    behindLinks: (path) => behindLinks(machine.files, rootLayers(config, rootfs), path),
    keep,
  }
  const facts: RecordFacts = {
    version: 1,
    ociVersion: OCI_VERSION,
    id,
    bundle,
    rootfs,
    owner: ownerName(machine, host.hostUid),
    annotations: config.annotations,
    hasOwnPids: linux.namespaces.some(({ type, path }) => type === 'pid' && path === undefined),
    hooks: hookKinds(config.hooks),
    cgroup: recordedDirectories(cgroup),
  }
  const warnings = [...capabilityWarnings(process.capabilities, host), ...mountWarnings(config.mounts)]
  return { plan: planContainer(plain, host), host, facts, warnings }
}

/** Who else has to be let alone on the way to the cgroup. */
export const wayOf = ({ files, root }: Machine): CgroupWay => ({
  root,
  isThere: (path) => files.status(path) !== undefined,
})

function isHosts({ files }: Machine, { linux }: Config, type: NamespaceType): boolean {
  const path = linux.namespaces.find((one) => one.type === type)?.path
  // A network that coffer made is not looked at: it is another one for each container, and their plans are alike.
  return path !== undefined && !path.includes(`/${NETWORKS_DIRECTORY}/`) && isOwnNamespace(files, type, path)
}

/** The plan takes the name by mkdir(2), which is what decides; this is for the words that clients know. */
export function refuseTaken({ files, root }: Machine, id: string): void {
  checkId(id)
  const taken = readContainer(files, root, id)
  if (taken === undefined) return
  throw new OperationError({
    kind: 'conflict',
    operation: `create container ${id}`,
    reason: 'container with given ID already exists',
    hint: `it is ${taken.status}; choose another id, or remove it: coffer-runc delete --force ${id}`,
  })
}
