/** Images through the command line: lists, names, removal, and archives that other programs read. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { watch } from 'node:fs/promises'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
let archive: string
beforeAll(() => {
  engine = openTestEngine()
  archive = busyboxArchive(engine.directory)
  engine.must('import', '--message', 'made for a test', archive, 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const stored = ({ dataRoot }: TestEngine): readonly number[] =>
  ['images/blobs/sha256', 'layers', 'incoming'].map((name) => readdirSync(join(dataRoot, name)).length)

describe('what there is', () => {
  test('images are a table, ids, or what a format says', () => {
    const id = engine.must('images', '--quiet', '--no-trunc')
    expect(id).toMatch(/^sha256:[0-9a-f]{64}$/)
    const [head, row] = engine.must('images').split('\n')
    expect(head).toMatch(/^REPOSITORY {3}TAG {7}IMAGE ID {7}CREATED {8,}SIZE$/)
    expect(row).toMatch(/^busybox {6}latest {4}[0-9a-f]{12} {3}.* ago {3}[\d.]+MB$/)
    expect(engine.must('images', '--format', '{{.Repository}}:{{.Tag}} {{.ID}}')).toBe(
      `busybox:latest ${id.slice(7, 19)}`,
    )
    expect(JSON.parse(engine.must('images', '--format', 'json')).Repository).toBe('busybox')
  })

  test('filters leave what fits', () => {
    const listed = (...words: readonly string[]): string => engine.must('images', '-q', ...words)
    for (const word of ['reference=busy*', 'dangling=false', 'until=0s']) expect(listed('--filter', word)).not.toBe('')
    for (const word of ['reference=other', 'dangling=true', 'label=none', 'until=24h', 'before=busybox'])
      expect(listed('--filter', word)).toBe('')
    expect(listed('busybox:latest')).not.toBe('')
    expect(listed('busybox:other')).toBe('')
    expect(engine.coffer('images', '--filter', 'nothing=1').stderr).toContain("invalid filter 'nothing'")
  })

  test("inspect has docker's fields, and a format takes them apart", () => {
    const [image] = JSON.parse(engine.must('image', 'inspect', 'busybox'))
    expect(image).toMatchObject({ RepoTags: ['busybox:latest'], Os: 'linux', RootFS: { Type: 'layers' } })
    expect(
      engine.must(
        'image',
        'inspect',
        '-f',
        '{{.Id}} {{range .RepoTags}}{{.}}{{end}} {{len .RootFS.Layers}}',
        'busybox',
      ),
    ).toBe(`${image.Id} busybox:latest 1`)
    const { status, stdout, stderr } = engine.coffer('image', 'inspect', 'nothing')
    expect([status, stdout, stderr.includes('No such image: nothing:latest')]).toEqual([1, '[]\n', true])
  })

  test('history has what made the layers', () => {
    const [head, row] = engine.must('history', 'busybox').split('\n')
    expect(head).toMatch(/^IMAGE {10}CREATED +CREATED BY +SIZE +COMMENT$/)
    expect(row).toEndWith('made for a test')
    expect(engine.must('history', '-q', 'busybox')).toMatch(/^[0-9a-f]{12}$/)
  })
})

/** The same image with its layer compressed, as an archive of an OCI layout, which has no name for it. */
function compressedTwin(own: TestEngine, name: string): string {
  const layout = join(own.directory, 'layout')
  mkdirSync(layout)
  own.must('save', '-o', join(own.directory, 'plain.tar'), name)
  Bun.spawnSync(['tar', '-C', layout, '-xf', join(own.directory, 'plain.tar')])
  const keep = (bytes: Uint8Array | string): { readonly digest: string; readonly size: number } => {
    const hex = new Bun.CryptoHasher('sha256').update(bytes).digest('hex')
    writeFileSync(join(layout, 'blobs/sha256', hex), bytes)
    return { digest: `sha256:${hex}`, size: Buffer.byteLength(bytes) }
  }
  const blob = (digest: string): Buffer => readFileSync(join(layout, 'blobs', digest.replace(':', '/')))
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const manifest = JSON.parse(blob(index.manifests[0].digest).toString())
  const mediaType = `${manifest.layers[0].mediaType}+gzip`
  const layers = [{ mediaType, ...keep(Bun.gzipSync(new Uint8Array(blob(manifest.layers[0].digest)))) }]
  const twin = keep(JSON.stringify({ ...manifest, layers }))
  writeFileSync(
    join(layout, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType: manifest.mediaType, ...twin }] }),
  )
  Bun.spawnSync(['sh', '-c', 'rm manifest.json; tar -cf ../twin.tar .'], { cwd: layout })
  return join(own.directory, 'twin.tar')
}

describe('names', () => {
  test('an image has several, and goes with the last', () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    own.must('tag', 'one', 'localhost:5000/two:v2')
    expect(own.must('images', '--format', '{{.Repository}}:{{.Tag}}').split('\n').sort()).toEqual([
      'localhost:5000/two:v2',
      'one:latest',
    ])
    const id = own.must('images', '-q').split('\n')[0] ?? ''
    expect(own.coffer('rmi', id).stderr).toContain('referenced in multiple repositories')
    expect(own.must('rmi', 'one')).toBe('Untagged: one:latest')
    expect(stored(own)).toEqual([3, 2, 0])
    const gone = own.must('rmi', 'localhost:5000/two:v2').split('\n')
    expect([gone.length, gone[0], gone[1]?.startsWith('Deleted: sha256:')]).toEqual([
      3,
      'Untagged: localhost:5000/two:v2',
      true,
    ])
    expect(stored(own)).toEqual([0, 0, 0])
  })

  test('an image that a container uses stays, and its layers do even if it is forced', () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    own.must('run', '--name', 'user', 'one', 'true')
    const { status, stderr } = own.coffer('rmi', 'one')
    expect([status, /container [0-9a-f]{12} is using its referenced image/.test(stderr)]).toEqual([1, true])
    own.must('rmi', '--force', 'one')
    expect(stored(own)).toEqual([0, 2, 0])
    own.must('start', 'user')
    expect(own.must('wait', 'user')).toBe('0')
    own.must('rm', 'user')
    own.must('image', 'prune', '--force')
    expect(stored(own)).toEqual([0, 0, 0])
  })

  test('prune takes images without a name, or all that nobody uses, and asks before', () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    own.must('import', '--message', 'newer', archive, 'one')
    expect(own.must('images', '--filter', 'dangling=true', '-q')).not.toBe('')
    expect(own.cofferWith('n\n', 'image', 'prune').stdout).toContain('Are you sure')
    expect(own.must('images', '-q').split('\n').length).toBe(2)
    expect(own.cofferWith('y\n', 'image', 'prune').stdout).toContain('Deleted Images:\ndeleted: sha256:')
    expect(own.must('images', '-q').split('\n').length).toBe(1)
    expect(own.must('image', 'prune', '--all', '--force')).toMatch(/Total reclaimed space: [\d.]+MB$/)
    expect(stored(own)).toEqual([0, 0, 0])
  })

  test('an image that comes again in another form stays one image', () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    own.must('tag', 'one', 'two')
    own.must('load', '-i', compressedTwin(own, 'one'))
    expect(own.must('images', '-q').split('\n').length).toBe(1)
    expect(own.must('image', 'inspect', '-f', '{{len .RepoTags}}', 'two')).toBe('2')
    own.must('rmi', '--force', own.must('images', '-q'))
    expect(stored(own)).toEqual([0, 0, 0])
  })

  test('nothing is removed while an image is on its way', async () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    own.must('save', '-o', join(own.directory, 'one.tar'), 'one')
    const bytes = readFileSync(join(own.directory, 'one.tar'))
    const events = watch(join(own.dataRoot, 'incoming'))[Symbol.asyncIterator]()
    const load = own.spawn('load')
    load.stdin.write(bytes.subarray(0, 100_000))
    await load.stdin.flush()
    await events.next()
    own.must('rmi', 'one')
    expect(stored(own).slice(0, 2)).toEqual([3, 2])
    load.stdin.write(bytes.subarray(100_000))
    await load.stdin.end()
    expect(await load.exited).toBe(0)
    expect(own.must('run', '--rm', 'one', 'echo', 'hello')).toBe('hello')
    own.must('rmi', 'one')
    expect(stored(own)).toEqual([0, 0, 0])
  })

  test('of many commands at once each has its effect (S227)', async () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    const children = Array.from({ length: 12 }, (_, at) => own.spawn('tag', 'one', `name${at}`))
    expect(await Promise.all(children.map(({ exited }) => exited))).toEqual(children.map(() => 0))
    expect(own.must('images', '-q', '--filter', 'reference=name*')).not.toBe('')
    expect(own.must('image', 'inspect', '-f', '{{len .RepoTags}}', 'one')).toBe('13')
  })

  test('what a killed command left goes with the next removal', () => {
    using own = openTestEngine()
    own.must('import', archive, 'one')
    mkdirSync(join(own.dataRoot, 'incoming/left'))
    writeFileSync(join(own.dataRoot, 'images/blobs/sha256', '0'.repeat(64)), 'left')
    own.must('rmi', 'one')
    expect(stored(own)).toEqual([0, 0, 0])
  })
})

describe('where the parts of a store lie on the disk', () => {
  const areScattered = (directory: string): boolean =>
    /^\S*T/.test(Bun.spawnSync(['lsattr', '-d', directory]).stdout.toString())

  test('layers are scattered, if the file system can do that', () => {
    const probe = join(engine.directory, 'probe')
    mkdirSync(probe)
    Bun.spawnSync(['chattr', '+T', probe], { stderr: 'ignore' })
    expect(areScattered(join(engine.dataRoot, 'incoming'))).toBe(areScattered(probe))
    expect(areScattered(join(engine.dataRoot, 'images'))).toBe(false)
  })

  test('one that has no such flag does as well', () => {
    const memory = mkdtempSync('/dev/shm/coffer-store-')
    try {
      using own = openTestEngine({ COFFER_DATA_ROOT: memory })
      own.must('import', archive, 'one')
      expect([own.must('images', '-q').length, areScattered(join(memory, 'incoming'))]).toEqual([12, false])
    } finally {
      rmSync(memory, { recursive: true })
    }
  })
})

describe('an archive of several images', () => {
  const saved = (): string => {
    const path = join(engine.directory, 'saved.tar')
    if (!existsSync(path)) {
      engine.must('import', '--message', 'another', archive, 'localhost:5000/other:v1')
      engine.must('save', '--output', path, 'busybox', 'localhost:5000/other:v1')
    }
    return path
  }

  test('is loaded with their names and ids, and they run', () => {
    using other = openTestEngine()
    expect(other.must('load', '--input', saved()).split('\n')).toEqual([
      'Loaded image: busybox:latest',
      'Loaded image: localhost:5000/other:v1',
    ])
    const id = (one: TestEngine): string => one.must('image', 'inspect', '-f', '{{.Id}}', 'busybox')
    expect(id(other)).toBe(id(engine))
    expect(other.must('run', '--rm', 'busybox', 'echo', 'hello')).toBe('hello')
  })

  test('is loaded by podman with the same id, and what podman saves comes back', () => {
    const own = join(engine.directory, 'podman')
    const podman = `podman --root ${own}/root --runroot ${own}/run --storage-driver vfs`
    const script = `mount --make-rprivate /; mkdir ${own}; ${podman} load -q -i ${saved()}; ${podman} images -q --no-trunc busybox
      for form in oci docker; do ${podman} save -q --format $form-archive -o ${own}/$form.tar localhost:5000/other:v1; done`
    const { exitCode, stdout, stderr } = Bun.spawnSync(['unshare', '--mount', '--net', 'sh', '-ec', script])
    expect([exitCode, exitCode === 0 ? '' : stderr.toString()]).toEqual([0, ''])
    expect(stdout.toString()).toContain(engine.must('image', 'inspect', '-f', '{{.Id}}', 'busybox'))
    using other = openTestEngine()
    for (const form of ['oci', 'docker'])
      expect(other.must('load', '-i', join(own, `${form}.tar`))).toBe('Loaded image: localhost:5000/other:v1')
  })

  test('is an OCI layout, and what docker reads', () => {
    const file = (path: string): string => Bun.spawnSync(['tar', '-xOf', saved(), path]).stdout.toString()
    expect(JSON.parse(file('oci-layout'))).toEqual({ imageLayoutVersion: '1.0.0' })
    const index = JSON.parse(file('index.json'))
    expect(index.manifests.map((one: { annotations: Record<string, string> }) => one.annotations)).toEqual([
      { 'io.containerd.image.name': 'docker.io/library/busybox:latest', 'org.opencontainers.image.ref.name': 'latest' },
      { 'io.containerd.image.name': 'localhost:5000/other:v1', 'org.opencontainers.image.ref.name': 'v1' },
    ])
    const docker = JSON.parse(file('manifest.json'))
    expect(docker.map((one: { RepoTags: readonly string[] }) => one.RepoTags)).toEqual([
      ['busybox:latest'],
      ['localhost:5000/other:v1'],
    ])
    const [layer = ''] = docker[0].Layers
    const sum = Bun.spawnSync(['sh', '-c', `tar -xOf ${saved()} ${layer} | sha256sum`]).stdout.toString()
    expect(layer).toBe(`blobs/sha256/${sum.slice(0, 64)}`)
  })

  test('is the same bytes each time, on standard output as well', () => {
    const { stdout } = Bun.spawnSync(
      [join(import.meta.dir, '../../dist/coffer'), 'save', 'busybox', 'localhost:5000/other:v1'],
      {
        env: { PATH: process.env.PATH ?? '', COFFER_DATA_ROOT: engine.dataRoot, COFFER_RUN_ROOT: engine.runRoot },
      },
    )
    expect(Bun.hash(stdout)).toBe(Bun.hash(readFileSync(saved())))
  })

  test('of an image that is not there is not begun', () => {
    const path = join(engine.directory, 'none.tar')
    const { status, stderr } = engine.coffer('save', '-o', path, 'busybox', 'nothing')
    expect([status, stderr.includes('reference does not exist: nothing'), existsSync(path)]).toEqual([1, true, false])
  })
})
