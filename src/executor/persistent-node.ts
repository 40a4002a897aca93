/**
 * The executor of a long-running Node or Bun: one process that runs plan after plan.
 *
 * A program that makes many containers starts it once, and saves for each the start of a program. Every plan runs in a process of its own,
 * forked from the executor, so plans run side by side, and what one leaves behind (open descriptors, a changed directory) ends with it. That of
 * the next plan is made ahead.
 * If the caller dies, the executor reads the end of file and ends too; plans under way run on to their ends and remove what they made.
 *
 * Only this file of the folder imports from node:.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { OperationError } from '../base/errors.ts'
import { utf8 } from '../linux/bytes.ts'
import type { Architecture } from '../linux/numbers.ts'
import { systemError } from '../linux/system-error.ts'
import type { Plan } from '../plan/plan.ts'
import { assemble } from './assemble.ts'
import { type Advise, errorOf, parseReport, REPORT_HEADER_BYTES, type Report, reportBytes } from './report.ts'
import type { Frame } from './template.ts'
import { FLAG_CONCURRENT, HEADER } from './wire.ts'

export interface Executor extends AsyncDisposable {
  /** Runs a plan to its end, beside others. Rejects with the error of the first step that failed. */
  readonly run: (plan: Plan, options?: PlanOptions) => Promise<Report>
  /** The same for a frame that is ready, such as one that was filled in. The frame is given away: its header gets the number of this run. */
  readonly runFrame: (frame: Frame, options?: FrameOptions) => Promise<Report>
  /** Waits for the plans under way, then ends the process. No plan is taken any more. */
  readonly close: () => Promise<void>
}

export interface PlanOptions extends FrameOptions {
  readonly trace?: boolean
}

export interface FrameOptions {
  readonly advise?: Advise
  /** Called at each `report` step of the plan. */
  readonly onProgress?: (report: Report) => void
}

export interface ExecutorOptions {
  /** What plans, and so containers, get as descriptors 0, 1 and 2. Default: nothing to read, and the caller's output and errors. */
  readonly stdio?: readonly [Stdio, Stdio, Stdio]
  /** Whether the caller's event loop goes on for an executor without a plan under way, until it is closed. Default true. */
  readonly holdsLoop?: boolean
}

/** A number is a descriptor of the caller. */
export type Stdio = 'ignore' | 'inherit' | number

/** `path` is the executor's ELF file, dist/coffer-executor. If it cannot be started, the plans are rejected. */
export function openExecutor(
  path: string,
  { stdio = ['ignore', 'inherit', 'inherit'], holdsLoop = true }: ExecutorOptions = {},
): Executor {
  // Any argument makes it move into a sealed memory file before it runs plans: native/executor.c, SECURITY-CHECKS S1.
  const child = spawn(path, ['file'], { env: {}, cwd: '/', stdio: [...stdio, 'pipe', 'pipe'] })
  return new PersistentExecutor(child, holdsLoop)
}

/** A plan that the executor has and has not answered. */
interface Pending {
  readonly frame: Frame
  readonly options: FrameOptions
  readonly resolve: (report: Report) => void
  readonly reject: (error: OperationError) => void
}

class PersistentExecutor implements Executor {
  readonly #plans: Writable | null
  readonly #pending = new Map<number, Pending>()
  readonly #ended: Promise<void>
  readonly #architecture = architectureOfProcess()
  #lastId = 0
  #unread: Buffer = Buffer.alloc(0)
  #refusal: OperationError | undefined
  #whenIdle: (() => void) | undefined
  /** Holds the event loop, or lets it go. */
  readonly #hold: (isBusy: boolean) => void

  constructor(child: ChildProcess, holdsLoop: boolean) {
    // A process that could not be made has no pipes in Bun, and says why in its `error` event.
    const [, , , plans, reports] = child.stdio as [unknown, unknown, unknown, Writable | null, Readable | null]
    this.#plans = plans
    this.#hold = holdsLoop ? () => undefined : holderOf([child, plans, reports])
    this.#hold(false)
    // An executor that is gone says so by its exit; the write that noticed it first adds nothing.
    plans?.on('error', () => undefined)
    reports?.on('error', () => undefined)
    reports?.on('data', (bytes: Buffer) => this.#take(bytes))
    this.#ended = new Promise((resolve) => {
      const end = (error: OperationError): void => {
        this.#fail(error)
        resolve()
      }
      child.on('error', (error: NodeJS.ErrnoException) => end(cannotStart(error)))
      child.on('exit', () => {
        this.#refusal ??= gone()
      })
      // A plan under way outlives an executor that is killed, and still answers: the last of them closes the pipe. While the executor lives
      // it answers for a plan whose process was killed.
      reports?.on('end', () => end(gone()))
    })
  }

  readonly run = async (plan: Plan, options: PlanOptions = {}): Promise<Report> => {
    const assembled = assemble(plan, { architecture: this.#architecture, encode, trace: options.trace ?? false })
    return this.runFrame({ ...assembled, steps: () => assembled.steps }, options)
  }

  readonly runFrame = async (frame: Frame, options: FrameOptions = {}): Promise<Report> => {
    if (this.#refusal !== undefined) throw this.#refusal
    const id = this.#nextId()
    const header = new Uint32Array(frame.frame.buffer, frame.frame.byteOffset, HEADER.flags + 1)
    header[HEADER.id] = id
    header[HEADER.flags] = (header[HEADER.flags] ?? 0) | FLAG_CONCURRENT
    return new Promise((resolve, reject) => {
      if (this.#pending.size === 0) this.#hold(true)
      this.#pending.set(id, { frame, options, resolve, reject })
      this.#plans?.write(frame.frame)
    })
  }

  readonly close = async (): Promise<void> => {
    this.#refusal ??= closed()
    if (this.#pending.size > 0) {
      await new Promise<void>((resolve) => {
        this.#whenIdle = resolve
      })
    }
    this.#hold(true)
    this.#plans?.end()
    await this.#ended
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close()

  /** 32 bits, so it begins again; an id that is in use is passed over. */
  #nextId(): number {
    do this.#lastId = (this.#lastId + 1) >>> 0
    while (this.#pending.has(this.#lastId))
    return this.#lastId
  }

  /** Reports come whole, but a chunk of the stream may hold half of one, or several. */
  #take(bytes: Buffer): void {
    let rest = this.#unread.length === 0 ? bytes : Buffer.concat([this.#unread, bytes])
    while (rest.length >= REPORT_HEADER_BYTES) {
      const total = reportBytes(rest)
      if (rest.length < total) break
      this.#answer(rest.subarray(0, total))
      rest = rest.subarray(total)
    }
    this.#unread = rest
  }

  #answer(bytes: Uint8Array): void {
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true)
    const pending = this.#pending.get(id)
    if (pending === undefined) return
    const { frame, options, resolve, reject } = pending
    const report = parseReport(bytes, frame)
    if (report.kind === 'progress') {
      options.onProgress?.(report)
      return
    }
    this.#pending.delete(id)
    if (report.kind === 'done') resolve(report)
    else reject(errorOf(report, frame.steps(), options.advise))
    if (this.#pending.size > 0) return
    this.#hold(false)
    this.#whenIdle?.()
  }

  #fail(error: OperationError): void {
    this.#refusal ??= error
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
    this.#whenIdle?.()
  }
}

/** Child processes and their pipes can be told whether the event loop waits for them, which the types of streams do not know. */
function holderOf(things: readonly unknown[]): (isBusy: boolean) => void {
  const held = things.filter(
    (thing): thing is { ref: () => void; unref: () => void } =>
      typeof thing === 'object' && thing !== null && 'ref' in thing && 'unref' in thing,
  )
  return (isBusy) => {
    for (const one of held)
      if (isBusy) one.ref()
      else one.unref()
  }
}

function architectureOfProcess(): Architecture {
  switch (process.arch) {
    case 'x64':
      return 'x86_64'
    case 'arm64':
      return 'aarch64'
    default:
      throw new OperationError({
        kind: 'unsupported',
        operation: 'start the executor',
        reason: `coffer knows the system calls of x86_64 and aarch64, and this is ${process.arch}`,
      })
  }
}

/** Text as the frames of this process have it. Bytes that are no UTF-8 are lone surrogates in text, and few texts have one: linux/bytes.ts. */
export const encode = (text: string): Uint8Array => (/[\udc80-\udcff]/u.test(text) ? utf8(text) : Buffer.from(text))

const cannotStart = (error: NodeJS.ErrnoException): OperationError =>
  systemError({
    operation: 'start the executor',
    syscall: error.syscall ?? 'execve',
    code: error.code ?? 'unknown',
    ...(error.path === undefined ? {} : { path: error.path }),
    cause: error,
  })

const gone = (): OperationError =>
  new OperationError({
    kind: 'kernel',
    operation: 'run the plan',
    reason: 'the executor ended before it answered: it was killed',
    hint: 'open another executor; containers that were under way are removed by `delete --force`',
  })

const closed = (): OperationError =>
  new OperationError({ kind: 'invalid', operation: 'run the plan', reason: 'the executor was closed' })
