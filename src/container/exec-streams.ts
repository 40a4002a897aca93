/**
 * Pipes between a process in a container and the files, terminals and sockets that its caller has as standard input, output and error.
 *
 * With the files themselves the process would come to own them (plan/process-identity.ts), would empty them where it opens /dev/stdout, and could
 * type into the terminal of the caller (SECURITY-CHECKS S84). A pipe of the caller it gets as it is, and devices such as /dev/null.
 */

import type { Native } from '../base/native.ts'
import { statusOf } from '../executor/embedded-at.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, POLLOUT, type Watched } from '../executor/embedded-events.ts'
import { close, pipe, writeAllUnless } from '../executor/embedded-files.ts'
import { terminalSettings } from '../executor/embedded-terminal.ts'
import { errnoNumber } from '../linux/errno.ts'
import { O_NONBLOCK } from '../linux/files.ts'

type Three = readonly [number, number, number]

const F_GETFD = 1
const F_SETFL = 4
const CHUNK_BYTES = 65_536

interface Input {
  readonly source: number
  readonly target: number
  /** What was read and is not written yet. */
  pending: Uint8Array
}

interface Output {
  readonly source: number
  readonly target: number
}

export class ExecStreams {
  /** What the process gets. */
  readonly stdio: Three
  readonly #native: Native
  readonly #theirs: number[] = []
  readonly #chunk = new Uint8Array(CHUNK_BYTES)
  #input: Input | undefined
  #outputs: readonly Output[] = []

  /** `given` are descriptors of this process. */
  constructor(native: Native, given: Three) {
    this.#native = native
    const [stdin, stdout, stderr] = given
    const output = this.#outputFor(stdout)
    this.stdio = [
      this.#inputFor(stdin),
      output,
      // What goes to one place stays in the order in which it was written.
      output !== stdout && isSame(native, stdout, stderr) ? output : this.#outputFor(stderr),
    ]
  }

  /** From now on only the process has its ends. */
  started(): void {
    for (const fd of this.#theirs.splice(0)) close(this.#native, fd)
  }

  /** The process has ended, and reads nothing any more. Others may still have its output. */
  ended(): void {
    this.#closeInput()
  }

  /** Whether nobody can print anything any more. */
  get isOver(): boolean {
    return this.#outputs.length === 0
  }

  watched(): readonly Watched[] {
    const input = this.#input
    const outputs = this.#outputs.map(({ source }) => ({ fd: source, events: POLLIN }))
    if (input === undefined) return outputs
    const { source, target, pending } = input
    // Of a target without events poll(2) says that its reader is gone.
    if (pending.length > 0) return [...outputs, { fd: target, events: POLLOUT }]
    return [...outputs, { fd: target, events: 0 }, { fd: source, events: POLLIN }]
  }

  turn(happened: readonly number[]): void {
    const input = this.#input
    if (input !== undefined && happened.includes(input.target)) this.#give(input)
    else if (input !== undefined && happened.includes(input.source)) this.#take(input)
    for (const output of this.#outputs) if (happened.includes(output.source)) this.#copy(output)
  }

  close(): void {
    this.started()
    this.#closeInput()
    for (const output of this.#outputs) this.#drop(output)
  }

  #inputFor(fd: number): number {
    if (isPassedOn(this.#native, fd)) return fd
    const { readEnd, writeEnd } = this.#pipe('writeEnd')
    this.#theirs.push(readEnd)
    this.#input = { source: fd, target: writeEnd, pending: new Uint8Array(0) }
    return readEnd
  }

  #outputFor(fd: number): number {
    if (isPassedOn(this.#native, fd)) return fd
    const { readEnd, writeEnd } = this.#pipe('readEnd')
    this.#theirs.push(writeEnd)
    this.#outputs = [...this.#outputs, { source: readEnd, target: fd }]
    return writeEnd
  }

  /** The process would meet EAGAIN: only our end does not block. */
  #pipe(ours: 'readEnd' | 'writeEnd'): ReturnType<typeof pipe> {
    const ends = pipe(this.#native)
    must(this.#native, 'take what there is', 'fcntl', ends[ours], F_SETFL, O_NONBLOCK)
    return ends
  }

  #take(input: Input): void {
    const got = attempt(this.#native, 'read', input.source, this.#chunk, CHUNK_BYTES)
    if (got === -errnoNumber('EAGAIN')) return
    input.pending = this.#chunk.slice(0, Math.max(0, got))
    this.#give(input)
  }

  /** With nothing to give, that is the end of the input, or its target was ready for nothing: the process reads no more. */
  #give(input: Input): void {
    const { target, pending } = input
    const given = pending.length === 0 ? 0 : attempt(this.#native, 'write', target, pending, pending.length)
    if (given > 0) input.pending = pending.subarray(given)
    else if (given !== -errnoNumber('EAGAIN')) this.#closeInput()
  }

  /** Who cannot be written to any more is as good as closed for the process: it gets SIGPIPE. */
  #copy(output: Output): void {
    const got = attempt(this.#native, 'read', output.source, this.#chunk, CHUNK_BYTES)
    if (got === -errnoNumber('EAGAIN')) return
    const bytes = this.#chunk.subarray(0, Math.max(0, got))
    if (got <= 0 || !writeAllUnless(this.#native, output.target, bytes, ['EPIPE', 'EIO'])) this.#drop(output)
  }

  #drop(output: Output): void {
    this.#outputs = this.#outputs.filter((one) => one !== output)
    close(this.#native, output.source)
  }

  #closeInput(): void {
    if (this.#input !== undefined) close(this.#native, this.#input.target)
    this.#input = undefined
  }
}

/** Pipes, and devices that are no terminals. What is closed stays closed. */
function isPassedOn(native: Native, fd: number): boolean {
  if (attempt(native, 'fcntl', fd, F_GETFD, 0) < 0) return true
  const { kind } = statusOf(native, fd)
  return kind === 'fifo' || (kind === 'character' && terminalSettings(native, fd) === undefined)
}

const isSame = (native: Native, one: number, other: number): boolean =>
  !isPassedOn(native, other) && statusOf(native, one).identity === statusOf(native, other).identity
