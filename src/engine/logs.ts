/** logs: what a container has printed, as its monitor kept it. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { LOG_FILE } from '../container/watched.ts'
import { drain, POLLIN, poll, watchFiles } from '../executor/embedded-events.ts'
import { close, writeAll } from '../executor/embedded-files.ts'
import { openPidfd } from '../executor/embedded-process.ts'
import { readEngineContainer } from './containers.ts'
import { connectIfListening } from './listening.ts'
import { type LogFile, logPaths, openLog } from './log-file.ts'
import { LineMaker, type LogLine, stampOf } from './log-lines.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

export interface LogOptions {
  readonly follows: boolean
  /** How many of the last lines; undefined for all. */
  readonly tail?: number | undefined
  /** Nanoseconds since 1970. */
  readonly since?: bigint | undefined
  readonly until?: bigint | undefined
  readonly timestamps: boolean
  readonly details: boolean
}

export function printLog(engine: Engine, { id, name, log }: ContainerRecord, options: LogOptions): void {
  if (log.driver === 'none')
    throw new OperationError({
      kind: 'unsupported',
      operation: `read the log of ${name}`,
      reason: 'configured logging driver does not support reading: it is "none"',
    })
  const { native } = engine.machine
  const looks =
    options.timestamps ||
    options.details ||
    [options.tail, options.since, options.until].some((one) => one !== undefined)
  const sink = looks ? new LineSink(native, options) : new PlainSink(native)
  const directory = containerPath(engine, id)
  // Whoever follows watches before he reads, so that nothing falls in between.
  const changes = options.follows ? watchFiles(native, [directory], CHANGES) : undefined
  try {
    const last = readAll(engine, directory, sink)
    sink.caughtUp()
    if (changes !== undefined) follow(engine, { id, directory, changes, sink, file: last })
    else last?.close()
    sink.end()
  } finally {
    if (changes !== undefined) close(native, changes)
  }
}

/** Takes what is in a file; false once nothing more is wanted. */
interface Sink {
  readonly take: (file: LogFile) => boolean
  /** All that was there at first has been taken. */
  readonly caughtUp: () => void
  readonly end: () => void
}

class PlainSink implements Sink {
  readonly #native: Native

  constructor(native: Native) {
    this.#native = native
  }

  take(file: LogFile): boolean {
    for (let run = file.nextRun(); run !== undefined; run = file.nextRun())
      writeAll(this.#native, run.stream, run.bytes)
    return true
  }

  caughtUp(): void {}
  end(): void {}
}

class LineSink implements Sink {
  readonly #native: Native
  readonly #options: LogOptions
  readonly #lines = new LineMaker()
  /** The last lines, until all that was there has been seen. */
  #kept: LogLine[] | undefined
  #isOver = false

  constructor(native: Native, options: LogOptions) {
    this.#native = native
    this.#options = options
    this.#kept = options.tail === undefined ? undefined : []
  }

  take(file: LogFile): boolean {
    for (let piece = file.next(); piece !== undefined; piece = file.next()) {
      this.#lines.add(piece, (line) => this.#line(line))
      if (this.#isOver) return false
    }
    return true
  }

  caughtUp(): void {
    if (this.#kept === undefined) return
    this.#lines.rest((line) => this.#line(line))
    for (const line of this.#kept.slice(-(this.#options.tail ?? 0) || this.#kept.length)) this.#print(line)
    this.#kept = undefined
  }

  end(): void {
    this.#lines.rest((line) => this.#line(line))
  }

  #line(line: LogLine): void {
    const { since, until, tail = 0 } = this.#options
    if (until !== undefined && line.nanos > until) this.#isOver = true
    if (this.#isOver || (since !== undefined && line.nanos < since)) return
    if (this.#kept === undefined) {
      this.#print(line)
      return
    }
    this.#kept.push(line)
    if (this.#kept.length >= tail * 2 + 64) this.#kept.splice(0, this.#kept.length - tail)
  }

  #print({ stream, nanos, bytes }: LogLine): void {
    const { timestamps, details } = this.#options
    const front = this.#native.encode(`${timestamps ? `${stampOf(nanos)} ` : ''}${details ? ' ' : ''}`)
    const line = new Uint8Array(front.length + bytes.length)
    line.set(front)
    line.set(bytes, front.length)
    writeAll(this.#native, stream, line)
  }
}

/** Answers the newest file, still open, unless nothing more is wanted. */
function readAll({ machine: { native, files } }: Engine, directory: string, sink: Sink): LogFile | undefined {
  let file: LogFile | undefined
  for (const path of logPaths(files, directory)) {
    // Names go from one to another meanwhile: what comes behind a file is found by that file.
    const next = file === undefined ? path : following(files.status, directory, file)
    const opened = next === undefined ? undefined : openLog(native, next)
    if (opened === undefined) continue
    const isWanted = file === undefined || takeLast(sink, file)
    file = opened
    if (isWanted && sink.take(file)) continue
    file.close()
    return undefined
  }
  return file
}

/** What was written to a file before another one was begun. */
function takeLast(sink: Sink, file: LogFile): boolean {
  const isWanted = sink.take(file)
  file.close()
  return isWanted
}

const IN_MODIFY = 2
const IN_MOVED_TO = 0x80
const IN_CREATE = 0x100
const IN_DELETE_SELF = 0x400
const CHANGES = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF

interface Following {
  readonly id: string
  readonly directory: string
  readonly changes: number
  readonly sink: Sink
  readonly file: LogFile | undefined
}

/** Until the container has ended, or there is none any more. */
function follow(engine: Engine, { id, directory, changes, sink, file: first }: Following): void {
  const { native, files } = engine.machine
  let file = first
  for (;;) {
    // What it printed last is in the log before its end is written down: so look for the end, then read, then go.
    const isOver = hasEnded(engine, id)
    if (file !== undefined && !sink.take(file)) break
    const next = following(files.status, directory, file)
    if (next !== undefined) {
      const opened = openLog(native, next)
      if (opened === undefined) continue
      const isWanted = file === undefined || takeLast(sink, file)
      file = opened
      if (!isWanted) break
      continue
    }
    if (isOver) break
    awaitChange(engine, id, changes)
  }
  file?.close()
}

/** The file that was begun behind this one; undefined if it is the newest. */
function following(
  status: Engine['machine']['files']['status'],
  directory: string,
  file: LogFile | undefined,
): string | undefined {
  const newest = `${directory}/${LOG_FILE}`
  const found = status(newest)
  if (found === undefined) return undefined
  if (file === undefined) return newest
  const own = status(`/proc/self/fd/${file.fd}`)?.identity
  if (own === found.identity) {
    // Of a log of one file the monitor begins again at its start.
    if (found.sizeBytes < file.position) file.position = 0
    return undefined
  }
  for (let number = 1; ; number++) {
    const older = status(`${newest}.${number}`)
    if (older === undefined || older.identity === own)
      return number === 1 || older === undefined ? newest : `${newest}.${number - 1}`
  }
}

/** A monitor that is gone will write nothing down. */
function hasEnded(engine: Engine, id: string): boolean {
  const now = readEngineContainer(engine, id)
  if (now === undefined || now.status === 'created') return true
  if (now.status !== 'exited') return false
  if (now.exit !== undefined) return true
  const socket = connectIfListening(engine, id)
  if (socket !== undefined) close(engine.machine.native, socket)
  return socket === undefined
}

/** The end of the first process is an event as well, in case that its monitor was killed. */
function awaitChange(engine: Engine, id: string, changes: number): void {
  const { native } = engine.machine
  const now = readEngineContainer(engine, id)
  const pidfd = now?.status === 'running' || now?.status === 'paused' ? openPidfd(native, now.pid) : undefined
  try {
    poll(
      native,
      [changes, ...(pidfd === undefined ? [] : [pidfd])].map((fd) => ({ fd, events: POLLIN })),
    )
    drain(native, changes)
  } finally {
    if (pidfd !== undefined) close(native, pidfd)
  }
}
