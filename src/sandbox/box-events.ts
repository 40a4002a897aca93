/** What a box tells its caller as it happens. */

import { OperationError } from '../base/errors.ts'
import type { Denial } from './denial.ts'
import { invalid } from './options.ts'

export interface BoxEvents {
  /** The box has ended: it was killed, or its memory was out and the kernel chose its first process. Who listens later is told as well. */
  readonly exit: { readonly wasKilled: boolean }
  /** Something in it was denied. Only of a box that was made with `denials: true` or a list of hosts. */
  readonly denied: Denial
  /** It was denied so many things more than are told: a thousand in a second, or the caller did not look. */
  readonly denialsLost: { readonly count: number }
}

export interface Events {
  readonly on: <Name extends keyof BoxEvents>(event: Name, listener: (detail: BoxEvents[Name]) => void) => () => void
  readonly tell: <Name extends keyof BoxEvents>(event: Name, detail: BoxEvents[Name]) => void
}

/** `on` throws `invalid` for an event that would never come. */
export function eventsOf(box: { readonly id: string; readonly hasDenials: boolean }): Events {
  const listeners: { readonly [Name in keyof BoxEvents]: Set<(detail: BoxEvents[Name]) => void> } = {
    exit: new Set(),
    denied: new Set(),
    denialsLost: new Set(),
  }
  let ended: BoxEvents['exit'] | undefined
  return {
    on: (event, listener) => {
      if (!Object.hasOwn(listeners, event))
        throw invalid(
          `there is no event ${JSON.stringify(event)}`,
          `there are: ${Object.keys(listeners)
            .map((name) => `'${name}'`)
            .join(', ')}`,
        )
      if (event !== 'exit' && !box.hasDenials) throw tellsNothing(box.id)
      listeners[event].add(listener)
      const late = event === 'exit' ? (ended as BoxEvents[typeof event] | undefined) : undefined
      if (late !== undefined) queueMicrotask(() => listeners[event].has(listener) && listener(late))
      return () => {
        listeners[event].delete(listener)
      }
    },
    tell: (event, detail) => {
      if (event === 'exit') ended = detail as BoxEvents['exit']
      for (const listener of listeners[event]) listener(detail)
    },
  }
}

const tellsNothing = (id: string): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'hear what a box is denied',
    reason: `the filter of ${id} answers what it denies in the kernel, and nobody hears of it`,
    hint: 'make the box with denials: true',
  })
