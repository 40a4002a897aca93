/** Names, ids, volumes, accounts and removals, as somebody uses them who wants at what is another's. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')
const run = (...words: readonly string[]): string => engine.must('run', '--rm', '--network', 'none', ...words)
const NAMES = [
  '..',
  '.',
  '../x',
  'a/b',
  '/etc',
  '',
  'x\n',
  '\nx',
  'a b',
  'é',
  '-x',
  '*',
  'x'.repeat(300),
  '%2e%2e',
  'a\\b',
]

function tree(path: string): string {
  return Bun.spawnSync(['find', '.', '-printf', '%P %y %m %U:%G %s %l\\n'], { cwd: path }).stdout.toString()
}

describe('names are names of files here', () => {
  test('of volumes: what is none is refused, and nothing is made (S190)', () => {
    for (const name of NAMES.filter((one) => one !== ''))
      expect([name, engine.coffer('volume', 'create', '--', name).status > 0]).toEqual([name, true])
    for (const name of ['..', 'a b', 'é', 'x'.repeat(300)])
      expect([name, engine.coffer('run', '--rm', '--network', 'none', '-v', `${name}:/v`, 'busybox').status]).toEqual([
        name,
        125,
      ])
    expect(engine.must('volume', 'ls', '-q')).toBe('')
    expect(readdirSync(join(engine.dataRoot, 'volumes'))).toEqual([])
    for (const option of ['device=/etc', 'o=bind', 'type=none'])
      expect([option, engine.coffer('volume', 'create', '--opt', option, 'vol').status > 0]).toEqual([option, true])
    expect(engine.must('volume', 'create', 'fine-1.2_3')).toBe('fine-1.2_3')
    engine.must('volume', 'rm', 'fine-1.2_3')
  })

  test('of containers: what is none is refused, whoever asks (S217, S218)', () => {
    engine.must('rm', engine.must('create', '--network', 'none', 'busybox', 'true'))
    const before = tree(engine.dataRoot)
    // As with docker, an empty one is none, and /etc is etc.
    for (const name of [
      ...NAMES.filter((one) => one !== '' && one !== '/etc'),
      '//etc',
      '/../etc',
      '/..',
      '/',
      '/.hidden',
    ]) {
      expect([
        name,
        engine.coffer('create', '--network', 'none', `--name=${name}`, 'busybox', 'true').status > 0,
      ]).toEqual([name, true])
      for (const command of ['inspect', 'start', 'rm', 'logs', 'kill', 'exec', 'rename'])
        expect([name, command, engine.coffer(command, '--', name, 'x').status > 0]).toEqual([name, command, true])
    }
    for (const id of engine.must('ps', '-aq').split('\n').filter(Boolean)) engine.must('rm', id)
    expect(tree(engine.dataRoot)).toBe(before)
  })

  test('of coffer-runc: ids that lead elsewhere are refused by every command (S218)', () => {
    const runc = join(program, '..', 'coffer-runc')
    for (const id of [...NAMES, 'x'.repeat(1025)])
      for (const command of ['create', 'run', 'start', 'state', 'delete', 'kill']) {
        const { exitCode } = Bun.spawnSync([runc, '--root', join(engine.directory, 'runc'), command, '--', id])
        expect([id, command, exitCode > 0]).toEqual([id, command, true])
      }
    expect(readdirSync(join(engine.directory, 'runc')).filter((name) => !name.startsWith('.'))).toEqual([])
    expect(readdirSync(engine.directory)).not.toContain('x')
  })

  test('a full id comes before a name, a name before the beginning of an id, and one of several is none (S217)', () => {
    const first = engine.must('create', '--network', 'none', 'busybox', 'true')
    const beginning = first.slice(0, 4)
    const second = engine.must('create', '--network', 'none', '--name', beginning, 'busybox', 'true')
    const idOf = (text: string): string => engine.must('inspect', '--format', '{{.Id}}', text)
    expect([idOf(first), idOf(beginning), idOf(first.slice(0, 8))]).toEqual([first, second, first])
    engine.must('create', '--network', 'none', '--name', first, 'busybox', 'true')
    expect(idOf(first)).toBe(first)
    for (const id of engine.must('ps', '-aq', '--no-trunc').split('\n')) engine.must('rm', id)
  })
})

describe('a volume', () => {
  test('that a container has is not removed, and one that is removed is gone (S191)', () => {
    engine.must('volume', 'create', 'kept')
    engine.must('create', '--name', 'user', '--network', 'none', '-v', 'kept:/v', 'busybox', 'true')
    expect(engine.coffer('volume', 'rm', 'kept').stderr).toContain('volume is in use')
    expect(engine.coffer('volume', 'prune', '--all', '--force').stdout).not.toContain('kept')
    engine.must('start', '--attach', 'user')
    engine.must('rm', 'user')
    engine.must('volume', 'rm', 'kept')
    expect(readdirSync(join(engine.dataRoot, 'volumes'))).toEqual([])
  })

  test('is there for its container, however many make and remove it at once (S191)', async () => {
    const maker = async (): Promise<readonly string[]> => {
      const seen: string[] = []
      for (let round = 0; round < 15; round++) {
        const child = engine.spawn('run', '--rm', '--network', 'none', '-v', 'raced:/v', 'busybox', 'touch', '/v/f')
        const error = await new Response(child.stderr).text()
        if ((await child.exited) !== 0) seen.push(error)
      }
      return seen
    }
    const remover = async (): Promise<readonly string[]> => {
      for (let round = 0; round < 40; round++) await engine.spawn('volume', 'rm', 'raced').exited
      return []
    }
    const [failed] = await Promise.all([maker(), remover()])
    expect(failed).toEqual([])
    engine.coffer('volume', 'rm', 'raced')
    expect(readdirSync(join(engine.dataRoot, 'volumes'))).toEqual([])
  })

  test('gets from the image what is at its place, and nothing that a link of the image leads to (S190)', () => {
    const root = join(engine.directory, 'links')
    const canary = join(engine.directory, 'canary')
    mkdirSync(join(root, 'real'), { recursive: true })
    mkdirSync(canary)
    writeFileSync(join(canary, 'secret'), 'secret-word')
    writeFileSync(join(root, 'real', 'file'), 'real')
    symlinkSync(canary, join(root, 'dir'))
    symlinkSync(join(canary, 'secret'), join(root, 'real', 'link'))
    Bun.spawnSync(['cp', '-a', join(engine.directory, 'busybox', 'bin'), root])
    Bun.spawnSync(['tar', '-C', root, '-cf', `${root}.tar`, '.'])
    engine.must('import', `${root}.tar`, 'links')
    expect(run('-v', 'one:/real', 'links', 'sh', '-c', 'cat /real/*; ls /real')).toBe('realfile\nlink')
    engine.coffer('run', '--rm', '--network', 'none', '-v', 'two:/dir', 'links', 'touch', '/dir/made')
    expect([readdirSync(canary), tree(join(engine.dataRoot, 'volumes')).includes('secret')]).toEqual([['secret'], true])
    for (const name of ['one', 'two']) {
      const data = join(engine.dataRoot, 'volumes', name, '_data')
      expect(readdirSync(data).filter((file) => file === 'secret')).toEqual([])
      engine.must('volume', 'rm', name)
    }
  })
})

describe('what is secret is not told', () => {
  test('a password is in no error, file or list, and what a container was given is in no other (S220, S221)', () => {
    const config = join(engine.directory, 'docker')
    mkdirSync(config)
    const secret = 'hunter2-canary'
    const auth = Buffer.from(`me:${secret}`).toString('base64')
    writeFileSync(join(config, 'config.json'), JSON.stringify({ auths: { '127.0.0.1:9': { auth } } }))
    const env = {
      PATH: process.env.PATH ?? '',
      COFFER_DATA_ROOT: engine.dataRoot,
      COFFER_RUN_ROOT: engine.runRoot,
      DOCKER_CONFIG: config,
    }
    const said = ['pull', 'run']
      .map((command) => Bun.spawnSync([program, command, `127.0.0.1:9/x`], { env }))
      .map(({ stdout, stderr, exitCode }) => `${exitCode > 0} ${stdout}${stderr}`)
      .join('')
    expect(said.match(/error: cannot/g)?.length).toBe(3)
    const one = engine.must('run', '-d', '--network', 'none', '-e', 'TOKEN=first-canary', 'busybox', 'sleep', '1000')
    const other = engine.must('run', '-d', '--network', 'none', 'busybox', 'sleep', '1000')
    const lists = ['ps -a --no-trunc', 'images', 'volume ls', 'why', `inspect ${other}`, `exec ${other} env`]
      .map((words) => engine.coffer(...words.split(' ')).stdout)
      .join('')
    expect(`${said}${lists}`).not.toMatch(new RegExp(`${secret}|${auth}|first-canary`))
    expect(engine.must('inspect', one)).toContain('first-canary')
    const kept = Bun.spawnSync(['grep', '-rlE', `${secret}|${auth}`, engine.dataRoot, engine.runRoot]).stdout.toString()
    expect(kept).toBe('')
    const holders = Bun.spawnSync(['grep', '-rl', 'first-canary', engine.dataRoot, engine.runRoot]).stdout.toString()
    for (const path of holders.trim().split('\n')) {
      expect(path).toContain(one)
      expect(statSync(path).mode & 0o077).toBe(0)
    }
    engine.must('rm', '-f', one, other)
  })

  test('a helper for passwords that config.json names is not run, whatever its name (S230)', () => {
    const config = join(engine.directory, 'helpers')
    const bin = join(config, 'bin')
    mkdirSync(bin, { recursive: true })
    const ranFile = join(config, 'ran')
    for (const name of ['evil', 'x;touch ran', '../x']) {
      const path = join(bin, `docker-credential-${name}`)
      if (!name.includes('/')) writeFileSync(path, `#!/bin/sh\necho >${ranFile}\n`, { mode: 0o755 })
      writeFileSync(
        join(config, 'config.json'),
        JSON.stringify({ credHelpers: { '127.0.0.1:9': name }, credsStore: name }),
      )
      const before = readFileSync(join(config, 'config.json'))
      const { exitCode } = Bun.spawnSync([program, 'pull', '127.0.0.1:9/x'], {
        cwd: bin,
        env: { PATH: `${bin}:${process.env.PATH}`, COFFER_DATA_ROOT: engine.dataRoot, DOCKER_CONFIG: config },
      })
      expect([exitCode, existsSync(ranFile)]).toEqual([1, false])
      expect(readFileSync(join(config, 'config.json'))).toEqual(before)
    }
    Bun.spawnSync([join(bin, 'docker-credential-evil')])
    expect(existsSync(ranFile)).toBe(true)
  })
})

test('two commands on one data root see one state: of many that take one name one has it (S227)', async () => {
  const all = Array.from({ length: 8 }, () =>
    engine.spawn('create', '--network', 'none', '--name', 'only', 'busybox', 'true'),
  )
  const statuses = await Promise.all(all.map((one) => one.exited))
  expect(statuses.filter((status) => status === 0).length).toBe(1)
  const starts = Array.from({ length: 4 }, () => engine.spawn('start', 'only'))
  await Promise.all(starts.map((one) => one.exited))
  const removals = Array.from({ length: 4 }, () => engine.spawn('rm', '--force', 'only'))
  await Promise.all(removals.map((one) => one.exited))
  expect(engine.must('ps', '-aq')).toBe('')
  expect(readdirSync(join(engine.dataRoot, 'containers'))).toEqual([])
})

describe('removing a container removes what is its own', () => {
  test('and nothing that is mounted into it, also while somebody is inside (S279)', async () => {
    const bound = join(engine.directory, 'bound')
    mkdirSync(bound)
    for (let file = 0; file < 200; file++) writeFileSync(join(bound, `${file}`), `${file}`)
    const before = tree(bound)
    engine.must('volume', 'create', 'canary')
    run('-v', 'canary:/v', 'busybox', 'touch', '/v/canary')
    for (let round = 0; round < 8; round++) {
      const id = engine.must(
        'run',
        '-d',
        '--network',
        'none',
        '-v',
        `${bound}:/bound`,
        '-v',
        'canary:/v',
        'busybox',
        'sleep',
        '1000',
      )
      const pid = engine.must('inspect', '--format', '{{.State.Pid}}', id)
      // Somebody who stands in the tree of the container, and in what is mounted there.
      const holder = Bun.spawn(
        ['nsenter', `--mount=/proc/${pid}/ns/mnt`, `--wd=/proc/${pid}/root/bound`, 'sh', '-c', 'echo; exec sleep 1000'],
        { stdout: 'pipe' },
      )
      await holder.stdout.getReader().read()
      engine.must('rm', '--force', id)
      holder.kill()
    }
    expect(tree(bound)).toBe(before)
    expect(run('-v', 'canary:/v', 'busybox', 'ls', '/v')).toBe('canary')
    engine.must('volume', 'rm', 'canary')
  })

  test('and follows no link, whoever exchanges directories for links meanwhile (S280)', async () => {
    const canary = join(engine.directory, 'exchanged')
    mkdirSync(join(canary, 'deep'), { recursive: true })
    for (let file = 0; file < 50; file++) writeFileSync(join(canary, 'deep', `${file}`), '')
    const before = tree(canary)
    for (let round = 0; round < 6; round++) {
      engine.must('volume', 'create', 'raced')
      const data = join(engine.dataRoot, 'volumes', 'raced', '_data')
      for (let directory = 0; directory < 40; directory++) {
        mkdirSync(join(data, `d${directory}`, 'deep'), { recursive: true })
        writeFileSync(join(data, `d${directory}`, 'deep', '0'), '')
      }
      symlinkSync(canary, join(data, 'link'))
      // Whoever had the volume open goes on: it exchanges the directories with the link while they are removed.
      const racer = Bun.spawn(
        [
          'python3',
          '-c',
          `import ctypes, os, sys
libc = ctypes.CDLL(None)
fd = os.open(sys.argv[1], os.O_RDONLY)
print(flush=True)
while True:
    for n in range(40): libc.syscall(316, fd, b'd%d' % n, fd, b'link', 2)`,
          data,
        ],
        { stdout: 'pipe' },
      )
      await racer.stdout.getReader().read()
      engine.coffer('volume', 'rm', 'raced')
      racer.kill()
      await racer.exited
    }
    expect(tree(canary)).toBe(before)
    const leftovers = (): readonly string[] => readdirSync(join(engine.dataRoot, 'volumes'))
    engine.must('volume', 'create', 'last')
    engine.must('volume', 'rm', 'last')
    expect(leftovers()).toEqual([])
  })

  test('however deep it is, and says what cannot be removed (S280)', () => {
    const id = engine.must(
      'create',
      '--network',
      'none',
      'busybox',
      'sh',
      '-c',
      'i=0; while [ $i -lt 1500 ]; do mkdir ddddddddd; cd ddddddddd; i=$((i+1)); done',
    )
    engine.must('start', '--attach', id)
    engine.must('rm', id)
    expect(readdirSync(join(engine.dataRoot, 'containers'))).toEqual([])
    chmodSync(engine.directory, 0o700)
    rmSync(join(engine.directory, 'canary'), { recursive: true, force: true })
  })
})
