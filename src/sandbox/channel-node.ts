/**
 * How a program talks with its containers: six fifos for each that runs.
 *
 * | fifo      | container | caller                                                                                     |
 * |-----------|-----------|--------------------------------------------------------------------------------------------|
 * | `control` | executor  | holds it open for writing: a byte, or the caller's end, ends the container (plan/supervised.ts) |
 * | `in`      | reads     | writes                                                                                     |
 * | `out`     | writes    | reads                                                                                      |
 * | `err`     | writes    | reads                                                                                      |
 * | `release` | executor  | holds it open for writing: a byte lets the pid of a process that has ended go              |
 * | `tty`     | monitor   | instead of `in`, `out` and `err`, a socket that is there while it is used: terminal-node.ts |
 * | `denied`  | supervisor| reads: native/denials.c writes                                                             |
 *
 * Fifos and not sockets: a program may open /dev/stdout. Their paths are used again, one command after the other; what a command has got, `in`,
 * `out` and `err`, is made anew by its plan: plan/stdio.ts.
 */

import { closeSync, constants, openSync, readdirSync, readSync, rmdirSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Executor } from '../executor/persistent-node.ts'
import { AT_FDCWD, mknodat, S_IFIFO } from '../linux/files.ts'
import { type Collector, collect, type Incoming, type Outgoing, readFifo, writeFifo } from './fifo-node.ts'

export interface Channel {
  readonly paths: {
    readonly control: string
    readonly stdin: string
    readonly stdout: string
    readonly stderr: string
    readonly release: string
    readonly denied: string
  }
  /** Where a socket may be made. */
  readonly terminal: string
  /** Opens both outputs, before the plan does; `end` lets the readers see the end once no process of the container is left. */
  readonly listen: () => { readonly stdout: Incoming; readonly stderr: Incoming; readonly end: () => void }
  /** The same for what a command writes until it has ended. */
  readonly collect: (out: Take, err: Take) => Collector
  /** Opens the fifo `denied`, before the plan does; `end` lets the reader see the end once no supervisor is left. */
  readonly listenDenials: () => { readonly incoming: Incoming; readonly end: () => void }
  /** Holds the fifo `release` open until what is answered is called, which writes to it, or the channel is released. */
  readonly holdRelease: () => () => void
  /** Opens the fifo `in`, before the plan does. */
  readonly openInput: () => Outgoing
  /** Ends the container. */
  readonly kill: () => void
  /** Somebody has one of its fifos and does not end: it is not used again. */
  readonly abandon: () => void
  /** Back to the others, when both outputs have ended. */
  readonly release: () => void
}

type Take = (bytes: Uint8Array) => void

export interface Channels {
  readonly take: () => Promise<Channel>
}

export function openChannels(directory: string, executor: Executor): Channels {
  const free: Channel[] = []
  let count = 0
  process.once('exit', () => removeFiles(directory))
  return {
    take: async () => {
      const kept = free.pop()
      if (kept !== undefined) return kept
      const base = join(directory, `${++count}`)
      const paths = {
        control: `${base}.control`,
        stdin: `${base}.in`,
        stdout: `${base}.out`,
        stderr: `${base}.err`,
        release: `${base}.release`,
        denied: `${base}.denied`,
      }
      await makeFifos(executor, Object.values(paths))
      return channelAt(paths, `${base}.tty`, (channel) => free.push(channel))
    },
  }
}

/**
 * A directory that has nothing but files in it; one that is gone already is no matter. Another program may remove it at the same time, and the
 * executor still makes the fifos that its program has asked for: a few at most, so that this ends.
 */
export function removeFiles(directory: string): void {
  for (;;) {
    try {
      for (const name of readdirSync(directory)) rmSync(join(directory, name), { force: true })
      rmdirSync(directory)
      return
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException
      if (code === 'ENOENT') return
      if (code !== 'ENOTEMPTY') throw error
    }
  }
}

const makeFifos = (executor: Executor, paths: readonly string[]): Promise<unknown> =>
  executor.run({
    operation: 'make fifos for a container',
    steps: paths.map((path) => ({
      call: mknodat(AT_FDCWD, path, S_IFIFO | 0o600, 0),
      why: 'have a way to talk with a container',
      see: ['fifo(7)'],
    })),
  })

const { O_RDWR, O_RDONLY, O_NONBLOCK } = constants

function channelAt(paths: Channel['paths'], terminal: string, giveBack: (channel: Channel) => void): Channel {
  const control = openSync(paths.control, O_RDWR | O_NONBLOCK)
  let isTold = false
  let isAbandoned = false
  let letGo = (): void => undefined
  const channel: Channel = {
    paths,
    terminal,
    listen: () => {
      const [stdout, stderr] = [openOutput(paths.stdout), openOutput(paths.stderr)]
      return {
        stdout: stdout.incoming,
        stderr: stderr.incoming,
        end: () => {
          stdout.end()
          stderr.end()
        },
      }
    },
    collect: (out, err) => {
      const both = [collect(openReader(paths.stdout), out), collect(openReader(paths.stderr), err)]
      return {
        begin: () => {
          for (const { begin } of both) begin()
        },
        end: async () => {
          await Promise.all(both.map(({ end }) => end()))
        },
      }
    },
    listenDenials: () => openOutput(paths.denied),
    holdRelease: () => {
      const fd = openSync(paths.release, O_RDWR | O_NONBLOCK)
      let isHeld = true
      letGo = () => {
        if (!isHeld) return
        isHeld = false
        writeSync(fd, 'r')
        closeSync(fd)
      }
      return letGo
    },
    openInput: () => writeFifo(paths.stdin),
    kill: () => {
      if (!isTold) writeSync(control, 'k')
      isTold = true
    },
    abandon: () => {
      isAbandoned = true
    },
    release: () => {
      // What is written goes with the last who has it open, if the executor was killed and nobody reads.
      letGo()
      // The executor may have ended without having read it.
      if (isTold) drain(control)
      isTold = false
      if (!isAbandoned) giveBack(channel)
    },
  }
  return channel
}

function drain(fd: number): void {
  try {
    readSync(fd, new Uint8Array(16))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
  }
}

/** Open for writing as well until `end`, so that the reader does not see an end before the first writer. */
function openOutput(path: string): { readonly incoming: Incoming; readonly end: () => void } {
  const writer = openSync(path, O_RDWR | O_NONBLOCK)
  const reader = openReader(path)
  return { incoming: readFifo(reader), end: () => closeSync(writer) }
}

const openReader = (path: string): number => openSync(path, O_RDONLY | O_NONBLOCK)
