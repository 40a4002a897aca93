/**
 * What a caller in the foreground does while its plan runs: it passes signals on to the container and, with a terminal, relays bytes
 * between the caller's terminal and the container's.
 */

import type { Native } from '../base/native.ts'
import { attempt } from '../executor/embedded-call.ts'
import { blockSignals, openSignalFd, POLLIN, poll, readSignal, type Watched } from '../executor/embedded-events.ts'
import { close } from '../executor/embedded-files.ts'
import { receiveDescriptors } from '../executor/embedded-sockets.ts'
import {
  newlineSettings,
  rawSettings,
  setTerminal,
  setTerminalSize,
  terminalSettings,
  terminalSize,
  transparentSettings,
} from '../executor/embedded-terminal.ts'
import type { Report } from '../executor/report.ts'
import type { Running } from '../executor/run-embedded.ts'
import { signalMask } from '../linux/process.ts'
import { endsProcesses } from '../linux/signals.ts'
import type { ExecStreams } from './exec-streams.ts'

const SIGKILL = 9
const SIGPIPE = 13
const SIGCHLD = 17
const SIGSTOP = 19
const SIGWINCH = 28
const STDIN = 0
const STDOUT = 1
const RELAY_BYTES = 65536

/** Signals wait in the descriptor that is answered, from now on. signalfd(2) */
export function holdSignals(native: Native): number {
  blockSignals(native, PASSED_ON)
  return openSignalFd(native, PASSED_ON)
}

const PASSED_ON = signalMask(
  Array.from({ length: 64 }, (_, index) => index + 1).filter(
    (signal) => signal !== SIGKILL && signal !== SIGSTOP && signal !== SIGCHLD,
  ),
)

export interface Attendance {
  /** From holdSignals. */
  readonly signals: number
  /** The socket over which the master of the terminal comes. */
  readonly console?: number | undefined
  /** The pid to which signals go, from the first progress report. */
  readonly pid: (progress: Report) => number
  /** Pass what the caller types on to the terminal; true if undefined. */
  readonly hasInput?: boolean | undefined
  /** What stands between the process and files of the caller. What comes through it is waited for, unless a signal comes. */
  readonly streams?: ExecStreams | undefined
  /** What the container's terminal makes of a new line is passed on as it is; the caller's terminal makes it if undefined. */
  readonly keepsReturns?: boolean | undefined
}

/** Stays until the plan has ended; answers its last report, or throws its error. The caller's terminal is as before in both cases. */
export function attend(native: Native, running: Running, attendance: Attendance): Report {
  const relay: Relay = {
    native,
    pid: 0,
    pending: [],
    master: undefined,
    readsInput: attendance.hasInput ?? true,
    restore: () => undefined,
  }
  const { streams } = attendance
  try {
    for (;;) {
      const happened = waitFor(native, [...watched(running, attendance, relay), ...(streams?.watched() ?? [])])
      passSignals(relay, attendance.signals)
      streams?.turn(happened)
      tendTerminal(relay, attendance, happened)
      if (!happened.includes(running.reportFd)) continue
      const report = running.next()
      if (report.kind !== 'progress') {
        if (streams !== undefined) awaitStreams(relay, streams, attendance.signals)
        return report
      }
      relay.pid = attendance.pid(report)
      deliver(relay)
    }
  } finally {
    drain(relay)
    relay.restore()
  }
}

/** As docker does: whom the process leaves behind may print still. A signal is for ourselves now, as its pid is of nobody. */
function awaitStreams(relay: Relay, streams: ExecStreams, signals: number): void {
  relay.pid = 0
  streams.ended()
  while (!streams.isOver && !relay.pending.some(endsProcesses)) {
    streams.turn(waitFor(relay.native, [{ fd: signals, events: POLLIN }, ...streams.watched()]))
    passSignals(relay, signals)
  }
}

interface Relay {
  readonly native: Native
  pid: number
  readonly pending: number[]
  /** The container's terminal; null once it has none any more. */
  master: number | null | undefined
  readsInput: boolean
  restore: () => void
}

function watched(
  { reportFd }: Running,
  { signals, console }: Attendance,
  { master, readsInput }: Relay,
): readonly Watched[] {
  const fds = [reportFd, signals]
  if (typeof master === 'number') fds.push(master, ...(readsInput ? [STDIN] : []))
  else if (master === undefined && console !== undefined) fds.push(console)
  return fds.map((fd) => ({ fd, events: POLLIN }))
}

/** Answers those on which something happened. */
function waitFor(native: Native, watched: readonly Watched[]): readonly number[] {
  const events = poll(native, watched)
  return watched.filter((_, index) => (events?.[index] ?? 0) !== 0).map(({ fd }) => fd)
}

function passSignals(relay: Relay, signals: number): void {
  for (
    let signal = readSignal(relay.native, signals);
    signal !== undefined;
    signal = readSignal(relay.native, signals)
  ) {
    if (signal === SIGWINCH && typeof relay.master === 'number') copySize(relay.native, relay.master)
    // It is of what we write ourselves.
    else if (signal !== SIGPIPE) relay.pending.push(signal)
  }
  deliver(relay)
}

/** Signals that came before the program ran are for it as well. A container that ends at this moment is no error. */
function deliver({ native, pid, pending }: Relay): void {
  if (pid > 0) for (const signal of pending.splice(0)) attempt(native, 'kill', pid, signal)
}

function tendTerminal(relay: Relay, { console, keepsReturns = false }: Attendance, happened: readonly number[]): void {
  const { master } = relay
  if (typeof master === 'number') relayBytes(relay, master, happened)
  else if (master === undefined && console !== undefined && happened.includes(console))
    beginTerminal(relay, console, keepsReturns)
}

/** The program begins when the socket is closed: plan/terminal.ts, awaitCaller. */
function beginTerminal(relay: Relay, socket: number, keepsReturns: boolean): void {
  const { native } = relay
  const [master] = receiveDescriptors(native, socket, new Uint8Array(64))?.fds ?? []
  relay.master = master ?? null
  if (master !== undefined) makeLikeOurs(relay, master, keepsReturns)
  close(native, socket)
}

function makeLikeOurs(relay: Relay, master: number, keepsReturns: boolean): void {
  const { native } = relay
  copySize(native, master)
  const theirs = keepsReturns ? undefined : terminalSettings(native, master)
  if (theirs !== undefined) setTerminal(native, master, newlineSettings(theirs))
  const before = terminalSettings(native, STDIN)
  if (before === undefined) return
  // Every key goes to the container untouched, Ctrl-C as well.
  setTerminal(native, STDIN, keepsReturns ? transparentSettings(before) : rawSettings(before))
  relay.restore = () => setTerminal(native, STDIN, before)
}

function copySize(native: Native, master: number): void {
  const size = terminalSize(native, STDIN)
  if (size !== undefined) setTerminalSize(native, master, size)
}

const END_OF_TRANSMISSION = Uint8Array.of(4)

function relayBytes(relay: Relay, master: number, happened: readonly number[]): void {
  if (relay.readsInput && happened.includes(STDIN) && !copy(relay.native, STDIN, master)) {
    relay.readsInput = false
    // The end of a file or pipe is the end of input for the program too, as a person would type it.
    attempt(relay.native, 'write', master, END_OF_TRANSMISSION, 1)
  }
  if (happened.includes(master) && !copy(relay.native, master, STDOUT)) relay.master = null
}

/** What the container wrote last is still in the terminal when init has ended. */
function drain({ native, master }: Relay): void {
  if (typeof master !== 'number') return
  while ((poll(native, [{ fd: master, events: POLLIN }], 0)?.[0] ?? 0) !== 0 && copy(native, master, STDOUT));
}

/** Copies what is there now; false at the end of input, and for a terminal that nobody has open any more (EIO). */
function copy(native: Native, from: number, to: number): boolean {
  const bytes = new Uint8Array(RELAY_BYTES)
  const got = attempt(native, 'read', from, bytes, bytes.length)
  if (got <= 0) return false
  let rest = bytes.subarray(0, got)
  while (rest.length > 0) {
    const written = attempt(native, 'write', to, rest, rest.length)
    if (written <= 0) return false
    rest = rest.subarray(written)
  }
  return true
}
