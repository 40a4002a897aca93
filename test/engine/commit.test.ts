/** commit, export and import: what a container has written becomes an image or an archive, and that a container again. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
const here = (...names: readonly string[]): string => join(engine.directory, ...names)
beforeAll(() => {
  engine = openTestEngine()
  const changes = ['ENTRYPOINT ["sh","-c"]', 'CMD echo from the image', 'ENV A=1', 'WORKDIR /tmp', 'LABEL of=image']
  engine.must(
    'import',
    ...changes.flatMap((change) => ['--change', change]),
    busyboxArchive(engine.directory),
    'busybox',
  )
})
afterAll(() => engine[Symbol.dispose]())

const inspected = (image: string) => JSON.parse(engine.must('image', 'inspect', image))[0]
const run = (image: string, script: string): string =>
  engine.must('run', '--rm', '--network', 'none', '--entrypoint', 'sh', image, '-c', script)
const written = (name: string, script: string, ...flags: readonly string[]): void => {
  engine.must('run', '-d', '--network', 'none', '--name', name, ...flags, 'busybox', `${script}; sleep 1000`)
}

/** Whoever prints a line in a container has done what stands before. */
const done = async (name: string): Promise<void> => {
  await engine.spawn('logs', '--follow', name).stdout.getReader().read()
}

test('an image that is imported does what the changes say', () => {
  expect(engine.must('run', '--rm', '--network', 'none', 'busybox', 'echo $A $PWD')).toBe('1 /tmp')
  expect(inspected('busybox').Config).toMatchObject({ Entrypoint: ['sh', '-c'], Labels: { of: 'image' } })
  const { status, stderr } = engine.coffer('import', '--change', 'RUN ls', here('busybox.tar'))
  expect([status, stderr.includes('RUN is not a valid change command')]).toEqual([1, true])
})

test('a health check of an image is run', async () => {
  const flags = ['--change', 'HEALTHCHECK --interval=50ms CMD true']
  engine.must('import', ...flags, here('busybox.tar'), 'checked')
  const id = engine.must('run', '-d', '--network', 'none', 'checked', 'sleep', '1000')
  const events = engine.spawn('exec', id, 'sleep', '1000')
  while (engine.must('inspect', '-f', '{{.State.Health.Status}}', id) !== 'healthy') await Bun.sleep(20)
  events.kill()
  expect(engine.must('inspect', '-f', '{{json .Config.Healthcheck.Test}}', id)).toBe('["CMD-SHELL","true"]')
  engine.must('rm', '--force', id)
})

test('a commit has what was made, changed and taken away, with owners and modes, and what the container does', async () => {
  const script = [
    'mkdir -p made/inner; echo new >made/inner/file; busybox chown 1000:1001 made/inner/file; busybox chmod 4711 made/inner/file',
    'busybox ln made/inner/file made/second; ln -s /nowhere made/link 2>/dev/null || busybox ln -s /nowhere made/link',
    'rm /etc/passwd; echo changed >/etc/group; rm -r /bin/false; busybox mkfifo made/pipe',
    'echo done',
  ].join('\n')
  written('author', script, '--env', 'B=2', '--label', 'mine=1')
  await done('author')
  const id = engine.must('commit', '-a', 'me', '-m', 'a note', '--change', 'USER 1000', 'author', 'made:1')
  expect(inspected('made:1')).toMatchObject({
    Id: id,
    Author: 'me',
    Comment: 'a note',
    Config: { User: '1000', Entrypoint: ['sh', '-c'] },
  })
  expect(inspected('made:1').Config.Env).toEqual(expect.arrayContaining(['A=1', 'B=2']))
  expect(inspected('made:1').Config.Env.join(' ')).not.toContain('HOME=')
  expect(inspected('made:1').Config.Labels).toEqual({ of: 'image', mine: '1' })
  expect(inspected('made:1').RootFS.Layers.length).toBe(2)
  expect(engine.must('history', '--format', '{{.Comment}}', 'made:1').split('\n')[0]).toBe('a note')
  const look = 'cd /tmp/made; stat -c "%u:%g %a %h" inner/file; cat second; stat -c %F link pipe; ls /etc /bin/false'
  expect(run('made:1', `{ ${look}; } 2>&1; true`)).toBe(
    [
      '1000:1001 4711 2',
      'new',
      'symbolic link',
      'fifo',
      'ls: /bin/false: No such file or directory',
      '/etc:',
      'group',
      'hostname',
      'hosts',
      'resolv.conf',
    ].join('\n'),
  )
  expect(engine.must('ps', '--format', '{{.Status}}', '--filter', 'name=author')).not.toContain('Paused')
  engine.must('rm', '--force', 'author')
})

test('a directory that was removed and made again hides what was below', () => {
  engine.must('run', '--network', 'none', '--name', 'opaque', 'busybox', 'rm -r /etc; mkdir /etc; echo x >/etc/only')
  engine.must('commit', 'opaque', 'opaque')
  engine.must('rm', 'opaque')
  expect(run('opaque', 'cat /etc/only; ls /etc')).toBe('x\nhostname\nhosts\nonly\nresolv.conf')
})

test('a layer more has a layer more, and nothing written is none', () => {
  engine.must('run', '--network', 'none', '--name', 'one', 'busybox', 'echo 1 >/tmp/1')
  engine.must('commit', 'one', 'chain:1')
  engine.must('run', '--network', 'none', '--name', 'two', 'chain:1', 'echo 2 >/tmp/2; rm /tmp/1')
  engine.must('commit', 'two', 'chain:2')
  expect(run('chain:2', 'ls /tmp')).toBe('2')
  expect(inspected('chain:2').RootFS.Layers.length).toBe(3)
  engine.must('create', '--network', 'none', '--name', 'none', 'chain:2', 'true')
  engine.must('commit', 'none', 'chain:3')
  expect(inspected('chain:3').RootFS.Layers.length).toBe(3)
  expect(engine.must('history', '-q', 'chain:3').split('\n').length).toBe(4)
  engine.must('rm', 'one', 'two', 'none')
})

test('a container whose commit is killed goes on with the next command that looks at it', async () => {
  written('stuck', 'dd if=/dev/urandom of=/large bs=1M count=48 2>/dev/null; echo done')
  const status = (): string => engine.must('inspect', '-f', '{{.State.Status}}', 'stuck')
  // One that has ended before it was seen to pause tells nothing.
  let wasPaused = false
  for (let round = 0; round < 20 && !wasPaused; round++) {
    const commit = engine.spawn('commit', 'stuck')
    for (; commit.exitCode === null && !wasPaused; await Bun.sleep(0)) wasPaused = status() === 'paused'
    commit.kill('SIGKILL')
    await commit.exited
  }
  expect(wasPaused).toBe(true)
  expect(status()).toBe('running')
  // The note of one that was killed before it paused anything does not undo what somebody else pauses.
  writeFileSync(join(engine.dataRoot, 'containers', engine.must('inspect', '-f', '{{.Id}}', 'stuck'), 'pausing'), '')
  engine.must('pause', 'stuck')
  expect([status(), status()]).toEqual(['paused', 'paused'])
  engine.must('rm', '--force', 'stuck')
})

test('while a commit runs the container is paused, unless told otherwise; one that fails leaves nothing', () => {
  written('held', 'echo done')
  const before = readdirSync(join(engine.dataRoot, 'images', 'blobs', 'sha256')).length
  const { status, stderr } = engine.coffer('commit', '--change', 'FROM x', 'held', 'never')
  expect([status, stderr.includes('FROM is not a valid change command')]).toEqual([1, true])
  expect(engine.must('inspect', '-f', '{{.State.Status}}', 'held')).toBe('running')
  expect(readdirSync(join(engine.dataRoot, 'images', 'blobs', 'sha256')).length).toBe(before)
  expect(engine.must('commit', '--pause=false', 'held')).toMatch(/^sha256:[0-9a-f]{64}$/)
  engine.must('rm', '--force', 'held')
  // Of a commit that is killed the keeper of the layer sees an end in the middle.
  const words = JSON.stringify({ image: inspected('busybox').Id, config: {}, changes: [], author: '', comment: '' })
  const kept = Bun.spawnSync(
    [process.execPath, join(import.meta.dir, '../../dist/transfer.js'), 'commit', words, 'seal'],
    {
      env: { COFFER_DATA_ROOT: engine.dataRoot },
      stdin: Buffer.alloc(1024),
      stderr: 'pipe',
    },
  )
  expect([kept.exitCode, kept.stderr.toString().includes('ends in the middle')]).toEqual([1, true])
  engine.must('create', '--name', 'bare', '--network', 'none', '--rootfs', here('busybox'), 'true')
  expect(engine.coffer('commit', 'bare').stderr).toContain('it is not made of an image')
  engine.must('rm', 'bare')
})

test('an image of a commit is read by others', () => {
  const directory = here('podman')
  const podman = (...words: readonly string[]) =>
    Bun.spawnSync(
      [
        'podman',
        '--root',
        join(directory, 'root'),
        '--runroot',
        join(directory, 'run'),
        '--storage-driver',
        'vfs',
        ...words,
      ],
      { stdout: 'pipe', stderr: 'pipe' },
    )
  mkdirSync(directory)
  engine.must('save', '-o', here('chain.tar'), 'chain:2')
  const loaded = podman('load', '-i', here('chain.tar'))
  expect(loaded.stderr.toString() + loaded.stdout.toString()).toContain('chain:2')
  const [image] = JSON.parse(podman('image', 'inspect', 'chain:2').stdout.toString())
  expect(image.RootFS.Layers).toEqual(inspected('chain:2').RootFS.Layers)
  expect(image.History.length).toBe(3)
  podman('rmi', '--all', '--force')
  Bun.spawnSync([
    'podman',
    '--root',
    join(directory, 'root'),
    '--runroot',
    join(directory, 'run'),
    '--storage-driver',
    'vfs',
    'system',
    'reset',
    '--force',
  ])
})

test('an export has the files of a container, running or not, without those of its volumes, and can be imported', async () => {
  written('out', 'echo mine >/tmp/file; echo volume >/data/file; echo done', '-v', 'some:/data')
  await done('out')
  for (const state of ['running', 'exited']) {
    engine.must('export', '--output', here(`${state}.tar`), 'out')
    const list = Bun.spawnSync(['tar', '-tf', here(`${state}.tar`)])
      .stdout.toString()
      .split('\n')
    expect(list).toEqual(expect.arrayContaining(['bin/busybox', 'bin/sh', 'tmp/file', 'data/', 'proc/']))
    for (const name of list) expect(name).not.toMatch(/^(data|proc|sys|dev)\/./)
    engine.must('import', here(`${state}.tar`), `from:${state}`)
    expect(engine.must('run', '--rm', '--network', 'none', `from:${state}`, 'cat', '/tmp/file')).toBe('mine')
    engine.must('stop', '-t', '0', 'out')
  }
  expect(readFileSync(here('running.tar')).length % 512).toBe(0)
  writeFileSync(here('piped.tar'), engine.coffer('export', 'out').stdout, 'latin1')
  expect(readdirSync(here()).filter((name) => name.includes('.coffer-'))).toEqual([])
  engine.must('rm', 'out')
})
