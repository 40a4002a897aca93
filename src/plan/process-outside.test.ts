import { expect, test } from 'bun:test'
import { slot } from '../linux/call.ts'
import { callText } from '../linux/signatures-show.ts'
import type { Process } from '../oci/process.ts'
import { planInherited, planOutside, planOwnLimits } from './process-outside.ts'
import { planInitialAffinity } from './scheduling.ts'

const process: Process = {
  terminal: false,
  user: { uid: 0, gid: 0, additionalGids: [] },
  args: ['/bin/sh'],
  env: [],
  cwd: '/',
  rlimits: [],
  noNewPrivileges: false,
}
const pid = slot('pid')
const host = { isRootless: false, canRaiseLimits: true }
const calls = (wishes: Partial<Process>, own: Partial<typeof host> = {}): readonly string[] =>
  planOutside({ process: { ...process, ...wishes }, pid, isInit: true }, { ...host, ...own }).map(({ call }) =>
    callText(call),
  )

test('a process without wishes is only freed of the processors that the caller was bound to', () => {
  const [step, ...more] = planOutside({ process, pid, isInit: true }, host)
  expect(more).toEqual([])
  const mask = step?.call.args[2]
  expect(mask).toEqual(new Uint8Array(1024).fill(0xff))
})

test('limits come last, each with every digit', () => {
  const rlimits = [
    { type: 'RLIMIT_NOFILE', soft: 1024, hard: 1048576 },
    { type: 'RLIMIT_RTTIME', soft: 18446744073709551614n, hard: 18446744073709551615n },
  ] as const
  const scheduler = { policy: 'SCHED_BATCH', nice: -5, flags: ['SCHED_FLAG_RESET_ON_FORK'] } as const
  const [, , ...limits] = planOutside({ process: { ...process, rlimits, scheduler }, pid, isInit: true }, host)
  expect(limits.map(({ call }) => call.args[1])).toEqual([7, 15])
  expect(limits[1]?.call.args[2]).toEqual(new Uint8Array([0xfe, ...Array(15).fill(0xff)]))
  expect(limits[1]?.why).toBe('limit RLIMIT_RTTIME to 18446744073709551614, and to infinity if it asks for more')
})

test('struct sched_attr holds each field where the kernel looks for it', () => {
  const scheduler = {
    policy: 'SCHED_DEADLINE',
    nice: 0,
    flags: ['SCHED_FLAG_RECLAIM', 'SCHED_FLAG_DL_OVERRUN'],
    runtime: 10_000_000,
    deadline: 9007199254740993n,
    period: 0,
  } as const
  const [, step] = planOutside({ process: { ...process, scheduler }, pid, isInit: true }, host)
  const bytes = step?.call.args[1]
  if (!(bytes instanceof Uint8Array)) throw new TypeError('no structure')
  const view = new DataView(bytes.buffer)
  expect([0, 4, 8, 12, 16, 20].map((offset) => view.getUint32(offset, true))).toEqual([56, 6, 6, 0, 0, 0])
  expect([24, 32, 40].map((offset) => view.getBigUint64(offset, true))).toEqual([10_000_000n, 9007199254740993n, 0n])
})

test('a negative nice value and a priority are passed on', () => {
  const attributesOf = (scheduler: Process['scheduler']): DataView => {
    const [, step] = planOutside({ process: { ...process, scheduler }, pid, isInit: true }, host)
    const bytes = step?.call.args[1]
    if (!(bytes instanceof Uint8Array)) throw new TypeError('no structure')
    return new DataView(bytes.buffer)
  }
  expect(attributesOf({ policy: 'SCHED_OTHER', nice: -20, flags: [] }).getInt32(16, true)).toBe(-20)
  expect(attributesOf({ policy: 'SCHED_RR', nice: 0, flags: [], priority: 99 }).getUint32(20, true)).toBe(99)
})

test('the I/O priority is a class and a level', () => {
  const ioPriority = { class: 'IOPRIO_CLASS_BE', priority: 6 } as const
  const [, step] = planOutside({ process: { ...process, ioPriority }, pid, isInit: true }, host)
  expect(step?.call.args).toEqual([1, pid, (2 << 13) | 6])
})

test('oom_score_adj is written through the procfs of the host, by the pid', () => {
  expect(calls({ oomScoreAdj: -999 }).slice(0, 3)).toEqual([
    'openat2(host-proc, "<pid>/oom_score_adj", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS)',
    'write(oom-score-adj, "-999")',
    'close(oom-score-adj)',
  ])
  expect(calls({ oomScoreAdj: 5 }, { isRootless: true })).toHaveLength(1)
})

test('an executor without privilege lets the score be inherited, and is dumpable no longer than for that', () => {
  const steps = planInherited({ ...process, oomScoreAdj: 5 }, { isRootless: true })
  expect(steps.map(({ call }) => callText(call))).toEqual([
    'prctl(PR_SET_DUMPABLE, 1)',
    'openat2(host-proc, "self/oom_score_adj", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_MAGICLINKS)',
    'write(oom-score-adj, "5")',
    'close(oom-score-adj)',
    'prctl(PR_SET_DUMPABLE, 0)',
  ])
  expect(planInherited({ ...process, oomScoreAdj: 5 }, host)).toEqual([])
  expect(planInherited(process, { isRootless: true })).toEqual([])
})

test('the process lowers its own limits where the executor may not set those of others', () => {
  const limited: Process = { ...process, rlimits: [{ type: 'RLIMIT_NOFILE', soft: 64, hard: 128 }] }
  const weak = { ...host, canRaiseLimits: false }
  expect(planOutside({ process: limited, pid, isInit: true }, weak)).toHaveLength(1)
  expect(planOwnLimits(limited, weak).map(({ call }) => call.args.slice(0, 2))).toEqual([[0, 7]])
  expect(planOwnLimits(limited, host)).toEqual([])
})

test('execCPUAffinity is for processes of exec, before and behind their cgroups', () => {
  const execCPUAffinity = {
    initial: [{ first: 0, last: 0 }],
    final: [
      { first: 1, last: 2 },
      { first: 64, last: 64 },
    ],
  }
  expect(calls({ execCPUAffinity })).toHaveLength(1)
  const [step] = planOutside({ process: { ...process, execCPUAffinity }, pid, isInit: false }, host)
  expect(step?.call.args).toEqual([pid, 16, new Uint8Array([6, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0])])
  expect(step?.why).toBe('run on processors 1-2,64')
  expect(planInitialAffinity({ execCPUAffinity }, 0)[0]?.call.args).toEqual([
    0,
    8,
    new Uint8Array([1, 0, 0, 0, 0, 0, 0, 0]),
  ])
})
