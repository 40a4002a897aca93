/** Registries that want to be asked for more than an image, or never to be done with. */

import { describe, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { openTestEngine, type Ran } from './engine.ts'
import { type Built, built, descriptor, MANIFEST } from './image-archives.ts'
import { archive as layer } from './layer-archives.ts'
import { ran } from './registry.ts'

describe('a registry', () => {
  const serve = (answer: (path: string, request: Request) => Response | undefined): Bun.Server<undefined> =>
    Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        const { pathname } = new URL(request.url)
        return pathname === '/v2/'
          ? new Response('{}')
          : (answer(pathname, request) ?? new Response('', { status: 404 }))
      },
    })
  const asks = async (
    answer: Parameters<typeof serve>[0],
    words: (host: string) => string,
  ): Promise<[Ran, readonly string[]]> => {
    using other = openTestEngine()
    const seen: string[] = []
    using server = serve((path, request) => {
      seen.push(path)
      return answer(path, request)
    })
    const result = await ran(other, 'pull', words(`127.0.0.1:${server.port}`))
    expect(readdirSync(join(other.dataRoot, 'incoming'))).toEqual([])
    return [result, seen]
  }
  const ofImage =
    ({ manifest, blobs }: Built, text: Uint8Array = manifest) =>
    (path: string): Response | undefined => {
      if (path.includes('/manifests/'))
        return new Response(new Uint8Array(text), { headers: { 'content-type': MANIFEST } })
      const blob = blobs.get(path.slice(path.lastIndexOf('/') + 1))
      return blob === undefined ? undefined : new Response(new Uint8Array(blob))
    }

  test('that is asked by a digest of either kind has to give that manifest (S147)', async () => {
    const image = built({ layers: [layer({ path: 'a' })] })
    const sha512 = `sha512:${createHash('sha512').update(image.manifest).digest('hex')}`
    const [right] = await asks(ofImage(image), (host) => `${host}/x@${sha512}`)
    expect([right.status, right.stderr]).toEqual([0, ''])
    const [wrong] = await asks(ofImage(image), (host) => `${host}/x@sha512:${'0'.repeat(128)}`)
    expect([wrong.status, wrong.stderr]).toEqual([1, expect.stringContaining('the manifest is not sha512:0000')])
  })

  test('that names digests that are none is not asked for them (S149)', async () => {
    const wrong = [
      'sha256:../../x',
      `sha256:${'A'.repeat(64)}`,
      'sha256:',
      `sha256:${'a'.repeat(63)}`,
      `md5:${'a'.repeat(32)}`,
      `sha256:${'a'.repeat(64)}\n`,
      `sha256:${'a'.repeat(64)}\0`,
      `sha256%3a${'a'.repeat(64)}`,
    ]
    for (const digest of wrong) {
      const image = built({ layers: [], manifest: { config: { mediaType: 'x', digest, size: 1 } } })
      const [{ status, stderr }, seen] = await asks(ofImage(image), (host) => `${host}/x`)
      expect([digest, status, stderr]).toEqual([digest, 1, expect.stringMatching(/no digest|NUL/)])
      expect(seen).toEqual(['/v2/x/manifests/latest'])
    }
  })

  test('cannot have other addresses asked for a layer (S153)', async () => {
    const heard: string[] = []
    using elsewhere = serve((path) => {
      heard.push(path)
      return undefined
    })
    const one = layer({ path: 'a' })
    const urls = [`http://127.0.0.1:${elsewhere.port}/layer`, 'file:///etc/passwd']
    const foreign = [descriptor('application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', one, { urls })]
    const image = built({ layers: [one], manifest: { layers: foreign } })
    const [there] = await asks(ofImage(image), (host) => `${host}/x`)
    expect([there.status, heard]).toEqual([0, []])
    const [absent] = await asks(
      (path) => (path.endsWith(createHash('sha256').update(one).digest('hex')) ? undefined : ofImage(image)(path)),
      (host) => `${host}/x`,
    )
    expect([absent.status, heard]).toEqual([1, []])
    expect(absent.stderr).toContain('the registry answered 404\nhint:  it is a foreign layer')
  })

  test('whose configuration is 100 GiB is not asked for it, and whose manifest has no end is left (S155)', async () => {
    const large = { config: { mediaType: 'x', digest: `sha256:${'a'.repeat(64)}`, size: 100 * 2 ** 30 } }
    const [{ status, stderr }, seen] = await asks(
      ofImage(built({ layers: [], manifest: large })),
      (host) => `${host}/x`,
    )
    expect([status, stderr]).toEqual([1, expect.stringContaining('a document of 107374182400 bytes')])
    expect(seen).toEqual(['/v2/x/manifests/latest'])
    let sent = 0
    const endless = (): Response =>
      new Response(
        new ReadableStream({
          pull: (controller) => {
            sent += 65_536
            controller.enqueue(new Uint8Array(65_536).fill(0x20))
          },
        }),
        { headers: { 'content-type': MANIFEST } },
      )
    const [other] = await asks(
      (path) => (path.includes('/manifests/') ? endless() : undefined),
      (host) => `${host}/x`,
    )
    expect([other.status, other.stderr]).toEqual([1, expect.stringContaining('it has more than 4194304 bytes')])
    expect(sent).toBeLessThan(64 << 20)
  })

  test('that does not speak TLS is not asked without it, unless it is this machine (S154)', async () => {
    const address = '10.99.0.1'
    Bun.spawnSync(['ip', 'address', 'add', `${address}/32`, 'dev', 'lo'])
    const heard: string[] = []
    using server = Bun.serve({
      port: 0,
      hostname: '0.0.0.0',
      fetch: ({ url }) => {
        heard.push(new URL(url).pathname)
        return new Response('', { status: 404 })
      },
    })
    using other = openTestEngine()
    const far = await ran(other, 'pull', `${address}:${server.port}/x`)
    expect([far.status, heard]).toEqual([1, []])
    await ran(other, 'pull', `127.0.0.1:${server.port}/x`)
    expect(heard).toContain('/v2/')
    Bun.spawnSync(['ip', 'address', 'del', `${address}/32`, 'dev', 'lo'])
  })
})
