/**
 * The network of a box of the library: the same addresses, names and rules as those of containers, so that all see each other.
 *
 *     boxes/ID/network.json              what it has: connection.ts
 *     boxes/ID/hosts resolv.conf         mounted over those of its root
 *
 * The library runs this program to have it made and taken away (cli/box.ts). Its program may be killed in between: the id says which
 * program that was, and the next command takes away what is left.
 */

import { OperationError } from '../base/errors.ts'
import { makeDirectories, makeDirectory } from '../executor/embedded-files.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { isAlive } from '../observe/process.ts'
import { readConnection } from './connection.ts'
import { writeNamedFiles } from './container-files.ts'
import { connectContainer, disconnectContainer } from './container-network.ts'
import { tellNetwork } from './events.ts'
import type { Intent } from './intent.ts'
import { tryContainerLock, withContainerLock } from './lock.ts'
import type { Connectable } from './network-take.ts'
import { BOX_ID, boxesDirectory, containerPath, type Engine } from './place.ts'

export interface BoxWish {
  /** That of the box. */
  readonly id: string
  readonly hostname: string
  /** The name of a network. */
  readonly network: string
}

export interface BoxNetwork {
  /** The file of its network namespace. */
  readonly namespace: string
  /** Where its hosts and resolv.conf are. */
  readonly directory: string
}

/** Throws `missing` if there is no such network. */
export function connectBox(engine: Engine, wish: BoxWish, warn: (text: string) => void): BoxNetwork {
  const { native, root } = engine.machine
  const { id, network } = wish
  refuseId(id)
  mendBoxes(engine)
  for (const path of [boxesDirectory(engine), root]) makeDirectories(native, path, 0o711)
  const directory = containerPath(engine, id)
  makeDirectory(native, directory, 0o700)
  return withContainerLock(engine, id, () => {
    try {
      const record = connectable(wish, directory)
      writeNamedFiles(engine, record.intent)
      const networks = [{ network, aliases: [] }]
      const namespace = connectContainer(engine, record, { kind: 'networks', networks, ports: [] }, { warn })
      tellNetwork(engine, network, 'connect', id)
      return { namespace, directory }
    } catch (error) {
      removeTree(native, directory)
      throw error
    }
  })
}

const PRIVATE = { kind: 'private' } as const
const NAMESPACES: Intent['namespaces'] = {
  pid: PRIVATE,
  network: PRIVATE,
  ipc: PRIVATE,
  uts: PRIVATE,
  cgroup: PRIVATE,
  mount: PRIVATE,
  time: PRIVATE,
  user: PRIVATE,
}

const connectable = ({ id, hostname }: BoxWish, directory: string): Connectable => ({
  id,
  name: id,
  intent: {
    hostname,
    namespaces: NAMESPACES,
    names: { directory, hosts: [], servers: [], search: [], options: [] },
  },
})

/** It is the name of a file. */
function refuseId(id: string): void {
  if (BOX_ID.test(id)) return
  throw new OperationError({ kind: 'invalid', operation: `connect ${JSON.stringify(id)}`, reason: 'it is no box' })
}

/** Whatever of it is there. */
export function disconnectBox(engine: Engine, id: string): void {
  refuseId(id)
  if (engine.machine.files.status(containerPath(engine, id)) === undefined) return
  withContainerLock(engine, id, () => forget(engine, id))
}

function forget(engine: Engine, id: string): void {
  const networks = readConnection(engine, id)?.endpoints.map(({ network }) => network) ?? []
  disconnectContainer(engine, id)
  removeTree(engine.machine.native, containerPath(engine, id))
  for (const network of networks) tellNetwork(engine, network, 'disconnect', id)
}

/** What boxes left whose program is gone. Who holds the lock of one is at it already. */
export function mendBoxes(engine: Engine): void {
  const { files } = engine.machine
  for (const id of files.list(boxesDirectory(engine)) ?? []) {
    const [, pid, startTime] = BOX_ID.exec(id) ?? []
    if (pid === undefined || isAlive(files, { pid: Number(pid), startTime: Number(startTime) })) continue
    try {
      tryContainerLock(engine, id, () => forget(engine, id))
    } catch (error) {
      // Somebody else was faster.
      if (!(error instanceof OperationError) || error.kind !== 'missing') throw error
    }
  }
}
