/** A command in a box, whose input and output are streams. One that is not read lets the command wait. */

import type { Readable, Writable } from 'node:stream'
import type { Report } from '../executor/report.ts'
import { slot } from '../linux/call.ts'
import { pidfdOpen, pidfdSendSignal } from '../linux/process.ts'
import { parseSignal, signalName } from '../linux/signals.ts'
import { INIT_PID } from '../plan/slots.ts'
import type { BoxState } from './box-state.ts'
import { exitOf } from './command-node.ts'
import { type PlaceOptions, planIn } from './exec-node.ts'
import { checkCommand, invalid } from './options.ts'

export interface SpawnOptions extends PlaceOptions {
  /** Ends the command. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the command is ended; none by default. */
  readonly wallClockMs?: number | undefined
}

export interface Exit {
  /** Undefined for a command that a signal ended. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
}

export interface BoxProcess {
  readonly stdin: Writable
  readonly stdout: Readable
  readonly stderr: Readable
  /** Resolves when the command has ended, whether its output was read or not. */
  readonly exited: Promise<Exit>
  /** By name, `SIGTERM`. A command that has ended gets none. */
  readonly kill: (signal?: string) => Promise<void>
}

/** Resolves when the command runs; rejects with `OperationError` if it cannot. */
export function spawnIn(box: BoxState, command: readonly string[], options: SpawnOptions): Promise<BoxProcess> {
  return new Promise((resolve, reject) => {
    // The pid of the box is in use until the command has ended.
    box
      .during(`run ${command[0] ?? ''} in ${box.id}`, () => spawnThrough(box, command, { options, resolve }))
      .catch(reject)
  })
}

interface Spawning {
  readonly options: SpawnOptions
  readonly resolve: (process: BoxProcess) => void
}

async function spawnThrough(box: BoxState, command: readonly string[], { options, resolve }: Spawning): Promise<void> {
  checkCommand(command)
  options.signal?.throwIfAborted()
  const channel = await box.machine.channels.take()
  const letGo = channel.holdRelease()
  const input = channel.openInput()
  const listening = channel.listen()
  const signals = new Set<Promise<unknown>>()
  const exit = Promise.withResolvers<Exit>()
  let pid: number | undefined
  let stdout: Readable | undefined
  let stderr: Readable | undefined
  const abort = (): void => channel.kill()
  options.signal?.addEventListener('abort', abort, { once: true })

  const kill = async (name = 'SIGKILL'): Promise<void> => {
    const number = parseSignal(name)
    if (number === undefined) throw invalid(`signal is ${JSON.stringify(name)}`, 'use a name like SIGTERM')
    if (pid === undefined) return
    const sent = box.machine.executor.run(planSignal(pid, number))
    signals.add(sent)
    await sent.finally(() => signals.delete(sent))
  }

  const onProgress = (report: Report): void => {
    if (pid === undefined && stdout === undefined) {
      pid = report.slot(INIT_PID)
      stdout = listening.stdout.stream()
      stderr = listening.stderr.stream()
      resolve({ stdin: input.start(), stdout, stderr, exited: exit.promise, kill })
      return
    }
    // It has ended, and its pid stays while signals are on their way.
    pid = undefined
    listening.end()
    void Promise.allSettled(signals).then(letGo)
  }

  const { paths } = channel
  const watch = { control: paths.control, release: paths.release, deadlineMs: options.wallClockMs, accounts: [] }
  try {
    const plan = planIn(box, command, { options, stdio: paths, watch })
    const { exitCode, signal } = exitOf(await box.machine.executor.run(plan, { onProgress }))
    exit.resolve({ exitCode, signal: signal === undefined ? undefined : signalName(signal) })
  } catch (error) {
    if (stdout === undefined) {
      input.abandon()
      listening.end()
      letGo()
      await Promise.all([listening.stdout.each(ignore), listening.stderr.each(ignore)])
    }
    exit.resolve({ exitCode: undefined, signal: 'SIGKILL' })
    throw error
  } finally {
    options.signal?.removeEventListener('abort', abort)
    // The fifos are free when what was written has been read, which nobody waits for: it may never be.
    void Promise.all([ended(stdout), ended(stderr)]).then(channel.release)
  }
}

const ignore = (): void => undefined

const ended = (stream: Readable | undefined): Promise<void> =>
  new Promise((resolve) => {
    if (stream === undefined || stream.closed || stream.destroyed) resolve()
    else stream.once('close', () => resolve())
  })

const PIDFD = slot('pidfd')

const planSignal = (pid: number, number: number) => ({
  operation: `send ${signalName(number)} to process ${pid}`,
  steps: [
    { call: pidfdOpen(pid), why: 'hold on to the process', see: ['pidfd_open(2)'], into: PIDFD },
    {
      call: pidfdSendSignal(PIDFD, number),
      why: `send ${signalName(number)} to process ${pid}`,
      see: ['pidfd_send_signal(2)'],
      tolerate: ['ESRCH'] as const,
    },
  ],
})
