/**
 * The network of a container without root: a namespace of its own, and a program beside it that makes connections of this machine's user out
 * of its packets. A bridge takes privilege over the machine.
 *
 * The container joins the namespace, and the user namespace that owns it and has the same ids: held-network.ts.
 */

import { OperationError } from '../base/errors.ts'
import { makeDirectories } from '../executor/embedded-files.ts'
import { type Connector, findConnector } from '../observe/connectors.ts'
import { hasDefaultRoute } from '../observe/routes.ts'
import { type Connection, writeConnection } from './connection.ts'
import { type Connecting, missingConnector } from './connector.ts'
import { rewriteNamedFiles } from './container-files.ts'
import { disconnectContainer } from './container-network.ts'
import { type HeldSpaces, heldSpaces, holdNetwork } from './held-network.ts'
import { withNamesLock } from './lock.ts'
import { takePorts, whileTaking } from './network-take.ts'
import { startPasta } from './pasta.ts'
import { type Engine, networkDirectory } from './place.ts'
import type { ContainerRecord, NetworkWish, PortWish } from './record.ts'
import { startSlirp4netns } from './slirp4netns.ts'

const START: Readonly<Record<Connector, (engine: Engine, connecting: Connecting) => void>> = {
  pasta: startPasta,
  slirp4netns: startSlirp4netns,
}
export type UserWish = Extract<NetworkWish, { readonly kind: Connector }>
type Wanting = Pick<ContainerRecord, 'id' | 'intent'>

/** The namespaces, connected; undefined where it goes without. */
export function connectUser(
  engine: Engine,
  record: Wanting,
  wish: UserWish,
  { warn }: { readonly warn: (text: string) => void },
): HeldSpaces | undefined {
  const { id } = record
  disconnectContainer(engine, id)
  const { isDefault } = wish
  if (isInVain(engine, wish)) return undefined
  try {
    return connect(engine, record, wish)
  } catch (error) {
    disconnectContainer(engine, id)
    if (!isDefault || !(error instanceof OperationError)) throw error
    warn(`the container has no network: ${error.message}`)
    return undefined
  }
}

/** pasta would do nothing. */
export const isInVain = ({ machine: { files } }: Pick<Engine, 'machine'>, { kind, isDefault }: UserWish): boolean =>
  isDefault === true && kind === 'pasta' && !hasDefaultRoute(files)

function connect(engine: Engine, { id, intent }: Wanting, { kind, ports: wanted }: UserWish): HeldSpaces {
  const { native, files } = engine.machine
  const program = findConnector(files, kind)
  if (program === undefined) throw missingConnector(kind)
  const connection = takeConnection(engine, id, kind, wanted)
  const { ports } = connection
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o700)
  const holder = holdNetwork(engine, { user: intent.namespaces.user })
  try {
    START[kind](engine, { id, program, pid: holder.pid, ports })
    rewriteNamedFiles(engine, intent, connection)
    return heldSpaces(engine, id, holder)
  } catch (error) {
    holder.release()
    throw error
  }
}

/** With ports that are free, each taken by one container: network-take.ts. */
function takeConnection(engine: Engine, id: string, program: Connector, wanted: readonly PortWish[]): Connection {
  const write = (ports: readonly PortWish[]): Connection => {
    const connection: Connection = { program, endpoints: [], ports }
    writeConnection(engine, id, connection)
    return connection
  }
  if (wanted.length === 0) return write([])
  return withNamesLock(engine, () => whileTaking(engine, id, () => write(takePorts(engine, id, wanted))))
}
