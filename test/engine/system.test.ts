/** What coffer has on a machine: port, info, version, inspect of anything, system df and prune, and lists of volumes. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

test('ports are told all, one, or with an error', () => {
  engine.must(
    'run',
    '-d',
    '--name',
    'served',
    '-p',
    '127.0.0.1:8099:80',
    '-p',
    '5399:53/udp',
    'busybox',
    'sleep',
    '1000',
  )
  expect(engine.must('port', 'served')).toMatch(
    /^53\/udp -> 0\.0\.0\.0:5399\n(53\/udp -> \[::\]:5399\n)?80\/tcp -> 127\.0\.0\.1:8099$/,
  )
  expect(engine.must('container', 'port', 'served', '80')).toBe('127.0.0.1:8099')
  expect(engine.must('port', 'served', '53/udp').split('\n')[0]).toBe('0.0.0.0:5399')
  const { status, stderr } = engine.coffer('port', 'served', '81')
  expect([status, stderr.includes("No public port '81/tcp' published for served")]).toEqual([1, true])
  engine.must('rm', '--force', 'served')
  expect(engine.coffer('port', 'served').stderr).toContain('No such container: served')
})

test('info and version have the fields that scripts ask docker for', () => {
  engine.must('create', '--name', 'one', '--network', 'none', 'busybox', 'true')
  const format = '{{.Containers}} {{.ContainersStopped}} {{.Images}} {{.Driver}} {{.OSType}} {{.DockerRootDir}}'
  expect(engine.must('info', '--format', format)).toBe(`1 1 1 overlay2 linux ${engine.dataRoot}`)
  expect(JSON.parse(engine.must('system', 'info', '--format', 'json')).NCPU).toBeGreaterThan(0)
  expect(engine.must('info')).toMatch(/^ Containers: 1\n {2}Running: 0\n/m)
  const version = engine.must('version').replace('coffer version ', '')
  expect(engine.must('version', '--format', '{{.Server.Version}} {{.Client.Version}}')).toBe(`${version} ${version}`)
  engine.must('rm', 'one')
})

test('inspect finds what a name is of, or only what it is told to look for', () => {
  engine.must('volume', 'create', '--label', 'a=b', 'things')
  engine.must('network', 'create', 'mesh')
  engine.must('create', '--name', 'box', '--network', 'none', 'busybox', 'true')
  const documents = JSON.parse(engine.must('inspect', 'box', 'busybox', 'things', 'mesh'))
  expect(documents.map(({ Name, RepoTags }: { Name?: string; RepoTags?: string[] }) => Name ?? RepoTags)).toEqual([
    '/box',
    ['busybox:latest'],
    'things',
    'mesh',
  ])
  expect(engine.must('inspect', '--type', 'volume', '-f', '{{.Labels.a}} {{.Driver}}', 'things')).toBe('b local')
  expect(engine.coffer('inspect', '--type', 'image', 'box').stderr).toContain('No such image: box:latest')
  expect(engine.coffer('inspect', 'nothing').stderr).toContain('No such object: nothing')
  expect(engine.coffer('inspect', '--type', 'idea', 'box').status).toBe(125)
  engine.must('rm', 'box')
  engine.must('network', 'rm', 'mesh')
  engine.must('volume', 'rm', 'things')
})

test('volumes are filtered, shown by a template, and pruned when nobody says no', () => {
  engine.must('volume', 'create', '--label', 'kind=x', 'named')
  const anonymous = engine.must('volume', 'create')
  engine.must('create', '--name', 'user', '--network', 'none', '-v', 'used:/data', 'busybox', 'true')
  const listed = (...words: readonly string[]): readonly string[] =>
    engine
      .must('volume', 'ls', '-q', ...words)
      .split('\n')
      .sort()
  expect(listed()).toEqual([anonymous, 'named', 'used'].sort())
  expect(listed('--filter', 'dangling=true')).toEqual([anonymous, 'named'].sort())
  expect(listed('--filter', 'label=kind=x')).toEqual(['named'])
  expect(listed('--filter', 'name=use')).toEqual(['used'])
  expect(engine.must('volume', 'ls', '--filter', 'label=kind', '--format', '{{.Name}} {{.Labels}}')).toBe(
    'named kind=x',
  )
  expect(engine.must('volume', 'ls', '--filter', 'name=named')).toBe('DRIVER    VOLUME NAME\nlocal     named')
  expect(engine.cofferWith('n\n', 'volume', 'prune').stdout).toContain('Are you sure you want to continue? [y/N]')
  expect(listed().length).toBe(3)
  writeFileSync(join(engine.dataRoot, 'volumes', anonymous, '_data', 'file'), 'x'.repeat(3000))
  expect(engine.cofferWith('y\n', 'volume', 'prune').stdout).toEndWith(
    `Deleted Volumes:\n${anonymous}\n\nTotal reclaimed space: 3kB\n`,
  )
  expect(engine.must('volume', 'prune', '--all', '--force')).toStartWith('Deleted Volumes:\nnamed\n')
  expect(listed()).toEqual(['used'])
  engine.must('rm', 'user')
  engine.must('volume', 'rm', 'used')
})

test('df counts each layer once, and what nobody uses; prune takes it away', () => {
  engine.must('run', '--network', 'none', '--name', 'writer', 'busybox', 'sh', '-c', 'seq 1 1000 >/tmp/file')
  engine.must('commit', 'writer', 'second')
  engine.must('volume', 'create', 'kept')
  const row = (type: string): string =>
    engine
      .must('system', 'df', '--format', '{{.Type}}|{{.TotalCount}}|{{.Active}}|{{.Size}}|{{.Reclaimable}}')
      .split('\n')
      .find((line) => line.startsWith(type)) ?? ''
  const [, total, active, size = ''] = row('Images').split('|')
  expect([total, active, size]).toEqual(['2', '1', engine.must('images', '--format', '{{.Size}}', 'second')])
  expect(row('Containers')).toBe('Containers|1|0|3.89kB|3.89kB (100%)')
  expect(row('Local Volumes')).toBe('Local Volumes|1|0|0B|0B')
  expect(engine.must('system', 'df').split('\n')[0]).toBe('TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE')
  const details = engine.must('system', 'df', '-v')
  expect(details).toMatch(/^second +latest +\w{12} +.* ago +[\d.]+MB +[\d.]+MB +[\d.]+kB +0$/m)
  expect(details).toMatch(/^kept +0 +0B$/m)
  engine.must('tag', 'second', 'third')
  engine.must('rmi', 'second')
  const asked = engine.cofferWith('n\n', 'system', 'prune').stdout
  expect(asked).toStartWith('WARNING! This will remove:\n  - all stopped containers\n  - all networks not used')
  expect(engine.must('ps', '-aq')).not.toBe('')
  const pruned = engine.must('system', 'prune', '--all', '--force', '--volumes')
  expect(pruned).toMatch(/^Deleted Containers:\n\w{64}\n/)
  expect(pruned).toContain('untagged: third:latest')
  expect(pruned).toMatch(/Total reclaimed space: [\d.]+MB$/)
  expect(engine.must('ps', '-aq') + engine.must('images', '-q')).toBe('')
  expect(engine.must('volume', 'ls', '-q')).toBe('kept')
})
