/**
 * The terminal of a command as streams. A monitor has its master (plan/relay.ts) and is reached over a socket; container/attach-pieces.ts says what goes over it.
 */

import { rmSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'
import { FROM, HEAD_BYTES, headOf, sizePiece, TO } from '../container/attach-pieces.ts'
import { invalid } from './options.ts'

/** In characters. */
export interface TerminalSize {
  readonly columns: number
  readonly rows: number
}

/** Throws `invalid`. */
export function checkSize({ columns, rows }: TerminalSize): void {
  for (const [name, value] of Object.entries({ columns, rows }))
    if (!Number.isInteger(value) || value < 1 || value > 65_535)
      throw invalid(`pty.${name} is ${value}`, 'give a whole number from 1 to 65535')
}

export interface TerminalStreams {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly resize: (size: TerminalSize) => void
  /** The command has ended: what comes now is the rest, and little enough to be kept until it is read. */
  readonly finish: () => void
}

export interface Listening {
  /** Who connected first, and last. */
  readonly connection: Promise<Socket>
  /** Nobody will connect any more. */
  readonly close: () => void
}

export async function listenAt(path: string): Promise<Listening> {
  const server = createServer()
  const listening = Promise.withResolvers<void>()
  const connection = Promise.withResolvers<Socket>()
  const close = (): void => {
    server.close()
    rmSync(path, { force: true })
  }
  server.once('error', listening.reject)
  server.once('connection', (socket) => {
    close()
    connection.resolve(socket)
  })
  server.listen(path, listening.resolve)
  await listening.promise
  return { connection: connection.promise, close }
}

export function terminalStreams(socket: Socket): TerminalStreams {
  let keepsAll = false
  const stdout = new Readable({
    read: () => void socket.resume(),
    destroy: (error, done) => {
      // The command goes on, and what it prints is nobody's.
      keepsAll = true
      socket.resume()
      done(error)
    },
  })
  const partsOf = outputParts()
  socket.on('data', (bytes: Buffer) => {
    for (const part of partsOf(bytes)) if (!stdout.destroyed && !stdout.push(part) && !keepsAll) socket.pause()
  })
  socket.on('error', () => undefined)
  socket.on('close', () => {
    if (!stdout.destroyed) stdout.push(null)
  })
  return {
    stdin: keyboard(socket),
    stdout,
    resize: (size) => {
      if (socket.writable) send(socket, TO.size, sizePiece(size))
    },
    finish: () => {
      keepsAll = true
      socket.resume()
    },
  }
}

const END_OF_TRANSMISSION = 4
const LINE_ENDS: readonly (number | undefined)[] = [undefined, 10, 13]

/**
 * Whoever writes to a monitor that is gone loses what it sent before and is not read yet: Node lets go of a socket that it cannot write to.
 * So the end goes with the last input, if both come at once; and if it comes alone, behind what there is to read.
 */
function keyboard(socket: Socket): Writable {
  let last: number | undefined
  let isEnded = false
  const end = (done?: () => void): void => {
    isEnded = true
    // Behind the beginning of a line the first one only hands that over. termios(3), VEOF
    const bytes = new Uint8Array(LINE_ENDS.includes(last) ? 1 : 2).fill(END_OF_TRANSMISSION)
    send(socket, TO.input, bytes, () => done?.())
  }
  const stdin = new Writable({
    write: (bytes: Uint8Array, _, done) =>
      queueMicrotask(() => {
        last = bytes.at(-1) ?? last
        socket.cork()
        send(socket, TO.input, bytes, done)
        if (stdin.writableEnded && stdin.writableLength <= bytes.length) end()
        socket.uncork()
      }),
    final: (done) => {
      if (isEnded) return done()
      setImmediate(() => (socket.readableEnded || socket.destroyed ? done() : end(done)))
    },
  })
  return stdin
}

function send(socket: Socket, kind: number, bytes: Uint8Array, done?: (error?: Error | null) => void): void {
  socket.write(headOf(kind, bytes.length))
  socket.write(bytes, done)
}

/** What the monitor sends comes in chunks that know nothing of its pieces. Answers views of each chunk: what of it the command printed. */
function outputParts(): (chunk: Uint8Array) => readonly Uint8Array[] {
  const head = new Uint8Array(HEAD_BYTES)
  let headBytes = 0
  let left = 0
  return (chunk) => {
    const parts: Uint8Array[] = []
    for (let at = 0; at < chunk.length; ) {
      const part = chunk.subarray(at, at + (left > 0 ? left : HEAD_BYTES - headBytes))
      at += part.length
      if (left > 0) {
        left -= part.length
        if (head[0] === FROM.stdout) parts.push(part)
        continue
      }
      head.set(part, headBytes)
      headBytes = (headBytes + part.length) % HEAD_BYTES
      if (headBytes === 0) left = new DataView(head.buffer).getUint32(4)
    }
    return parts
  }
}
