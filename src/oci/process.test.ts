import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const process = (changes: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(changes).map(([key, value]) => [`process.${key}`, value]))

test('an argument may be empty, the program may not', () => {
  expect(exampleConfig(process({ args: ['sh', ''] })).process.args).toEqual(['sh', ''])
  expect(refusalOf(process({ args: [''] }))).toBe('process.args[0] is empty, and is the program to run')
  expect(refusalOf(process({ args: [] }))).toStartWith('process.args is missing')
})

test('what only Windows has is refused where nothing else says what to do, and ignored beside it', () => {
  expect(refusalOf(process({ args: undefined, commandLine: 'cmd /c dir' }))).toStartWith(
    'process.commandLine is the only thing that says what to run\nhint:  commandLine is for Windows',
  )
  expect(exampleConfig(process({ commandLine: 'cmd' })).process).toEqual(exampleConfig().process)
  expect(refusalOf(process({ user: { username: 'bob' } }))).toStartWith(
    'process.user.username is the only thing that says who runs',
  )
  expect(exampleConfig(process({ user: { username: 'bob', uid: 0 } })).process.user.uid).toBe(0)
})

test('an environment variable has a name and an equals sign', () => {
  for (const entry of ['A', '', '=A']) {
    expect(refusalOf(process({ env: ['PATH=/bin', entry] }))).toBe(
      `process.env[1] is ${JSON.stringify(entry)}, which is not of the form NAME=value`,
    )
  }
  expect(exampleConfig(process({ env: ['A=', 'B==', 'C= '] })).process.env).toEqual(['A=', 'B==', 'C= '])
})

test('the id 4294967295 is refused: it means "no change" to the kernel, and so root', () => {
  for (const key of ['user.uid', 'user.gid']) {
    expect(refusalOf(process({ [key]: 4294967295 }))).toBe(
      `process.${key} is 4294967295, which is more than 4294967294`,
    )
    expect(refusalOf(process({ [key]: 4294967296 }))).toContain('which is more than')
    expect(refusalOf(process({ [key]: -1 }))).toContain('which is less than 0')
    expect(refusalOf(process({ [key]: '1' }))).toContain('is "1", which is not an integer')
  }
  expect(refusalOf(process({ user: { additionalGids: [1, 4294967295] } }))).toStartWith(
    'process.user.additionalGids[1] is',
  )
})

test('a umask has nine bits', () => {
  expect(exampleConfig(process({ 'user.umask': 0o77 })).process.user.umask).toBe(63)
  expect(refusalOf(process({ 'user.umask': 777 }))).toBe('process.user.umask is 777, which is more than 511')
})

test('unknown capabilities are kept for the planner, which knows the kernel', () => {
  const bounding = ['CAP_KILL', 'CAP_OF_THE_FUTURE']
  expect(exampleConfig(process({ capabilities: { bounding } })).process.capabilities).toEqual({
    bounding,
    effective: [],
    inheritable: [],
    permitted: [],
    ambient: [],
  })
})

test('a resource limit is one that Linux has, given once, with soft up to hard', () => {
  const limit = (type: string, soft: unknown, hard: unknown) => ({ type, soft, hard })
  const rlimits = (...list: unknown[]) => refusalOf(process({ rlimits: list }))
  expect(rlimits(limit('RLIMIT_NOFILE', 1, 18446744073709551615n))).toBe('accepted')
  expect(rlimits(limit('RLIMIT_NOFILES', 1, 1))).toBe(
    'process.rlimits[0].type is "RLIMIT_NOFILES", which it cannot be\nhint:  did you mean "RLIMIT_NOFILE"?',
  )
  expect(rlimits(limit('RLIMIT_CORE', 2, 1))).toBe('process.rlimits[0].soft is 2, more than hard, which is 1')
  expect(rlimits(limit('RLIMIT_CORE', 18446744073709551615n, 1))).toContain('more than hard')
  expect(rlimits(limit('RLIMIT_CORE', 1, 1), limit('RLIMIT_CORE', 1, 1))).toBe(
    'process.rlimits[1] is a second RLIMIT_CORE',
  )
  expect(rlimits(limit('RLIMIT_CORE', 1, 18446744073709551616n))).toContain('which is more than 18446744073709551615')
})

test('the OOM score moves within a thousand', () => {
  expect(refusalOf(process({ oomScoreAdj: 1001 }))).toContain('which is more than 1000')
  expect(exampleConfig(process({ oomScoreAdj: -1000 })).process.oomScoreAdj).toBe(-1000)
})

test('a console has at most 65535 rows', () => {
  expect(refusalOf(process({ consoleSize: { height: 65536, width: 1 } }))).toStartWith(
    'process.consoleSize.height is 65536',
  )
  expect(refusalOf(process({ consoleSize: { height: 5 } }))).toStartWith('process.consoleSize.width is missing')
})
