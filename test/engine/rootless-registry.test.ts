/** Images to and from a registry of this machine by a user without privilege. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FIRST_SUBID, SOMEONE } from '../someone.ts'
import { openRegistry, type TestRegistry } from './registry.ts'
import { openUserEngine, type UserEngine } from './rootless-engine.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-user-registry-'))
const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')
let registry: TestRegistry
let closed: TestRegistry
let user: UserEngine
let name: string

beforeAll(async () => {
  registry = await openRegistry(join(directory, 'open'))
  const accounts = `me:${await Bun.password.hash('secret', { algorithm: 'bcrypt', cost: 4 })}\n`
  closed = await openRegistry(join(directory, 'closed'), { accounts })
  user = openUserEngine(true)
  name = `${registry.host}/test/busybox`
  user.must('import', user.archive, name)
  user.must('push', name)
})
afterAll(async () => {
  user[Symbol.dispose]()
  await Promise.all([registry, closed].map((one) => one[Symbol.asyncDispose]()))
  rmSync(directory, { recursive: true })
})

/** Owners as this machine has them, of some files of the only layer. */
function owners({ dataRoot }: UserEngine): readonly string[] {
  const layers = readdirSync(join(dataRoot, 'layers')).filter((entry) => !entry.endsWith('.size'))
  expect(layers.length).toBe(1)
  return ['', 'bin/busybox', 'private/file', 'of-7'].map((path) => {
    const { uid, gid } = statSync(join(dataRoot, 'layers', layers[0] ?? '', path))
    return `${uid}:${gid}`
  })
}

test('what was pushed is pulled by another user with the owners that it had, and runs', () => {
  using other = openUserEngine(true)
  const lines = other.must('pull', name).split('\n')
  expect(lines.slice(-2)).toEqual([`Status: Downloaded newer image for ${name}:latest`, `${name}:latest`])
  expect(owners(other)).toEqual([
    `${SOMEONE}:${SOMEONE}`,
    `${SOMEONE}:${SOMEONE}`,
    `${FIRST_SUBID + 999}:${FIRST_SUBID + 999}`,
    `${FIRST_SUBID + 6}:${FIRST_SUBID + 7}`,
  ])
  expect(other.must('run', '--rm', '--user', 'guest', name, 'cat', '/private/file')).toBe('secret')
  expect(other.must('pull', name)).toContain(`Status: Image is up to date for ${name}:latest`)
  expect(other.must('push', name)).toContain('Layer already exists')
  other.must('rmi', name)
  expect(readdirSync(join(other.dataRoot, 'layers'))).toEqual([])
})

test('run pulls what is not there, beside what the program prints', () => {
  using other = openUserEngine(true)
  const { status, stdout, stderr } = other.coffer('run', '--rm', name, 'sh', '-c', 'echo out; exit 3')
  expect([status, stdout]).toEqual([3, 'out\n'])
  expect(stderr).toStartWith(`Unable to find image '${name}:latest' locally\nlatest: Pulling from test/busybox\n`)
})

test('without a range of ids all files are of the user, who is told', () => {
  using other = openUserEngine(false)
  const { status, stderr } = other.coffer('pull', name)
  expect([status, stderr]).toEqual([0, expect.stringContaining('all files of the image will belong to you')])
  expect(new Set(owners(other))).toEqual(new Set([`${SOMEONE}:${SOMEONE}`]))
  expect(other.must('run', '--rm', name, 'cat', '/private/file')).toBe('secret')
})

test('an account is kept in a file of the user alone, and opens a registry', () => {
  const own = `${closed.host}/test/busybox`
  user.must('tag', name, own)
  expect(user.coffer('push', own).stderr).toContain('401')
  const login = `echo secret | ${program} login --username me --password-stdin ${closed.host}`
  expect(user.run('sh', '-c', login)).toMatchObject({ status: 0, stdout: expect.stringContaining('Login Succeeded') })
  const { uid, mode } = statSync(join(user.home, '.docker/config.json'))
  expect([uid, mode & 0o777]).toEqual([SOMEONE, 0o600])
  user.must('push', own)
  user.must('rmi', own)
  user.must('pull', own)
  user.must('logout', closed.host)
  expect(user.coffer('pull', own).stderr).toContain('401')
})

test('settings of registries are those of the user', () => {
  const settings = join(user.home, '.config/coffer')
  mkdirSync(settings, { recursive: true })
  writeFileSync(join(settings, 'registries.json'), '{"registry-mirrors": 1}')
  expect(user.coffer('pull', name).stderr).toContain(`${settings}/registries.json: registry-mirrors`)
  rmSync(join(user.home, '.config'), { recursive: true })
})
