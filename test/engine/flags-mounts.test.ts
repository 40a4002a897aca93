/** What containers mount by flags: paths of the host, volumes, memory; and what becomes of volumes. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
let shown: string
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
  shown = join(engine.directory, 'shown')
  mkdirSync(shown)
  writeFileSync(join(shown, 'file'), 'of the host')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)
const said = (...words: readonly string[]): string => engine.coffer('run', '--rm', ...words, 'ubuntu', 'true').stderr
const data = (name: string): string => join(engine.dataRoot, 'volumes', name, '_data')
const mounted = (path: string, ...flags: readonly string[]): string =>
  run(...flags, 'ubuntu', 'cat', '/proc/self/mountinfo')
    .split('\n')
    .find((line) => line.split(' ')[4] === path) ?? ''

describe('a path of the host', () => {
  test.each([
    ['-v', (at: string) => `${at}:/x`],
    ['--volume with options', (at: string) => `${at}:/x:rw,z,rprivate`],
  ])('is shown with %s, and can be written', (_, word) => {
    run('-v', word(shown), 'ubuntu', 'sh', '-c', 'cat /x/file && echo more >/x/made')
    expect(readFileSync(join(shown, 'made'), 'utf8')).toBe('more\n')
  })

  test.each([
    ['-v', () => ['-v', `${shown}:/x:ro`]],
    ['--mount', () => ['--mount', `type=bind,src=${shown},dst=/x,ro`]],
    [
      '--mount in quotes',
      () => ['--mount', `type=bind,"source=${shown}",target=/x,readonly=true,bind-recursive=writable`],
    ],
  ])('is read-only with %s', (_, flags) => {
    const { status, stderr } = engine.coffer('run', '--rm', ...flags(), 'ubuntu', 'touch', '/x/new')
    expect([status, stderr]).toEqual([1, expect.stringContaining('Read-only file system')])
  })

  test('is made for --volume, and missed for --mount', () => {
    run('-v', `${engine.directory}/made/deep:/x`, 'ubuntu', 'true')
    expect(existsSync(join(engine.directory, 'made/deep'))).toBe(true)
    expect(said('--mount', 'type=bind,src=/nosuch,dst=/x')).toContain('bind source path does not exist: /nosuch')
  })

  test('is mounted before what is mounted into it, whatever the order of the flags', () => {
    const flags = ['--tmpfs', '/x/inner', '-v', `${shown}:/x`]
    expect(run(...flags, 'ubuntu', 'sh', '-c', 'cat /x/file; ls /x/inner')).toBe('of the host')
  })

  test('over /etc is below the hosts, hostname and resolv.conf of the container, as with docker', () => {
    const etc = join(engine.directory, 'etc')
    mkdirSync(etc)
    writeFileSync(join(etc, 'motd'), 'of the host')
    const read = (...flags: readonly string[]): string =>
      run('--hostname', 'box', ...flags, 'ubuntu', 'sh', '-c', 'cat /etc/hostname /etc/motd; tail -1 /etc/hosts')
    expect(read('-v', `${etc}:/etc`)).toMatch(/^box\nof the host[\d.]+\tbox$/)
    expect(readdirSync(etc).sort()).toEqual(['hostname', 'hosts', 'motd', 'resolv.conf'])
    // Which are there by now.
    expect(read('-v', `${etc}:/etc:ro`)).toStartWith('box\n')
    writeFileSync(join(engine.directory, 'mine'), 'mine\n')
    expect(read('-v', `${join(engine.directory, 'mine')}:/etc/hostname`, '-v', `${etc}:/etc`)).toStartWith('mine\n')
    const empty = join(engine.directory, 'empty')
    mkdirSync(empty)
    expect(said('-v', `${empty}:/etc:ro`)).toMatch(
      /^error: cannot make \/etc\/hosts in the container.*EROFS\nhint: .*writable$/m,
    )
  })

  test('hears of later mounts as --mount says', () => {
    expect(mounted('/x', '--mount', `type=bind,src=${shown},dst=/x,bind-propagation=shared`)).toMatch(/shared:/)
    expect(mounted('/x', '-v', `${shown}:/x`)).not.toMatch(/shared:/)
  })
})

describe('a volume', () => {
  test('keeps what one container writes for the next', () => {
    run('-v', 'kept:/data', 'ubuntu', 'sh', '-c', 'echo kept >/data/file')
    expect(run('--mount', 'type=volume,source=kept,target=/data,ro', 'ubuntu', 'cat', '/data/file')).toBe('kept')
    expect(readFileSync(join(data('kept'), 'file'), 'utf8')).toBe('kept\n')
  })

  test('gets what the image has there when it is mounted first, with owners and modes, and not again', () => {
    const [passwd, mode] = run(
      '-v',
      'etc:/etc',
      'ubuntu',
      'sh',
      '-c',
      'head -n 1 /etc/passwd; stat -c %a:%u /etc',
    ).split('\n')
    expect([passwd, mode]).toEqual(['root:x:0:0:root:/root:/bin/sh', '755:0'])
    run('-v', 'etc:/etc', 'ubuntu', 'rm', '/etc/group')
    expect(run('-v', 'etc:/etc', 'ubuntu', 'ls', '/etc').split('\n')).not.toContain('group')
    expect(run('-v', 'empty:/etc:nocopy', 'ubuntu', 'ls', '/etc').split('\n')).not.toContain('group')
    expect(run('-v', 'links:/bin', 'ubuntu', '/bin/busybox', 'readlink', '/bin/sh')).toBe('busybox')
  })

  test('that a killed command had only to fill is filled by the next one, and keeps what is there', () => {
    engine.must('volume', 'create', 'half')
    writeFileSync(join(data('half'), 'both'), 'of a container')
    const copied = join(engine.dataRoot, 'volumes', '.copied-half')
    mkdirSync(join(copied, 'directory'), { recursive: true })
    for (const name of ['both', 'directory/file']) writeFileSync(join(copied, name), 'of an image')
    engine.must('volume', 'ls')
    expect(['both', 'directory/file'].map((name) => readFileSync(join(data('half'), name), 'utf8'))).toEqual([
      'of a container',
      'of an image',
    ])
    expect(existsSync(copied)).toBe(false)
  })

  test('around the init of the container does not hide it', () => {
    expect(run('--init', '-v', 'around:/sbin', 'ubuntu', 'sh', '-c', 'cat /proc/1/comm')).toMatch(/init/)
  })

  test('that a container has mounted is filled in its place, beside what that writes', () => {
    engine.must('run', '-d', '--name', 'early', '-v', 'filled:/here', 'ubuntu', 'sleep', '1000')
    engine.must('create', '--name', 'late', '-v', 'filled:/bin', 'ubuntu', 'true')
    expect(engine.must('exec', 'early', 'sh', '-c', 'ls /here | grep -x sh; echo more >/here/more')).toBe('sh')
    expect(readFileSync(join(data('filled'), 'more'), 'utf8')).toBe('more\n')
    engine.must('rm', '-f', 'early', 'late')
  })

  test('without a name goes with a container that removes itself, or with rm --volumes', () => {
    const before = engine.must('volume', 'ls', '-q')
    run('-v', '/data', 'ubuntu', 'touch', '/data/x')
    expect(engine.must('volume', 'ls', '-q')).toBe(before)
    const id = engine.must('create', '-v', '/data', 'ubuntu', 'true')
    expect(engine.must('volume', 'ls', '-q').split('\n').length).toBe(before.split('\n').length + 1)
    engine.must('rm', '-v', id)
    expect(engine.must('volume', 'ls', '-q')).toBe(before)
  })

  test('and other mounts come from another container', () => {
    const id = engine.must('create', '-v', 'common:/data', '-v', `${shown}:/x`, 'ubuntu', 'true')
    run('--volumes-from', id, 'ubuntu', 'sh', '-c', 'cat /x/file >/data/copy')
    expect(readFileSync(join(data('common'), 'copy'), 'utf8')).toBe('of the host')
    expect(engine.coffer('run', '--rm', '--volumes-from', `${id}:ro`, 'ubuntu', 'touch', '/data/y').status).toBe(1)
    expect(engine.coffer('volume', 'rm', 'common').stderr).toContain(`volume is in use - [${id}]`)
    engine.must('rm', id)
    engine.must('volume', 'rm', 'common')
  })

  test('is created, listed, inspected, removed and pruned', () => {
    expect(engine.must('volume', 'create', '--label', 'a=b', 'named')).toBe('named')
    expect(JSON.parse(engine.must('volume', 'inspect', 'named'))[0]).toMatchObject({
      Name: 'named',
      Driver: 'local',
      Labels: { a: 'b' },
      Mountpoint: data('named'),
    })
    const anonymous = engine.must('volume', 'create')
    expect(engine.must('volume', 'ls')).toContain(`local     ${anonymous}\n`)
    expect(engine.must('volume', 'prune', '-f')).toContain(anonymous)
    expect(engine.must('volume', 'rm', 'named')).toBe('named')
    expect(engine.coffer('volume', 'inspect', 'named').stderr).toContain('No such volume: named')
  })
})

test('--mount gives a new volume its labels, and the last of a field that is given twice counts', () => {
  const labels = 'volume-label=one=1,volume-label=two=a=b,volume-label=three,volume-driver=local'
  const [first, second] = [
    `type=volume,src=other,src=labelled,dst=/x,${labels}`,
    'src=labelled,dst=/x,volume-label=four=4',
  ]
  for (const word of [first, second]) run('--mount', word ?? '', 'ubuntu', 'true')
  expect(JSON.parse(engine.must('volume', 'inspect', '-f', '{{json .Labels}}', 'labelled'))).toEqual({
    one: '1',
    two: 'a=b',
    three: '',
  })
  expect(engine.must('volume', 'ls', '-q')).not.toContain('other')
  expect(said('--mount', 'src=labelled,dst=/x,volume-label==1')).toContain('volume-label needs a name')
})

describe('a part of a volume', () => {
  const part = (path: string): readonly string[] => ['--mount', `type=volume,src=parts,dst=/x,volume-subpath=${path}`]

  test('is a directory or a file below it, also behind a link that stays in it', () => {
    const make = 'cd /d && mkdir sub && echo one >sub/file && ln -s sub inside && ln -s /etc out && ln -s ../../.. up'
    run('-v', 'parts:/d', 'ubuntu', 'sh', '-c', make)
    expect(run(...part('sub'), 'ubuntu', 'cat', '/x/file')).toBe('one')
    expect(run(...part('inside'), 'ubuntu', 'ls', '/x')).toBe('file')
    expect(run(...part('sub/file'), 'ubuntu', 'cat', '/x')).toBe('one')
  })

  test('is none behind a link that leads out (S21), nor one that is not there', () => {
    for (const path of ['out', 'up', 'out/passwd']) expect(said(...part(path))).toContain('EXDEV')
    expect(said(...part('missing'))).toContain('"missing", which does not exist')
  })
})

describe('a copy-on-write view', () => {
  test('keeps what is written with the container, and leaves volume and directory as they are', () => {
    run('-v', 'base:/d', 'ubuntu', 'sh', '-c', 'echo old >/d/file')
    const flags = ['-v', 'base:/d:cow', '-v', `${shown}:/s:O`]
    const id = engine.must(
      'create',
      ...flags,
      'ubuntu',
      'sh',
      '-c',
      'echo new >>/d/file; rm -f /s/file; cat /d/file; test -e /s/file || echo gone',
    )
    expect(engine.must('start', '--attach', id)).toBe('old\nnew\ngone')
    expect(engine.must('start', '--attach', id)).toBe('old\nnew\nnew\ngone')
    expect(readFileSync(join(data('base'), 'file'), 'utf8')).toBe('old\n')
    expect(readFileSync(join(shown, 'file'), 'utf8')).toBe('of the host')
    engine.must('rm', id)
    expect(readdirSync(join(engine.dataRoot, 'containers'))).not.toContain(id)
  })

  test('can be read-only, and is one of its own for --volumes-from', () => {
    expect(engine.coffer('run', '--rm', '-v', 'base:/d:cow,ro', 'ubuntu', 'touch', '/d/x').stderr).toContain(
      'Read-only',
    )
    const id = engine.must('create', '-v', 'base:/d:cow', 'ubuntu', 'true')
    run('--volumes-from', id, 'ubuntu', 'sh', '-c', 'echo other >/d/file')
    expect(run('--volumes-from', id, 'ubuntu', 'cat', '/d/file')).toBe('old')
    engine.must('rm', id)
  })
})

describe('memory', () => {
  test('--tmpfs and --mount type=tmpfs are empty, of a size and mode', () => {
    expect(mounted('/t', '--tmpfs', '/t')).toMatch(/nosuid,nodev,noexec/)
    expect(mounted('/t', '--tmpfs', '/t:size=64k,exec')).toMatch(/ \/t rw,nosuid,nodev,relatime .*size=64k/)
    expect(run('--mount', 'type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=1770', 'ubuntu', 'stat', '-c', '%a', '/t')).toBe(
      '1770',
    )
  })

  test('--read-only leaves what is mounted writable', () => {
    expect(engine.coffer('run', '--rm', '--read-only', 'ubuntu', 'touch', '/x').status).toBe(1)
    run('--read-only', '--tmpfs', '/t', '-v', 'kept:/data', 'ubuntu', 'touch', '/t/x', '/data/x')
  })
})

test('files of an image that are links to what is missing are there all the same, and stay links', () => {
  const root = join(engine.directory, 'linked')
  const links = { hosts: '/no/hosts', 'resolv.conf': '../run/systemd/resolve/stub-resolv.conf' }
  mkdirSync(root)
  Bun.spawnSync(['tar', '-C', root, '-xf', busyboxArchive(root)])
  for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, 'etc', name))
  Bun.spawnSync(['tar', '-C', root, '-cf', `${root}.tar`, '.'])
  engine.must('import', `${root}.tar`, 'linked')
  const read = 'cat /etc/hosts /etc/resolv.conf; test -L /etc/hosts && test -L /etc/resolv.conf && echo links'
  for (const _ of ['planned', 'noted', 'kept']) {
    const seen = run('--add-host', 'db:10.0.0.7', '--dns', '192.0.2.1', 'linked', 'sh', '-c', read)
    expect(seen).toMatch(/10\.0\.0\.7\s+db\n(.*\n)*nameserver 192\.0\.2\.1\n(.*\n)*links$/)
  }
})

test('what cannot be mounted is refused with the reason', () => {
  expect(said('-v', 'relative:not/absolute')).toContain('mount path must be absolute')
  expect(said('-v', `${shown}:/`)).toContain("destination can't be '/'")
  expect(said('-v', `${shown}:/x:odd`)).toContain('invalid mode: odd')
  expect(said('-v', '!:/x')).toContain('a volume name begins with a letter or digit')
  expect(said('--mount', 'type=bind,src=/tmp')).toContain('target is required')
  expect(said('--mount', 'type=npipe,src=/a,dst=/b')).toContain('there are bind, volume and tmpfs')
  expect(said('--mount', 'type=tmpfs,dst=/b,odd=1')).toContain('the field odd')
  for (const path of ['/a', '../a', 'a/../../b'])
    expect(said('--mount', `type=volume,src=kept,dst=/b,volume-subpath=${path}`)).toContain(
      'volume-subpath is a path below the volume',
    )
  expect(said('-v', 'kept:/b:cow,shared')).toContain('a file system of its own')
})
