/** A caller beside a container: sees what it prints, types into it, and learns how it ended. */

import { type AttachEnd, attend, wantNoOutput } from '../container/attach.ts'
import { holdSignals } from '../container/foreground.ts'
import { attempt } from '../executor/embedded-call.ts'
import { endBySignal } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { EXIT_FILE, parseExit, readEngineContainer, STARTED_FILE, UNSEEN_STATUS } from './containers.ts'
import { connectIfListening } from './listening.ts'
import { awaitMending } from './mend.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

export interface AttachOptions {
  readonly hasInput: boolean
  /** What of its output is shown; all of it if undefined. */
  readonly streams?: { readonly stdout: boolean; readonly stderr: boolean } | undefined
  readonly detachKeys: readonly number[]
  /** Pass signals on to the container. */
  readonly proxiesSignals: boolean
}

/** Stays until the container has ended, or the caller goes away. A signal that is not passed on ends this process, if it does that to others. */
export function attach(
  engine: Engine,
  { id, intent }: ContainerRecord,
  socket: number,
  options: AttachOptions,
): AttachEnd {
  const { native } = engine.machine
  const end = attend(native, {
    socket,
    signals: holdSignals(native),
    terminal: intent.terminal,
    hasInput: options.hasInput,
    ...(options.streams === undefined ? {} : { streams: options.streams }),
    detachKeys: options.detachKeys,
    onSignal: options.proxiesSignals ? (signal) => signalRunning(engine, id, signal) : undefined,
  })
  if (end.kind === 'signalled') endBySignal(native, end.signal)
  return end
}

/** The exit status of a command that stayed beside a container. */
export function statusOf(end: AttachEnd): number {
  switch (end.kind) {
    case 'exited':
      return end.status
    case 'detached':
      return 0
    case 'signalled':
      return 128 + end.signal
    case 'lost':
      return UNSEEN_STATUS
  }
}

function signalRunning(engine: Engine, id: string, signal: number): void {
  const now = readEngineContainer(engine, id)
  if (now?.status === 'running') attempt(engine.machine.native, 'kill', now.pid, signal)
}

/** How a container ended; waits until it has, and is cleaned up. With `started`, only for the end of the run that was started then. */
export function waitForEnd(engine: Engine, record: ContainerRecord, started?: string): number {
  const { machine } = engine
  const { native } = machine
  const socket = connectIfListening(engine, record.id)
  try {
    if (socket !== undefined && isOfRun(engine, record, started)) {
      wantNoOutput(native, socket)
      // Something may have been on its way already.
      const streams = { stdout: false, stderr: false }
      const end = attach(engine, record, socket, { hasInput: false, streams, detachKeys: [], proxiesSignals: false })
      if (end.kind === 'exited') return end.status
    }
  } finally {
    if (socket !== undefined) close(native, socket)
  }
  // Nobody listens, or nobody did any more when we came: it had ended by then. It may be removed behind that.
  const exit = parseExit(machine.files.readText(`${containerPath(engine, record.id)}/${EXIT_FILE}`))
  // Who starts it again holds the lock until it has.
  if (record.restart.when === 'no') awaitMending(engine, record.id)
  return exit?.status ?? UNSEEN_STATUS
}

/** Whether who listens belongs to that run: the time of a new one is written before it listens. */
const isOfRun = ({ machine: { files }, ...engine }: Engine, { id }: ContainerRecord, started?: string): boolean =>
  started === undefined || files.readText(`${containerPath(engine, id)}/${STARTED_FILE}`)?.trim() === started
