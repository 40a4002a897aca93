/** A container that was made is started: its record becomes a configuration, and that a container with a monitor. */

import { type CreateRequest, once } from '../container/create.ts'
import { hostOf } from '../container/host.ts'
import { removeContainer as removeInner } from '../container/remove.ts'
import { LOG_FILE, runWatched } from '../container/watched.ts'
import { remove, replaceFile } from '../executor/embedded-files.ts'
import { effectiveCapabilities } from '../executor/embedded-process.ts'
import { capabilitiesIn } from '../linux/capabilities.ts'
import { readConfig } from '../oci/config.ts'
import { connectContainer, disconnectContainer, hostsFile } from './container-network.ts'
import { EXIT_FILE, readEngineContainer, STARTED_FILE } from './containers.ts'
import { MEMORY_END_FILE } from './end.ts'
import { configOf, type IntentFacts } from './intent.ts'
import { withContainerLock } from './make.ts'
import { attachPath, containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { SENT_FILE } from './sent.ts'

/** The word behind which this program finds the id of a container that has ended: ended.ts. */
export const ENDED_COMMAND = '--ended'

export interface StartOptions {
  readonly warn: (text: string) => void
  /** Called when all is ready and nothing runs yet. */
  readonly before: () => void
}

/** Answers once the program runs. What a start that fails has made is taken back, but for the record. */
export const startContainer = (engine: Engine, record: ContainerRecord, options: StartOptions): void =>
  withContainerLock(engine, record.id, () => {
    const now = readEngineContainer(engine, record.id)?.status
    // Somebody else was faster.
    if (now === 'running' || now === 'paused') return
    // Whoever cleans up behind the last run may not have come yet; it will find that there is nothing left to do.
    removeInner(engine.machine, record.id, { force: true, warn: options.warn })
    startLocked(engine, record, options)
  })

function startLocked(engine: Engine, record: ContainerRecord, { warn, before }: StartOptions): void {
  const { machine, dataRoot, program } = engine
  const { native } = machine
  const { id, intent, log } = record
  const directory = containerPath(engine, id)
  const attach = attachPath(engine, id)
  remove(native, attach)
  for (const before of [EXIT_FILE, SENT_FILE, MEMORY_END_FILE]) remove(native, `${directory}/${before}`)
  const started = `${directory}/${STARTED_FILE}`
  replaceFile(native, { path: started, temporary: `${started}.new`, text: machine.now().toISOString(), mode: 0o600 })
  const watched = {
    directory,
    attachPath: attach,
    terminal: intent.terminal,
    hasInput: record.hasInput,
    log: log.driver === 'none' ? undefined : { limitBytes: log.limitBytes, files: log.files },
    cleaner: (name: string) => [program, ENDED_COMMAND, dataRoot, machine.root, name],
  }
  try {
    const request = requestOf(engine, { id, container: connected(engine, record) }, warn)
    runWatched(machine, request, watched, before)
  } catch (error) {
    disconnectContainer(engine, id)
    remove(native, started)
    remove(native, attach)
    remove(native, `${directory}/${LOG_FILE}`)
    throw error
  }
}

/** With a network of its own it joins that, which is made now. */
function connected(engine: Engine, record: ContainerRecord): Pick<ContainerRecord, 'intent'> {
  const { network, intent } = record
  if (network.kind !== 'bridge') return record
  const path = connectContainer(engine, record, network)
  const hosts = { source: hostsFile(engine, record.id), destination: '/etc/hosts', readonly: false }
  return {
    intent: {
      ...intent,
      namespaces: { ...intent.namespaces, network: { kind: 'path', path } },
      // A mount makes the file that it covers, and a directory that somebody named is not coffer's to write to.
      binds: intent.root.kind === 'directory' ? intent.binds : [hosts, ...intent.binds],
    },
  }
}

/** The configuration of a container, as a bundle would have it. */
export function requestOf(
  engine: Engine,
  { id, container }: { readonly id: string; readonly container: Pick<ContainerRecord, 'intent'> },
  warn: StartOptions['warn'],
): CreateRequest {
  const configText = JSON.stringify(configOf(container.intent, factsOf(engine)))
  return {
    id,
    bundle: containerPath(engine, id),
    configText,
    config: once(() => readConfig(configText, 'the configuration that coffer made of the flags')),
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    listenFds: 0,
    warn,
  }
}

function factsOf({ machine }: Engine): IntentFacts {
  const host = hostOf(machine)
  return {
    architecture: host.architecture,
    kernel: host.kernel,
    hasCgroupV2Only: host.cgroup.mode === 'v2',
    capabilities: capabilitiesIn(effectiveCapabilities(machine.native)),
  }
}
