import { expect, test } from 'bun:test'
import type { DeviceRule } from '../oci/devices.ts'
import { devicePolicy, exceptionsInV1 } from './cgroup-devices.ts'

const DENY_ALL: DeviceRule = { allow: false, type: 'a', access: 'rwm' }
const rule = (text: string): DeviceRule => {
  const [verb, type = 'a', major, minor, access = 'rwm'] = text.split(/[ :]/)
  const number = (word: string | undefined): number | undefined => (word === '*' ? undefined : Number(word))
  const wanted = type === 'b' ? 'b' : 'c'
  return { allow: verb === 'allow', type: wanted, major: number(major), minor: number(minor), access }
}
const ALWAYS = ['c *:* m', 'b *:* m', 'c 1:3 rwm', 'c 1:5 rwm', 'c 1:7 rwm', 'c 1:8 rwm', 'c 1:9 rwm']
const TERMINALS = ['c 5:0 rwm', 'c 5:2 rwm', 'c 10:200 rwm', 'c 136:* rwm']

test('a container without rules has the devices that every container has, and no others', () => {
  const policy = devicePolicy([])
  expect(policy.allowsByDefault).toBe(false)
  expect(exceptionsInV1(policy)).toEqual([...ALWAYS, ...TERMINALS])
})

test('what stands before a rule for everything does not matter', () => {
  expect(exceptionsInV1(devicePolicy([rule('allow b 8:0 rwm'), DENY_ALL]))).toEqual([...ALWAYS, ...TERMINALS])
})

test('a container that may use everything has no exceptions', () => {
  expect(devicePolicy([DENY_ALL, { ...DENY_ALL, allow: true }])).toEqual({
    allowsByDefault: true,
    rules: [],
    hasUsual: false,
  })
})

test('letters of one device add up, and are taken off again', () => {
  const lines = exceptionsInV1(
    devicePolicy([DENY_ALL, rule('allow c 10:229 r'), rule('allow c 10:229 wm'), rule('deny c 10:229 w')]),
  )
  expect(lines[0]).toBe('c 10:229 rm')
})

test('a rule for a range takes back what was allowed within it', () => {
  const lines = exceptionsInV1(devicePolicy([DENY_ALL, rule('allow b 8:1 rw'), rule('deny b 8:* rwm')]))
  expect(lines.some((line) => line.startsWith('b 8:'))).toBe(false)
})

test('a hole in a range is refused in cgroup v1, which would leave the device allowed', () => {
  const policy = devicePolicy([DENY_ALL, rule('allow b 8:* rw'), rule('deny b 8:1 w')])
  expect(() => exceptionsInV1(policy)).toThrow(
    'cannot apply linux.resources.devices: cgroup v1 cannot deny b 8:1 w within b 8:* rw',
  )
})

const WITHOUT_TUN = [...ALWAYS, ...TERMINALS].filter((line) => !line.startsWith('c 10:200'))

test('a rule that denies one of the usual devices by its number is heard, and one that is wider is not (S92)', () => {
  const lines = (...rules: readonly string[]) => exceptionsInV1(devicePolicy([DENY_ALL, ...rules.map(rule)]))
  expect(lines('deny c 10:200 rwm')).toEqual(WITHOUT_TUN)
  expect(lines('deny c 10:200 rw')).toContain('c 10:200 rwm')
  expect(lines('deny c *:* rwm')).toEqual([...ALWAYS, ...TERMINALS])
  expect([...lines('deny c 10:200 rwm', 'allow c 10:200 rwm')].sort()).toEqual([...ALWAYS, ...TERMINALS].sort())
})

test('a rule for some letters of all devices is one for each type', () => {
  const policy = devicePolicy([DENY_ALL, { allow: true, type: 'a', access: 'r' }])
  expect(exceptionsInV1(policy).slice(0, 2)).toEqual(['c *:* rm', 'b *:* rm'])
})
