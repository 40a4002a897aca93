/**
 * The list of hosts of a container, `--egress`: a relay beside it, and the policy that the relay asks (plan/network-egress.ts). They live as
 * long as the container is connected, and their locks say whether they do: beside.ts.
 *
 *     RUNROOT/.netns/ID.relay     native/relay.c
 *     RUNROOT/.netns/ID.policy    `coffer --egress`: egress-policy.ts
 */

import { close, memoryFile, open } from '../executor/embedded-files.ts'
import { FIRST_EXTRA } from '../executor/run-embedded.ts'
import { O_RDONLY } from '../linux/files.ts'
import { parseRules } from '../network/egress-rules.ts'
import type { NetworkEgress } from '../plan/network-egress.ts'
import { endBeside, killBeside, lives } from './beside.ts'
import { readConnection } from './connection.ts'
import { type Engine, networkFile } from './place.ts'

/** The word behind which this program finds the container whose policy it is, as of ENDED_COMMAND. */
export const EGRESS_COMMAND = '--egress'
/** What an error in the list is about. */
export const EGRESS_FIELD = '--egress'

const relayLock = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.relay`
const policyLock = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.policy`

export interface EgressProgram {
  readonly egress: NetworkEgress
  readonly extraFds: readonly number[]
  readonly done: () => void
}

/** What a plan needs to start them; with a descriptor at which sockets come, that is passed on as well. Throws `invalid` for a list that is none. */
export function egressFor(engine: Engine, id: string, hosts: readonly string[], sockets?: number): EgressProgram {
  const { machine, dataRoot } = engine
  const { native, files } = machine
  const { listeners } = parseRules(hosts, EGRESS_FIELD)
  const image = memoryFile(native, 'coffer-relay', new Uint8Array(native.relayImage()))
  const front = open(native, '/proc/self/exe', O_RDONLY)
  const egress: NetworkEgress = {
    sockets: sockets === undefined ? undefined : FIRST_EXTRA + 2,
    relay: FIRST_EXTRA,
    front: FIRST_EXTRA + 1,
    relayLock: relayLock(engine, id),
    policyLock: policyLock(engine, id),
    words: ['coffer', EGRESS_COMMAND, dataRoot, machine.root, id],
    architecture: native.architecture,
    listeners,
    hasIpv6: files.status('/proc/net/if_inet6') !== undefined,
  }
  const opened = [image, front]
  const extraFds = sockets === undefined ? opened : [...opened, sockets]
  const done = (): void => {
    for (const fd of opened) close(native, fd)
  }
  return { egress, extraFds, done }
}

/** Whether a container that has a list runs without one of the two: somebody killed it. */
export const lacksEgress = (engine: Engine, id: string): boolean =>
  readConnection(engine, id)?.egress !== undefined &&
  !(lives(engine, relayLock(engine, id)) && lives(engine, policyLock(engine, id)))

const LAST_WORDS_MS = 1000

/** The relay tells what was refused last, and its policy ends when it has heard that. */
export function endEgress(engine: Engine, id: string): void {
  endBeside(engine, relayLock(engine, id), { signal: 'SIGTERM' })
  endBeside(engine, policyLock(engine, id), { waitMs: LAST_WORDS_MS })
  for (const path of [relayLock(engine, id), policyLock(engine, id)]) killBeside(engine, path)
}
