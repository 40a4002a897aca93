/** Reading and writing fifos without a thread that waits: each runtime has its own way. */

import { closeSync, constants, openSync, readSync } from 'node:fs'
import { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'

const { O_NONBLOCK, O_RDWR, O_WRONLY } = constants

export interface Incoming {
  /** Calls back for each chunk; resolves when nobody has the fifo open for writing any more and all was read. Closes `fd`. */
  readonly each: (take: (bytes: Uint8Array) => void) => Promise<void>
  /** The same as a stream: one that is not read lets the writers wait. */
  readonly stream: () => Readable
}

/** `fd` is of a fifo, opened for reading without blocking. */
export function readFifo(fd: number): Incoming {
  // Socket of Bun takes no descriptor.
  return process.versions.bun === undefined ? throughSocket(fd) : throughFile(fd)
}

function throughSocket(fd: number): Incoming {
  const open = (): Socket => new Socket({ fd, readable: true, writable: false })
  return {
    stream: open,
    each: (take) =>
      new Promise((resolve) => {
        const socket = open()
        socket.on('data', take)
        // The reader of a fifo meets no error but its end.
        socket.on('error', () => undefined)
        socket.on('close', () => resolve())
      }),
  }
}

function throughFile(fd: number): Incoming {
  return {
    stream: () => {
      const reader = Bun.file(fd).stream().getReader()
      return new Readable({
        read() {
          reader.read().then(
            ({ done, value }) => this.push(done ? null : value),
            (error: Error) => this.destroy(error),
          )
        },
        destroy(error, done) {
          // One who went away before the end leaves a read under way.
          void reader.cancel().finally(() => {
            closeSync(fd)
            done(error)
          })
        },
      })
    },
    each: async (take) => {
      try {
        // Bytes of one chunk may lie in a buffer that the next one uses again.
        for await (const bytes of Bun.file(fd).stream()) take(bytes)
      } finally {
        closeSync(fd)
      }
    },
  }
}

/** What a command writes to a fifo. */
export interface Collector {
  /** From here on it is read as it comes. */
  readonly begin: () => void
  /**
   * For the end of the command: resolves when nobody has the fifo open for writing any more and all was read. What was not begun is read at once,
   * as a reader in the event loop costs a short command more than the rest of what it does here.
   */
  readonly end: () => Promise<void>
}

/** `fd` is of a fifo, opened for reading without blocking, and closed in the end. */
export function collect(fd: number, take: (bytes: Uint8Array) => void): Collector {
  let reading: Promise<void> | undefined
  let writer: number | undefined
  const begin = (): void => {
    if (reading !== undefined) return
    // The command may not have opened it yet, and that would be an end.
    writer = openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK)
    reading = readFifo(fd).each(take)
  }
  return {
    begin,
    end: async () => {
      if (reading === undefined && readToEnd(fd, take)) {
        closeSync(fd)
        reading = Promise.resolve()
      }
      begin()
      if (writer !== undefined) closeSync(writer)
      writer = undefined
      return reading
    },
  }
}

/** Whoever still writes is not read for longer than what fits into a fifo: plan/stdio.ts, OUTPUT_BYTES. */
const MOST_AT_ONCE = 256 * 1024
const CHUNK_BYTES = 64 * 1024
const chunk = Buffer.alloc(CHUNK_BYTES)

/** Whether that was all: nobody can write any more. */
function readToEnd(fd: number, take: (bytes: Uint8Array) => void): boolean {
  try {
    for (let total = 0; total < MOST_AT_ONCE; ) {
      const count = readSync(fd, chunk)
      if (count === 0) return true
      total += count
      take(Uint8Array.prototype.slice.call(chunk, 0, count))
    }
  } catch (error) {
    // Somebody has it open still.
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
  return false
}

export interface Outgoing {
  /** To be called when the other side has opened the fifo: from here on its end is noticed, as EPIPE. */
  readonly start: () => Writable
  /** Instead, if there will be no other side. */
  readonly abandon: () => void
}

/** Until somebody reads it, the fifo is held open for both: it could not be opened for writing alone, and has no other end to be noticed. */
export function writeFifo(path: string): Outgoing {
  const holder = openSync(path, O_RDWR | O_NONBLOCK)
  // Not later: by then there is another one at the path (plan/stdio.ts).
  const fd = openSync(path, O_WRONLY | O_NONBLOCK)
  return {
    abandon: () => {
      closeSync(holder)
      closeSync(fd)
    },
    start: () => {
      closeSync(holder)
      return process.versions.bun === undefined ? intoSocket(fd) : intoFile(fd)
    },
  }
}

const intoSocket = (fd: number): Writable => new Socket({ fd, readable: false, writable: true })

function intoFile(fd: number): Writable {
  const sink = Bun.file(fd).writer()
  // A sink does not close what it was given as a number.
  let close = (): void => {
    close = () => undefined
    closeSync(fd)
  }
  const settle = (work: () => unknown, done: (error?: Error | null) => void): void => {
    Promise.resolve()
      .then(work)
      .then(() => done(), done)
  }
  return new Writable({
    write: (bytes: Uint8Array, _, done) =>
      settle(async () => {
        sink.write(bytes)
        await sink.flush()
      }, done),
    final: (done) =>
      settle(async () => {
        await sink.end()
        close()
      }, done),
    destroy: (error, done) => {
      close()
      done(error)
    },
  })
}
