import { expect, test } from 'bun:test'
import type { MemoryEnd } from '../container/memory-end.ts'
import { bytesText, diagnose, type Ended } from './diagnosis.ts'
import type { SentSignal } from './sent.ts'

const AT = '2026-01-02T03:04:05.000Z'
const killed: Ended = { exit: { status: 137, signal: 9, at: AT }, hasOwnPids: true }
const memory = (victims: MemoryEnd['victims'], more: Partial<MemoryEnd> = {}): MemoryEnd => ({
  kills: 1,
  victims,
  ...more,
})
const sent: SentSignal = { command: 'kill', signal: 9, by: 'root', at: AT }

test('where the pids of victims are not known, a SIGKILL of coffer is the better reason', () => {
  const unknown = memory([{ name: 'a', pid: 7 }])
  expect(diagnose({ ...killed, memory: unknown }).cause).toBe('out-of-memory')
  expect(diagnose({ ...killed, memory: unknown, sent }).cause).toBe('killed')
  expect(diagnose({ ...killed, memory: memory([{ name: 'a', pid: 7, isInit: true }]), sent }).cause).toBe(
    'out-of-memory',
  )
  expect(diagnose({ ...killed, memory: memory([{ name: 'a', pid: 7, isInit: false }]) }).cause).toBe('killed')
})

test('the hint is about what had no memory left: the container, a cgroup above it, or the machine', () => {
  const hint = (limitedBy: string | undefined, more?: Partial<MemoryEnd>): string | undefined =>
    diagnose({
      ...killed,
      memory: memory([{ name: 'a', pid: 7, isInit: true, ...(limitedBy === undefined ? {} : { limitedBy }) }], more),
    }).hint
  expect(hint(undefined, { limitBytes: 64 << 20 })).toContain('more than 64 MiB')
  expect(hint('/docker/1')).toContain('raise the limit of /docker/1')
  expect(hint('machine')).toContain('the machine had no memory left')
  expect(hint(undefined)).toContain('a cgroup above the container has a limit, or')
})

test('a signal that coffer sent is no reason for the end by another', () => {
  expect(diagnose({ exit: { status: 139, signal: 11, at: AT }, sent, hasOwnPids: true }).cause).toBe('signal')
})

test('amounts are said in the largest unit that they fill', () => {
  expect([0, 1023, 1024, 1536, 1 << 20, 3 << 29, 2 ** 41].map(bytesText)).toEqual([
    '0 B',
    '1023 B',
    '1 KiB',
    '1.5 KiB',
    '1 MiB',
    '1.5 GiB',
    '2 TiB',
  ])
})
