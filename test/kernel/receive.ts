/** The other end of sockets on which a runtime hands descriptors over. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { until } from './leaks.ts'
import { receiver } from './programs.ts'
import { fileOf, type Site } from './site.ts'

export interface Agent extends Disposable {
  readonly socket: string
  readonly output: () => string
  readonly exited: Promise<number>
}

const AGENT_MS = 10_000

let sockets = 0

/** Waits on a socket for what `mode` of test/programs/receive.c says. */
export function receive(site: Site, mode: string, ...words: readonly string[]): Agent {
  const socket = join(site.directory, `socket-${sockets++}`)
  const path = fileOf(site, `received-${sockets}`, '')
  const child = Bun.spawn([receiver(), mode, socket, ...words], {
    stdin: 'ignore',
    stdout: Bun.file(path),
    stderr: 'ignore',
  })
  const timer = setTimeout(() => child.kill('SIGKILL'), AGENT_MS)
  const output = (): string => readFileSync(path, 'utf8')
  until('the agent', () => output().startsWith('ready\n'))
  return {
    socket,
    output: () => output().slice('ready\n'.length),
    exited: child.exited,
    [Symbol.dispose]: () => {
      clearTimeout(timer)
      child.kill('SIGKILL')
    },
  }
}
