import { expect, test } from 'bun:test'
import { secretPaths } from './secrets.ts'

const HOMES = ['/root', '/home/u']

test('keys, tokens, histories and sockets are hidden in each home and on the machine', () => {
  const paths = secretPaths(HOMES, [])
  for (const path of ['/root/.ssh', '/home/u/.aws', '/home/u/.bash_history', '/etc/shadow', '/run/docker.sock'])
    expect(paths).toContain(path)
})

test('a grant shows what it names and what lies below, and nothing else', () => {
  const paths = secretPaths(HOMES, ['/home/u/.ssh', '/run'])
  expect(paths).not.toContain('/home/u/.ssh')
  expect(paths).not.toContain('/run/docker.sock')
  expect(paths).toContain('/root/.ssh')
  expect(paths).toContain('/home/u/.aws')
})

test('a grant of a part of what is hidden as a whole is refused', () => {
  expect(() => secretPaths(HOMES, ['/home/u/.ssh/id'])).toThrow('a part of /home/u/.ssh')
})
