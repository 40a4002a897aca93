import { describe, expect, test } from 'bun:test'
import { utf8 } from '../linux/bytes.ts'
import { padded, type TarEntry } from './tar.ts'
import { type ReadEntry, readTar } from './tar-read.ts'
import { tarEnd, tarHeader } from './tar-write.ts'

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

const FILE: TarEntry = {
  path: 'file',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  modified: { seconds: 1_700_000_000, nanos: 0 },
  target: '',
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
}

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

type Written = readonly [entry: TarEntry, content?: string]

function archive(entries: readonly Written[]): Uint8Array {
  const parts = entries.flatMap(([entry, content = '']) => {
    const bytes = new Uint8Array(padded(content.length))
    bytes.set(utf8(content))
    return [tarHeader({ ...entry, sizeBytes: entry.sizeBytes || content.length }, utf8), bytes]
  })
  return Buffer.concat([...parts, tarEnd()])
}

type Seen = Omit<ReadEntry, 'content' | 'extents'> & { readonly content: string }

async function entriesIn(bytes: Uint8Array, chunk = 700): Promise<readonly Seen[]> {
  const seen: Seen[] = []
  for await (const { content, extents: _, ...entry } of readTar(inChunks(bytes, chunk), decode)) {
    let text = ''
    for await (const piece of content()) text += decode(piece)
    seen.push({ ...entry, content: text })
  }
  return seen
}

describe('what is written is read again', () => {
  const cases: Readonly<Record<string, Written>> = {
    'a file': [FILE, 'hello'],
    'a directory': [{ ...FILE, path: 'dir/', kind: 'directory', mode: 0o1755 }],
    'a symbolic link': [{ ...FILE, path: 'link', kind: 'symlink', target: '../elsewhere' }],
    'a hard link': [{ ...FILE, path: 'again', kind: 'link', target: 'file' }],
    'a device': [{ ...FILE, path: 'null', kind: 'character', device: { major: 1, minor: 3 } }],
    'a pipe': [{ ...FILE, path: 'pipe', kind: 'fifo' }],
    'a name of 300 bytes': [{ ...FILE, path: `d/${'n'.repeat(300)}` }, 'x'],
    'a target of 300 bytes': [{ ...FILE, kind: 'symlink', target: 't'.repeat(300) }],
    'a name beyond ASCII': [{ ...FILE, path: 'grüße/日本' }, 'x'],
    'ids beyond octal': [{ ...FILE, uid: 4_000_000_000, gid: 3_000_000 }],
    'a time with nanoseconds': [{ ...FILE, modified: { seconds: 1_700_000_000, nanos: 120_000_000 } }],
    'a time before 1970': [{ ...FILE, modified: { seconds: -5, nanos: 0 } }],
    'attributes with any bytes': [{ ...FILE, xattrs: new Map([['user.x', Uint8Array.of(0, 255, 10, 61)]]) }],
  }
  for (const [name, [entry, content = '']] of Object.entries(cases))
    test(name, async () => {
      expect(await entriesIn(archive([[entry, content]]))).toEqual([{ ...entry, sizeBytes: content.length, content }])
    })
})

test('entries follow each other, whatever the size of the chunks', async () => {
  const bytes = archive([
    [FILE, 'a'.repeat(1000)],
    [{ ...FILE, path: 'p'.repeat(200) }, 'b'],
  ])
  for (const chunk of [1, 511, 512, 513, 100_000]) {
    const seen = await entriesIn(bytes, chunk)
    expect(seen.map(({ path, content }) => [path.length, content.length])).toEqual([
      [4, 1000],
      [200, 1],
    ])
  }
})

test('content that nobody reads is passed over', async () => {
  const paths: string[] = []
  const bytes = archive([
    [FILE, 'a'.repeat(5000)],
    [{ ...FILE, path: 'next' }, 'b'],
  ])
  for await (const { path } of readTar(inChunks(bytes, 600), decode)) paths.push(path)
  expect(paths).toEqual(['file', 'next'])
})

test('a length of a record that reaches the next digit counts itself', async () => {
  for (let length = 80; length < 120; length++) {
    const path = `${'é'.repeat(length)}`
    expect((await entriesIn(archive([[{ ...FILE, path }]])))[0]?.path).toBe(path)
  }
})

describe('refused is', () => {
  const damaged = (change: (bytes: Uint8Array) => Uint8Array): Uint8Array => change(archive([[FILE, 'hello']]))
  const cases: Readonly<Record<string, Uint8Array>> = {
    'an archive that ends in a header': damaged((bytes) => bytes.subarray(0, 300)),
    'one that ends in content': damaged((bytes) => bytes.subarray(0, 514)),
    'a wrong checksum': damaged((bytes) => Uint8Array.from(bytes, (byte, index) => (index === 3 ? byte + 1 : byte))),
    'text instead of an archive': utf8('not a tar archive '.repeat(100)),
  }
  for (const [name, bytes] of Object.entries(cases))
    test(name, async () => {
      await expect(entriesIn(bytes)).rejects.toThrow('cannot read the tar archive')
    })
})
