import { expect, test } from 'bun:test'
import type { Buffer } from '../linux/call.ts'
import type { Hook } from '../oci/hooks.ts'
import { failureText, poststopWarnings } from './hook-endings.ts'
import { hookExit, poststopWords } from './hooks.ts'

const EXITED = 1
const KILLED = 2

function siginfo(code: number, status: number, pid = 7): Uint8Array {
  const bytes = new Uint8Array(128)
  const view = new DataView(bytes.buffer)
  view.setInt32(8, code, true)
  view.setInt32(16, pid, true)
  view.setInt32(24, status, true)
  return bytes
}

function output(printed: string | readonly number[]): Uint8Array {
  const bytes = new Uint8Array(64)
  bytes.set(typeof printed === 'string' ? new TextEncoder().encode(printed) : printed)
  return bytes
}

const reason = (ending: Uint8Array, printed: string | readonly number[] = '', code = 'ECANCELED'): string =>
  failureText({ ending, output: output(printed) }, code)

test('the reason is how the program ended and what it printed', () => {
  expect(reason(siginfo(EXITED, 3), 'no bridge\n')).toBe('it ended with status 3, and printed "no bridge"')
  expect(reason(siginfo(KILLED, 9))).toBe('it was killed by SIGKILL')
  expect(reason(siginfo(KILLED, 9), '', 'ETIMEDOUT')).toBe('it was still running')
  expect(reason(new Uint8Array(128), 'x')).toBe('it failed, and printed "x"')
})

test('nothing that a program prints changes the terminal of the reader, or breaks the line', () => {
  expect(reason(siginfo(EXITED, 1), '\u001b[31mred\u009b1m\r\n"quoted" 100%41')).toBe(
    'it ended with status 1, and printed "?[31mred?1m?\\n\\"quoted\\" 100%41"',
  )
})

test('text is read as UTF-8, and question marks stand for what is none', () => {
  expect(reason(siginfo(EXITED, 1), 'größe')).toEndWith('printed "größe"')
  expect(reason(siginfo(EXITED, 1), [0x61, 0xff, 0xfe, 0x62])).toEndWith('printed "a??b"')
  // Cut in the middle of a character.
  expect(reason(siginfo(EXITED, 1), [0x61, 0xc3])).toEndWith('printed "a?"')
})

test('there is a warning for each poststop hook that did not succeed', () => {
  const hooks: readonly Hook[] = ['/ok', '/bad', '/absent', '/late', '/never'].map((path) => ({
    path,
    args: [],
    env: [],
    timeout: 3,
  }))
  const endings = [
    siginfo(EXITED, 0),
    siginfo(EXITED, 2),
    siginfo(EXITED, 1, 42),
    siginfo(KILLED, 9),
    new Uint8Array(128),
  ]
  const found = new Map<string, Uint8Array>(
    endings.flatMap((ending, index) => [
      [hookExit('poststop', index).buffer, ending],
      [poststopWords(index).buffer, output(`words ${index}`)],
    ]),
  )
  const bytes = ({ buffer }: Buffer): Uint8Array => found.get(buffer) ?? new Uint8Array(0)
  expect(poststopWarnings(hooks, { bytes, failures: [{ pid: 42, errno: 2 }] }, (errno) => `E${errno}`)).toEqual([
    'the poststop hook /bad failed: it ended with status 2, and printed "words 1"',
    'the poststop hook /absent failed: it could not be executed, E2',
    'the poststop hook /late failed: it was killed by SIGKILL, and printed "words 3", after 3 s at most',
    'the poststop hook /never failed: there was no process or file for it',
  ])
})
