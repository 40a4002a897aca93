/** A process for a container that lives, of which only its end and the beginning of what it prints matter: a health check. */

import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close, open, pipe } from '../executor/embedded-files.ts'
import { exitOf, exitStatus } from '../executor/embedded-process.ts'
import type { Report } from '../executor/report.ts'
import { type Running, startPlan } from '../executor/run-embedded.ts'
import { O_NONBLOCK, O_RDONLY } from '../linux/files.ts'
import { parseConfig } from '../oci/config.ts'
import type { Process } from '../oci/process.ts'
import { planExec } from '../plan/exec.ts'
import { INIT_EXIT } from '../plan/stage.ts'
import { WATCHED } from '../plan/supervised.ts'
import { placeIn } from './exec.ts'
import { homeOf } from './home.ts'
import { hostFor } from './host.ts'
import { openInit } from './kill.ts'
import type { Machine } from './machine.ts'
import { findContainer, liveContainer } from './store.ts'

export interface CheckRequest {
  readonly id: string
  /** The process to run, given the one that the container was made for. */
  readonly process: (base: Process) => Process
  readonly timeoutMs: number
  /** How much of what it prints is kept; the rest is read and forgotten. */
  readonly outputBytes: number
}

export interface Checked {
  /** As a shell has it; undefined if it was killed when its time was over. */
  readonly status: number | undefined
  readonly output: Uint8Array
  /** It printed more than is kept. */
  readonly isCut: boolean
}

/** Descriptors of the executor, behind those that each has. */
const INIT_PIDFD = 5
const CONTROL = 6
const F_SETFL = 4

/** It ends with its time, and when the caller is killed: plan/supervised.ts. Throws what exec throws. */
export function checkContainer(machine: Machine, { id, process: choose, ...limits }: CheckRequest): Checked {
  const { native, files } = machine
  const container = liveContainer(findContainer(files, machine.root, id), `check ${id}`)
  const config = parseConfig(container.record.config, `${container.directory}/state.json`)
  const process = choose(config.process)
  const opened: number[] = []
  const keep = (fd: number): number => {
    opened.push(fd)
    return fd
  }
  const done = (fd: number): void => {
    opened.splice(opened.indexOf(fd), 1)
    close(native, fd)
  }
  try {
    const [control, output] = [pipe(native), pipe(native)]
    for (const { readEnd, writeEnd } of [control, output]) opened.push(readEnd, writeEnd)
    // Of our end alone: the process would meet EAGAIN.
    must(native, 'read what there is', 'fcntl', output.readEnd, F_SETFL, O_NONBLOCK)
    const initPidfd = keep(openInit(machine, container))
    const plan = planExec(
      {
        ...placeIn(machine, container, config),
        process,
        initPidfd: INIT_PIDFD,
        wait: true,
        supervised: { control: `/proc/self/fd/${CONTROL}`, deadlineMs: limits.timeoutMs, accounts: [] },
        listenFds: 0,
        preserveFds: 0,
        home: homeOf(files, `/proc/${container.init.pid}/root`, process),
      },
      hostFor(machine, process),
    )
    const running = startPlan(native, plan, {
      stdio: [keep(open(native, '/dev/null', O_RDONLY)), output.writeEnd, output.writeEnd],
      extraFds: [initPidfd, control.readEnd],
    })
    done(output.writeEnd)
    const kept = new Kept(limits.outputBytes)
    const report = attend(machine, running, output.readEnd, kept)
    const status =
      report.slot(WATCHED) === 0 ? undefined : exitStatus(exitOf(new Int32Array(report.bytes(INIT_EXIT).buffer)))
    return { status, output: kept.bytes, isCut: kept.isCut }
  } finally {
    for (const fd of opened) close(native, fd)
  }
}

/** Reads what it prints until it has ended; whom it leaves behind with the pipe is not waited for. */
function attend({ native }: Machine, running: Running, output: number, kept: Kept): Report {
  const chunk = new Uint8Array(16_384)
  const take = (): boolean => {
    const got = attempt(native, 'read', output, chunk, chunk.length)
    if (got > 0) kept.add(chunk.subarray(0, got))
    return got > 0
  }
  let hasOutput = true
  for (;;) {
    const fds = [running.reportFd, ...(hasOutput ? [output] : [])].map((fd) => ({ fd, events: POLLIN }))
    const [reported = 0, printed = 0] = poll(native, fds) ?? []
    if (printed !== 0) hasOutput = take()
    if (reported === 0) continue
    const report = running.next()
    if (report.kind === 'progress') continue
    for (let rest = 0; rest < MAX_REST && take(); rest++);
    return report
  }
}

/** A pipe holds 64 KiB; what comes later is of others. */
const MAX_REST = 4

class Kept {
  readonly #bytes: Uint8Array
  #length = 0
  #isCut = false

  constructor(sizeBytes: number) {
    this.#bytes = new Uint8Array(sizeBytes)
  }

  get bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }

  get isCut(): boolean {
    return this.#isCut
  }

  add(bytes: Uint8Array): void {
    const fits = bytes.subarray(0, this.#bytes.length - this.#length)
    this.#bytes.set(fits, this.#length)
    this.#length += fits.length
    this.#isCut ||= fits.length < bytes.length
  }
}
