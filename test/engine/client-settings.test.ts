/** What docker's config.json says to its command line, beside the lines of test/differential about it. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-client-settings-'))
let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine({ DOCKER_CONFIG: directory, HTTPS_PROXY: 'http://caller:1' })
  engine.must('import', busyboxArchive(engine.directory), 'box')
})
afterAll(() => {
  engine[Symbol.dispose]()
  rmSync(directory, { recursive: true })
})

const seen = (config: string): readonly [number, readonly string[], string] => {
  writeFileSync(join(directory, 'config.json'), config)
  const { status, stdout, stderr } = engine.coffer('run', '--rm', 'box', 'env')
  const lines = stdout.split('\n').filter((line) => /proxy/i.test(line))
  return [status, lines.sort(), stderr]
}

test('of proxies the entry of the local daemon counts before that of all, and what the caller has is not told (S12)', () => {
  const proxies = { 'unix:///var/run/docker.sock': { allProxy: 'own' }, default: { httpProxy: 'all', allProxy: 'all' } }
  expect(seen(JSON.stringify({ proxies }))).toEqual([0, ['ALL_PROXY=own', 'all_proxy=own'], ''])
  expect(seen('{"proxies":{"tcp://other:2375":{"httpProxy":"far"}}}')).toEqual([0, [], ''])
  expect(seen('{}')).toEqual([0, [], ''])
})

test('a file that cannot be read as what it is, is a warning', () => {
  for (const [config, reason] of [
    ['{', /^warning: cannot read .*config.json: it is not JSON[^\n]*\n$/],
    ['{"proxies":[]}', /config.json: proxies is/],
    ['{"proxies":{"default":{"httpProxy":1}}}', /config.json: proxies.default.httpProxy is not what it has to be/],
    ['{"proxies":{"default":{"httpProxy":"a\\u0000b"}}}', /proxies.default.httpProxy is not/],
  ] as const)
    expect([config, ...seen(config)]).toEqual([config, 0, [], expect.stringMatching(reason)])
})

test('the keys that leave a container are those of the file, unless the line has others', () => {
  writeFileSync(join(directory, 'config.json'), '{"detachKeys":"ctrl-a,x"}')
  engine.must('run', '-dit', '--name', 'cat', 'box', 'cat')
  for (const [keys, ...flags] of [['\x01x'], ['\x10\x11', '--detach-keys', 'ctrl-p,ctrl-q']] as const) {
    const { status, stderr } = engine.cofferWith(keys, 'attach', ...flags, 'cat')
    expect([status, stderr]).toEqual([1, 'read escape sequence\n'])
  }
  engine.must('rm', '-f', 'cat')
})
