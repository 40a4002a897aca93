/** One command that runs through a channel, to its end: the same for a container of its own and for a box. */

import type { OperationError } from '../base/errors.ts'
import type { PlanOptions } from '../executor/persistent-node.ts'
import type { Report } from '../executor/report.ts'
import type { Frame } from '../executor/template.ts'
import { CLD_EXITED, SI_CODE, SI_STATUS } from '../linux/process.ts'
import { signalName } from '../linux/signals.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { ENDED, FILE_SYSTEM, isAccount, STARTED, USAGE, WATCHED } from '../plan/supervised.ts'
import {
  type Accounts,
  type Counts,
  countsOf,
  msBetween,
  parseRusage,
  peaksOf,
  timesOf,
  type Usage,
  usageOf,
} from './account.ts'
import type { BoxState } from './box-state.ts'
import type { Channel } from './channel-node.ts'
import type { Denial } from './denial.ts'
import { type Feature, type Shortfall, unenforced } from './features.ts'
import type { ExactLimits } from './limits.ts'
import type { Machine } from './machine-node.ts'
import { type OutOfMemory, outOfMemoryOf } from './out-of-memory-node.ts'
import { keepOutputs } from './output.ts'
import { type Ended, type Verdict, verdictOf } from './verdict.ts'

/** How a command ended. */
export interface Result {
  readonly verdict: Verdict
  /** Undefined for a command that a signal ended. */
  readonly exitCode: number | undefined
  readonly signal: string | undefined
  /** As UTF-8; the bytes themselves are in `stdoutBytes`. */
  readonly stdout: string
  readonly stderr: string
  readonly stdoutBytes: Uint8Array
  readonly stderrBytes: Uint8Array
  readonly usage: Usage
  /** With the verdict `memory`. */
  readonly outOfMemory: OutOfMemory | undefined
  /** With `denials: true` or a list of hosts, the first thousand things that `run` was denied. Those of a command in a box are events of the box. */
  readonly denials: readonly Denial[]
  /** How many there were beside those in `denials`. */
  readonly denialsLost: number
  /** What held while it ran. */
  readonly enforced: readonly Feature[]
  /** What did not, though it was asked for or is so by default. */
  readonly shortfalls: readonly Shortfall[]
}

export interface Command {
  readonly machine: Machine
  readonly channel: Channel
  readonly frame: Frame
  readonly advise?: PlanOptions['advise'] | undefined
  readonly limits: ExactLimits
  readonly enforced: readonly Feature[]
  readonly cgroupName: string
  /** What the files of the box's cgroup say from now on; a command without a box brings those of its own back in its report. */
  readonly look?: BoxState['look'] | undefined
  /** Whether what it may write to is full. Asked of a command that did not end well. */
  readonly isDiskFull: (report: Report) => Promise<boolean>
  readonly signal: AbortSignal | undefined
  /** Called when the program runs, or in a box is about to; answers what is to be called when it has ended. */
  readonly onStart: (end: (reason: Ended) => void) => () => void
}

/** A command that runs for longer than this is read while it writes: it would soon have to wait. Milliseconds. */
const SOON_MS = 5

export async function runCommand(command: Command): Promise<Result> {
  const { machine, channel, limits, signal } = command
  let ended: Ended
  const end = (reason: Ended): void => {
    ended ??= reason
    channel.kill()
  }
  const abort = (): void => end('aborted')
  const [out, err] = keepOutputs({ maxBytes: limits.outputBytes, onExceeded: () => end('output') })
  const outputs = channel.collect(out.take, err.take)
  let stop: () => void = () => undefined
  let patience: NodeJS.Timeout | undefined
  signal?.addEventListener('abort', abort, { once: true })
  // While its channel was made.
  if (signal?.aborted === true) abort()
  const onProgress = (): void => {
    stop = command.onStart(end)
    patience = setTimeout(outputs.begin, SOON_MS)
  }
  try {
    const advise = command.advise === undefined ? {} : { advise: command.advise }
    const running = machine.executor.runFrame(command.frame, { onProgress, ...advise })
    // Meanwhile the executor is at work. It does not tell of the start of a command in a box, which would wake this program.
    const before = command.look === undefined ? undefined : countsOf(command.look())
    if (before !== undefined) onProgress()
    const report = await running
    await outputs.end()
    const isDiskFull = exitOf(report).exitCode !== 0 && (await command.isDiskFull(report))
    return resultOf(command, { report, ended, before, isDiskFull, stdout: out.bytes(), stderr: err.bytes() })
  } catch (error) {
    await outputs.end()
    // The caller changed its mind before the container was made.
    if ((error as OperationError).code === 'ECANCELED') signal?.throwIfAborted()
    throw error
  } finally {
    stop()
    clearTimeout(patience)
    signal?.removeEventListener('abort', abort)
  }
}

interface Seen {
  readonly report: Report
  readonly ended: Ended
  readonly isDiskFull: boolean
  /** What was counted for the box before; undefined for a command without one. */
  readonly before: Counts | undefined
  readonly stdout: Uint8Array
  readonly stderr: Uint8Array
}

function resultOf(command: Command, { report, ended, before, isDiskFull, stdout, stderr }: Seen): Result {
  const { limits } = command
  const { exitCode, signal } = exitOf(report)
  const usage = usedBy(command, report, before)
  const isTimeOver = report.slot(WATCHED) === 0
  const verdict = verdictOf({ exitCode, signal, ended, isTimeOver, isDiskFull, usage, limits })
  return {
    verdict,
    exitCode,
    signal: signal === undefined ? undefined : signalName(signal),
    stdout: decode(stdout),
    stderr: decode(stderr),
    stdoutBytes: stdout,
    stderrBytes: stderr,
    usage,
    outOfMemory: verdict === 'memory' ? outOfMemoryOf({ cgroup: command.cgroupName, usage, limits }) : undefined,
    denials: [],
    denialsLost: 0,
    enforced: command.enforced,
    shortfalls: unenforced(limits, command.enforced),
  }
}

function usedBy({ frame, look }: Command, report: Report, before: Counts | undefined): Usage {
  const rusage = parseRusage(report.bytes(USAGE))
  const wallMs = msBetween(report.bytes(STARTED), report.bytes(ENDED))
  if (before !== undefined && look !== undefined) return { ...timesOf({ rusage, wallMs }), ...since(before, look()) }
  const accounts = frame.reads.filter(isAccount)
  const texts = new Map(accounts.map((account) => [fileName(account.buffer), textOf(report.bytes(account))]))
  return usageOf({ text: (name) => texts.get(name) ?? '', rusage, wallMs })
}

/** Of a command in a box: what the whole box did meanwhile, and its peaks until now. */
function since(before: Counts, text: Accounts['text']): Omit<Usage, keyof ReturnType<typeof timesOf>> {
  const more = (from: number | undefined, to: number | undefined): number | undefined =>
    from === undefined || to === undefined ? undefined : Math.max(0, to - from)
  const now = countsOf(text)
  return {
    ...peaksOf(text),
    readBytes: more(before.readBytes, now.readBytes),
    writtenBytes: more(before.writtenBytes, now.writtenBytes),
    throttledMs: more(before.throttledMs, now.throttledMs),
    outOfMemoryKills: more(before.outOfMemoryKills, now.outOfMemoryKills) ?? 0,
    pidsRefused: more(before.pidsRefused, now.pidsRefused) ?? 0,
  }
}

const fileName = (path: string): string => path.slice(path.lastIndexOf('/') + 1)

export function exitOf(report: Report): { readonly exitCode: number | undefined; readonly signal: number | undefined } {
  const info = report.bytes(INIT_EXIT)
  const view = new DataView(info.buffer, info.byteOffset)
  const status = view.getInt32(SI_STATUS, true)
  return view.getInt32(SI_CODE, true) === CLD_EXITED
    ? { exitCode: status, signal: undefined }
    : { exitCode: undefined, signal: status }
}

/** A buffer that was not written to its end has zeros there. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return decode(end < 0 ? bytes : bytes.subarray(0, end))
}

/** By struct statfs in FILE_SYSTEM: f_bfree. */
export function isFull(report: Report): boolean {
  const bytes = report.bytes(FILE_SYSTEM)
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(24, true) === 0n
}

const decode = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8')
