/** A command in a box, whose input and output are streams. One that is not read lets the command wait. */

import type { Readable, Writable } from 'node:stream'
import type { OperationError } from '../base/errors.ts'
import type { Report } from '../executor/report.ts'
import { slot } from '../linux/call.ts'
import { pidfdOpen, pidfdSendSignal } from '../linux/process.ts'
import { parseSignal, signalName } from '../linux/signals.ts'
import { INIT_PID } from '../plan/slots.ts'
import type { BoxState } from './box-state.ts'
import type { Channel } from './channel-node.ts'
import { exitOf } from './command-node.ts'
import { type Inside, PLACE_NAMES, type PlaceOptions, planIn } from './exec-node.ts'
import { readProgram } from './machine-node.ts'
import { checkCommand, checkNames, invalid, type Names } from './options.ts'
import { checkSize, listenAt, type TerminalSize, type TerminalStreams, terminalStreams } from './terminal-node.ts'

export interface SpawnOptions extends PlaceOptions {
  /** Ends the command. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until the command is ended; none by default. */
  readonly wallClockMs?: number | undefined
  /** The command gets a terminal of this size, and TERM=xterm unless `env` or that of the box has another one. */
  readonly pty?: TerminalSize | undefined
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

/** A command with a terminal. */
export interface TerminalProcess extends Pick<BoxProcess, 'exited' | 'kill'> {
  /** The keyboard: `'\x03'` is Ctrl-C, which interrupts what is in the foreground; to end it is Ctrl-D, the end of the file. */
  readonly stdin: Writable
  /** What the command, and the terminal as an echo, print. */
  readonly stdout: Readable
  /** In characters; the foreground hears of it by SIGWINCH. Throws `invalid`. */
  readonly resize: (columns: number, rows: number) => void
}

const NAMES: Names<SpawnOptions> = { ...PLACE_NAMES, signal: true, wallClockMs: true, pty: true }

/** Resolves when the command runs; rejects with `OperationError` if it cannot. */
export const spawnIn = (box: BoxState, command: readonly string[], options: SpawnOptions): Promise<BoxProcess> =>
  spawnBy(box, { command, options, wire: throughFifos, made: (parts) => parts })

/** The same with a terminal. */
export function spawnInTerminal(
  box: BoxState,
  command: readonly string[],
  options: SpawnOptions & { readonly pty: TerminalSize },
): Promise<TerminalProcess> {
  const made = ({ resize, ...parts }: TerminalStreams & Controls): TerminalProcess => ({
    ...parts,
    resize: (columns, rows) => {
      checkSize({ columns, rows })
      resize({ columns, rows })
    },
  })
  return spawnBy(box, { command, options, wire: (channel) => throughTerminal(channel, options.pty), made })
}

type Controls = Pick<BoxProcess, 'exited' | 'kill'>

/** How a command is heard and spoken to. */
interface Wiring<Streams> {
  /** For its plan. */
  readonly inside: Pick<Inside, 'stdio' | 'terminal'>
  /** The command runs. */
  readonly streams: () => Promise<Streams> | Streams
  /** It has ended: what it wrote is all. */
  readonly finish: () => void
  /** It never ran. */
  readonly abandon: () => Promise<unknown>
  /** Resolves when nobody has the files any more. */
  readonly unused: () => Promise<unknown>
}

type Wire<Streams> = (channel: Channel) => Wiring<Streams> | Promise<Wiring<Streams>>

interface Spawn<Streams, Process> {
  readonly command: readonly string[]
  readonly options: SpawnOptions
  readonly wire: Wire<Streams>
  readonly made: (parts: Streams & Controls) => Process
}

function spawnBy<Streams extends object, Process>(
  box: BoxState,
  { command, options, wire, made }: Spawn<Streams, Process>,
): Promise<Process> {
  return new Promise((resolve, reject) => {
    const start = (parts: Streams & Controls): void => resolve(made(parts))
    // The pid of the box is in use until the command has ended.
    box
      .during(`run ${command[0] ?? ''} in ${box.id}`, async () => {
        checkCommand(command)
        checkNames(options, NAMES)
        if (options.pty !== undefined) checkSize(options.pty)
        options.signal?.throwIfAborted()
        const channel = await box.machine.channels.take()
        const wiring = await wired(wire, channel)
        await spawnThrough(box, { command, options, channel, wiring, start })
      })
      .catch(reject)
  })
}

async function wired<Streams>(wire: Wire<Streams>, channel: Channel): Promise<Wiring<Streams>> {
  try {
    return await wire(channel)
  } catch (error) {
    channel.release()
    throw error
  }
}

interface Spawning<Streams> {
  readonly command: readonly string[]
  readonly options: SpawnOptions
  readonly channel: Channel
  readonly wiring: Wiring<Streams>
  readonly start: (parts: Streams & Controls) => void
}

async function spawnThrough<Streams extends object>(box: BoxState, spawning: Spawning<Streams>): Promise<void> {
  const { command, options, channel, wiring, start } = spawning
  const letGo = channel.holdRelease()
  const signals = new Set<Promise<unknown>>()
  const exit = Promise.withResolvers<Exit>()
  let pid: number | undefined
  let streams: Promise<Streams> | undefined
  const abort = (): void => channel.kill()
  options.signal?.addEventListener('abort', abort, { once: true })
  // While its channel was made.
  if (options.signal?.aborted === true) abort()

  const kill = async (name = 'SIGKILL'): Promise<void> => {
    const number = parseSignal(name)
    if (number === undefined) throw invalid(`signal is ${JSON.stringify(name)}`, 'use a name like SIGTERM')
    if (pid === undefined) return
    const sent = box.machine.executor.run(planSignal(pid, number))
    signals.add(sent)
    await sent.finally(() => signals.delete(sent))
  }

  const onProgress = (report: Report): void => {
    if (streams === undefined) {
      pid = report.slot(INIT_PID)
      streams = Promise.resolve(wiring.streams())
      void streams.then((opened) => start({ ...opened, exited: exit.promise, kill }))
      return
    }
    // It has ended, and its pid stays while signals are on their way.
    pid = undefined
    void streams.then(wiring.finish)
    void Promise.allSettled(signals).then(letGo)
  }

  const { control, release } = channel.paths
  const watch = { control, release, deadlineMs: options.wallClockMs, accounts: [] }
  try {
    const plan = planIn(box, command, { options, ...wiring.inside, watch })
    const { exitCode, signal } = exitOf(await box.machine.executor.run(plan, { onProgress }))
    exit.resolve({ exitCode, signal: signal === undefined ? undefined : signalName(signal) })
  } catch (error) {
    if (streams === undefined) {
      letGo()
      await wiring.abandon()
      // The caller changed its mind before the command ran.
      if ((error as OperationError).code === 'ECANCELED') options.signal?.throwIfAborted()
    }
    exit.resolve({ exitCode: undefined, signal: 'SIGKILL' })
    throw error
  } finally {
    options.signal?.removeEventListener('abort', abort)
    // The fifos are free when what was written has been read, which nobody waits for: it may never be.
    void wiring.unused().then(channel.release)
  }
}

function throughFifos(channel: Channel): Wiring<Pick<BoxProcess, 'stdin' | 'stdout' | 'stderr'>> {
  const input = channel.openInput()
  const listening = channel.listen()
  let outputs: readonly Readable[] = []
  return {
    inside: { stdio: channel.paths },
    streams: () => {
      const [stdout, stderr] = [listening.stdout.stream(), listening.stderr.stream()]
      outputs = [stdout, stderr]
      return { stdin: input.start(), stdout, stderr }
    },
    finish: listening.end,
    abandon: () => {
      input.abandon()
      listening.end()
      return Promise.all([listening.stdout.each(ignore), listening.stderr.each(ignore)])
    },
    unused: () => Promise.all(outputs.map(ended)),
  }
}

async function throughTerminal(channel: Channel, { columns, rows }: TerminalSize): Promise<Wiring<TerminalStreams>> {
  const { connection, close } = await listenAt(channel.terminal)
  let streams: TerminalStreams | undefined
  const relay = { monitor: readProgram('coffer-monitor'), socket: channel.terminal }
  return {
    inside: { terminal: { relay, size: { width: columns, height: rows } } },
    // The monitor connected before the command ran.
    streams: async () => {
      streams = terminalStreams(await connection)
      return streams
    },
    finish: () => streams?.finish(),
    abandon: async () => {
      close()
      // It may have come before the command could not run.
      void connection.then((socket) => socket.destroy())
    },
    unused: async () => undefined,
  }
}

const ignore = (): void => undefined

const ended = (stream: Readable): Promise<void> =>
  new Promise((resolve) => {
    if (stream.closed || stream.destroyed) resolve()
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
