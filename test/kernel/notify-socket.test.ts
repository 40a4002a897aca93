/** A program that tells whoever started coffer that it is ready. sd_notify(3) */

import { afterAll, afterEach, expect, test } from 'bun:test'
import { chmodSync, copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cProgram } from '../c-program.ts'
import { until } from './leaks.ts'
import { expectNothingLeft, fileOf, makeSite, type Site } from './site.ts'

const program = cProgram('notify', ['-static'])
afterAll(() => program[Symbol.dispose]())
afterEach(expectNothingLeft)

interface Listening {
  readonly env: { readonly NOTIFY_SOCKET: string }
  /** What came, or nothing within 20 s. */
  readonly heard: () => Promise<string>
}

/** Somebody listens outside, and `notify` is a program inside. */
function listen(site: Site): Listening {
  const inside = join(site.rootfs, 'bin', 'notify')
  copyFileSync(program.path, inside)
  chmodSync(inside, 0o755)
  const socket = fileOf(site, 'notify-host.sock')
  const out = fileOf(site, 'heard', '')
  const child = Bun.spawn([program.path, 'receive', socket], { stdout: Bun.file(out) })
  until('somebody to listen', () => readFileSync(out, 'utf8').startsWith('ready'))
  return {
    env: { NOTIFY_SOCKET: socket },
    heard: async () => {
      await child.exited
      return readFileSync(out, 'utf8').split('\n').slice(1).join('\n').trim()
    },
  }
}

const SEND = ['sh', '-c', 'notify send "READY=1 at $NOTIFY_SOCKET"']
const HEARD = 'READY=1 at /run/notify/notify.sock'

test('the program of run reaches the socket of its caller', async () => {
  using site = makeSite()
  const { env, heard } = listen(site)
  expect(site.run({ 'process.args': SEND, 'root.readonly': false }, { env })).toMatchObject({ exitCode: 0, stderr: '' })
  expect(await heard()).toBe(HEARD)
})

test('a created container reaches the socket that create was given, also as a user with a /run of its own', async () => {
  using site = makeSite()
  const { env, heard } = listen(site)
  site.configure({
    'process.args': SEND,
    'process.user': { uid: 1000, gid: 1000 },
    'process.env': ['PATH=/bin', 'NOTIFY_SOCKET=/nowhere'],
    'root.readonly': false,
    '+mounts': [{ destination: '/run', type: 'tmpfs', source: 'tmpfs' }],
  })
  expect(site.call(['create', site.id], { env })).toMatchObject({ exitCode: 0, stderr: '' })
  expect(site.call(['start', site.id]).exitCode).toBe(0)
  expect(await heard()).toBe(HEARD)
})

test('without a socket of the caller there is none, and the variable is that of the configuration', () => {
  using site = makeSite()
  const script = 'echo "$NOTIFY_SOCKET"; ls /run 2>/dev/null || true'
  expect(
    site.inside(script, { 'process.env': ['PATH=/bin', 'NOTIFY_SOCKET=/own'] }, { env: { NOTIFY_SOCKET: '' } }),
  ).toBe('/own\n')
})

test('a socket that cannot be shown to a container is refused by name', () => {
  using site = makeSite()
  writeFileSync(join(site.directory, 'file'), '')
  const refusal = (socket: string, changes: object = {}): string =>
    site.run({ ...changes }, { env: { NOTIFY_SOCKET: socket } }).stderr.split('\n')[0] ?? ''
  const says = 'error: cannot let the container use NOTIFY_SOCKET: '
  expect(refusal('@/org/example')).toBe(
    `${says}"@/org/example" has no path, and only a path can be shown to a container`,
  )
  expect(refusal('vsock:2:1')).toStartWith(`${says}"vsock:2:1" has no path`)
  expect(refusal('run/notify')).toBe(`${says}"run/notify" is not absolute`)
  expect(refusal(join(site.directory, 'file'))).toEndWith('is no socket')
  expect(refusal(join(site.directory, 'absent'))).toEndWith('is no socket')
})
