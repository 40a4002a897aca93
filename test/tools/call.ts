/** The tools as a user calls them, and their peers of util-linux and iproute2. */

import { join } from 'node:path'

export const COFFER: string = join(import.meta.dir, '..', '..', 'dist', 'coffer')

export interface Outcome {
  readonly exitCode: number | null
  readonly signal: string | undefined
  readonly stdout: string
  readonly stderr: string
}

export interface CallOptions {
  readonly stdin?: string
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

const PATH = process.env.PATH ?? '/usr/sbin:/usr/bin:/sbin:/bin'

export function call(words: readonly string[], { stdin = '', env = {}, cwd = '/' }: CallOptions = {}): Outcome {
  const ran = Bun.spawnSync([...words], {
    stdin: Buffer.from(stdin),
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH, SHELL: '/bin/sh', ...env },
    cwd,
    timeout: 20_000,
    killSignal: 'SIGKILL',
  })
  return {
    exitCode: ran.exitCode,
    signal: ran.signalCode === undefined ? undefined : String(ran.signalCode),
    stdout: ran.stdout.toString(),
    stderr: ran.stderr.toString(),
  }
}

export const coffer = (...words: readonly string[]): Outcome => call([COFFER, ...words])

/** What it prints; throws if it fails. */
export function printed(words: readonly string[], options: CallOptions = {}): string {
  const { exitCode, stdout, stderr } = call(words, options)
  if (exitCode !== 0) throw new Error(`${words.join(' ')} ended with ${exitCode}: ${stderr}`)
  return stdout
}

/** The same as a user without privilege, who has no range in /etc/subuid. */
export const asNobody = (...words: readonly string[]): readonly string[] => [
  'setpriv',
  '--reuid=65534',
  '--regid=65534',
  '--clear-groups',
  ...words,
]

/** The names in /proc/PID/ns that two processes do not share: `mnt uts`. */
export const SHOW_NAMESPACES = 'for n in cgroup ipc mnt net pid time user uts; do readlink /proc/self/ns/$n; done'

export const namespaceNames = (text: string): readonly string[] => text.trim().split('\n')
