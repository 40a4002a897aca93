/** A container that was made is started: its record becomes a configuration, and that a container with a monitor. */

import { type CreateRequest, once } from '../container/create.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { containerDirectory } from '../container/store.ts'
import { LOG_FILE, runWatched } from '../container/watched.ts'
import { remove, replaceFile } from '../executor/embedded-files.ts'
import { stringifyExact } from '../observe/count.ts'
import { readConfig } from '../oci/config.ts'
import { waitForEnd } from './attach.ts'
import { mendBoxes } from './box-network.ts'
import { configOf, type IntentFacts } from './config.ts'
import { connectEgress, holdEgress } from './container-egress.ts'
import { connectContainer, disconnectContainer, type Hears } from './container-network.ts'
import { EXIT_FILE, findContainer, STARTED_FILE } from './containers.ts'
import { MEMORY_END_FILE } from './end.ts'
import { tellContainer, tellNetwork } from './events.ts'
import { grantableCapabilities } from './grantable.ts'
import { beginHealth, delayMs, HEALTH_COMMAND, HEALTH_FILE } from './health.ts'
import { heldPaths } from './held-network.ts'
import type { Intent } from './intent.ts'
import { refuseUnlinked, withLinkVariables } from './links.ts'
import { heldLocks, withContainerLock } from './lock.ts'
import { holdVolumes, releaseVolumes } from './mounted-volumes.ts'
import { attachPath, containerPath, type Engine, networkFile } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { forgetRestarts } from './restart.ts'
import { SENT_FILE } from './sent.ts'
import { connectUser, isInVain } from './user-network.ts'

/** The word behind which this program finds the id of a container that has ended: ended.ts. */
export const ENDED_COMMAND = '--ended'

export interface StartOptions {
  readonly warn: (text: string) => void
  /** Called when all is ready and nothing runs yet. */
  readonly before: () => void
}

/** Answers once the program runs, or at once if it does already. A start by hand begins to count restarts anew. */
export function startContainer(engine: Engine, record: ContainerRecord, options: StartOptions): void {
  const startNow = (): boolean =>
    withContainerLock(engine, record.id, () => {
      // Somebody may have changed it, or removed it, before the lock was ours.
      const now = findContainer(engine, record.id)
      if (now.status === 'running' || now.status === 'paused') return now.isEnding !== true
      forgetRestarts(engine, now.record)
      startLocked(engine, now.record, options)
      return true
    })
  // Its monitor writes down how it ended before it is started anew.
  while (!startNow()) waitForEnd(engine, record)
}

/** As startContainer, for who holds the lock. What a start that fails has made is taken back, and how the container ended before is known. */
export function startLocked(engine: Engine, record: ContainerRecord, { warn, before }: StartOptions): void {
  const { machine, dataRoot, program } = engine
  const { native, files } = machine
  const { id, intent, log } = record
  const directory = containerPath(engine, id)
  const attach = attachPath(engine, id)
  refuseUnlinked(engine, record)
  // What a cleaner left that was killed.
  if (files.status(containerDirectory(machine, id)) !== undefined)
    removeInner(machine, id, { force: true, warn, held: heldLocks() })
  remove(native, attach)
  const put = (name: string, text: string): void => {
    const path = `${directory}/${name}`
    replaceFile(native, { path, temporary: `${path}.new`, text, mode: 0o600 })
  }
  const [started, exit] = [STARTED_FILE, EXIT_FILE].map((name) => files.readText(`${directory}/${name}`))
  put(STARTED_FILE, machine.now().toISOString())
  for (const name of [EXIT_FILE, SENT_FILE, MEMORY_END_FILE]) remove(native, `${directory}/${name}`)
  beginHealth(engine, record)
  const watched = {
    directory,
    held: heldLocks(),
    attachPath: attach,
    terminal: intent.terminal,
    hasInput: record.hasInput,
    log: log.driver === 'none' ? undefined : { limitBytes: log.limitBytes, files: log.files },
    check:
      record.health === undefined
        ? undefined
        : { firstMs: delayMs(record.health, { status: 'starting', ranMs: 0 }), word: HEALTH_COMMAND },
    cleaner: (name: string) => [program, ENDED_COMMAND, dataRoot, machine.root, name],
  }
  try {
    holdVolumes(engine, record)
    const { release, ...container } = connected(engine, record, { warn })
    try {
      const linked = { intent: withLinkVariables(engine, record, container.intent) }
      runWatched(machine, requestOf(engine, { id, container: linked }, warn), watched, before)
    } finally {
      release()
    }
    tellStart(engine, record)
  } catch (error) {
    disconnectContainer(engine, id)
    releaseVolumes(engine, id)
    remove(native, attach)
    if (exit !== undefined) put(EXIT_FILE, exit)
    if (started !== undefined) put(STARTED_FILE, started)
    else for (const name of [STARTED_FILE, LOG_FILE, HEALTH_FILE]) remove(native, `${directory}/${name}`)
    throw error
  }
}

/** Its monitor cannot be done with it before, as who starts it has the lock. */
function tellStart(engine: Engine, record: ContainerRecord): void {
  const { id, network } = record
  if (network.kind === 'networks') for (const one of network.networks) tellNetwork(engine, one.network, 'connect', id)
  tellContainer(engine, record, 'start')
}

/** With a network of its own it joins that, which is made now. */
export function connected(engine: Engine, record: ContainerRecord, hears: Hears): Connected {
  const { network, intent } = record
  const release = (): void => undefined
  if (network.kind === 'pasta' || network.kind === 'slirp4netns') {
    const held = connectUser(engine, record, network, hears)
    return held === undefined ? { intent, release } : { intent: inSpaces(intent, held.spaces), release: held.release }
  }
  if (network.kind === 'egress' && engine.host().isRootless) {
    const held = holdEgress(engine, record, network.hosts, hears)
    return { intent: inSpaces(intent, held.spaces), release: held.release }
  }
  if (network.kind !== 'networks' && network.kind !== 'egress') return { intent, release }
  mendBoxes(engine)
  if (network.kind === 'networks') connectContainer(engine, record, network, hears)
  else connectEgress(engine, record, network.hosts, hears)
  return { intent: joined(engine, record), release }
}

/** In the namespaces that its connection makes. */
export function joined(
  engine: Engine,
  { id, intent, network }: Pick<ContainerRecord, 'id' | 'intent' | 'network'>,
): Intent {
  if (network.kind === 'none' || network.kind === 'joined') return intent
  if (network.kind === 'pasta' || network.kind === 'slirp4netns')
    return isInVain(engine, network) ? intent : inSpaces(intent, heldPaths(engine, id))
  if (network.kind === 'egress' && engine.host().isRootless) return inSpaces(intent, heldPaths(engine, id))
  const own = inSpaces(intent, { network: { kind: 'path', path: networkFile(engine, id) } })
  return { ...own, sysctls: sysctlsOf(intent) }
}

const inSpaces = (intent: Intent, spaces: Partial<Intent['namespaces']>): Intent => ({
  ...intent,
  namespaces: { ...intent.namespaces, ...spaces },
})

interface Connected extends Pick<ContainerRecord, 'intent'> {
  /** To be called once the container has joined, or will not. */
  readonly release: () => void
}

/**
 * In a network namespace of its own: as docker has it since 20.10, whoever is not root may listen on ports below 1024, and use ping(8). In a
 * user namespace groups are others. docker: daemon/oci_linux.go, WithSysctls
 */
const sysctlsOf = ({ sysctls, userMaps }: Pick<Intent, 'sysctls' | 'userMaps'>): Intent['sysctls'] =>
  userMaps === undefined
    ? { 'net.ipv4.ip_unprivileged_port_start': '0', 'net.ipv4.ping_group_range': '0 2147483647', ...sysctls }
    : sysctls

/** The configuration of a container, as a bundle would have it. */
export function requestOf(
  engine: Engine,
  { id, container }: { readonly id: string; readonly container: Pick<ContainerRecord, 'intent'> },
  warn: StartOptions['warn'],
): CreateRequest {
  const facts = factsOf(engine)
  const isAlone = container.intent.namespaces.network.kind === 'private' && !facts.isRootless
  const intent = isAlone ? { ...container.intent, sysctls: sysctlsOf(container.intent) } : container.intent
  const configText = once(() => stringifyExact(configOf(intent, facts, id)))
  return {
    id,
    bundle: containerPath(engine, id),
    configText,
    madeOf: stringifyExact([intent, facts]),
    config: once(() => readConfig(configText(), 'the configuration that coffer made of the flags')),
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    listenFds: 0,
    warn,
  }
}

function factsOf(engine: Engine): IntentFacts {
  const host = engine.host()
  return {
    architecture: host.architecture,
    kernel: host.kernel,
    hasCgroupV2Only: host.cgroup.mode === 'v2',
    isRootless: host.isRootless,
    capabilities: grantableCapabilities(engine),
  }
}
