/** The client of a monitor: what the container prints comes in, what the caller types goes out, until the container has ended. */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { attempt, mustUnless } from '../executor/embedded-call.ts'
import { POLLIN, POLLOUT, poll, readSignal } from '../executor/embedded-events.ts'
import { writeAll } from '../executor/embedded-files.ts'
import { setTerminal, terminalSettings, terminalSize, transparentSettings } from '../executor/embedded-terminal.ts'
import { endsProcesses } from '../linux/signals.ts'
import { FROM, HEAD_BYTES, headOf, sizePiece, TO } from './attach-pieces.ts'

const STDIN = 0
const STDOUT = 1
const STDERR = 2
const SIGPIPE = 13
const SIGWINCH = 28
const CHUNK_BYTES = 65536
/** Of a pipe that the caller reads: the monitor goes on while he is at it. */
const PIPE_BYTES = 1 << 20
/** What is less is copied sooner than moved. */
const LEAST_MOVED_BYTES = 4096
const F_SETPIPE_SZ = 1031
const F_GETPIPE_SZ = 1032
const SPLICE_F_NONBLOCK = 2

export interface Attachment {
  /** A connection to the monitor. */
  readonly socket: number
  /** From holdSignals. */
  readonly signals: number
  readonly terminal: boolean
  /** Pass on what the caller types. */
  readonly hasInput: boolean
  /** What of its output is shown; all of it if undefined. */
  readonly streams?: { readonly stdout: boolean; readonly stderr: boolean }
  /** Bytes that the caller types to go away and let the container run on; none if empty. */
  readonly detachKeys: readonly number[]
  /** What to do with a signal that the caller gets; if undefined it is for the caller alone, who goes away if it would end him. */
  readonly onSignal: ((signal: number) => void) | undefined
}

export type AttachEnd =
  | { readonly kind: 'exited'; readonly status: number }
  | { readonly kind: 'detached' }
  /** The caller got a signal that nobody took from him. */
  | { readonly kind: 'signalled'; readonly signal: number }
  /** The monitor is gone without a word: it was killed. */
  | { readonly kind: 'lost' }

/** Stays until the container has ended and is cleaned up, or the caller detaches. The caller's terminal is as before in all cases. */
export function attend(native: Native, attachment: Attachment): AttachEnd {
  const session = new Session(native, attachment)
  const before = attachment.terminal && attachment.hasInput ? terminalSettings(native, STDIN) : undefined
  if (before !== undefined) setTerminal(native, STDIN, transparentSettings(before))
  if (attachment.terminal) session.sendSize()
  try {
    for (;;) {
      const end = session.turn()
      if (end !== undefined) return end
    }
  } catch (error) {
    if (!(error instanceof OperationError) || error.code !== 'EPIPE') throw error
    // Nobody reads what it prints any more: the caller ends as other programs do, and the container runs on.
    return { kind: 'signalled', signal: SIGPIPE }
  } finally {
    if (before !== undefined) setTerminal(native, STDIN, before)
  }
}

class Session {
  readonly #native: Native
  readonly #attachment: Attachment
  readonly #chunk = new Uint8Array(CHUNK_BYTES)
  readonly #head = new Uint8Array(HEAD_BYTES)
  #headBytes = 0
  #left = 0
  #status: number | undefined
  #readsInput: boolean
  /** Whether standard output is a pipe. What came over the socket goes on to it as it is: splice(2). */
  readonly #isPipe: boolean
  /** How many of the detach keys were typed. */
  #keys = 0

  constructor(native: Native, attachment: Attachment) {
    this.#native = native
    this.#attachment = attachment
    this.#readsInput = attachment.hasInput
    this.#isPipe = attempt(native, 'fcntl', STDOUT, F_GETPIPE_SZ, 0) >= 0
    if (this.#isPipe) attempt(native, 'fcntl', STDOUT, F_SETPIPE_SZ, PIPE_BYTES)
  }

  turn(): AttachEnd | undefined {
    const { socket, signals } = this.#attachment
    const fds = [socket, signals, ...(this.#readsInput ? [STDIN] : [])]
    const events = poll(
      this.#native,
      fds.map((fd) => ({ fd, events: POLLIN })),
    )
    const happened = (at: number): boolean => (events?.[at] ?? 0) !== 0
    const signal = happened(1) ? this.#passSignals() : undefined
    if (signal !== undefined) return { kind: 'signalled', signal }
    if (happened(2) && this.#takeInput()) return { kind: 'detached' }
    if (!happened(0) || this.#takeOutput()) return undefined
    return this.#status === undefined ? { kind: 'lost' } : { kind: 'exited', status: this.#status }
  }

  sendSize(): void {
    const size = terminalSize(this.#native, STDIN)
    if (size !== undefined) this.#send(TO.size, sizePiece(size))
  }

  /** Answers false at the end of the stream. */
  #takeOutput(): boolean {
    const { socket } = this.#attachment
    if (this.#headBytes < HEAD_BYTES) {
      const rest = this.#head.subarray(this.#headBytes)
      const got = attempt(this.#native, 'read', socket, rest, rest.length)
      if (got <= 0) return false
      this.#headBytes += got
      if (this.#headBytes < HEAD_BYTES) return true
      this.#left = new DataView(this.#head.buffer).getUint32(4)
    }
    if (this.#left >= LEAST_MOVED_BYTES && this.#isPipe && this.#head[0] === FROM.stdout && this.#shows.stdout)
      return this.#move()
    const wanted = Math.min(this.#left, CHUNK_BYTES)
    const got = wanted === 0 ? 0 : attempt(this.#native, 'read', socket, this.#chunk, wanted)
    if (wanted > 0 && got <= 0) return false
    this.#left -= got
    this.#deliver(this.#chunk.subarray(0, got))
    if (this.#left === 0) this.#headBytes = 0
    return true
  }

  get #shows(): { readonly stdout: boolean; readonly stderr: boolean } {
    return this.#attachment.streams ?? { stdout: true, stderr: true }
  }

  /** As takeOutput, of a large piece. */
  #move(): boolean {
    const { socket } = this.#attachment
    const options = { native: this.#native, operation: 'write to descriptor 1', expected: ['EAGAIN'] } as const
    const got = mustUnless(options, 'splice', socket, null, STDOUT, null, this.#left, SPLICE_F_NONBLOCK)
    if (got === undefined) {
      // Nobody takes it at present, or it has not come yet: then this does not wait.
      poll(this.#native, [{ fd: STDOUT, events: POLLOUT }])
      return true
    }
    if (got === 0) return false
    this.#left -= got
    if (this.#left === 0) this.#headBytes = 0
    return true
  }

  #deliver(bytes: Uint8Array): void {
    const [kind] = this.#head
    const { stdout, stderr } = this.#shows
    if (kind === FROM.exited) this.#status = bytes[0] ?? 0
    else if (kind === FROM.stderr && stderr) writeAll(this.#native, STDERR, bytes)
    else if (kind === FROM.stdout && stdout) writeAll(this.#native, STDOUT, bytes)
  }

  /** Answers true if the caller wants to go away. */
  #takeInput(): boolean {
    const got = attempt(this.#native, 'read', STDIN, this.#chunk, CHUNK_BYTES)
    if (got <= 0) {
      this.#readsInput = false
      this.#send(TO.endOfInput, new Uint8Array(0))
      return false
    }
    const typed = this.#chunk.subarray(0, got)
    const { detachKeys, terminal } = this.#attachment
    if (!terminal || detachKeys.length === 0) {
      this.#send(TO.input, typed)
      return false
    }
    return this.#passTyped(typed, detachKeys)
  }

  /** Keys that might be the beginning of the detach keys wait until it is clear. */
  #passTyped(typed: Uint8Array, keys: readonly number[]): boolean {
    const passed: number[] = []
    for (const byte of typed) {
      if (byte === keys[this.#keys]) {
        this.#keys++
        if (this.#keys === keys.length) return true
        continue
      }
      passed.push(...keys.slice(0, this.#keys))
      this.#keys = byte === keys[0] ? 1 : 0
      if (this.#keys === 0) passed.push(byte)
    }
    if (passed.length > 0) this.#send(TO.input, Uint8Array.from(passed))
    return false
  }

  /** Answers the signal that ends the caller, if there is one. */
  #passSignals(): number | undefined {
    const { signals, terminal, onSignal } = this.#attachment
    for (
      let signal = readSignal(this.#native, signals);
      signal !== undefined;
      signal = readSignal(this.#native, signals)
    ) {
      if (signal === SIGWINCH && terminal) this.sendSize()
      else if (onSignal === undefined && endsProcesses(signal)) return signal
      else if (signal !== SIGWINCH && signal !== SIGPIPE) onSignal?.(signal)
    }
    return undefined
  }

  /** A monitor that has gone says so by the end of the stream. */
  #send(kind: number, bytes: Uint8Array): void {
    const piece = new Uint8Array(HEAD_BYTES + bytes.length)
    piece.set(headOf(kind, bytes.length))
    piece.set(bytes, HEAD_BYTES)
    for (let at = 0; at < piece.length; ) {
      const sent = attempt(
        this.#native,
        'sendto',
        this.#attachment.socket,
        piece.subarray(at),
        piece.length - at,
        0x4000,
        0,
        0,
      )
      if (sent <= 0) return
      at += sent
    }
  }
}

/** Tells the monitor that only the end is of interest. */
export function wantNoOutput(native: Native, socket: number): void {
  const head = headOf(TO.noOutput, 0)
  attempt(native, 'sendto', socket, head, head.length, 0x4000, 0, 0)
}
