/** --link: what a container knows of another one, and how it hears of a new address. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const sleeper = (name: string, ...flags: readonly string[]): string =>
  engine.must('run', '-d', '--name', name, ...flags, 'ubuntu', 'sleep', '1000')
const addressOf = (name: string): string => engine.must('inspect', '-f', '{{.NetworkSettings.IPAddress}}', name)
const lineOf = (name: string, alias: string): string =>
  engine
    .must('exec', name, 'cat', '/etc/hosts')
    .split('\n')
    .filter((line) => line.includes(alias))
    .join()

test('a container that is linked is followed when it comes back with another address', () => {
  sleeper('db')
  sleeper('app', '--link', 'db:store')
  const before = addressOf('db')
  expect(lineOf('app', 'store')).toBe(`${before}\tstore ${engine.must('exec', 'db', 'hostname')} db`)
  engine.must('stop', '-t', '0', 'db')
  // Somebody else takes its address.
  sleeper('between', '--ip', before)
  engine.must('start', 'db')
  const after = addressOf('db')
  expect(after).not.toBe(before)
  expect(lineOf('app', 'store')).toStartWith(`${after}\tstore `)
  engine.must('rm', '-f', 'app')
  engine.must('restart', '-t', '0', 'db')
  engine.must('rm', '-f', 'db', 'between')
})

test('the variables are of the address that it has when the container starts', () => {
  sleeper('web', '--expose', '80', '--expose', '53/udp', '-e', 'KEY=value')
  const env = engine.must('run', '--rm', '--name', 'asks', '--link', 'web:the-web', 'ubuntu', 'env').split('\n')
  const address = addressOf('web')
  expect(env).toEqual(
    expect.arrayContaining([
      `THE_WEB_PORT=udp://${address}:53`,
      `THE_WEB_PORT_80_TCP=tcp://${address}:80`,
      `THE_WEB_PORT_80_TCP_ADDR=${address}`,
      'THE_WEB_PORT_80_TCP_PORT=80',
      'THE_WEB_PORT_53_UDP_PROTO=udp',
      'THE_WEB_NAME=/asks/the-web',
      'THE_WEB_ENV_KEY=value',
    ]),
  )
  engine.must('rm', '-f', 'web')
})

test('what cannot be linked is refused', () => {
  const said = (...flags: readonly string[]): string => engine.coffer('run', '--rm', ...flags, 'ubuntu', 'true').stderr
  expect(said('--link', 'absent:x')).toContain('No such container: absent')
  engine.must('create', '--name', 'idle', 'ubuntu', 'true')
  expect(said('--link', 'idle:x')).toContain('Cannot link to a non running container: /idle AS /')
  expect(said('--network', 'none', '--link', 'idle')).toContain("can't be used with links")
  expect(said('--egress', 'example.com:443', '--link', 'idle')).toContain('has no neighbours')
  expect(said('--link', 'idle:a/b')).toContain('CONTAINER:ALIAS')
  engine.must('rm', 'idle')
})
