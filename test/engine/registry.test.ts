/** Images to and from a real registry: over plain and broken connections, with accounts, mirrors and TLS. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { openCuttingProxy, openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-registry-'))
const accounts = join(directory, 'docker')
const settings = join(directory, 'registries.json')
mkdirSync(accounts)
let engine: TestEngine
let registry: TestRegistry
let large: string

/** An engine without images. */
const empty = (): TestEngine => openTestEngine({ DOCKER_CONFIG: accounts, COFFER_REGISTRIES: settings })

beforeAll(async () => {
  writeFileSync(settings, '{}')
  registry = await openRegistry(join(directory, 'registry'))
  engine = empty()
  engine.must('import', busyboxArchive(engine.directory), `${registry.host}/test/busybox`)
  engine.must('push', `${registry.host}/test/busybox`)
  const root = join(directory, 'large')
  mkdirSync(root)
  writeFileSync(join(root, 'noise'), crypto.getRandomValues(new Uint8Array(65536)))
  Bun.spawnSync(['sh', '-c', 'for i in 1 2 3 4 5 6 7; do head -c 3000000 /dev/urandom > file$i; done'], { cwd: root })
  large = `${registry.host}/test/large`
  Bun.spawnSync(['tar', '-C', root, '-cf', join(directory, 'large.tar'), '.'])
  engine.must('import', join(directory, 'large.tar'), large)
  engine.must('push', large)
})
afterAll(async () => {
  engine[Symbol.dispose]()
  await registry[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const left = ({ dataRoot }: TestEngine): readonly string[] => readdirSync(join(dataRoot, 'incoming'))
const names = ({ dataRoot }: TestEngine): string => readFileSync(join(dataRoot, 'images/index.json'), 'utf8')

describe('there and back', () => {
  test('an image that was pushed is pulled, runs, and is pushed again without anything new', () => {
    using other = empty()
    const name = `${registry.host}/test/busybox`
    const lines = other.must('pull', name).split('\n')
    expect(lines[0]).toBe('Using default tag: latest')
    expect(lines[1]).toBe('latest: Pulling from test/busybox')
    expect(lines.slice(-2)).toEqual([`Status: Downloaded newer image for ${name}:latest`, `${name}:latest`])
    expect(other.must('run', '--rm', name, 'echo', 'hello')).toBe('hello')
    expect(other.must('pull', name)).toContain(`Status: Image is up to date for ${name}:latest`)
    const pushed = other.must('push', name)
    expect(pushed).toContain('Layer already exists')
    expect(pushed).not.toContain('Pushed')
    expect(/Digest: (sha256:\S+)/.exec(lines.join('\n'))?.[1]).toBe(/digest: (sha256:\S+) size/.exec(pushed)?.[1] ?? '')
  })

  test('by digest it is the same image, and by a wrong one none', () => {
    using other = empty()
    const digest = /Digest: (sha256:\S+)/.exec(other.must('pull', large))?.[1] ?? ''
    expect(other.must('pull', `${registry.host}/test/large@${digest}`)).toContain(digest)
    const { status, stderr } = other.coffer('pull', `${registry.host}/test/large@sha256:${'0'.repeat(64)}`)
    expect([status, stderr.includes('the registry answered 404')]).toEqual([1, true])
  })

  test('the layer that an import left plain is compressed, and has the same id', () => {
    using other = empty()
    other.must('pull', large)
    const config = (names: string): unknown => JSON.parse(names)
    const document = config(names(other)) as { readonly manifests: readonly { readonly digest: string }[] }
    const manifest = readFileSync(
      join(other.dataRoot, 'images/blobs', (document.manifests[0]?.digest ?? '').replace(':', '/')),
      'utf8',
    )
    expect(manifest).toContain('"application/vnd.oci.image.layer.v1.tar+gzip"')
    expect(names(engine)).toContain(document.manifests[0]?.digest ?? 'none')
  })

  test('an image that is not there is an error that says so', () => {
    const { status, stderr } = engine.coffer('pull', `${registry.host}/test/nothing`)
    expect([status, stderr.split('\n')[0]]).toEqual([
      1,
      expect.stringMatching(
        /^error: cannot pull localhost:\d+\/test\/nothing: the registry answered 404: manifest unknown$/,
      ),
    ])
  })
})

describe('run', () => {
  test('pulls an image that is not there, and says so beside what the program prints', () => {
    using other = empty()
    const name = `${registry.host}/test/busybox`
    const { status, stdout, stderr } = other.coffer('run', '--rm', name, 'sh', '-c', 'echo out; exit 3')
    expect([status, stdout]).toEqual([3, 'out\n'])
    expect(stderr).toStartWith(`Unable to find image '${name}:latest' locally\nlatest: Pulling from test/busybox\n`)
    expect(other.coffer('run', '--rm', name, 'true').stderr).toBe('')
    expect(other.coffer('run', '--rm', '--pull', 'always', name, 'true').stderr).toContain('Image is up to date for')
  })

  test('does not with --pull never, and tells what the registry said if it has none', () => {
    using other = empty()
    const never = other.coffer('run', '--rm', '--pull', 'never', `${registry.host}/test/busybox`, 'true')
    expect([never.status, never.stderr.includes('locally')]).toEqual([125, true])
    const nothing = other.coffer('run', '--rm', `${registry.host}/test/nothing`, 'true')
    expect([nothing.status, nothing.stderr.includes('manifest unknown')]).toEqual([125, true])
  })
})

describe('a connection that breaks', () => {
  test('is taken up where it broke', async () => {
    await using proxy = await openCuttingProxy(registry.host, 5_000_000, 3)
    using other = empty()
    expect((await ran(other, 'pull', `${proxy.host}/test/large`)).stderr).toBe('')
    // The image has 21 MB; from the beginning each time it would be three times 5 MB more.
    expect([proxy.cuts(), proxy.passedBytes() < 25_000_000]).toEqual([3, true])
    expect(left(other)).toEqual([])
  })

  test('for good leaves nothing, and the next pull begins anew', async () => {
    using other = empty()
    {
      await using proxy = await openCuttingProxy(registry.host, 1000, 1000)
      expect((await ran(other, 'pull', `${proxy.host}/test/large`)).status).toBe(1)
    }
    expect([left(other), names(other).includes('test/large')]).toEqual([[], false])
    other.must('pull', large)
  })
})

describe('accounts', () => {
  let closed: TestRegistry
  beforeAll(async () => {
    const line = `me:${await Bun.password.hash('secret', { algorithm: 'bcrypt', cost: 4 })}\n`
    closed = await openRegistry(join(directory, 'closed'), { accounts: line })
  })
  afterAll(() => closed[Symbol.asyncDispose]())

  const keepAccount = (host: string, password: string): void =>
    writeFileSync(
      join(accounts, 'config.json'),
      JSON.stringify({ auths: { [host]: { auth: btoa(`me:${password}`) } } }),
    )

  test('of config.json are told to the registry that asks for one, and a wrong one is an error without it', () => {
    using other = empty()
    keepAccount(closed.host, 'wrong')
    const name = `${closed.host}/own/busybox`
    other.must('import', busyboxArchive(other.directory), name)
    const { status, stderr } = other.coffer('push', name)
    expect([status, stderr.includes('answered 401'), /wrong|secret|bWU6/.test(stderr)]).toEqual([1, true, false])
    keepAccount(closed.host, 'secret')
    other.must('push', name)
    using third = empty()
    third.must('pull', name)
    rmSync(join(accounts, 'config.json'))
    expect(third.coffer('pull', name).stderr).toContain('answered 401')
  })

  test('login keeps one that the registry takes, in a file for its owner alone, and logout forgets it', () => {
    using other = empty()
    const login = (secret: string, ...words: readonly string[]) =>
      other.cofferWith(`${secret}\n`, 'login', '--username', 'me', '--password-stdin', ...words)
    const path = join(accounts, 'config.json')
    const refused = login('wrong', closed.host)
    expect([refused.status, refused.stderr.includes('answered 401'), existsSync(path)]).toEqual([1, true, false])
    writeFileSync(
      path,
      JSON.stringify({ auths: { 'other.example': { auth: btoa('you:there') } }, detachKeys: 'ctrl-x' }),
    )
    const taken = login('secret', closed.host)
    expect([taken.status, taken.stdout]).toEqual([0, 'Login Succeeded\n'])
    expect(JSON.parse(readFileSync(path, 'utf8'))).toEqual({
      auths: { 'other.example': { auth: btoa('you:there') }, [closed.host]: { auth: btoa('me:secret') } },
      detachKeys: 'ctrl-x',
    })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    other.must('import', busyboxArchive(other.directory), `${closed.host}/own/logged`)
    other.must('push', `${closed.host}/own/logged`)
    expect(other.must('logout', closed.host)).toBe(`Removing login credentials for ${closed.host}`)
    expect(other.must('logout', closed.host)).toBe(`Not logged in to ${closed.host}`)
    expect(Object.keys(JSON.parse(readFileSync(path, 'utf8')).auths)).toEqual(['other.example'])
    writeFileSync(path, '{"credsStore":"desktop"}')
    expect(login('secret', closed.host).stderr).toContain('it leaves passwords to a program')
    rmSync(path)
    expect(other.coffer('login', '--password-stdin', closed.host).stderr).toContain('Must provide --username')
    expect(other.coffer('login', '--username', 'me', closed.host).stderr).toContain('there is no terminal to ask')
  })

  test('a token is fetched where the registry says, and told to nobody else (S151)', async () => {
    const seen: string[] = []
    using blobServer = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: (request) => {
        seen.push(request.headers.get('authorization') ?? 'none')
        return fetch(`http://${registry.host}${new URL(request.url).pathname}`)
      },
    })
    const tokenFor = (request: Request): Response => {
      const isMe = request.headers.get('authorization') === `Basic ${btoa('me:secret')}`
      const scope = new URL(request.url).searchParams.get('scope')
      return Response.json(isMe ? { token: `t-${scope}` } : {}, { status: isMe ? 200 : 401 })
    }
    const unauthorized = (port: number | undefined): Response =>
      new Response('', {
        status: 401,
        headers: { 'www-authenticate': `Bearer realm="http://127.0.0.1:${port}/token",service="test"` },
      })
    using front = openLiar(registry, (path, request, port) => {
      if (path === '/token') return tokenFor(request)
      if (request.headers.get('authorization') !== 'Bearer t-repository:test/large:pull') return unauthorized(port)
      return path.includes('/blobs/') ? Response.redirect(`http://127.0.0.1:${blobServer.port}${path}`, 307) : undefined
    })
    keepAccount(`127.0.0.1:${front.port}`, 'secret')
    using other = empty()
    expect((await ran(other, 'pull', `127.0.0.1:${front.port}/test/large`)).stderr).toBe('')
    expect(seen).toEqual(['none', 'none'])
    rmSync(join(accounts, 'config.json'))
  })
})

describe('what a name stands for', () => {
  const INDEX = 'application/vnd.oci.image.index.v1+json'
  const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
  const indexOf = async (): Promise<string> => {
    const response = await fetch(`http://${registry.host}/v2/test/busybox/manifests/latest`, {
      headers: { accept: MANIFEST },
    })
    const size = (await response.arrayBuffer()).byteLength
    const own = process.arch === 'arm64' ? 'arm64' : 'amd64'
    const absent = { mediaType: MANIFEST, digest: `sha256:${'1'.repeat(64)}`, size: 1000 }
    const digest = response.headers.get('docker-content-digest')
    return JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [
        { ...absent, platform: { os: 'linux', architecture: 'riscv64' } },
        { mediaType: MANIFEST, digest, size, platform: { os: 'linux', architecture: own } },
      ],
    })
  }

  test('of several platforms is the image for this machine, and by the digest of all it is found again', async () => {
    const text = await indexOf()
    using server = openLiar(registry, (path) =>
      path.endsWith('/manifests/latest') ? new Response(text, { headers: { 'content-type': INDEX } }) : undefined,
    )
    using other = empty()
    const name = `127.0.0.1:${server.port}/test/busybox`
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(text).digest('hex')}`
    expect((await ran(other, 'pull', name)).stdout).toContain(`Digest: ${digest}`)
    expect(other.must('run', '--rm', '--pull', 'never', `${name}@${digest}`, 'echo', 'hello')).toBe('hello')
    expect(other.must('images', '--format', '{{.Digest}}')).toBe(digest)
    const { status, stderr } = await ran(other, 'pull', '--platform', 'linux/s390x', name)
    expect([status, stderr]).toEqual([1, expect.stringContaining('there is none for linux/s390x')])
    expect(stderr).toContain('there is: linux/riscv64, linux/')
  })

  test('of docker.io is asked from a mirror first, of which the name says nothing', async () => {
    using mirror = openLiar(registry, (path, request) =>
      path.startsWith('/v2/library/thing/')
        ? fetch(`http://${registry.host}${path.replace('library/thing', 'test/busybox')}`, {
            headers: { accept: request.headers.get('accept') ?? '' },
          })
        : undefined,
    )
    writeFileSync(settings, JSON.stringify({ 'registry-mirrors': [`http://127.0.0.1:${mirror.port}`] }))
    using other = empty()
    const { stdout } = await ran(other, 'pull', 'thing')
    writeFileSync(settings, '{}')
    expect(stdout.split('\n').slice(-2)).toEqual(['docker.io/library/thing:latest', ''])
    expect(other.must('run', '--rm', 'thing', 'echo', 'hello')).toBe('hello')
  })

  test('and its layers may be compressed with zstd', async () => {
    const { layers, config } = JSON.parse(
      await (
        await fetch(`http://${registry.host}/v2/test/busybox/manifests/latest`, { headers: { accept: MANIFEST } })
      ).text(),
    )
    const gzip = await (await fetch(`http://${registry.host}/v2/test/busybox/blobs/${layers[0].digest}`)).arrayBuffer()
    const zstd = Bun.zstdCompressSync(Bun.gunzipSync(gzip))
    const digest = `sha256:${new Bun.CryptoHasher('sha256').update(zstd).digest('hex')}`
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+zstd'
    const text = JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config,
      layers: [{ mediaType, digest, size: zstd.length }],
    })
    using server = openLiar(registry, (path) => {
      if (path.endsWith('/manifests/latest')) return new Response(text, { headers: { 'content-type': MANIFEST } })
      return path.endsWith(digest) ? new Response(new Uint8Array(zstd)) : undefined
    })
    using other = empty()
    const name = `127.0.0.1:${server.port}/test/busybox`
    expect((await ran(other, 'pull', name)).stderr).toBe('')
    expect(other.must('run', '--rm', name, 'echo', 'hello')).toBe('hello')
  })
})

describe('TLS', () => {
  const file = (name: string): string => join(directory, name)
  let closed: TestRegistry
  beforeAll(async () => {
    const words = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost'
    const { exitCode } = Bun.spawnSync([
      'openssl',
      'req',
      ...words.split(' '),
      '-addext',
      'subjectAltName=DNS:localhost',
      '-keyout',
      file('key.pem'),
      '-out',
      file('cert.pem'),
    ])
    expect(exitCode).toBe(0)
    closed = await openRegistry(file('tls'), { certificate: { certificate: file('cert.pem'), key: file('key.pem') } })
  })
  afterAll(() => closed[Symbol.asyncDispose]())

  test('a certificate that nobody vouches for is refused, unless a flag or the settings say otherwise (S154)', () => {
    using other = empty()
    const name = `${closed.host}/test/busybox`
    other.must('import', busyboxArchive(other.directory), name)
    const { status, stderr } = other.coffer('push', name)
    expect([status, stderr.split('\n')[0]]).toEqual([1, expect.stringContaining('self-signed certificate')])
    other.must('push', '--tls-verify=false', name)
    expect(other.coffer('pull', name).status).toBe(1)
    writeFileSync(settings, JSON.stringify({ 'insecure-registries': [closed.host] }))
    other.must('pull', name)
    writeFileSync(settings, '{}')
    using trusting = openTestEngine({
      DOCKER_CONFIG: accounts,
      COFFER_REGISTRIES: settings,
      NODE_EXTRA_CA_CERTS: file('cert.pem'),
    })
    trusting.must('pull', name)
  })
})
