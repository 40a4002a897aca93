import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const scheduler = (value: object) => exampleConfig({ 'process.scheduler': value }).process.scheduler
const refused = (value: object) => refusalOf({ 'process.scheduler': value })

test('a policy has only its own parameters', () => {
  expect(scheduler({ policy: 'SCHED_OTHER', nice: -20, priority: 0 })).toEqual({
    policy: 'SCHED_OTHER',
    nice: -20,
    flags: [],
  })
  expect(scheduler({ policy: 'SCHED_RR', priority: 99 })).toEqual({
    policy: 'SCHED_RR',
    nice: 0,
    flags: [],
    priority: 99,
  })
  expect(refused({ policy: 'SCHED_BATCH', priority: 1 })).toStartWith(
    'process.scheduler.priority is 1, and SCHED_BATCH has none',
  )
  expect(refused({ policy: 'SCHED_FIFO', priority: 1, runtime: 5 })).toStartWith(
    'process.scheduler.runtime is 5, and SCHED_FIFO',
  )
  expect(refused({ policy: 'SCHED_FIFO' })).toStartWith('process.scheduler.priority is missing')
  expect(refused({ policy: 'SCHED_FIFO', priority: 100 })).toContain('which is more than 99')
  expect(refused({ policy: 'SCHED_OTHER', nice: 20 })).toContain('which is more than 19')
})

test('a deadline has a runtime within it, and a period not shorter', () => {
  const deadline = { policy: 'SCHED_DEADLINE', runtime: 10, deadline: 20, period: 30 }
  expect(scheduler(deadline)).toEqual({ ...deadline, policy: 'SCHED_DEADLINE', nice: 0, flags: [] })
  expect(refused({ ...deadline, runtime: 0 })).toStartWith('process.scheduler.runtime is missing or 0')
  expect(refused({ ...deadline, runtime: 21 })).toStartWith('process.scheduler.deadline is 20, less than runtime')
  expect(refused({ ...deadline, period: 19 })).toStartWith('process.scheduler.period is 19, less than deadline')
})

test('SCHED_ISO is refused as unsupported, and other words with the nearest one', () => {
  expect(() => scheduler({ policy: 'SCHED_ISO' })).toThrow(
    'process.scheduler.policy is "SCHED_ISO", which no released Linux has',
  )
  expect(refused({ policy: 'SCHED_FIFOO' })).toEndWith('did you mean "SCHED_FIFO"?')
  expect(refused({ policy: 'SCHED_OTHER', flags: ['SCHED_FLAG_RECLAIN'] })).toEndWith(
    'did you mean "SCHED_FLAG_RECLAIM"?',
  )
})

test('I/O priority is 0 to 7 of a class', () => {
  const ioPriority = (value: object) => refusalOf({ 'process.ioPriority': value })
  expect(ioPriority({ class: 'IOPRIO_CLASS_RT', priority: 7 })).toBe('accepted')
  expect(ioPriority({ class: 'IOPRIO_CLASS_RT', priority: 8 })).toContain('which is more than 7')
  expect(ioPriority({ priority: 1 })).toStartWith('process.ioPriority.class is missing')
  expect(ioPriority({ class: 'RT' })).toContain('it is one of: IOPRIO_CLASS_RT, IOPRIO_CLASS_BE, IOPRIO_CLASS_IDLE')
})

test('lists of processors are ranges', () => {
  const initial = (text: string) =>
    exampleConfig({ 'process.execCPUAffinity': { initial: text } }).process.execCPUAffinity?.initial
  expect(initial('3')).toEqual([{ first: 3, last: 3 }])
  expect(initial(' 0-1, 8 ,,')).toEqual([
    { first: 0, last: 1 },
    { first: 8, last: 8 },
  ])
  expect(initial(' , ')).toBeUndefined()
  const refusedList = (text: string) => refusalOf({ 'process.execCPUAffinity': { initial: text } })
  for (const text of ['a', '1-', '-1', '1-2-3', '1 2', '0x1', '1000000000']) {
    expect(refusedList(text)).toStartWith(
      `process.execCPUAffinity.initial is ${JSON.stringify(text)}, which is not a list`,
    )
  }
  expect(refusedList('3-1')).toBe('process.execCPUAffinity.initial has the range 3-1, whose end is before its start')
  expect(refusedList('0-65536')).toBe('process.execCPUAffinity.initial has 65536, which is more than 65535')
})
