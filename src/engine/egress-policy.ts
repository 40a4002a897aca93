/**
 * The policy of a container's list of hosts, as a process beside it: it answers the relay, asks the name servers of this machine, and tells of
 * what was refused as events.
 *
 * It ends with its relay. What comes from that is judged by network/egress-policy.ts; a relay that says what none does ends it.
 */

import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { CLOCK_MONOTONIC, clockNanos } from '../executor/embedded-process.ts'
import { PR_SET_DUMPABLE } from '../linux/process.ts'
import { askNames } from '../network/ask-names.ts'
import { frameReader } from '../network/egress-frames.ts'
import { makePolicy, type Refused } from '../network/egress-policy.ts'
import { parseRules } from '../network/egress-rules.ts'
import { EGRESS_FIELD } from './egress.ts'
import { tell } from './events.ts'
import type { Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import { outerServers } from './resolver.ts'

const MSG_NOSIGNAL = 0x4000
const CHUNK_BYTES = 16_384

/** Returns when the relay at the socket has ended. */
export function serveRelay(engine: Engine, record: ContainerRecord, hosts: readonly string[], relay: number): void {
  const { native, files } = engine.machine
  // Without privilege it is weaker than the root of a container with --pid host, who could write to its memory. ptrace(2)
  must(native, 'be left alone by others', 'prctl', PR_SET_DUMPABLE, 0, 0, 0, 0)
  const now = (): number => clockNanos(native, CLOCK_MONOTONIC) / 1_000_000
  const names = askNames({ native, files, now, servers: () => outerServers(engine, record) })
  const policy = makePolicy({
    rules: parseRules(hosts, EGRESS_FIELD),
    send: (frame) => send(native, relay, frame),
    resolve: names.resolve,
    onRefused: atMost(now, (refused) => tellRefused(engine, record, refused)),
    now,
  })
  const take = frameReader(policy)
  const chunk = new Uint8Array(CHUNK_BYTES)
  for (;;) {
    const watched = names.watched()
    const ready = poll(native, [{ fd: relay, events: POLLIN }, ...watched], names.timeoutMs())
    const [said = 0, ...others] = ready ?? []
    names.take(watched, others)
    if (said === 0) continue
    const got = attempt(native, 'read', relay, chunk, chunk.length)
    if (got <= 0) return
    take(chunk.subarray(0, got))
  }
}

/** The relay always reads. One that is gone is seen by the next read. */
function send(native: Native, relay: number, frame: Uint8Array): void {
  for (let at = 0; at < frame.length; ) {
    const rest = frame.subarray(at)
    const sent = attempt(native, 'sendto', relay, rest, rest.length, MSG_NOSIGNAL, null, 0)
    if (sent <= 0) return
    at += sent
  }
}

/** docker has no such event: `coffer events --filter event=denied`. */
function tellRefused(engine: Engine, { id, name }: ContainerRecord, { name: host, errno }: Refused): void {
  tell(engine, 'network', 'denied', id, { container: id, errno, host, name, type: 'egress' })
}

/** So many at once, and then in a second: a container that asks on and on does not drown what others tell. */
const MOST_TOLD = 200
const TOLD_A_SECOND = 5

function atMost(now: () => number, tellOne: (refused: Refused) => void): (refused: Refused) => void {
  let [mayTell, at] = [MOST_TOLD, now()]
  return (refused) => {
    mayTell = Math.min(MOST_TOLD, mayTell + ((now() - at) * TOLD_A_SECOND) / 1000)
    at = now()
    if (mayTell < 1) return
    mayTell -= 1
    tellOne(refused)
  }
}
