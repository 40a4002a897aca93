/** Networks of a user without privilege: by pasta, and those of other containers. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withNeighbour } from './neighbour.ts'
import { openUserEngine, type UserEngine } from './rootless-engine.ts'

let user: UserEngine
beforeAll(() => {
  user = openUserEngine(true)
  user.must('import', user.archive, 'busybox')
})
afterAll(() => user[Symbol.dispose]())

const outside = (...words: readonly string[]): string => Bun.spawnSync([...words]).stdout.toString()
const ask = (address: string, port: number): string => outside('busybox', 'nc', '-w', '1', address, `${port}`).trim()
const netnsDirectory = (): string => join(user.runRoot, '.netns')

/** Answers each connection to its port 80 with its name. */
function serve(name: string, ...flags: readonly string[]): void {
  user.must('run', '--detach', '--name', name, ...flags, 'busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', name)
  untilListening(name)
}

const untilListening = (name: string): string =>
  user.must('exec', name, 'sh', '-c', 'until netstat -ltn | grep -q ":80 "; do :; done')

/** The first line of /proc/PID/stat names it; a process that ended and was not reaped yet is none. */
const isAlive = (pid: number): boolean => {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}
const pastaOf = (): number => {
  const [file = ''] = readdirSync(netnsDirectory()).filter((name) => name.endsWith('.pasta'))
  return Number(readFileSync(join(netnsDirectory(), file), 'utf8'))
}

/** A machine with a way out: by the neighbour at 192.168.71.2. */
const withWayOut = (body: (near: (...words: readonly string[]) => string) => void): void =>
  withNeighbour(71, (near) => {
    outside('ip', 'route', 'add', 'default', 'via', '192.168.71.2')
    body(near)
  })

test('without root a container has a way out and published ports by pasta, and nothing of it is left', () => {
  writeFileSync(join(user.directory, 'far'), 'far away\n')
  withWayOut((near) => {
    serve('web', '--publish', '127.0.0.1:8171:80', '--publish', '192.168.71.1:8172:80')
    const from = (port: number): string => near('busybox', 'nc', '-w', '1', '192.168.71.1', `${port}`).trim()
    expect([ask('127.0.0.1', 8171), ask('192.168.71.1', 8172), from(8172)]).toEqual(['web', 'web', 'web'])
    // What is published on the loopback is not there for others.
    expect(from(8171)).toBe('')
    expect(user.must('port', 'web').split('\n')).toEqual(['80/tcp -> 127.0.0.1:8171', '80/tcp -> 192.168.71.1:8172'])
    const script = `busybox httpd -f -p 90 -h ${user.directory} >/dev/null 2>&1 & echo $!`
    const far = Number(near('sh', '-c', script))
    near('sh', '-c', 'until busybox netstat -ltn | grep -q ":90 "; do :; done')
    expect(user.must('exec', 'web', 'busybox', 'wget', '-qO', '-', 'http://192.168.71.2:90/far')).toBe('far away')
    process.kill(far)

    const first = pastaOf()
    user.must('restart', '--time', '0', 'web')
    untilListening('web')
    expect([isAlive(first), ask('127.0.0.1', 8171)]).toEqual([false, 'web'])
    const second = pastaOf()
    user.must('rm', '--force', 'web')
    expect([isAlive(second), readdirSync(netnsDirectory())]).toEqual([false, []])
  })
})

test('a container by pasta does not reach what listens on the loopback of this machine (S232)', () => {
  withWayOut(() => {
    const server = Bun.spawn('busybox nc -ll -p 8173 -e echo inner'.split(' '))
    try {
      outside('sh', '-c', 'until busybox nc -w 1 127.0.0.1 8173; do :; done')
      const tries = ['127.0.0.1', '192.168.71.1', '192.168.71.2', '::1'].map((address) => `nc -w 1 ${address} 8173`)
      const asked = ['busybox', 'sh', '-c', `${tries.join('; ')}; :`]
      expect(user.must('run', '--rm', '--network', 'bridge', ...asked)).toBe('')
      expect(user.must('run', '--rm', '--network', 'host', ...asked)).toContain('inner')
    } finally {
      server.kill()
    }
  })
})

test('a pasta that is killed takes the network of its container alone, and a start brings it back', () => {
  withWayOut(() => {
    serve('alone', '--publish', '127.0.0.1:8174:80')
    process.kill(pastaOf(), 'SIGKILL')
    outside('sh', '-c', 'while busybox nc -w 1 127.0.0.1 8174; do :; done')
    expect(user.must('ps', '--format', '{{.Names}}')).toBe('alone')
    user.must('restart', '--time', '0', 'alone')
    untilListening('alone')
    expect(ask('127.0.0.1', 8174)).toBe('alone')
    // Its monitor is killed: the next command ends what was beside it.
    const pasta = pastaOf()
    const init = Number(user.must('inspect', '--format', '{{.State.Pid}}', 'alone'))
    const monitor = Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1])
    process.kill(monitor, 'SIGKILL')
    process.kill(init, 'SIGKILL')
    outside('sh', '-c', `while grep -q '^State:.[^ZX]' /proc/${init}/status 2>/dev/null; do :; done`)
    expect(user.must('ps', '--quiet')).toBe('')
    expect([isAlive(pasta), readdirSync(netnsDirectory())]).toEqual([false, []])
    user.must('rm', 'alone')
  })
})

test('a container shares namespaces of another one, with the same ids', () => {
  user.must('run', '--detach', '--name', 'first', 'busybox', 'sleep', '1000')
  const pid = user.must('inspect', '--format', '{{.State.Pid}}', 'first')
  for (const [flag, name] of [
    ['network', 'net'],
    ['pid', 'pid'],
    ['ipc', 'ipc'],
    ['uts', 'uts'],
  ] as const) {
    const second = user.must('run', '--detach', `--${flag}`, 'container:first', 'busybox', 'sleep', '1000')
    const other = user.must('inspect', '--format', '{{.State.Pid}}', second)
    for (const shared of [name, 'user'])
      expect(readlinkSync(`/proc/${other}/ns/${shared}`)).toBe(readlinkSync(`/proc/${pid}/ns/${shared}`))
    expect(readlinkSync(`/proc/${other}/ns/mnt`)).not.toBe(readlinkSync(`/proc/${pid}/ns/mnt`))
    expect(user.must('exec', '--user', 'guest', second, 'cat', '/private/file')).toBe('secret')
    user.must('rm', '--force', second)
  }
  user.must('rm', '--force', 'first')
})

test('what takes privilege over the machine is refused by name, and nothing is made', () => {
  const refusal = (...words: readonly string[]): string => user.coffer(...words).stderr
  expect(refusal('network', 'create', 'own')).toContain('cannot make the network own: bridges and rules take privilege')
  expect(user.must('network', 'ls', '--quiet')).toBe('')
  expect(refusal('run', '--network', 'own', 'busybox', 'true')).toMatch(
    /cannot connect the container to own: without root .*\nhint: .* --network container:NAME/,
  )
  expect(refusal('run', '--publish', '80', 'busybox', 'true')).toContain('write it like -p 8080:80')
  expect(refusal('run', '--network', 'bridge', '--ip', '10.0.0.2', 'busybox', 'true')).toContain('leave --ip away')
  expect(refusal('run', '--publish', '8175:80/sctp', 'busybox', 'true')).toContain('leave the sctp port away')
  expect(refusal('run', '--memory', '100m', 'busybox', 'true')).toContain('linux.resources.memory.limit')
  // This machine has no way out here.
  expect(refusal('run', '--publish', '8175:80', 'busybox', 'true')).toContain('cannot connect the container by pasta')
  for (const id of user.must('ps', '--all', '--quiet').split('\n')) user.must('rm', id)
  expect(readdirSync(netnsDirectory())).toEqual([])
})
