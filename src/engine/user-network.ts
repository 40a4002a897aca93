/**
 * The network of a container without root: a namespace of its own, and a program beside it that makes connections of this machine's user out
 * of its packets. A bridge takes privilege over the machine.
 *
 * The container joins the namespace, and the user namespace that owns it and has the same ids: held-network.ts.
 */

import { makeDirectories } from '../executor/embedded-files.ts'
import { type Connector, findConnector } from '../observe/connectors.ts'
import { type Connecting, missingConnector } from './connector.ts'
import { type HeldNetwork, holdNetwork } from './held-network.ts'
import type { Intent } from './intent.ts'
import { endPasta, startPasta } from './pasta.ts'
import { type Engine, networkDirectory } from './place.ts'
import type { PortWish } from './record.ts'
import { endSlirp4netns, startSlirp4netns } from './slirp4netns.ts'

const START: Readonly<Record<Connector, (engine: Engine, connecting: Connecting) => void>> = {
  pasta: startPasta,
  slirp4netns: startSlirp4netns,
}
const END: Readonly<Record<Connector, (engine: Engine, id: string) => void>> = {
  pasta: endPasta,
  slirp4netns: endSlirp4netns,
}

export interface UserNetwork {
  readonly connector: Connector
  readonly ports: readonly PortWish[]
  /** That of the container. */
  readonly user: Intent['namespaces']['user']
}

/** A process whose network namespace is connected, and whose user namespace is that of the container. */
export function connectUser(engine: Engine, id: string, { connector, ports, user }: UserNetwork): HeldNetwork {
  const { native, files } = engine.machine
  const program = findConnector(files, connector)
  if (program === undefined) throw missingConnector(connector)
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o700)
  const holder = holdNetwork(engine, user)
  try {
    START[connector](engine, { id, program, pid: holder.pid, ports })
    return holder
  } catch (error) {
    holder.release()
    throw error
  }
}

export const disconnectUser = (engine: Engine, id: string, connector: Connector): void => END[connector](engine, id)
