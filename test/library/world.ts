/**
 * A world outside of boxes: a name server and web servers at addresses of the network namespace that the tests of egress run in.
 *
 * test/library/egress.test.ts makes the namespace; the addresses are those for documentation, RFC 5737 and RFC 3849.
 */

import { createHash } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { createServer, type Server, type Socket } from 'node:net'

/** Of the namespace; everything listens at these and nowhere else. */
export const FOUR = '203.0.113.10'
export const SIX = '2001:db8::10'
export const NEAR = '10.11.12.13'

export interface World {
  /** The names that the name server was asked for, and what it says of names from now on. */
  readonly asked: string[]
  readonly names: Map<string, readonly string[]>
  /** `ADDRESS:PORT` of each connection. */
  readonly met: string[]
  readonly end: () => void
}

export const BIG_BYTES: number = 100 * 1024 * 1024
const PIECE = Buffer.alloc(64 * 1024, 'coffer ')
/** Of what is served at port 9000, which is also what a client sends to 9001. */
export const BIG_SHA256: string = (() => {
  const hash = createHash('sha256')
  for (let sent = 0; sent < BIG_BYTES; sent += PIECE.length) hash.update(PIECE)
  return hash.digest('hex')
})()

export async function startWorld(): Promise<World> {
  const [asked, names, met]: [string[], World['names'], string[]] = [[], new Map(), []]
  const server = await startNames(asked, names)
  const servers: Server[] = []
  const serve = async (host: string, port: number, body: (socket: Socket) => void): Promise<void> => {
    const one = createServer({ allowHalfOpen: true }, (socket) => {
      met.push(`${host}:${port}`)
      socket.on('error', () => undefined)
      body(socket)
    })
    await new Promise<void>((resolve) => one.listen({ port, host }, resolve))
    servers.push(one)
  }
  for (const host of [FOUR, SIX, NEAR, '127.0.0.1']) {
    await serve(host, 80, hello(host))
    await serve(host, 8080, hello(host))
  }
  await serve(FOUR, 9000, sendBig)
  await serve(FOUR, 9001, answerHash)
  await serve(FOUR, 9002, (socket) => socket.resetAndDestroy())
  return {
    asked,
    names,
    met,
    end: () => {
      server.close()
      for (const one of servers) one.close()
    },
  }
}

const hello = (host: string) => (socket: Socket) =>
  socket.once('data', () => socket.end(`HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nhello from ${host}\n`))

function sendBig(socket: Socket): void {
  let left = BIG_BYTES
  const more = (): void => {
    while (left > 0) {
      left -= PIECE.length
      if (!socket.write(PIECE)) return
    }
    socket.end()
  }
  socket.on('drain', more)
  more()
}

/** Only when the client has sent all does it answer: each half of a connection ends by itself. */
function answerHash(socket: Socket): void {
  const hash = createHash('sha256')
  socket.on('data', (bytes) => hash.update(bytes))
  socket.on('end', () => socket.end(hash.digest('hex')))
}

async function startNames(asked: string[], names: World['names']): Promise<{ readonly close: () => void }> {
  const server = createSocket('udp4')
  server.on('message', (message, from) => {
    let at = 12
    const labels: string[] = []
    for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
      labels.push(message.subarray(at + 1, at + 1 + length).toString())
      at += 1 + length
    }
    const [name, type] = [labels.join('.').toLowerCase(), message.readUInt16BE(at + 1)]
    asked.push(name)
    const known = names.get(name)
    const records = (known ?? []).filter((one) => (type === 28) === one.includes(':')).map(recordOf)
    const head = Buffer.from([0, 0, 0x81, known === undefined ? 0x83 : 0x80, 0, 1, 0, records.length, 0, 0, 0, 0])
    message.copy(head, 0, 0, 2)
    server.send(Buffer.concat([head, message.subarray(12, at + 5), ...records]), from.port, from.address)
  })
  // Who asked has ended meanwhile.
  server.on('error', () => undefined)
  await new Promise<void>((resolve) => server.bind(53, '127.0.0.1', resolve))
  return server
}

function recordOf(address: string): Buffer {
  const bytes = address.includes(':') ? sixOf(address) : Buffer.from(address.split('.').map(Number))
  return Buffer.concat([
    Buffer.from([0xc0, 12, 0, bytes.length === 4 ? 1 : 28, 0, 1, 0, 0, 0, 0, 0, bytes.length]),
    bytes,
  ])
}

function sixOf(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::').map((half) => half.split(':').filter(Boolean))
  const words = [...head, ...new Array<string>(8 - head.length - tail.length).fill('0'), ...tail]
  return Buffer.from(words.map((word) => word.padStart(4, '0')).join(''), 'hex')
}
