/** network rm: a network goes if nobody is in it. */

import { OperationError } from '../base/errors.ts'
import { remove } from '../executor/embedded-files.ts'
import { leaseHolders } from '../network/members.ts'
import { DEFAULT_NETWORK, dropNetwork, type NetworkRecord, recordPath } from '../network/networks.ts'
import { networksOf } from './connection.ts'
import { withNamesLock } from './lock.ts'
import { isIn } from './network-take.ts'
import type { Engine } from './place.ts'

/** Throws `conflict` if somebody is in it. */
export function removeNetwork(engine: Engine, network: NetworkRecord): void {
  const networks = networksOf(engine)
  if (network.name === DEFAULT_NETWORK)
    throw new OperationError({
      kind: 'invalid',
      operation: `remove network ${network.name}`,
      reason: `${network.name} is a pre-defined network and cannot be removed`,
    })
  withNamesLock(engine, () => {
    refuseUsed(engine, network)
    remove(networks.native, recordPath(networks, network.name))
    dropNetwork(networks, network)
  })
}

export function refuseUsed(engine: Engine, network: NetworkRecord): void {
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
