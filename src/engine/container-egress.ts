/** The network of a container with a list of hosts: a namespace with lo alone, and the two processes beside it. */

import { makeDirectory } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { planNetwork, planNetworkChange } from '../plan/network.ts'
import type { Plan } from '../plan/plan.ts'
import { type Connection, readConnection, writeConnection } from './connection.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { adviseNetwork, disconnectContainer, type Hears } from './container-network.ts'
import { egressFor, endEgress } from './egress.ts'
import { heldLocks } from './lock.ts'
import { type Engine, networkDirectory, networkFile } from './place.ts'
import type { ContainerRecord } from './record.ts'

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
  const { egress, done } = egressFor(engine, id, hosts)
  done()
  return planNetwork({ name, file: networkFile(engine, id), ...NOTHING, egress })
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
