/** Runs steps in the executor as it is shipped, for tests of planners against the kernel. */

import { spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { assemble } from '../src/executor/assemble.ts'
import { parseReport, type Report } from '../src/executor/report.ts'
import { buffer, type Slot, slot, strings } from '../src/linux/call.ts'
import { errnoName } from '../src/linux/errno.ts'
import { clone3 } from '../src/linux/namespaces.ts'
import { execve, P_PIDFD, SIGINFO_BYTES, setSignalMask, waitid } from '../src/linux/process.ts'
import type { Step } from '../src/plan/plan.ts'

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const executor = join(import.meta.dir, '..', 'dist', 'coffer-executor')

export interface StepsRun {
  readonly report: Report
  /** What the processes of the plan wrote. */
  readonly stdout: string
  /** The failed steps: `why: errno`. */
  readonly failures: readonly string[]
  /** How the child of `inChild` ended: `exit 0`, `signal 9`. */
  readonly ending: string
}

const INFO = buffer('child-info', SIGINFO_BYTES)

export function runSteps(steps: readonly Step[]): StepsRun {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-steps-'))
  try {
    const plan = { operation: 'test', steps, reads: steps.some(({ child }) => child !== undefined) ? [INFO] : [] }
    const assembled = assemble(plan, { architecture, encode: (text) => new TextEncoder().encode(text) })
    writeFileSync(join(directory, 'plan'), assembled.frame)
    const plans = openSync(join(directory, 'plan'), 'r')
    const reports = openSync(join(directory, 'report'), 'w')
    const { stdout } = spawnSync(executor, [], {
      stdio: ['ignore', 'pipe', 'inherit', plans, reports],
      timeout: 30_000,
    })
    closeSync(plans)
    closeSync(reports)
    const report = parseReport(new Uint8Array(readFileSync(join(directory, 'report'))), assembled)
    const failures = report.failures.map(({ step, errno }) => `${assembled.steps[step]?.why}: ${errnoName(errno)}`)
    return {
      report,
      stdout: stdout.toString(),
      failures,
      ending: endingOf(plan.reads.length > 0 ? report.bytes(INFO) : undefined),
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function endingOf(info: Uint8Array | undefined): string {
  if (info === undefined) return 'no child'
  const view = new DataView(info.buffer, info.byteOffset)
  return `${view.getInt32(8, true) === 1 ? 'exit' : 'signal'} ${view.getInt32(24, true)}`
}

/** Makes a child that runs a script of the shell behind `before`, and waits for it. */
export function inChild(before: readonly Step[], script: string, cgroup?: Slot): readonly Step[] {
  const pidfd = buffer('child-pidfd', 4)
  const path = strings(['PATH=/usr/bin:/bin'])
  return [
    {
      call: clone3({ flags: 0, pidfd, ...(cgroup === undefined ? {} : { cgroup }) }),
      why: 'make a child',
      see: [],
      keep: [{ slot: slot('child-pidfd'), in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [
        ...before,
        { call: setSignalMask(new Uint8Array(8)), why: 'hear signals', see: [] },
        { call: execve('/bin/sh', strings(['sh', '-c', script]), path), why: 'run a script', see: [] },
      ],
    },
    { call: waitid(P_PIDFD, slot('child-pidfd'), INFO), why: 'wait for it', see: [] },
  ]
}
