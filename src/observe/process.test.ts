import { expect, test } from 'bun:test'
import { capturedFiles } from '../../test/captured-files.ts'
import {
  hasEnded,
  isAlive,
  namespaceNames,
  parseIdMap,
  parsePids,
  parseProcessStat,
  readChildren,
  readCommandLine,
  readNamespacePids,
  statusField,
} from './process.ts'

const behindName =
  'S 812 4711 4711 34816 4711 4194560 1043 0 0 0 1 2 0 0 20 0 1 0 8934512 4882432 231 18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0'

test('the fields of a process are found behind its name', () => {
  expect(parseProcessStat(`4711 (sleep) ${behindName}\n`)).toEqual({
    pid: 4711,
    command: 'sleep',
    state: 'S',
    parentPid: 812,
    processGroup: 4711,
    session: 4711,
    startTime: 8934512,
  })
})

test('a name with spaces, newlines and parentheses hides no field', () => {
  for (const name of ['a b', 'x) R 1 (y', ')', '(((', 'a\nb', '']) {
    const stat = parseProcessStat(`7 (${name}) ${behindName}\n`)
    expect([stat.command, stat.state, stat.parentPid, stat.startTime]).toEqual([name, 'S', 812, 8934512])
  }
})

test('a process is alive only as itself: neither as a zombie nor as another one with its pid', () => {
  const stat = `4711 (sleep) ${behindName}`
  const files = capturedFiles({
    '/proc/4711/stat': stat,
    '/proc/4712/stat': stat.replace('4711', '4712').replace(') S', ') Z'),
    '/proc/4713/stat': '',
  })
  expect(isAlive(files, { pid: 4711, startTime: 8934512 })).toBe(true)
  expect(isAlive(files, { pid: 4711, startTime: 8934511 })).toBe(false)
  expect(isAlive(files, { pid: 4712, startTime: 8934512 })).toBe(false)
  expect(isAlive(files, { pid: 4713, startTime: 0 })).toBe(false)
  expect(isAlive(files, { pid: 4714, startTime: 8934512 })).toBe(false)
})

test('a dead process has ended as much as a zombie', () => {
  const states = ['R', 'S', 'D', 'T', 't', 'I', 'Z', 'X'].map((state) =>
    hasEnded(parseProcessStat(`1 (a) ${behindName.replace('S', state)}`)),
  )
  expect(states).toEqual([false, false, false, false, false, false, true, true])
})

test('children of every thread are children of the process', () => {
  const files = capturedFiles({
    '/proc/5/task/5/children': '10 11 ',
    '/proc/5/task/6/children': '',
    '/proc/5/task/7/children': '12 ',
  })
  expect(readChildren(files, 5)).toEqual([10, 11, 12])
  expect(readChildren(files, 6)).toEqual([])
})

test('arguments may be empty', () => {
  const files = capturedFiles({ '/proc/1/cmdline': 'sh\0-c\0\0', '/proc/2/cmdline': '' })
  expect(readCommandLine(files, 1)).toEqual(['sh', '-c', ''])
  expect(readCommandLine(files, 2)).toEqual([])
  expect(readCommandLine(files, 3)).toBeUndefined()
})

const status = 'Name:\tNSpid:\\n1\nUmask:\t0022\nPid:\t4711\nNSpid:\t4711\t12\t1\nCapEff:\t000001ffffffffff\n'

test('a field of status is the whole line behind its name', () => {
  expect(statusField(status, 'CapEff')).toBe('000001ffffffffff')
  expect(statusField(status, 'Pid')).toBe('4711')
  expect(statusField(status, 'Name')).toBe('NSpid:\\n1')
  expect(statusField(status, 'Seccomp')).toBeUndefined()
})

test('a process in nested pid namespaces has a pid in each', () => {
  expect(readNamespacePids(capturedFiles({ '/proc/4711/status': status }), 4711)).toEqual([4711, 12, 1])
})

test('maps of ids are read with their columns aligned', () => {
  expect(parseIdMap('         0       1000          1\n         1     100000      65536\n')).toEqual([
    { containerId: 0, hostId: 1000, size: 1 },
    { containerId: 1, hostId: 100000, size: 65536 },
  ])
  expect(parseIdMap('')).toEqual([])
})

test('cgroup.procs of an empty cgroup holds no pid 0', () => {
  expect(parsePids('')).toEqual([])
  expect(parsePids('1\n22\n')).toEqual([1, 22])
})

test('the namespaces of future children are not those of the process', () => {
  expect(namespaceNames(['net', 'pid', 'pid_for_children', 'time', 'time_for_children'])).toEqual([
    'net',
    'pid',
    'time',
  ])
})
