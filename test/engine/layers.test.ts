/** Layers as GNU tar writes them, unpacked: what is on disk then, and what a hostile archive cannot do. */

import { afterAll, describe, expect, test } from 'bun:test'
import { lstatSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { utf8 } from '../../src/linux/bytes.ts'
import { archive, openUnpacking, type Written } from './layer-archives.ts'

const unpacking = openUnpacking()
const { directory, fresh, unpack } = unpacking
afterAll(() => unpacking[Symbol.asyncDispose]())

function shell(script: string, cwd: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['sh', '-ec', script], { cwd, stdout: 'pipe', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(stderr.toString())
  return stdout.toString()
}

/** Kind, mode, owner, size, time, links and target of everything below a directory; contents too. */
const describeTree = (path: string): string =>
  shell(
    `find . -printf '%P %y %m %U:%G %s %T@ %n %l\\n' | sed -E 's/ (d [0-9]+ [0-9:]+) [0-9]+/ \\1/' | LC_ALL=C sort; find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum`,
    path,
  )

function sourceTree(): string {
  const root = fresh()
  shell(
    `mkdir -p dir/sub empty; echo hello > dir/file; chmod 4755 dir/file; chown 1000:2000 dir/file
     ln -s ../file dir/sub/link; ln dir/file dir/again; mkfifo pipe; mknod null c 1 3; mknod disk b 8 0
     long=$(printf 'n%.0s' $(seq 180)); mkdir -p $long; echo long > $long/$long
     ln -s $long/$long/$long longlink; echo utf > 'grüße'; touch "$(printf 'bytes\\377')"
     dd if=/dev/zero of=sparse bs=1 count=0 seek=1000000 2>/dev/null; printf middle | dd of=sparse bs=1 seek=400000 conv=notrunc 2>/dev/null
     printf end | dd of=sparse bs=1 seek=800000 conv=notrunc 2>/dev/null
     dd if=/dev/urandom of=large bs=1M count=9 2>/dev/null
     chown -h 3000:4000 longlink; chmod 1777 empty; touch -d '2001-02-03 04:05:06' dir empty dir/file; touch -h -d '1999-01-01' longlink`,
    root,
  )
  return root
}

describe('a layer that GNU tar wrote becomes the tree that it was (S171)', () => {
  const formats: Readonly<Record<string, string>> = {
    gnu: '--format=gnu',
    'gnu, sparse': '--format=gnu --sparse',
    pax: '--format=pax --pax-option=delete=atime,delete=ctime,delete=mtime',
    'pax, sparse 0.0': '--format=pax --sparse --sparse-version=0.0 --pax-option=delete=atime,delete=ctime,delete=mtime',
    'pax, sparse 0.1': '--format=pax --sparse --sparse-version=0.1 --pax-option=delete=atime,delete=ctime,delete=mtime',
    'pax, sparse 1.0': '--format=pax --sparse --sparse-version=1.0 --pax-option=delete=atime,delete=ctime,delete=mtime',
  }
  for (const [name, options] of Object.entries(formats))
    test(name, async () => {
      const source = sourceTree()
      // Archives have times of a second.
      shell(`find . -exec touch -h -d '2020-02-02 02:02:02' {} +`, source)
      const archive = join(directory, 'archive.tar')
      shell(`tar --numeric-owner ${options} -cf ${archive} .`, source)
      const layer = await unpack(readFileSync(archive))
      expect(describeTree(layer)).toBe(describeTree(source))
      if (name.includes('sparse')) expect(lstatSync(join(layer, 'sparse')).blocks).toBeLessThan(1000)
    })
})

describe('what the layers below have is hidden', () => {
  test('by a whiteout for one name', async () => {
    const layer = await unpack(archive({ path: 'dir/.wh.gone' }))
    const { rdev } = lstatSync(join(layer, 'dir', 'gone'))
    expect([lstatSync(join(layer, 'dir', 'gone')).isCharacterDevice(), rdev]).toEqual([true, 0])
  })

  test('by an attribute for a whole directory', async () => {
    const layer = await unpack(archive({ path: 'dir', kind: 'directory', mode: 0o755 }, { path: 'dir/.wh..wh..opq' }))
    expect(
      shell('getfattr --absolute-names -n trusted.overlay.opaque --only-values dir 2>/dev/null || true', layer),
    ).toMatch(/^y?$/)
    expect(readdirSync(join(layer, 'dir'))).toEqual([])
  })

  test('by nothing that aufs left', async () => {
    expect(readdirSync(await unpack(archive({ path: '.wh..wh.plnk/1.2' }, { path: '.wh..wh.aufs' })))).not.toContain(
      '.wh.aufs',
    )
  })
})

describe('a name that comes twice is what it was last', () => {
  const cases: Readonly<Record<string, readonly [readonly Written[], string]>> = {
    'a file and a file': [[{ content: 'old' }, { content: 'new' }], 'file f'],
    'a link and a file': [[{ kind: 'symlink', target: '/etc/passwd' }, { content: 'new' }], 'file f'],
    'a directory with files and a file': [
      [{ path: 'file', kind: 'directory' }, { path: 'file/a' }, { path: 'file/b/c' }, { content: 'new' }],
      'file f',
    ],
    'a file and a directory': [[{ content: 'old' }, { kind: 'directory', mode: 0o755 }], 'file d'],
    'a file and a link': [[{ content: 'old' }, { kind: 'symlink', target: 'x' }], 'file l'],
  }
  for (const [name, [entries, shown]] of Object.entries(cases))
    test(name, async () => {
      const layer = await unpack(archive(...entries))
      expect(shell(`find . -mindepth 1 -printf '%P %y\\n'`, layer).trim()).toBe(shown)
    })
})

describe('an archive reaches nothing but its layer', () => {
  const canary = (): string => {
    const path = fresh()
    writeFileSync(join(path, 'secret'), 'untouched')
    return path
  }
  const isUntouched = (path: string): void => {
    expect([readdirSync(path), readFileSync(join(path, 'secret'), 'utf8')]).toEqual([['secret'], 'untouched'])
  }

  test('through a link to a directory of the host', async () => {
    const host = canary()
    const entries: readonly Written[] = [
      { path: 'out', kind: 'symlink', target: host },
      { path: 'out/secret', content: 'changed' },
    ]
    // In the layer there is no such directory, so the file cannot be made: that is an error, and nothing else.
    await expect(unpack(archive(...entries))).rejects.toThrow('cannot')
    isUntouched(host)
  })

  test('through a link that climbs', async () => {
    const host = canary()
    const up = '../'.repeat(30) + host.slice(1)
    await expect(
      unpack(archive({ path: 'out', kind: 'symlink', target: up }, { path: 'out/new', content: 'x' })),
    ).rejects.toThrow('cannot')
    isUntouched(host)
  })

  test('through a hard link', async () => {
    const host = canary()
    await expect(unpack(archive({ path: 'copy', kind: 'link', target: join(host, 'secret') }))).rejects.toThrow(
      'linkat',
    )
    isUntouched(host)
  })

  test('by a path that climbs or has a NUL', async () => {
    await expect(unpack(archive({ path: '../escaped', content: 'x' }))).rejects.toThrow('leads out of where it is')
    await expect(unpack(archive({ path: 'a', kind: 'link', target: '../../b' }))).rejects.toThrow(
      'leads out of where it is',
    )
  })

  test('by an absolute path, which begins at its root', async () => {
    expect(
      readFileSync(
        join(await unpack(archive({ path: '/etc/coffer-was-here', content: 'inside' })), 'etc', 'coffer-was-here'),
        'utf8',
      ),
    ).toBe('inside')
  })

  test('with attributes of the overlay, which it may not set', async () => {
    const layer = await unpack(
      archive({ kind: 'directory', mode: 0o755, xattrs: new Map([['trusted.overlay.redirect', utf8('/etc')]]) }),
    )
    expect(shell('getfattr -m - -d file 2>/dev/null || true', layer)).not.toContain('overlay')
  })

  test('a link stays what it says', async () => {
    expect(
      readlinkSync(join(await unpack(archive({ path: 'link', kind: 'symlink', target: '/etc/passwd' })), 'link')),
    ).toBe('/etc/passwd')
  })
})

test('an archive that is cut off is an error', async () => {
  await expect(unpack(archive({ content: 'x'.repeat(5000) }).subarray(0, 2000))).rejects.toThrow(
    'cannot read the tar archive',
  )
})
