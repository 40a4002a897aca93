/** Layers to a registry: while they are compressed, once, and whole where that does not work. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openTestEngine, type TestEngine } from './engine.ts'
import { openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-push-'))
/** An archive of 6 MB that hardly gets smaller. */
const large = join(directory, 'large.tar')
let registry: TestRegistry
beforeAll(async () => {
  registry = await openRegistry(join(directory, 'registry'))
  Bun.spawnSync(['sh', '-c', 'head -c 6000000 /dev/urandom >noise; tar -cf large.tar noise'], { cwd: directory })
})
afterAll(async () => {
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const left = ({ dataRoot }: TestEngine): readonly string[] => readdirSync(join(dataRoot, 'incoming'))

test('push sends a layer while it is compressed, and not again', async () => {
  using other = openTestEngine()
  const sent: string[] = []
  using liar = openLiar(registry, (path, { method, headers }) => {
    const isLarge = Number(headers.get('content-length') ?? Infinity) > 100_000
    if (path.includes('/uploads/')) sent.push(`${method}${isLarge ? ' with a layer' : ''}`)
    return undefined
  })
  const target = `127.0.0.1:${liar.port}/test/sent-once`
  other.must('import', large, target)
  const { status, stdout } = await ran(other, 'push', target)
  expect([status, stdout.split('\n')[0]]).toEqual([0, 'Using default tag: latest'])
  expect(sent.filter((request) => request.endsWith('layer'))).toEqual(['PATCH with a layer'])
})

test('push of another image with the same layer sends nothing of it', () => {
  using other = openTestEngine()
  const [one, two] = ['one', 'two'].map((name) => `${registry.host}/test/${name}`)
  other.must('import', large, one ?? '')
  other.must('import', '--change', 'CMD other', large, two ?? '')
  other.must('push', one ?? '')
  other.must('tag', two ?? '', `${one}:2`)
  expect(other.must('push', `${one}:2`)).toContain(': Layer already exists')
  other.must('rmi', one ?? '', `${one}:2`)
  // Its blob went with them.
  expect(other.must('push', two ?? '')).toContain(': Pushed')
})

/** What the request is answered that sends a layer while it is compressed. */
const refusals: Readonly<Record<string, (request: Request) => Promise<Response>>> = {
  'does not know it': async (request) => {
    await request.bytes()
    return new Response(null, { status: 405 })
  },
  'breaks off': async (request) => {
    for await (const _ of request.body ?? []) break
    return new Response(null, { status: 500, headers: { connection: 'close' } })
  },
  'wants to know first who asks': async (request) => {
    await request.bytes()
    const realm = new URL('/token', request.url)
    return new Response(null, { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}"` } })
  },
  'leads elsewhere': async (request) => {
    await request.bytes()
    return new Response(null, { status: 307, headers: { location: request.url } })
  },
}
for (const [name, refuse] of Object.entries(refusals))
  test(`push to a registry that ${name}, in the middle of a layer, sends it whole`, async () => {
    using other = openTestEngine()
    let refused = 0
    using liar = openLiar(registry, (path, request) => {
      if (path === '/token') return Response.json({ token: 'word' })
      if (request.method !== 'PATCH') return undefined
      refused++
      return refuse(request)
    })
    const target = `127.0.0.1:${liar.port}/test/${name.replaceAll(' ', '-')}`
    other.must('import', large, target)
    const { status, stdout, stderr } = await ran(other, 'push', target)
    expect([status, stderr, stdout.includes(': Pushed\n'), refused > 0]).toEqual([0, '', true, true])
    expect(left(other)).toEqual([])
    using third = openTestEngine()
    expect((await ran(third, 'pull', target)).status).toBe(0)
  })
