/** Layers that somebody wrote to get at this machine, or to stop it: what is made of each. */

import { afterAll, describe, expect, test } from 'bun:test'
import { lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readTar } from '../../src/image/tar-read.ts'
import { tarEnd } from '../../src/image/tar-write.ts'
import { utf8 } from '../../src/linux/bytes.ts'
import { bytesOf, textOf } from '../../src/observe/files-node.ts'
import { archive, entryBytes, inChunks, openUnpacking, paxBytes, paxRecord, type Written } from './layer-archives.ts'

const unpacking = openUnpacking()
const { fresh, unpack } = unpacking
afterAll(() => unpacking[Symbol.asyncDispose]())

function shell(script: string, cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-ec', script], { cwd, stdout: 'pipe', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(stderr.toString())
  return stdout.toString()
}

const tree = (path: string): readonly string[] =>
  shell(`find . -mindepth 1 -printf '%P %y%l\\n' | LC_ALL=C sort`, path).split('\n').filter(Boolean)

/** Files of the host whose every property is known, and where a layer would have to climb to. */
function canary(): { readonly path: string; readonly look: () => string } {
  const path = fresh()
  mkdirSync(join(path, 'etc'))
  writeFileSync(join(path, 'etc', 'passwd'), 'untouched')
  const look = (): string =>
    shell(`find . -printf '%P %y %m %U:%G %s %T@ %C@ %n %l\\n' | LC_ALL=C sort; cat etc/passwd`, path)
  return { path, look }
}

describe('a name in an archive is a place in its layer, or an error (S157)', () => {
  const CLIMBS = 'leads out of where it is'
  const names: Readonly<Record<string, string>> = {
    '../x': CLIMBS,
    'a/../../x': CLIMBS,
    'a/..': CLIMBS,
    '..': CLIMBS,
    '/../x': CLIMBS,
    'a/../b': CLIMBS,
    '/abs': 'abs f',
    './..x': '..x f',
    './/./x': 'x f',
    '...': '... f',
    'back\\slash\\..\\x': 'back\\slash\\..\\x f',
    'C:/x': 'C: d, C:/x f',
    'line\nbreak': 'break f, line',
    ' ': '  f',
    '-rf': '-rf f',
    '%2e%2e/x': '%2e%2e d, %2e%2e/x f',
    'proc/self/root/x': 'proc d, proc/self d, proc/self/root d, proc/self/root/x f',
  }
  for (const [name, outcome] of Object.entries(names))
    test(JSON.stringify(name), async () => {
      const made = unpack(archive({ path: name, content: 'x' })).then(
        (layer) => tree(layer).join(', '),
        (error: Error) => (error.message.includes(CLIMBS) ? CLIMBS : error.message),
      )
      expect(await made).toBe(outcome)
    })

  test('a NUL in a record, an empty name and one of 64 KiB', async () => {
    const withPath = (path: string): Uint8Array =>
      Buffer.concat([paxBytes(paxRecord('path', path)), entryBytes({ content: 'x' }), tarEnd()])
    await expect(unpack(withPath('a\0b'))).rejects.toThrow(CLIMBS)
    await expect(unpack(withPath(''))).rejects.toThrow('cannot')
    await expect(unpack(withPath('x'.repeat(65_536)))).rejects.toThrow('ENAMETOOLONG')
    expect(tree(await unpack(withPath('fine')))).toEqual(['fine f'])
  })
})

describe('no link of an archive is a way out of its layer', () => {
  const SYMLINKS: Readonly<Record<string, (out: string) => readonly Written[]>> = {
    'an absolute link to a directory': (out) => [
      { path: 'd', kind: 'symlink', target: out },
      { path: 'd/etc/passwd', content: 'changed' },
    ],
    'a link that climbs': (out) => [
      { path: 'd', kind: 'symlink', target: `${'../'.repeat(40)}${out.slice(1)}` },
      { path: 'd/etc/passwd', content: 'changed' },
    ],
    'a chain of links': (out) => [
      { path: 'a', kind: 'symlink', target: '..' },
      { path: 'b', kind: 'symlink', target: `a/../..${out}` },
      { path: 'c', kind: 'symlink', target: 'b/etc' },
      { path: 'c/passwd', content: 'changed' },
    ],
    'a link in the place of a directory': (out) => [
      { path: 'd', kind: 'directory', mode: 0o755 },
      { path: 'd/etc', kind: 'directory', mode: 0o755 },
      { path: 'd', kind: 'symlink', target: out },
      { path: 'd/etc/passwd', content: 'changed' },
    ],
    'a link that is written through by its own name': (out) => [
      { path: 'f', kind: 'symlink', target: `${out}/etc/passwd` },
      { path: 'f', content: 'changed' },
    ],
    'modes and owners through a link': (out) => [
      { path: 'd', kind: 'symlink', target: out },
      { path: 'd/etc', kind: 'directory', mode: 0o777, uid: 1000, gid: 1000 },
    ],
    'a whiteout through a link': (out) => [
      { path: 'd', kind: 'symlink', target: out },
      { path: 'd/etc/.wh.passwd' },
      { path: 'd/.wh..wh..opq' },
    ],
    'magic links of a process': () => [
      { path: 'd', kind: 'symlink', target: '/proc/self/root' },
      { path: 'd/etc/passwd', content: 'changed' },
    ],
  }
  for (const [name, entries] of Object.entries(SYMLINKS))
    test(`${name} (S158)`, async () => {
      const host = canary()
      const before = host.look()
      const made = await unpack(archive(...entries(host.path))).then(tree, () => [])
      expect(host.look()).toBe(before)
      // What was made is in the layer, where the link leads as the container would see it.
      expect(made.some((line) => line.includes('passwd f') && line.startsWith('etc/'))).toBe(false)
    })

  test('the canary shows what tar does without such care: twin of the above (S158)', () => {
    const host = canary()
    const before = host.look()
    const bytes = archive(
      { path: 'd', kind: 'symlink', target: host.path },
      { path: 'd/etc/passwd', content: 'changed' },
    )
    const into = fresh()
    Bun.spawnSync(['tar', '-P', '-C', into, '--keep-directory-symlink', '-xf', '-'], { stdin: Buffer.from(bytes) })
    expect(host.look()).not.toBe(before)
  })

  const HARD_LINKS: Readonly<Record<string, (out: string) => readonly Written[]>> = {
    'to an absolute path': (out) => [{ path: 'x', kind: 'link', target: `${out}/etc/passwd` }],
    'that climbs': (out) => [{ path: 'x', kind: 'link', target: `${'../'.repeat(40)}${out.slice(1)}/etc/passwd` }],
    'through a directory that is a link': (out) => [
      { path: 'd', kind: 'symlink', target: `${out}/etc` },
      { path: 'x', kind: 'link', target: 'd/passwd' },
    ],
    'to a later entry': () => [
      { path: 'x', kind: 'link', target: 'later' },
      { path: 'later', content: 'x' },
    ],
    'to itself': () => [{ path: 'x', kind: 'link', target: 'x' }],
    'to a file of a layer below': () => [{ path: 'x', kind: 'link', target: 'usr/bin/below' }],
  }
  for (const [name, entries] of Object.entries(HARD_LINKS))
    test(`a hard link ${name} (S159)`, async () => {
      const host = canary()
      const before = host.look()
      await expect(unpack(archive(...entries(host.path), { path: 'x', content: 'changed' }))).rejects.toThrow('cannot')
      expect(host.look()).toBe(before)
    })

  test('a hard link to a symbolic link is that link, and nothing is done through it (S159)', async () => {
    const host = canary()
    const before = host.look()
    const layer = await unpack(
      archive(
        { path: 'l', kind: 'symlink', target: `${host.path}/etc/passwd` },
        { path: 'x', kind: 'link', target: 'l' },
        { path: 'again', kind: 'link', target: 'x' },
      ),
    )
    expect([lstatSync(join(layer, 'x')).isSymbolicLink(), lstatSync(join(layer, 'l')).nlink]).toEqual([true, 3])
    expect(host.look()).toBe(before)
  })
})

describe('a whiteout hides a name of the layers below, in its directory (S162)', () => {
  const isOpaque = (path: string): boolean =>
    Bun.spawnSync([
      'python3',
      '-c',
      'import os, sys; sys.exit(os.getxattr(sys.argv[1], "trusted.overlay.opaque") != b"y")',
      path,
    ]).exitCode === 0

  test('names that would be another place hide nothing', async () => {
    for (const name of ['.wh.', '.wh..', '.wh...', '.wh..wh.x', '.wh..wh..wh.x'])
      expect([name, tree(await unpack(archive({ path: `d/${name}` }, { path: 'd/f', content: 'x' })))]).toEqual([
        name,
        ['d d', 'd/f f'],
      ])
    expect(tree(await unpack(archive({ path: '.WH.x' })))).toEqual(['.WH.x f'])
    await expect(unpack(archive({ path: 'd/../.wh.x' }))).rejects.toThrow('leads out of where it is')
  })

  test('a directory that the layer has beside its whiteout shows nothing of those below, in either order', async () => {
    const directory: Written = { path: 'd', kind: 'directory', mode: 0o755 }
    const orders: readonly (readonly Written[])[] = [
      [{ path: '.wh.d' }, directory, { path: 'd/f', content: 'x' }],
      [directory, { path: 'd/f', content: 'x' }, { path: '.wh.d' }],
      [{ path: '.wh.d' }, { path: 'd/f', content: 'x' }],
    ]
    for (const entries of orders) {
      const layer = await unpack(archive(...entries))
      expect([tree(layer), isOpaque(join(layer, 'd'))]).toEqual([['d d', 'd/f f'], true])
    }
    expect(isOpaque(join(await unpack(archive(directory)), 'd'))).toBe(false)
  })

  test('a file beside its whiteout stays', async () => {
    const file: Written = { path: 'f', content: 'x' }
    for (const entries of [
      [file, { path: '.wh.f' }],
      [{ path: '.wh.f' }, file],
    ])
      expect(tree(await unpack(archive(...entries)))).toEqual(['f f'])
  })

  test('the root itself may be opaque', async () => {
    expect(isOpaque(await unpack(archive({ path: '.wh..wh..opq' })))).toBe(true)
  })
})

describe('devices, pipes and owners', () => {
  test('numbers that the kernel would cut are errors (S163)', async () => {
    const wrong: Readonly<Record<string, Partial<Written>>> = {
      'a major number': { kind: 'character', device: { major: 4096, minor: 0 } },
      'a minor number': { kind: 'block', device: { major: 1, minor: 1 << 20 } },
      'an owner': { uid: 2 ** 32 },
      'a group': { gid: 2 ** 32 - 1 },
    }
    for (const entry of Object.values(wrong))
      await expect(unpack(archive({ path: 'x', ...entry }))).rejects.toThrow('an owner or a device that cannot be')
    const layer = await unpack(
      archive({ path: 'x', kind: 'character', device: { major: 4095, minor: 0xfffff }, uid: 2 ** 32 - 2 }),
    )
    expect(shell(`stat -c '%t,%T %u' x`, layer).trim()).toBe('fff,fffff 4294967294')
  })

  test('a pipe is made and not opened, also one that comes twice (S163)', async () => {
    const pipe: Written = { path: 'p', kind: 'fifo', content: '' }
    expect(tree(await unpack(archive(pipe, pipe, { path: 'again', kind: 'link', target: 'p' })))).toEqual([
      'again p',
      'p p',
    ])
    expect(tree(await unpack(archive(pipe, { path: 'p', content: 'x' })))).toEqual(['p f'])
  })

  test('set-id bits and capabilities of files arrive (S164)', async () => {
    const capability = Uint8Array.of(1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    const layer = await unpack(
      archive(
        { path: 'f', mode: 0o4755, uid: 1000, content: 'x', xattrs: new Map([['security.capability', capability]]) },
        { path: 't', kind: 'directory', mode: 0o1777 },
      ),
    )
    expect(shell('stat -c %a f t', layer)).toBe('4755\n1777\n')
    const { stdout } = Bun.spawnSync([
      'python3',
      '-c',
      'import os, sys; print(os.getxattr(sys.argv[1], "security.capability").hex())',
      join(layer, 'f'),
    ])
    expect(stdout.toString().trim()).toBe(Buffer.from(capability).toString('hex'))
  })
})

describe('headers without measure are errors, and soon (S166)', () => {
  const read = async (bytes: Uint8Array | AsyncIterable<Uint8Array>): Promise<readonly string[]> => {
    const seen: string[] = []
    const chunks = bytes instanceof Uint8Array ? inChunks(bytes) : bytes
    for await (const { path, sizeBytes } of readTar(chunks, textOf)) seen.push(`${path} ${sizeBytes}`)
    return seen
  }
  const FILE = entryBytes({ content: 'x' })
  const withPax = (body: string): Uint8Array => Buffer.concat([paxBytes(body), FILE, tarEnd()])
  const withSize = (field: readonly number[]): Uint8Array =>
    Buffer.concat([entryBytes({ edit: (header) => header.set(field, 124) }), FILE, tarEnd()])

  const REFUSED: Readonly<Record<string, Uint8Array>> = {
    'a size of 8 EiB': withPax(paxRecord('size', '9223372036854775807')),
    'a size below 0': withPax(paxRecord('size', '-1')),
    'a binary size below 0': withSize([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0]),
    'a binary size beyond 2^53': withSize([0x80, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
    'a size that is not octal': withSize([...utf8('99999999999\0')]),
    'a size beyond the end': withSize([...utf8('77777777777\0')]),
    'a record with a hexadecimal length': withPax(`0xa path=x\n`),
    'a record longer than its header': withPax('99 path=x\n'),
    'a record of no length': withPax('0 path=x\n'),
    'a record without "="': withPax('9 path/x\n'),
    'a record with a NUL in its key': withPax(paxRecord('SCHILY.xattr.user.a\0b', 'x')),
    'a header of pax of more than 1 MiB': withPax(paxRecord('comment', 'x'.repeat(1 << 20))),
    'many headers of pax for one entry': Buffer.concat([
      ...Array.from({ length: 30 }, (_, at) => paxBytes(paxRecord(`comment.${at}`, 'x'.repeat(60_000)))),
      FILE,
      tarEnd(),
    ]),
    'records for all entries without end': Buffer.concat([
      ...Array.from({ length: 30 }, (_, at) =>
        Buffer.concat([paxBytes(paxRecord(`comment.${at}`, 'x'.repeat(60_000)), 'g'), FILE]),
      ),
      tarEnd(),
    ]),
    'a long name of GNU of more than 1 MiB': Buffer.concat([
      entryBytes({ path: '././@LongLink', content: 'x'.repeat(1 << 21), edit: (header) => header.set(utf8('L'), 156) }),
      FILE,
      tarEnd(),
    ]),
    'parts of a sparse file that overlap': withPax(
      paxRecord('GNU.sparse.size', '10') + paxRecord('GNU.sparse.map', '0,1,0,1'),
    ),
    'a sparse file that is longer than it says': withPax(
      paxRecord('GNU.sparse.size', '0') + paxRecord('GNU.sparse.map', '0,1'),
    ),
  }
  for (const [name, bytes] of Object.entries(REFUSED))
    test(name, async () => {
      await expect(read(bytes)).rejects.toThrow('cannot read the tar archive')
    })

  const SPARSE = paxRecord('GNU.sparse.major', '1') + paxRecord('GNU.sparse.realsize', '9000000000000000')
  /** As many bytes as somebody wants to read. */
  async function* endless(head: Uint8Array, block: Uint8Array, count: number): AsyncGenerator<Uint8Array> {
    yield head
    for (let at = 0; at < count; at++) yield block
  }

  test('a map of a sparse file in one line without end', async () => {
    const head = Buffer.concat([
      paxBytes(SPARSE),
      entryBytes({ edit: (header) => header.set(utf8('77777777777\0'), 124) }),
    ])
    await expect(read(endless(head, utf8('1'.repeat(65_536)), 100_000))).rejects.toThrow('cannot read the tar archive')
  })

  test('a map of a million parts is read in a time that grows with it', async () => {
    const took = async (parts: number): Promise<number> => {
      const map = Array.from({ length: parts }, (_, at) => `${at * 2}\n1\n`).join('')
      const content = Buffer.concat([utf8(`${parts}\n${map}`)])
      const padding = new Uint8Array(512 - (content.length % 512))
      const bytes = Buffer.concat([
        paxBytes(SPARSE),
        entryBytes({ content: Buffer.concat([content, padding, new Uint8Array(parts)]) }),
        tarEnd(),
      ])
      const begin = process.cpuUsage()
      expect(await read(bytes)).toEqual(['file 9000000000000000'])
      return process.cpuUsage(begin).user
    }
    await took(1000)
    const short = await took(20_000)
    // Ten times as much; read anew for each block it would be a hundred times.
    expect((await took(200_000)) / short).toBeLessThan(50)
  })

  const READ: Readonly<Record<string, readonly [Uint8Array, readonly string[]]>> = {
    'the last of two equal records holds': [withPax(paxRecord('path', 'one') + paxRecord('path', 'two')), ['two 1']],
    'an archive without its end is read until there': [FILE, ['file 1']],
    'what follows the end is not read': [Buffer.concat([FILE, tarEnd(), utf8('garbage'.repeat(1000))]), ['file 1']],
    'ten thousand records for all entries': [
      Buffer.concat([
        ...Array.from({ length: 10_000 }, () => paxBytes(paxRecord('comment', 'x'), 'g')),
        FILE,
        tarEnd(),
      ]),
      ['file 1'],
    ],
  }
  for (const [name, [bytes, seen]] of Object.entries(READ))
    test(name, async () => {
      expect(await read(bytes)).toEqual(seen)
    })
})

test('names of any bytes stay as they are (S171)', async () => {
  const names = [
    '\xff'.repeat(3),
    'n\nl',
    '-rf',
    'x'.repeat(255),
    'e\u0301',
    '\u00e9',
    'blank ',
    'blank',
    'q\'"$(id)`',
    '\x7f\x01',
  ]
  const bytes = names.map((name, at) => (at === 0 ? Buffer.from([0x66, 0xff, 0xfe]) : Buffer.from(name)))
  const layer = await unpack(archive(...bytes.map((name) => ({ path: textOf(name), content: name }))))
  const found = readdirSync(layer, { encoding: 'buffer' })
  expect(found.sort(Buffer.compare)).toEqual([...bytes].sort(Buffer.compare))
  for (const name of found) {
    const path = Buffer.concat([bytesOf(`${layer}/`), name])
    expect(readFileSync(path)).toEqual(name)
  }
})
