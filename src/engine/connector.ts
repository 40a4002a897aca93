/** What pasta and slirp4netns have in common: what they are told, and what is said when they cannot. */

import { OperationError } from '../base/errors.ts'
import { CONNECTOR_PACKAGES, type Connector } from '../observe/connectors.ts'
import type { PortWish } from './record.ts'

export interface Connecting {
  /** Of the container. */
  readonly id: string
  /** The path of the program. */
  readonly program: string
  /** A process in the namespaces. */
  readonly pid: number
  readonly ports: readonly PortWish[]
}

/** Where a container asks the name server of this machine if that is on the loopback, and what its host name leads to. */
export const USER_NETWORKS: Readonly<Record<Connector, { readonly nameServer: string; readonly own: string }>> = {
  // pasta gives it the addresses of this machine, whichever they are.
  pasta: { nameServer: '169.254.1.1', own: '127.0.1.1' },
  slirp4netns: { nameServer: '10.0.2.3', own: '10.0.2.100' },
}

/** Undefined for any of them. */
export const missingConnector = (connector?: Connector): OperationError =>
  new OperationError({
    kind: 'missing',
    operation: 'connect the container',
    reason:
      connector === undefined
        ? 'without root that is done by pasta or slirp4netns, and neither is installed'
        : `it is connected by ${connector}, which is not installed`,
    hint: `install the package ${CONNECTOR_PACKAGES[connector ?? 'pasta']}, or give --network none or host`,
    see: [connector === 'slirp4netns' ? 'slirp4netns(1)' : 'pasta(1)'],
  })

/** Of what a program said when it could not. */
export const cannotConnect = (connector: Connector, reason: string): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: `connect the container by ${connector}`,
    reason,
    hint: 'without root ports below 1024 and those that are taken cannot be had; --network none needs no way out',
    see: [connector === 'pasta' ? 'pasta(1)' : 'slirp4netns(1)'],
  })
