/** What a container has of networks while it runs: network.json. What was taken is written there before it is made. */

import { replaceFile } from '../executor/embedded-files.ts'
import type { Networks } from '../network/networks.ts'
import type { Connector } from '../observe/connectors.ts'
import { containerPath, type Engine } from './place.ts'
import type { PortWish } from './record.ts'

export interface Connection {
  /** Without root; it has no endpoints then. */
  readonly program?: Connector
  /** Without root: no file keeps its namespace. */
  readonly isHeld?: true | undefined
  /** In the order in which they were made: the first leads out. */
  readonly endpoints: readonly Endpoint[]
  readonly ports: readonly PortWish[]
  /** The hosts that it may reach, with a relay beside it; then it has no endpoints. */
  readonly egress?: readonly string[] | undefined
}

export interface Endpoint {
  readonly network: string
  /** The name of the device in the container. */
  readonly inside: string
  /** The name of the outer end of a pair of devices. */
  readonly outside: string
  /** IPv4 first. */
  readonly addresses: readonly EndpointAddress[]
  /** Empty where the network gives none of its own. */
  readonly hardwareAddress: string
  /** By which others in the network find it. */
  readonly names: readonly string[]
  /** False while a command is at it: the next one takes away what there is. */
  readonly isWhole: boolean
}

export interface EndpointAddress {
  readonly address: string
  readonly prefixLength: number
  readonly gateway: string
}

export const CONNECTION_FILE = 'network.json'

export const networksOf = ({ machine, dataRoot, foreseen }: Engine): Networks => ({
  native: machine.native,
  files: machine.files,
  dataRoot,
  foreseen,
})

export function readConnection({ machine, dataRoot }: Engine, id: string): Connection | undefined {
  const text = machine.files.readText(`${containerPath({ dataRoot }, id)}/${CONNECTION_FILE}`)
  return text === undefined ? undefined : (JSON.parse(text) as Connection)
}

export const connectionOf = (engine: Engine, id: string): Connection =>
  readConnection(engine, id) ?? { endpoints: [], ports: [] }

export function writeConnection(engine: Engine, id: string, connection: Connection): void {
  const path = `${containerPath(engine, id)}/${CONNECTION_FILE}`
  if (engine.foreseen === undefined)
    replaceFile(engine.machine.native, {
      path,
      temporary: `${path}.new`,
      text: JSON.stringify(connection),
      mode: 0o600,
    })
  else engine.foreseen.texts.set(path, JSON.stringify(connection))
}
