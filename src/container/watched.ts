/** A container with a monitor beside it: native/monitor.c keeps what it prints, serves who attaches, and cleans up behind it. */

import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { close, memoryFile, open, pipe } from '../executor/embedded-files.ts'
import { listenUnix, socketPair } from '../executor/embedded-sockets.ts'
import { O_APPEND, O_CREAT, O_DIRECTORY, O_RDONLY, O_RDWR, O_WRONLY } from '../linux/files.ts'
import type { Watch } from '../plan/monitor.ts'
import type { CreateRequest } from './create.ts'
import type { Machine } from './machine.ts'
import { prepareContainer, started } from './prepare.ts'

export interface WatchRequest {
  /** Where the end and the log are written; absolute. */
  readonly directory: string
  /** Descriptors of locks, which the executor has as well until it becomes the monitor. */
  readonly held: readonly number[]
  /** Where the monitor listens. */
  readonly attachPath: string
  readonly terminal: boolean
  /** Without it the program reads an end of file at once. */
  readonly hasInput: boolean
  readonly log: { readonly limitBytes: number; readonly files: number } | undefined
  /** As in plan/monitor.ts. */
  readonly check: Watch['check']
  /** The program that cleans up behind the container with this id. */
  readonly cleaner: (id: string) => readonly string[]
}

/** Called when all is ready and nothing runs yet, so that a caller who attaches misses nothing. */
export type BeforeStart = () => void

export const LOG_FILE = 'log'

/** Answers once the program runs; from then on the monitor has it. */
export function runWatched(machine: Machine, request: CreateRequest, watched: WatchRequest, before: BeforeStart): void {
  const { native } = machine
  const opened: number[] = []
  const keep = (fd: number): number => {
    opened.push(fd)
    return fd
  }
  try {
    const streams = watched.terminal ? terminalStreams(native, keep) : pipeStreams(native, watched.hasInput, keep)
    const watch: Watch = {
      ...streams.monitor,
      image: keep(memoryFile(native, 'coffer-monitor', new Uint8Array(native.monitorImage()))),
      directory: keep(open(native, watched.directory, O_RDONLY | O_DIRECTORY[native.architecture])),
      attach: keep(listenUnix(native, watched.attachPath)),
      log: watched.log === undefined ? undefined : keep(openLog(native, watched.directory)),
      logLimitBytes: watched.log?.limitBytes ?? 0,
      logFiles: watched.log?.files ?? 1,
      check: watched.check,
      cleaner: watched.cleaner,
    }
    const manner = { ending: 'watch' as const, keep: false, stdio: streams.stdio, console: streams.console, watch }
    const prepared = prepareContainer(machine, request, manner)
    before()
    const extraFds = [...(prepared.options.extraFds ?? []), ...watched.held]
    const running = started(machine, { ...prepared, options: { ...prepared.options, extraFds } })
    for (const fd of opened.splice(0)) close(native, fd)
    running.next()
    running.becomes()
  } finally {
    for (const fd of opened) close(native, fd)
  }
}

const openLog = (native: Native, directory: string): number =>
  open(native, `${directory}/${LOG_FILE}`, O_WRONLY | O_CREAT | O_APPEND, 0o600)

interface Streams {
  readonly stdio: readonly [number, number, number]
  /** Where the container sends the master of its terminal. */
  readonly console?: number
  readonly monitor: Pick<Watch, 'stdin' | 'stdout' | 'stderr' | 'console'>
}

/** Who prints much goes on while the monitor writes it to the log. A pipe that may not be so large stays as it is. */
const OUTPUT_PIPE_BYTES = 1 << 18
const F_SETPIPE_SZ = 1031

type Keep = (fd: number) => number

function pipeStreams(native: Native, hasInput: boolean, keep: Keep): Streams {
  const [stdout, stderr] = [pipe(native), pipe(native)]
  attempt(native, 'fcntl', stdout.writeEnd, F_SETPIPE_SZ, OUTPUT_PIPE_BYTES)
  const stdin = hasInput ? pipe(native) : undefined
  const nothing = (): number => keep(open(native, '/dev/null', O_RDONLY))
  return {
    stdio: [stdin === undefined ? nothing() : keep(stdin.readEnd), keep(stdout.writeEnd), keep(stderr.writeEnd)],
    monitor: {
      stdin: stdin === undefined ? undefined : keep(stdin.writeEnd),
      stdout: keep(stdout.readEnd),
      stderr: keep(stderr.readEnd),
    },
  }
}

/** The container's own terminal takes the place of its descriptors. */
function terminalStreams(native: Native, keep: Keep): Streams {
  const [ours, theirs] = socketPair(native)
  const nothing = keep(open(native, '/dev/null', O_RDWR))
  return { stdio: [nothing, nothing, nothing], console: keep(theirs), monitor: { console: keep(ours) } }
}
