/**
 * The policy of a relay, in this program: it waits at a socket for the one relay that its container has.
 *
 * plan/egress.ts has the whole picture. Names are asked for as any program of this machine asks, with getaddrinfo(3).
 */

import { lookup } from 'node:dns'
import { unlinkSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { frameReader } from '../network/egress-frames.ts'
import { makePolicy, type PolicyParts, type Refused, type Resolved } from '../network/egress-policy.ts'
import type { Rules } from '../network/egress-rules.ts'
import { parseHostAddress } from '../network/host-address.ts'
import type { EgressRequest } from '../plan/egress.ts'
import type { Denial } from './denial.ts'
import { type Machine, readProgram } from './machine-node.ts'

export interface Egress {
  readonly request: EgressRequest
  /** When the relay is gone, or has never come: resolves when all that it said is heard. */
  readonly close: () => Promise<void>
}

type OnDenied = (denial: Denial) => void

let program: Uint8Array | undefined
let count = 0

export function egressRequest({ files, directory }: Machine, { listeners }: Rules, name: string): EgressRequest {
  program ??= readProgram('coffer-relay')
  const hasIpv6 = files.readText('/proc/net/if_inet6') !== undefined
  return { relay: program, policy: join(directory, name), listeners, hasIpv6 }
}

/** `onDenied` is called for what is refused, until `close` resolves. */
export async function openEgress(machine: Machine, rules: Rules, onDenied: OnDenied): Promise<Egress> {
  const request = egressRequest(machine, rules, `${++count}.relay`)
  const heard = Promise.withResolvers<void>()
  const server = createServer((relay) => {
    // One relay there is: nobody else gets the directory to see.
    server.close()
    serve(relay, rules, onDenied)
    relay.on('close', () => heard.resolve())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(request.policy, resolve)
  })
  return {
    request,
    close: async () => {
      // The relay may wait to be let in, though its container has ended. Who comes now comes behind it, and has nothing to say.
      if (server.listening) {
        const last = connect(request.policy, () => last.end())
        last.on('error', () => {
          // Its file is gone, and nobody was before it; or the relay was.
          if (!server.listening) return
          server.close()
          heard.resolve()
        })
      }
      await heard.promise
      removeSocket(request.policy)
    },
  }
}

function serve(relay: Socket, rules: Rules, onDenied: OnDenied): void {
  const onRefused = ({ name, errno }: Refused): void => onDenied({ what: 'host', name, errno, time: new Date() })
  const send = (frame: Uint8Array): void => {
    if (relay.writable) relay.write(frame)
  }
  const policy = makePolicy({ rules, send, resolve: resolver(), onRefused, now: () => performance.now() })
  relay.on('data', frameReader(policy))
  // A relay that was killed; nobody is there to be answered.
  relay.on('error', () => undefined)
}

/** A runtime may have removed it with the server. */
function removeSocket(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}

/**
 * getaddrinfo(3) takes one of the four threads that all of the program's files share, for as long as a name server takes: coffer leaves one,
 * and a container takes two. They take turns; of one that asks faster, what is beyond MAX_QUEUED is not answered.
 */
const MAX_AT_ONCE = 3
const MAX_OF_ONE = 2
const MAX_QUEUED = 64

interface Queue {
  readonly lookups: (() => void)[]
  running: number
}

/** In the order of their turns. */
const queues = new Set<Queue>()
let running = 0

/** For one container. */
function resolver(): PolicyParts['resolve'] {
  const queue: Queue = { lookups: [], running: 0 }
  return (name, done) => {
    if (queue.lookups.length >= MAX_QUEUED) {
      done(undefined)
      return
    }
    queue.lookups.push(() =>
      lookup(name, { all: true }, (error, found) => {
        running -= 1
        queue.running -= 1
        next()
        done(error === null ? addressesIn(found) : withoutAddresses(error))
      }),
    )
    queues.add(queue)
    next()
  }
}

function next(): void {
  if (running >= MAX_AT_ONCE) return
  for (const queue of queues) {
    if (queue.running >= MAX_OF_ONE) continue
    queues.delete(queue)
    const ask = queue.lookups.shift()
    if (queue.lookups.length > 0) queues.add(queue)
    running += 1
    queue.running += 1
    ask?.()
    return
  }
}

const addressesIn = (found: readonly { readonly address: string }[]): Resolved =>
  found.flatMap(({ address }) => parseHostAddress(address) ?? [])

const withoutAddresses = ({ code }: NodeJS.ErrnoException): Resolved =>
  /NOTFOUND|NODATA|NONAME/.test(code ?? '') ? [] : undefined
