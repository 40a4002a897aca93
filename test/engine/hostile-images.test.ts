/** Images that somebody made to be another one, to fill the machine, or to have something run: what load, import and pull make of them. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { busyboxArchive, openTestEngine, type Ran, type TestEngine } from './engine.ts'
import { built, digestOf } from './image-archives.ts'
import { archive, entryBytes, type Written } from './layer-archives.ts'

let engine: TestEngine
let busybox: Uint8Array
beforeAll(() => {
  engine = openTestEngine()
  busybox = readFileSync(busyboxArchive(engine.directory))
})
afterAll(() => engine[Symbol.dispose]())

const load = (bytes: Uint8Array, into = engine): Ran => into.cofferWith(new Blob([bytes]), 'load')
const idIn = ({ stdout }: Ran): string => /sha256:[0-9a-f]{64}/.exec(stdout)?.[0] ?? ''
const NAMED = { 'org.opencontainers.image.ref.name': 'docker.io/test/named:1' }
const layer = (...entries: readonly Written[]): Uint8Array => archive(...entries)
const left = ({ dataRoot }: TestEngine): readonly string[] => readdirSync(join(dataRoot, 'incoming'))

describe('an image is what its digests say', () => {
  test('a layer that is not what the configuration says is an error, also if that one is here (S147, S176)', () => {
    using other = openTestEngine()
    const mine = layer({ path: 'secret', content: 'mine' })
    const theirs = layer({ path: 'harmless', content: 'theirs' })
    const lie = { layers: [theirs], diffIds: [digestOf(mine)] }
    expect(load(built(lie).tar, other).stderr).toContain('what came is not it')
    expect([left(other), readdirSync(join(other.dataRoot, 'layers'))]).toEqual([[], []])
    const honest = load(built({ layers: [mine] }).tar, other)
    expect(honest.status).toBe(0)
    // The layer that it names is unpacked by now, and the one that it brings is another.
    expect(load(built(lie).tar, other).stderr).toContain('what came is not it')
    // Only the beginning of a digest is the name of its directory.
    const twin = `${digestOf(mine).slice(0, 7 + 32)}${'0'.repeat(32)}`
    expect(load(built({ layers: [mine], diffIds: [twin] }).tar, other).stderr).toContain('what came is not it')
    // The same layer in another form is the same layer.
    const again = built({ layers: [gzipSync(mine)], diffIds: [digestOf(mine)], config: { Labels: { a: 'b' } } })
    expect(load(again.tar, other).status).toBe(0)
    expect(readdirSync(join(other.dataRoot, 'layers')).length).toBe(2)
  })

  test('an archive cannot say by which digest a registry knows its image (S176)', () => {
    using other = openTestEngine()
    const trusted = `sha256:${'ab'.repeat(32)}`
    const claims = { ...NAMED, 'dev.coffer.source.digest': trusted }
    expect(load(built({ layers: [busybox], annotations: claims }).tar, other).status).toBe(0)
    expect(other.coffer('image', 'inspect', 'test/named:1').status).toBe(0)
    expect(other.coffer('image', 'inspect', `test/named@${trusted}`).status).toBe(1)
    expect(readFileSync(join(other.dataRoot, 'images/index.json'), 'utf8')).not.toContain(trusted)
  })

  test('labels and annotations name nothing, and hold nothing (S176, S177)', () => {
    using other = openTestEngine()
    const labels = {
      'io.containerd.image.name': 'docker.io/library/other:latest',
      'org.opencontainers.image.ref.name': 'docker.io/library/other:latest',
      'com.docker.compose.project': 'theirs',
      'dev.coffer.source.digest': `sha256:${'cd'.repeat(32)}`,
      'run.oci.handler': 'krun',
      'run.oci.hooks.stderr': '/dev/stderr',
      'io.kubernetes.cri.container-type': 'sandbox',
      'containerd.io/restart.loguri': 'binary:///bin/touch?x=/tmp/never',
    }
    const image = built({
      layers: [busybox],
      config: { Labels: labels, Cmd: ['cat', '/proc/self/status'] },
      manifest: { annotations: labels },
    })
    const id = idIn(load(image.tar, other))
    expect(other.must('images', '--format', '{{.Repository}}')).toBe('<none>')
    const plain = idIn(load(built({ layers: [busybox], config: { Cmd: ['cat', '/proc/self/status'] } }).tar, other))
    const seen = (image: string): readonly string[] =>
      other
        .must('run', '--rm', '--network', 'none', image)
        .split('\n')
        .filter((line) => /^(Cap|Sec|NoNew|Uid|Gid|Groups)/.test(line))
    expect(seen(id)).toEqual(seen(plain))
    expect(seen(id).length).toBeGreaterThan(7)
    const made = other.must('create', '--network', 'none', id)
    const inspected = JSON.parse(other.must('inspect', made))[0]
    expect([inspected.Config.Labels['run.oci.handler'], inspected.HostConfig.LogConfig.Type]).toEqual(['krun', 'local'])
    expect(other.coffer('run', '--rm', '--runtime', 'krun', id).status).toBe(125)
  })

  test('names from the prototype of objects are labels and variables like others (S156, S308)', () => {
    using other = openTestEngine()
    const odd = JSON.parse('{"__proto__": "a", "constructor": "b", "toString": "c", "hasOwnProperty": "d"}')
    const id = idIn(load(built({ layers: [busybox], config: { Labels: odd, Env: ['__proto__=e'] } }).tar, other))
    const { Labels } = JSON.parse(other.must('image', 'inspect', id))[0].Config
    expect(Object.entries(Labels).sort()).toEqual([...Object.entries(odd)].sort() as [string, unknown][])
    expect(other.must('images', '-q', '--no-trunc', '--filter', 'label=constructor=b')).toBe(id)
    expect(other.must('images', '-q', '--filter', 'label=valueOf')).toBe('')
    const made = other.must('create', '--network', 'none', '--label', '__proto__=f', id, 'true')
    expect(JSON.parse(other.must('inspect', made))[0].Config.Labels).toMatchObject({ constructor: 'b' })
    expect(other.must('inspect', '--format', '{{index .Config.Labels "__proto__"}}', made)).toBe('f')
    expect(other.must('inspect', '--format', '{{index .Config.Labels "valueOf"}}', made)).toBe('')
    expect(other.must('ps', '-aq', '--no-trunc', '--filter', 'label=__proto__=f')).toBe(made)
    expect(other.must('ps', '-aq', '--filter', 'label=valueOf')).toBe('')
  })
})

describe('what an image says of itself is bounded', () => {
  test('a manifest of more layers than the kernel takes (S155)', () => {
    const many = Array.from({ length: 501 }, () => layer({ path: 'a' }))
    expect(load(built({ layers: many }).tar).stderr).toContain('layers has more than 500 items')
  })

  test('a configuration with a million entries of history, and one with a label of 5 MiB (S155)', () => {
    const history = Array.from({ length: 1_000_000 }, () => ({}))
    const image = (config: object): Uint8Array => built({ layers: [layer({ path: 'a' })], config }).tar
    expect(load(image({ Labels: { a: 'x'.repeat(1 << 20) } })).status).toBe(0)
    expect(load(image({ Labels: { a: 'x'.repeat(5 << 20) } })).stderr).toContain('a document of')
    expect(load(image({ history })).status).toBe(0)
  })

  test('JSON of a million brackets (S156)', () => {
    const deep = `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`
    for (const path of ['index.json', 'manifest.json']) {
      const { status, stderr } = load(archive({ path, content: deep }))
      expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: cannot/)])
    }
  })
})

describe('streams', () => {
  const root = layer({ path: 'a', content: 'x'.repeat(3000) }, { path: 'b', content: 'y' })

  test('that are cut or damaged anywhere are errors, and the next import works (S169)', () => {
    using other = openTestEngine()
    const forms = { gzip: gzipSync(root), zstd: Bun.zstdCompressSync(root) }
    for (const [name, whole] of Object.entries(forms)) {
      for (const part of [1, 2, 10, 35, 60, 85, 99]) {
        const at = Math.max(3, Math.floor((whole.length * part) / 100))
        const cut = other.cofferWith(new Blob([whole.subarray(0, at)]), 'import', '-', 'cut')
        expect([name, part, cut.status, cut.stderr.slice(0, 13)]).toEqual([name, part, 1, 'error: cannot'])
        expect(left(other)).toEqual([])
      }
      for (const at of [Math.floor(whole.length / 2), whole.length - 3]) {
        const broken = Uint8Array.from(whole, (byte, index) => (index === at ? byte ^ 0x55 : byte))
        expect([name, at, other.cofferWith(new Blob([broken]), 'import', '-', 'broken').status]).toEqual([name, at, 1])
      }
      expect(other.cofferWith(new Blob([whole]), 'import', '-', 'whole').status).toBe(0)
    }
    expect(left(other)).toEqual([])
  })

  test('of several members are one, however many are empty (S167)', () => {
    using other = openTestEngine()
    const half = 1024
    const members = Buffer.concat([gzipSync(root.subarray(0, half)), gzipSync(root.subarray(half))])
    expect(other.cofferWith(new Blob([members]), 'import', '-', 'two').status).toBe(0)
    const empty = gzipSync('')
    const many = Buffer.concat([...Array.from({ length: 50_000 }, () => empty), gzipSync(root)])
    expect(other.cofferWith(new Blob([many]), 'import', '-', 'many').status).toBe(0)
    const frames = Buffer.concat([
      Bun.zstdCompressSync(root.subarray(0, half)),
      Bun.zstdCompressSync(root.subarray(half)),
    ])
    expect(other.cofferWith(new Blob([frames]), 'import', '-', 'frames').status).toBe(0)
    expect(other.must('images', '--format', '{{.Size}}').split('\n').length).toBe(3)
    expect(new Set(other.must('images', '--format', '{{.Size}}').split('\n')).size).toBe(1)
  })

  test('are unpacked once: an archive in an archive is a file (S167)', () => {
    using other = openTestEngine()
    const twice = gzipSync(gzipSync(root))
    expect(other.cofferWith(new Blob([twice]), 'import', '-', 'twice').status).toBe(1)
  })

  test('that ask for a window of 2 GiB are refused (S167)', () => {
    using other = openTestEngine()
    // RFC 8878: magic number, a frame without size, a window of 2^31, and a raw block.
    const frame = Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3]), Buffer.from([1, 0, 0])])
    const { status, stderr } = other.cofferWith(new Blob([frame]), 'import', '-', 'window')
    expect([status, stderr]).toEqual([1, expect.stringMatching(/^error: cannot/)])
  })

  test('that fill the disk end with an error and leave nothing (S167)', () => {
    const mounted = join(engine.directory, 'small')
    mkdirSync(mounted)
    const zeros = gzipSync(
      Buffer.concat([entryBytes({ path: 'zeros', content: new Uint8Array(64 << 20) }), Buffer.alloc(1024)]),
    )
    const script = `mount -t tmpfs -o size=24m none ${mounted} && COFFER_DATA_ROOT=${mounted} "$0" import - bomb; code=$?
      ls ${mounted}/incoming ${mounted}/layers ${mounted}/images/blobs/sha256; exit $code`
    const program = join(import.meta.dir, '..', '..', 'dist', 'coffer')
    const { exitCode, stdout, stderr } = Bun.spawnSync(['unshare', '--mount', 'sh', '-c', script, program], {
      stdin: new Blob([zeros]),
      env: { PATH: process.env.PATH ?? '', COFFER_RUN_ROOT: engine.runRoot },
    })
    expect([exitCode, stderr.toString()]).toEqual([1, expect.stringContaining('no space left on device')])
    const lines = stdout
      .toString()
      .split('\n')
      .filter((line) => line !== '' && !line.endsWith(':'))
    expect(lines).toEqual([])
    // With room it is an image like others.
    expect(engine.cofferWith(new Blob([zeros]), 'import', '-', 'zeros').status).toBe(0)
  })
})

test('nothing of an image and nothing on the way is run to unpack it (S168)', async () => {
  using other = openTestEngine()
  const ranFile = join(other.directory, 'ran')
  const bin = join(other.directory, 'bin')
  mkdirSync(bin)
  const program = `#!/bin/sh\necho "$0" >>${ranFile}\n`
  const names = ['gzip', 'gunzip', 'unpigz', 'pigz', 'zstd', 'unzstd', 'xz', 'unxz', 'bzip2', 'tar', 'sh', 'cp']
  for (const name of names) writeFileSync(join(bin, name), program, { mode: 0o755 })
  const hostile = layer(...names.map((name): Written => ({ path: `usr/bin/${name}`, mode: 0o755, content: program })))
  const image = built({ layers: [gzipSync(hostile)], diffIds: [digestOf(hostile)] })
  const env = {
    PATH: `${bin}:${process.env.PATH}`,
    COFFER_DATA_ROOT: other.dataRoot,
    COFFER_RUN_ROOT: other.runRoot,
  }
  const coffer = join(import.meta.dir, '..', '..', 'dist', 'coffer')
  for (const [words, stdin] of [
    [['load'], gzipSync(image.tar)],
    [['import', '-'], gzipSync(hostile)],
    [['import', '-'], Bun.zstdCompressSync(hostile)],
  ] as const) {
    const child = Bun.spawnSync([coffer, ...words], { env, stdin: new Blob([stdin]), cwd: bin })
    expect([words, child.exitCode, child.stderr.toString()]).toEqual([words, 0, ''])
  }
  expect(existsSync(ranFile)).toBe(false)
  // xz is no form of a layer, and nobody is asked to make one of it.
  const xz = Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0, ...new Uint8Array(600)])
  expect(Bun.spawnSync([coffer, 'import', '-'], { env, stdin: new Blob([xz]), cwd: bin }).exitCode).toBe(1)
  expect(existsSync(ranFile)).toBe(false)
  Bun.spawnSync([join(bin, 'gzip')])
  expect(existsSync(ranFile)).toBe(true)
})

describe('layers lie where only their owner comes, and stay as they are', () => {
  const asNobody = (path: string): number =>
    Bun.spawnSync(['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', 'cat', path]).exitCode

  test('a program with the set-id bit of an image is out of reach of users of this machine (S164)', () => {
    using other = openTestEngine()
    load(built({ layers: [layer({ path: 'su', mode: 0o4755, content: 'x' })] }).tar, other)
    chmodSync(other.directory, 0o755)
    const [name = ''] = readdirSync(join(other.dataRoot, 'layers')).filter((one) => !one.includes('.'))
    const path = join(other.dataRoot, 'layers', name, 'su')
    expect([statSync(path).mode & 0o7777, asNobody(path)]).toEqual([0o4755, 1])
    const copy = join(other.directory, 'copy')
    cpSync(path, copy)
    expect(asNobody(copy)).toBe(0)
  })

  test('what a container writes is in no layer, and not in another container (S179)', () => {
    using other = openTestEngine()
    other.cofferWith(new Blob([busybox]), 'import', '-', 'busybox')
    const hash = (): string =>
      Bun.spawnSync(['sh', '-c', 'find . -printf "%P %y %m %U %G %s %T@\\n" -type f -exec cat {} + | sha256sum'], {
        cwd: join(other.dataRoot, 'layers'),
      }).stdout.toString()
    const before = hash()
    const write =
      'echo changed >/etc/passwd; rm /etc/group; mkdir /new; chmod 777 /bin; ln -s / /tmp/out; cat /etc/passwd'
    expect(other.must('run', '--network', 'none', 'busybox', 'sh', '-c', write)).toBe('changed')
    expect(other.must('run', '--network', 'none', 'busybox', 'sh', '-c', 'cat /etc/group; ls /')).toMatch(
      /root:x:0:\n(?:.*\n)*bin\n/,
    )
    expect(hash()).toBe(before)
  })
})
