/** The network of a container with a list of hosts: a namespace with lo alone, and the two processes beside it. */

import { close, makeDirectories, makeDirectory } from '../executor/embedded-files.ts'
import { socketPair } from '../executor/embedded-sockets.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { runHere } from '../executor/run-here.ts'
import { planHeldNetwork, planNetwork, planNetworkChange } from '../plan/network.ts'
import { planHeldWays } from '../plan/network-egress.ts'
import type { Plan } from '../plan/plan.ts'
import { type Connection, readConnection, writeConnection } from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { adviseNetwork, disconnectContainer, type Hears } from './container-network.ts'
import { findContainer } from './containers.ts'
import { egressFor, endEgress } from './egress.ts'
import { type Held, type HeldNetwork, type HeldSpaces, heldSpaces, holdNetwork } from './held-network.ts'
import { heldLocks } from './lock.ts'
import { type Engine, networkDirectory, networkFile } from './place.ts'
import type { ContainerRecord } from './record.ts'

/** Stands for a socket that is not made yet. */
const STDIN = 0

const NOTHING = { endpoints: [], rules: [], settings: [] } as const

export function connectEgress(
  engine: Engine,
  record: ContainerRecord,
  hosts: readonly string[],
  { ran }: Pick<Hears, 'ran'>,
): void {
  const { native, files } = engine.machine
  const { id, name, intent } = record
  disconnectContainer(engine, id)
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectory(native, directory, 0o700)
  const connection: Connection = { endpoints: [], ports: [], egress: hosts }
  const file = networkFile(engine, id)
  const { egress, extraFds, done } = egressFor(engine, id, hosts)
  writeConnection(engine, id, connection)
  try {
    const plan = planNetwork({ name, file, ...NOTHING, egress })
    const options = { advise: adviseNetwork, extraFds: [...extraFds, ...heldLocks()], trace: ran !== undefined }
    const { trace } = runPlan(native, plan, options)
    ran?.(plan, trace)
    rewriteNamedFiles(engine, intent, connection)
  } catch (error) {
    disconnectContainer(engine, id)
    throw error
  } finally {
    done()
  }
}

/** The plan of connectEgress for a container that is not made yet. */
export function foreseeEgress(
  engine: Engine,
  { id, name }: Pick<ContainerRecord, 'id' | 'name'>,
  hosts: readonly string[],
): Plan {
  const { isRootless } = engine.host()
  const { egress, done } = egressFor(engine, id, hosts, isRootless ? STDIN : undefined)
  done()
  if (isRootless) return planHeldNetwork({ name, egress })
  return planNetwork({ name, file: networkFile(engine, id), ...NOTHING, egress })
}

/** As connectEgress, without privilege over the network of this machine. */
export function holdEgress(
  engine: Engine,
  record: ContainerRecord,
  hosts: readonly string[],
  { ran }: Pick<Hears, 'ran'>,
): HeldSpaces {
  const { native, files } = engine.machine
  const { id, name, intent } = record
  disconnectContainer(engine, id)
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o700)
  const connection: Connection = { isHeld: true, endpoints: [], ports: [], egress: hosts }
  writeConnection(engine, id, connection)
  try {
    const holder = runHeld(engine, { id, name, hosts, held: { user: intent.namespaces.user }, ran })
    rewriteNamedFiles(engine, intent, connection)
    return heldSpaces(engine, id, holder)
  } catch (error) {
    disconnectContainer(engine, id)
    throw error
  }
}

interface HeldEgress extends Pick<ContainerRecord, 'id' | 'name'>, Pick<Hears, 'ran'> {
  readonly hosts: readonly string[]
  readonly held: Omit<Held, 'prepare'>
}

/** A process in the network of the container makes the sockets of the relay, and the executor, which stays in this machine's, has them. */
function runHeld(engine: Engine, { id, name, hosts, held, ran }: HeldEgress): HeldNetwork {
  const { native } = engine.machine
  const [from, to] = socketPair(native)
  const { egress, extraFds, done } = egressFor(engine, id, hosts, from)
  try {
    const prepare = (): void => void runHere(native, planHeldWays(name, egress, to))
    const holder = holdNetwork(engine, { ...held, prepare })
    try {
      const plan = planHeldNetwork({ name, egress })
      const { trace } = runPlan(native, plan, { extraFds: [...extraFds, ...heldLocks()], trace: ran !== undefined })
      ran?.(plan, trace)
      return holder
    } catch (error) {
      holder.release()
      throw error
    }
  } finally {
    done()
    for (const fd of [from, to]) close(native, fd)
  }
}

/** In the place of those that somebody killed; for who holds the lock of the container. */
export function restoreEgress(engine: Engine, { id, name }: ContainerRecord): void {
  endEgress(engine, id)
  const connection = readConnection(engine, id)
  const hosts = connection?.egress ?? []
  if (connection?.isHeld === true) {
    const container = findContainer(engine, id)
    if (container.status !== 'running' && container.status !== 'paused') return
    const [network, path] = [`/proc/${container.pid}/ns/net`, `/proc/${container.pid}/ns/user`]
    runHeld(engine, { id, name, hosts, held: { user: { kind: 'path', path }, network } }).release()
    return
  }
  const { egress, extraFds, done } = egressFor(engine, id, hosts)
  try {
    const plan = planNetworkChange({ name, file: networkFile(engine, id), ...NOTHING, add: [], remove: [], egress })
    runPlan(engine.machine.native, plan, { advise: adviseNetwork, extraFds: [...extraFds, ...heldLocks()] })
  } finally {
    done()
  }
}
