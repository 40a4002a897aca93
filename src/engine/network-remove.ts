/** network rm: a network goes if nobody is in it, and its bridge with it. */

import { OperationError } from '../base/errors.ts'
import { remove } from '../executor/embedded-files.ts'
import { runPlan } from '../executor/run-embedded.ts'
import { leaseHolders } from '../network/members.ts'
import {
  DEFAULT_NETWORK,
  dropNetwork,
  findNetwork,
  missingNetwork,
  NETWORK_NAME,
  type NetworkRecord,
  networksPath,
  readNetwork,
  recordPath,
} from '../network/networks.ts'
import { planBridgeRemoval } from '../plan/network.ts'
import { networksOf } from './connection.ts'
import { adviseNetwork } from './container-network.ts'
import { heldLocks, withNamesLock } from './lock.ts'
import { isIn } from './network-take.ts'
import type { Engine } from './place.ts'

/** Throws `conflict` if somebody is in it, `missing` if somebody else has removed it. */
export function removeNetwork(engine: Engine, network: NetworkRecord): void {
  const networks = networksOf(engine)
  if (network.name === DEFAULT_NETWORK)
    throw new OperationError({
      kind: 'invalid',
      operation: `remove network ${network.name}`,
      reason: `${network.name} is a pre-defined network and cannot be removed`,
    })
  withNamesLock(engine, () => {
    if (findNetwork(networks, network.name).id !== network.id) throw missingNetwork(network.name)
    refuseUsed(engine, network)
    removeBridge(engine, network)
    remove(networks.native, recordPath(networks, network.name))
    dropNetwork(networks, network)
  })
}

/** Directories of networks that a killed command had not made yet, or not removed. */
export function mendNetworks(engine: Engine): void {
  const networks = networksOf(engine)
  const isLeft = (name: string): boolean =>
    NETWORK_NAME.test(name) && networks.files.status(recordPath(networks, name)) === undefined
  const left = (networks.files.list(networksPath(networks)) ?? []).filter(isLeft)
  if (left.length === 0) return
  withNamesLock(engine, () => {
    for (const name of left) if (isLeft(name)) dropNetwork(networks, { name })
  })
}

function refuseUsed(engine: Engine, network: NetworkRecord): void {
  if (isUsed(engine, network))
    throw new OperationError({
      kind: 'conflict',
      operation: `remove network ${network.name}`,
      reason: `network ${network.name} has active endpoints`,
      hint: 'disconnect its containers before: coffer network inspect lists them',
    })
}

/** By a container that runs. One that does not says at its start that the network is gone. */
export function isUsed(engine: Engine, { name }: NetworkRecord): boolean {
  for (const id of leaseHolders(networksOf(engine), name)) if (isIn(engine, id, name)) return true
  return false
}

/** That of the default network, which stays, for as long as nobody is in it. */
export function removeIdleBridge(engine: Engine): void {
  const network = readNetwork(networksOf(engine), DEFAULT_NETWORK)
  if (network === undefined) return
  withNamesLock(engine, () => {
    if (!isUsed(engine, network)) removeBridge(engine, network)
  })
}

/** Who holds the lock of names keeps everybody from joining it. */
function removeBridge({ machine: { native } }: Engine, { driver, device }: NetworkRecord): void {
  if (driver === 'bridge') runPlan(native, planBridgeRemoval(device), { advise: adviseNetwork, extraFds: heldLocks() })
}
