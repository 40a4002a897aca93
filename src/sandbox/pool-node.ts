/**
 * A pool: boxes that were made before somebody asks for one.
 *
 * What was taken never comes back: who takes a box has it alone, and it ends with its use. So nothing of one use is seen by the next.
 *
 *     making ──► ready ──► taken ──► ended        a box
 *        └──────────────────►                     when somebody waits
 */

import { OperationError } from '../base/errors.ts'
import { type Box, sandbox } from './box-node.ts'
import { theMachine } from './machine-node.ts'
import { type BoxOptions, checkNames, invalid, type Names, SANDBOX_NAMES } from './options.ts'
import { shapeFor } from './surroundings-node.ts'

/** All boxes of a pool are alike. */
export interface PoolOptions extends BoxOptions {
  /** Closes the pool. */
  readonly signal?: AbortSignal | undefined
  /** How many boxes are kept ready. Default 1. */
  readonly size?: number | undefined
  /** How many may live at once, those that are ready and those that are taken; who takes more waits. Default: no limit. */
  readonly max?: number | undefined
}

export interface TakeOptions {
  /** Stop waiting: rejects with its reason. What was taken already stays. */
  readonly signal?: AbortSignal | undefined
}

/** Boxes that are ready. While it is open the program goes on, as with any box. */
export interface BoxPool extends AsyncDisposable {
  /**
   * Takes a box that nobody had before, at once if one is ready; who waits gets theirs in the order in which they asked. It is the taker's to
   * end: `await using box = await pool.take()`, or `box.kill()`. Rejects with the `OperationError` of a box that could not be made.
   */
  readonly take: (options?: TakeOptions) => Promise<Box>
  /** How many boxes are ready now. */
  readonly ready: number
  /** How many were taken and have not ended. */
  readonly taken: number
  /** Ends all boxes, also those that were taken, and refuses who waits with `conflict`. Resolves when all are gone. */
  readonly close: () => Promise<void>
}

const NAMES: Names<PoolOptions> = { ...SANDBOX_NAMES, size: true, max: true }
const MAX_SIZE = 1000

/**
 * Begins to make boxes. Rejects with `OperationError` for options that are wrong, or that this machine cannot enforce; what else a box cannot be
 * made for, its takers are told.
 */
export async function boxPool(options: PoolOptions): Promise<BoxPool> {
  checkNames(options, NAMES)
  const { size = 1, max = Number.POSITIVE_INFINITY, signal, ...asked } = options
  if (!Number.isSafeInteger(size) || size < 1 || size > MAX_SIZE)
    throw invalid(`size is ${size}`, `give a whole number from 1 to ${MAX_SIZE}`)
  if (max !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(max) || max < size))
    throw invalid(`max is ${max}`, `give a whole number of at least size, ${size}, or leave it out`)
  signal?.throwIfAborted()
  shapeFor(theMachine(), asked)
  return new LivePool({ options: asked, size, max, signal })
}

interface Waiter {
  readonly resolve: (box: Box) => void
  readonly reject: (reason: unknown) => void
}

interface PoolParts {
  readonly options: BoxOptions
  readonly size: number
  readonly max: number
  readonly signal: AbortSignal | undefined
}

class LivePool implements BoxPool {
  readonly #options: BoxOptions
  readonly #size: number
  readonly #max: number
  readonly #signal: AbortSignal | undefined
  /** The oldest first. */
  readonly #ready = new Set<Box>()
  readonly #taken = new Set<Box>()
  readonly #making = new Set<Promise<void>>()
  readonly #waiting = new Set<Waiter>()
  #closing: Promise<void> | undefined

  constructor({ options, size, max, signal }: PoolParts) {
    this.#options = options
    this.#size = size
    this.#max = max
    this.#signal = signal
    signal?.addEventListener('abort', this.close, { once: true })
    this.#refill()
  }

  get ready(): number {
    return this.#ready.size
  }

  get taken(): number {
    return this.#taken.size
  }

  readonly take = async ({ signal }: TakeOptions = {}): Promise<Box> => {
    signal?.throwIfAborted()
    if (this.#closing !== undefined) throw closed()
    const [box] = this.#ready
    if (box === undefined) return this.#wait(signal)
    this.#ready.delete(box)
    this.#taken.add(box)
    this.#refill()
    return box
  }

  #wait(signal: AbortSignal | undefined): Promise<Box> {
    const { promise, resolve, reject } = Promise.withResolvers<Box>()
    const waiter = { resolve, reject }
    const abort = (): void => {
      this.#waiting.delete(waiter)
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    this.#waiting.add(waiter)
    this.#refill()
    return promise.finally(() => signal?.removeEventListener('abort', abort))
  }

  /** As many as are wanted and may be. One that cannot be made is tried again when somebody asks, and not before. */
  #refill(): void {
    if (this.#closing !== undefined) return
    const wanted = this.#waiting.size + this.#size - this.#ready.size - this.#making.size
    const room = this.#max - this.#ready.size - this.#taken.size - this.#making.size
    for (let count = Math.min(wanted, room); count > 0; count--) {
      const making = this.#make().finally(() => {
        this.#making.delete(making)
        if (this.#waiting.size > 0) this.#refill()
      })
      this.#making.add(making)
    }
  }

  async #make(): Promise<void> {
    try {
      const box = await sandbox(this.#options)
      if (!this.#settle(box)) await box.kill()
    } catch (error) {
      this.#next()?.reject(error)
    }
  }

  /** Who has waited longest. */
  #next(): Waiter | undefined {
    const [waiter] = this.#waiting
    if (waiter !== undefined) this.#waiting.delete(waiter)
    return waiter
  }

  /** False for one that nobody wants any more: who waited went away, or the pool was closed. */
  #settle(box: Box): boolean {
    const waiter = this.#next()
    if (this.#closing !== undefined || (waiter === undefined && this.#ready.size >= this.#size)) return false
    box.on('exit', () => this.#forget(box))
    if (waiter === undefined) this.#ready.add(box)
    else this.#taken.add(box)
    waiter?.resolve(box)
    return true
  }

  /** One that ended while it was ready is replaced when somebody asks: what ended it may end the next one as well. */
  #forget(box: Box): void {
    this.#ready.delete(box)
    if (this.#taken.delete(box)) this.#refill()
  }

  readonly close = (): Promise<void> => {
    this.#closing ??= this.#end()
    return this.#closing
  }

  async #end(): Promise<void> {
    this.#signal?.removeEventListener('abort', this.close)
    for (const { reject } of this.#waiting) reject(closed())
    this.#waiting.clear()
    // Those that are being made end themselves.
    await Promise.all([...this.#making, ...[...this.#ready, ...this.#taken].map((box) => box.kill())])
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.close()
}

const closed = (): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: 'take a box',
    reason: 'the pool was closed',
    hint: 'take boxes before the pool is closed, or make another one: boxPool(options)',
  })
