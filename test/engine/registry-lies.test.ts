/** Registries that lie about an image, in front of a real one: nothing of it may stay. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { type Lie, openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-registry-lies-'))
let registry: TestRegistry
beforeAll(async () => {
  registry = await openRegistry(join(directory, 'registry'))
  using engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), `${registry.host}/test/busybox`)
  engine.must('push', `${registry.host}/test/busybox`)
})
afterAll(async () => {
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const blobs = ({ dataRoot }: TestEngine): readonly string[] => readdirSync(join(dataRoot, 'images/blobs/sha256')).sort()
const left = ({ dataRoot }: TestEngine): readonly string[] => readdirSync(join(dataRoot, 'incoming'))
const names = ({ dataRoot }: TestEngine): string => readFileSync(join(dataRoot, 'images/index.json'), 'utf8')

describe('a registry that lies is not believed, and nothing of it is kept (S146, S147, S148)', () => {
  const honest = async (path: string, request: Request): Promise<Uint8Array> =>
    new Uint8Array(
      await (
        await fetch(`http://${registry.host}${path}`, { headers: { accept: request.headers.get('accept') ?? '' } })
      ).arrayBuffer(),
    )
  const isBlob = (path: string): boolean => path.includes('/blobs/')
  const isManifest = (path: string): boolean => path.includes('/manifests/')
  const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = (body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Response =>
    new Response(body, { headers: { 'content-type': MANIFEST, ...headers } })

  const lies: Readonly<Record<string, readonly [Lie, string]>> = {
    'other bytes of the right length': [
      (path, request) =>
        isBlob(path) ? honest(path, request).then((bytes) => new Response(bytes.map((byte) => byte ^ 1))) : undefined,
      'what came is not it',
    ],
    'more bytes': [
      (path, request) =>
        isBlob(path)
          ? honest(path, request).then((bytes) => new Response(Buffer.concat([bytes, Buffer.from('more')])))
          : undefined,
      'a longer one',
    ],
    'too few bytes': [
      (path, request) =>
        isBlob(path) ? honest(path, request).then((bytes) => new Response(bytes.slice(0, -1))) : undefined,
      'the connection ended after',
    ],
    'another digest in a header': [
      (path, request) =>
        isManifest(path)
          ? honest(path, request).then((bytes) =>
              manifest(bytes as Uint8Array<ArrayBuffer>, { 'docker-content-digest': `sha256:${'0'.repeat(64)}` }),
            )
          : undefined,
      'the manifest is not sha256:0000',
    ],
    'a manifest that is an index as well': [
      (path) =>
        isManifest(path)
          ? manifest(JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST, manifests: [], layers: [], config: {} }))
          : undefined,
      'is an index as well',
    ],
    'another type than the document': [
      (path) =>
        isManifest(path)
          ? manifest(
              JSON.stringify({ schemaVersion: 2, mediaType: MANIFEST.replace('manifest', 'index'), manifests: [] }),
            )
          : undefined,
      'the manifest says that it is',
    ],
    'a manifest without end': [
      (path) => (isManifest(path) ? manifest(new Uint8Array(5 * 1024 * 1024)) : undefined),
      'it has more than 4194304 bytes',
    ],
    'a digest that is a path': [
      (path) =>
        isManifest(path)
          ? manifest(
              JSON.stringify({
                schemaVersion: 2,
                mediaType: MANIFEST,
                config: { mediaType: 'x', digest: 'sha256:../../../../tmp/x', size: 1 },
                layers: [],
              }),
            )
          : undefined,
      'which is no digest',
    ],
  }
  for (const [name, [lie, reason]] of Object.entries(lies))
    test(name, async () => {
      using liar = openLiar(registry, lie)
      using other = openTestEngine()
      const { status, stderr } = await ran(other, 'pull', `127.0.0.1:${liar.port}/test/busybox`)
      expect([status, stderr.includes(reason) ? reason : stderr]).toEqual([1, reason])
      expect([left(other), names(other).includes('test/busybox')]).toEqual([[], false])
    })

  test('and one that does not is', async () => {
    using liar = openLiar(registry, () => undefined)
    using other = openTestEngine()
    expect((await ran(other, 'pull', `127.0.0.1:${liar.port}/test/busybox`)).status).toBe(0)
    expect(blobs(other).length).toBe(3)
  })
})
