/** Makes programs of the embedded engine from a piece of JavaScript, for tests of the engine's front. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const architecture = process.arch === 'arm64' ? 'aarch64' : 'x86_64'
const frontOf = (build: string): string => join(import.meta.dir, '..', 'build', build, 'front')

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Program extends Disposable {
  readonly path: string
  readonly run: (args?: readonly (string | Uint8Array)[], env?: Readonly<Record<string, string>>) => Outcome
}

/** What most programs need: `call(name, ...)` makes a system call, `print(value, ...)` writes to stdout. */
const prelude = `
const numbers = {
  x86_64: { read: 0, write: 1, close: 3, getpid: 39, wait4: 61, fcntl: 72, ftruncate: 77, openat: 257, mkdirat: 258, pipe2: 293 },
  aarch64: { read: 63, write: 64, close: 57, getpid: 172, wait4: 260, fcntl: 25, ftruncate: 46, openat: 56, mkdirat: 34, pipe2: 59 },
}
const call = (name, ...args) => native.syscall(numbers[native.architecture][name], ...args)
const print = (...values) => { const bytes = native.encode(values.join(' ')); call('write', 1, bytes, bytes.length) }
`

/** A program whose module level is `before` and whose main function is `body`; what it returns is the exit status. */
export const program = (body: string, before = ''): Program =>
  programOf(`var coffer = (() => {${prelude}${before}\nfunction main() {${body}\n}\nreturn { main } })()`)

/** The same from a whole bundle; `isStrict`: by `make build-strict`. */
export function programOf(text: string, isStrict = false): Program {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-front-'))
  const bundle = join(directory, 'bundle.js')
  const path = join(directory, 'program')
  writeFileSync(bundle, text)
  const front = frontOf(isStrict ? `${architecture}-strict` : architecture)
  const built = Bun.spawnSync([front, bundle, path], { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' })
  if (built.exitCode !== 0) {
    rmSync(directory, { recursive: true })
    throw new Error(built.stderr.toString())
  }
  return {
    path,
    run: (args = [], env = {}) => {
      // A shell can pass arguments that are no UTF-8.
      const quoted = args.map((arg) => `"$(printf '${octal(Buffer.from(arg))}')"`)
      const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-c', `exec "$0" ${quoted.join(' ')}`, path], {
        env: { ...env },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
      })
      return { exitCode, stdout: stdout.toString('latin1'), stderr: stderr.toString() }
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  }
}

const octal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('')
