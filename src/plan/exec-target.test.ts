import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import { slot } from '../linux/call.ts'
import { O_CLOEXEC } from '../linux/files.ts'
import { candidatesOf, environmentOf, planBecome, planExecTarget, planFds, planHandover } from './exec-target.ts'
import type { Step } from './plan.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const env = ['PATH=/usr/bin:/bin/']

test('a name with a slash is a path, whatever PATH says', () => {
  expect(candidatesOf({ args: ['./app'], env })).toEqual(['./app'])
  expect(candidatesOf({ args: ['/bin/app'], env: [] })).toEqual(['/bin/app'])
})

test('a name is looked for in the absolute directories of the last PATH, once each', () => {
  const paths = candidatesOf({ args: ['sh'], env: ['PATH=/old', 'PATH=:.:bin:/usr/bin:/bin/:/usr/bin/', 'PATHX=/x'] })
  expect(paths).toEqual(['/usr/bin/sh', '/bin/sh'])
})

test('without PATH a name is not found, in the words that clients look for', () => {
  expect(() => planExecTarget({ args: ['sh'], env: [] })).toThrow('cannot find sh: executable file not found in $PATH')
  expect(() => planExecTarget({ args: ['sh'], env: ['PATH='] })).toThrow('executable file not found in $PATH')
})

test('the program has to be a regular file that its user may execute', () => {
  expect(calls(planExecTarget({ args: ['/bin/app'], env }))).toBe(
    [
      'faccessat2("/bin/app", X_OK, AT_EACCESS)',
      'statx("/bin/app", STATX_TYPE, &program) if program[28:30] & 0xf000 == 0x8000 else EACCES',
    ].join('\n'),
  )
})

test('the search goes on behind a place without it, and its error is that of the last place', () => {
  expect(calls(planExecTarget({ args: ['sh'], env }))).toBe(
    [
      'faccessat2("/usr/bin/sh", X_OK, AT_EACCESS)',
      '  otherwise: faccessat2("/bin/sh", X_OK, AT_EACCESS)',
      '  statx("/bin/sh", STATX_TYPE, &program) if program[28:30] & 0xf000 == 0x8000 else EACCES',
    ].join('\n'),
  )
  expect(planExecTarget({ args: ['sh'], env })[0]?.why).toBe('find sh in $PATH')
  expect(planExecTarget({ args: ['sh'], env: ['PATH=/bin'] })[0]?.why).toBe('find sh in $PATH')
  expect(planExecTarget({ args: ['/bin/sh'], env })[0]?.why).toBe('find /bin/sh')
})

test('the signal mask is cleared, then comes the filter, then execve at each place', () => {
  const filter: Step = { call: { name: 'seccomp', args: [] }, why: 'filter', see: [] }
  const names = planBecome({ args: ['sh'], env, listenFds: 0, last: [filter] }).map(({ call }) => call.name)
  expect(names).toEqual(['rt_sigprocmask', 'seccomp', 'execve', 'execve'])
  const [, , first, last] = planBecome({ args: ['sh'], env, listenFds: 0, last: [filter] })
  expect(first?.tolerate).toEqual(['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'])
  expect(last?.tolerate).toBeUndefined()
})

test('passed descriptors move down in order, and all others are closed', () => {
  expect(calls(planHandover({ listenFds: 1, preserveFds: 2 }, []))).toBe(
    ['dup3(5, 3)', 'dup3(6, 4)', 'dup3(7, 5)', 'close_range(6, ~0)'].join('\n'),
  )
})

test('what the process waits on stays open until execve, behind what is passed on', () => {
  const text = calls(planHandover({ listenFds: 0, preserveFds: 1 }, [slot('child-end'), slot('start-fifo')]))
  expect(text).toBe(
    ['dup3(5, 3)', 'child-end = dup3(child-end, 4)', 'start-fifo = dup3(start-fifo, 5)', 'close_range(6, ~0)'].join(
      '\n',
    ),
  )
  const [, kept] = planHandover({ listenFds: 0, preserveFds: 1 }, [slot('child-end')])
  expect(kept?.call.args[2]).toBe(O_CLOEXEC)
})

test('a descriptor in its place is only passed on, and one that would hit another is a bug', () => {
  expect(calls(planFds([3, 6]))).toBe('fcntl(3, F_SETFD, 0)\ndup3(6, 4)')
  expect(() => planFds([6, 5])).toThrow('descriptor 5 cannot be moved to 4')
  expect(() => planFds([2])).toThrow('descriptor 2 cannot be moved to 3')
})

test('of a name that comes twice the last value counts, in its place', () => {
  expect(environmentOf({ env: ['A=1', 'B=2', 'A=3', 'C=x=y'], listenFds: 0 })).toEqual(['B=2', 'A=3', 'C=x=y'])
})

test('HOME is that of the user where the configuration has none', () => {
  expect(environmentOf({ env: [], home: '/root', listenFds: 0 })).toEqual(['HOME=/root'])
  expect(environmentOf({ env: ['HOME='], home: '/root', listenFds: 0 })).toEqual(['HOME=/root'])
  expect(environmentOf({ env: ['HOME=/own'], home: '/root', listenFds: 0 })).toEqual(['HOME=/own'])
  expect(environmentOf({ env: [], listenFds: 0 })).toEqual([])
})

test('LISTEN_PID is the pid in the container, and no old one is left', () => {
  const environment = environmentOf({ env: ['LISTEN_PID=1', 'LISTEN_FDS=9'], listenFds: 2 })
  expect(environment).toEqual(['LISTEN_FDS=2', { text: ['LISTEN_PID=', { slot: 'own-pid' }] }])
  const [first] = planBecome({ args: ['/bin/app'], env: [], listenFds: 2, last: [] })
  expect(first?.call.name).toBe('getpid')
})

test('names of the prototype are ordinary names', () => {
  expect(environmentOf({ env: ['__proto__=1', 'constructor=2'], listenFds: 0 })).toEqual([
    '__proto__=1',
    'constructor=2',
  ])
})
