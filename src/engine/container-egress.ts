/** The network of a container with a list of hosts: a namespace with lo alone, and the two processes beside it. */

import { makeDirectory } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { planNetwork, planNetworkChange } from '../plan/network.ts'
import { type Connection, readConnection, writeConnection } from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { adviseNetwork, disconnectContainer } from './container-network.ts'
import { egressFor, endEgress } from './egress.ts'
import { heldLocks } from './lock.ts'
import { type Engine, networkDirectory, networkFile } from './place.ts'
import type { ContainerRecord } from './record.ts'

const NOTHING = { endpoints: [], rules: [], settings: [] } as const

export function connectEgress(engine: Engine, record: ContainerRecord, hosts: readonly string[]): void {
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
    runPlan(native, plan, { advise: adviseNetwork, extraFds: [...extraFds, ...heldLocks()] })
    rewriteNamedFiles(engine, intent, connection)
  } catch (error) {
    disconnectContainer(engine, id)
    throw error
  } finally {
    done()
  }
}

/** In the place of those that somebody killed; for who holds the lock of the container. */
export function restoreEgress(engine: Engine, { id, name }: ContainerRecord): void {
  endEgress(engine, id)
  const { egress, extraFds, done } = egressFor(engine, id, readConnection(engine, id)?.egress ?? [])
  try {
    const plan = planNetworkChange({ name, file: networkFile(engine, id), ...NOTHING, add: [], remove: [], egress })
    runPlan(engine.machine.native, plan, { advise: adviseNetwork, extraFds: [...extraFds, ...heldLocks()] })
  } finally {
    done()
  }
}
