/** Reading and writing fifos without a thread that waits: each runtime has its own way. */

import { closeSync, constants, openSync } from 'node:fs'
import { Socket } from 'node:net'
import { Readable, Writable } from 'node:stream'

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

export interface Outgoing {
  /** To be called when the other side has opened the fifo: from here on its end is noticed, as EPIPE. */
  readonly start: () => Writable
  /** Instead, if there will be no other side. */
  readonly abandon: () => void
}

const { O_NONBLOCK, O_RDWR, O_WRONLY } = constants

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
