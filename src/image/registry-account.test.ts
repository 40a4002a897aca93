/** What keeps and forgets accounts leaves of config.json, in a directory of the test. */

import { afterEach, beforeEach, expect, test } from 'bun:test'
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFiles } from '../observe/files-node.ts'
import { forgetAccount, keepAccount } from './registry-account-node.ts'
import { readRegistrySettings } from './registry-settings-node.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'coffer-account-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const account = { kind: 'password', user: 'me', password: 'secret', identityToken: undefined } as const
const keep = (): string => keepAccount({ DOCKER_CONFIG: directory }, 'a.example', account)
const config = (): string => join(directory, 'config.json')

test('a link in place of the file stays, and where it leads is changed', () => {
  mkdirSync(join(directory, 'kept'))
  const target = join(directory, 'kept', 'docker.json')
  writeFileSync(target, '{"detachKeys":"ctrl-x"}', { mode: 0o644 })
  symlinkSync('kept/docker.json', config())
  expect(keep()).toBe(config())
  expect(lstatSync(config()).isSymbolicLink()).toBe(true)
  expect(JSON.parse(readFileSync(target, 'utf8'))).toEqual({
    detachKeys: 'ctrl-x',
    auths: { 'a.example': { auth: btoa('me:secret') } },
  })
  expect([statSync(target).mode & 0o777, readdirSync(join(directory, 'kept'))]).toEqual([0o600, ['docker.json']])
  expect(forgetAccount({ DOCKER_CONFIG: directory }, 'a.example')).toBe(true)
})

test('what one left that was killed while it wrote goes with the next change, and that of one that runs stays', () => {
  const ended = Bun.spawnSync(['true']).pid
  for (const pid of [ended, 1]) writeFileSync(`${config()}.coffer-${pid}`, 'half')
  keep()
  expect(readdirSync(directory).sort()).toEqual(['config.json', 'config.json.coffer-1'])
})

test('accounts in $DOCKER_AUTH_CONFIG count before those of the file', () => {
  const auths = (user: string, ...hosts: readonly string[]): string =>
    JSON.stringify({ auths: Object.fromEntries(hosts.map((host) => [host, { auth: btoa(`${user}:x`) }])) })
  writeFileSync(config(), auths('file', 'a.example', 'b.example'))
  const settings = (text: string) =>
    readRegistrySettings(nodeFiles(), { DOCKER_CONFIG: directory, DOCKER_AUTH_CONFIG: text }, false).credentials
  const read = settings(auths('variable', 'b.example', 'c.example'))
  expect([...read].map(([host, found]) => [host, found.kind === 'password' ? found.user : ''])).toEqual([
    ['a.example', 'file'],
    ['b.example', 'variable'],
    ['c.example', 'variable'],
  ])
  expect(settings('').size).toBe(2)
  expect(() => settings('{canary')).toThrow('cannot read $DOCKER_AUTH_CONFIG: it is not JSON')
})
