/** All tags of a repository, to and from a real registry, in pages, and from one that lies about them. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-registry-tags-'))
let registry: TestRegistry
beforeAll(async () => {
  registry = await openRegistry(join(directory, 'registry'))
  using engine = openTestEngine()
  const name = `${registry.host}/test/tags`
  engine.must('import', busyboxArchive(engine.directory), `${name}:one`)
  engine.must('import', '--change', 'CMD other', join(engine.directory, 'busybox.tar'), `${name}:two`)
  engine.must('tag', `${name}:one`, `${name}:also-one`)
  engine.must('tag', `${name}:one`, `${name}2:not-this`)
  engine.must('push', '--all-tags', name)
})
afterAll(async () => {
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const tagsOf = ({ must }: TestEngine): readonly string[] => must('images', '--format', '{{.Tag}}').split('\n').sort()
const tagsThere = async (name: string): Promise<readonly string[]> =>
  ((await (await fetch(`http://${registry.host}/v2/${name}/tags/list`)).json()) as { tags: string[] }).tags.sort()

describe('push --all-tags', () => {
  test('sends each tag of the repository that is here, and none of another', async () => {
    expect(await tagsThere('test/tags')).toEqual(['also-one', 'one', 'two'])
    expect((await fetch(`http://${registry.host}/v2/test/tags2/tags/list`)).status).toBe(404)
  })

  test('prints as docker does: the repository once, a digest for each tag, in their order', () => {
    using other = openTestEngine()
    const name = `${registry.host}/test/pushed`
    other.must('import', busyboxArchive(other.directory), `${name}:b`)
    other.must('tag', `${name}:b`, `${name}:a`)
    const lines = other.must('push', '-a', name).split('\n')
    expect(lines[0]).toBe(`The push refers to repository [${name}]`)
    const ends = lines
      .map((line) => /^(\w+): digest: (sha256:\w{64}) size: \d+$/.exec(line))
      .filter((end) => end !== null)
    expect(ends.map(([, tag]) => tag)).toEqual(['a', 'b'])
    expect(ends[0]?.[2]).toBe(ends[1]?.[2] ?? '')
    expect(other.must('push', '-q', '-a', name)).toBe(name)
  })

  test('is refused with a tag or a digest, and of a repository without images here', () => {
    using other = openTestEngine()
    for (const name of ['x:latest', `x@sha256:${'0'.repeat(64)}`])
      for (const command of ['push', 'pull'])
        expect(other.coffer(command, '-a', name)).toMatchObject({
          status: 1,
          stderr: expect.stringContaining("tag can't be used with --all-tags/-a"),
        })
    expect(other.coffer('push', '-a', `${registry.host}/test/nothing`)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('An image does not exist locally with the tag'),
    })
  })
})

describe('pull --all-tags', () => {
  test('brings each tag, says so for each, and once how it stands', () => {
    using other = openTestEngine()
    const name = `${registry.host}/test/tags`
    const lines = other.must('pull', '--all-tags', name).split('\n')
    expect(lines.filter((line) => line.includes('Pulling from')).sort()).toEqual(
      ['also-one', 'one', 'two'].map((tag) => `${tag}: Pulling from test/tags`),
    )
    expect(lines.filter((line) => /^Digest: sha256:/.test(line)).length).toBe(3)
    expect(lines.slice(-2)).toEqual([`Status: Downloaded newer image for ${name}`, name])
    expect(tagsOf(other)).toEqual(['also-one', 'one', 'two'])
    expect(other.must('pull', '-a', name)).toContain(`Status: Image is up to date for ${name}\n`)
    expect(other.must('pull', '-qa', name)).toBe(name)
    expect(other.must('run', '--rm', '--pull', 'never', `${name}:also-one`, 'echo', 'hello')).toBe('hello')
  })

  test('of a repository that is not there is an error of the registry', () => {
    using other = openTestEngine()
    expect(other.coffer('pull', '-a', `${registry.host}/test/nothing`)).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('cannot list the tags of'),
    })
  })

  /** Answers lists of tags as it is told; for whatever tag is asked, the image of `one`. */
  const listing = (answer: (url: URL, port: number | undefined) => Response): Bun.Server<undefined> =>
    openLiar(registry, (path, { url, headers }, port) => {
      if (path.endsWith('/tags/list')) return answer(new URL(url), port)
      const tag = /\/manifests\/t\d+$/.exec(path)
      return tag === null
        ? undefined
        : fetch(`http://${registry.host}/v2/test/tags/manifests/one`, {
            headers: { accept: headers.get('accept') ?? '' },
          })
    })
  const page = (tags: unknown, link?: string): Response =>
    Response.json({ name: 'test/tags', tags }, { headers: link === undefined ? {} : { link } })

  test('reads the list page by page', async () => {
    const all = Array.from({ length: 120 }, (_, at) => `t${String(at).padStart(3, '0')}`)
    const asked: string[] = []
    using server = listing(({ search, searchParams }) => {
      asked.push(search)
      const begin = all.indexOf(searchParams.get('last') ?? '') + 1
      const part = all.slice(begin, begin + 50)
      const last = part[part.length - 1]
      const hasMore = begin + 50 < all.length
      return page(part, hasMore ? `<list?last=${last}&n=50>; rel="next"` : undefined)
    })
    using other = openTestEngine()
    const { status, stdout, stderr } = await ran(other, 'pull', '-a', `127.0.0.1:${server.port}/test/tags`)
    expect([status, stderr]).toEqual([0, ''])
    expect(asked).toEqual(['', '?last=t049&n=50', '?last=t099&n=50'])
    expect(stdout.match(/: Pulling from /g)?.length).toBe(120)
    expect(tagsOf(other)).toEqual(all)
  })

  test('asks a mirror first, for the list and for the images', async () => {
    const asked: string[] = []
    using mirror = openLiar(registry, (path, { headers }) => {
      asked.push(path)
      return path.startsWith('/v2/library/thing/')
        ? fetch(`http://${registry.host}${path.replace('library/thing', 'test/tags')}`, {
            headers: { accept: headers.get('accept') ?? '' },
          })
        : undefined
    })
    const settings = join(directory, 'registries.json')
    writeFileSync(settings, JSON.stringify({ 'registry-mirrors': [`http://127.0.0.1:${mirror.port}`] }))
    using other = openTestEngine({ COFFER_REGISTRIES: settings })
    const { status, stdout } = await ran(other, 'pull', '-a', 'thing')
    expect([status, stdout.split('\n').slice(-3)]).toEqual([
      0,
      ['Status: Downloaded newer image for thing', 'docker.io/library/thing', ''],
    ])
    expect(tagsOf(other)).toEqual(['also-one', 'one', 'two'])
    expect(asked).toContain('/v2/library/thing/tags/list')
  })

  test('of a repository without tags brings nothing, as with docker', async () => {
    using server = listing(() => page(null))
    using other = openTestEngine()
    const { status, stdout } = await ran(other, 'pull', '-a', `127.0.0.1:${server.port}/test/tags`)
    expect([status, stdout.split('\n')[0]]).toEqual([
      0,
      `Status: Image is up to date for 127.0.0.1:${server.port}/test/tags`,
    ])
  })

  const heard: string[] = []
  const elsewhere = Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: ({ url }) => {
      heard.push(url)
      return page(['t1'])
    },
  })
  afterAll(() => elsewhere.stop(true))
  let count = 0
  const lies: Readonly<Record<string, readonly [(url: URL) => Response, string]>> = {
    'a tag that is a path': [() => page(['t1', '../../x']), '"../../x", which is no tag'],
    'a tag that is a digest': [() => page([`t1@sha256:${'0'.repeat(64)}`]), 'which is no tag'],
    'a tag with an escape sequence': [() => page(['t1', 't\u001b]0;title\u0007']), 'which is no tag'],
    'a tag of 129 letters': [() => page(['a'.repeat(129)]), 'which is no tag'],
    'an empty tag': [() => page(['']), 'which is no tag'],
    'tags that are numbers': [() => page([1]), 'tags[0] is 1, which is not a string'],
    'no list': [() => new Response('[]'), 'the list of tags'],
    'a list that goes on at another server': [
      () => page(['t1'], `<http://127.0.0.1:${elsewhere.port}/v2/test/tags/tags/list>; rel="next"`),
      'the list goes on at another server',
    ],
    'a list that goes on in a file': [() => page(['t1'], '<file:///etc/passwd>; rel="next"'), 'at another server'],
    'a list that goes on for ever': [
      () => page(['t1'], `</v2/test/tags/tags/list?n=${count++}>; rel="next"`),
      'the list has more than 1000 pages',
    ],
    'a page without end': [() => new Response(' '.repeat(5 << 20)), 'it has more than 4194304 bytes'],
    'more tags than anybody has': [
      ({ searchParams }) => {
        const begin = Number(searchParams.get('n') ?? 0)
        return page(
          Array.from({ length: 60_000 }, (_, at) => `t${begin + at}`),
          `<list?n=${begin + 60_000}>; rel="next"`,
        )
      },
      'there are more than 100000',
    ],
  }
  for (const [name, [answer, reason]] of Object.entries(lies))
    test(`does not believe ${name} (S150)`, async () => {
      using server = listing(answer)
      using other = openTestEngine()
      const { status, stdout, stderr } = await ran(other, 'pull', '-a', `127.0.0.1:${server.port}/test/tags`)
      expect([status, stdout, stderr.includes(reason) ? reason : stderr]).toEqual([1, '', reason])
      expect([stderr.includes('\u001b'), tagsOf(other), heard]).toEqual([false, [''], []])
    })
})
