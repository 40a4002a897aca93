/** Registries that are reached over a proxy alone: real ones, with TLS and without, under names that only the proxy knows. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'
import { openProxy, type ProxyOptions, type TestProxy } from './proxy.ts'
import { openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const SECURE = 'secure.test:5000'
const PLAIN = 'plain.test:5000'
const directory = mkdtempSync(join(tmpdir(), 'coffer-registry-proxy-'))
const file = (name: string): string => join(directory, name)
const portOf = ({ host }: TestRegistry): number => Number(host.slice(host.indexOf(':') + 1))
let [secure, plain]: TestRegistry[] = []
let names: ProxyOptions['names'] = {}

beforeAll(async () => {
  const words = '-x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test'
  const alternatives = 'subjectAltName=DNS:secure.test,DNS:proxy.test,DNS:localhost'
  const openssl = ['openssl', 'req', ...words.split(' '), '-addext', alternatives]
  expect(Bun.spawnSync([...openssl, '-keyout', file('key.pem'), '-out', file('cert.pem')]).exitCode).toBe(0)
  mkdirSync(file('docker'))
  writeFileSync(file('registries.json'), JSON.stringify({ 'insecure-registries': [PLAIN] }))
  writeFileSync(
    file('docker/config.json'),
    JSON.stringify({ auths: { [SECURE]: { auth: btoa('me:registry-secret') } } }),
  )
  const accounts = `me:${await Bun.password.hash('registry-secret', { algorithm: 'bcrypt', cost: 4 })}\n`
  const certificate = { certificate: file('cert.pem'), key: file('key.pem') }
  secure = await openRegistry(file('secure'), { certificate, accounts })
  plain = await openRegistry(file('plain'))
  names = { [SECURE]: portOf(secure), [PLAIN]: portOf(plain) }
})
afterAll(async () => {
  await secure?.[Symbol.asyncDispose]()
  await plain?.[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true })
})

const engineWith = (env: Readonly<Record<string, string>>): TestEngine =>
  openTestEngine({
    DOCKER_CONFIG: file('docker'),
    COFFER_REGISTRIES: file('registries.json'),
    NODE_EXTRA_CA_CERTS: file('cert.pem'),
    ...env,
  })
const over = ({ port }: TestProxy, account = ''): Readonly<Record<string, string>> => ({
  HTTPS_PROXY: `http://${account}127.0.0.1:${port}`,
  HTTP_PROXY: `http://${account}127.0.0.1:${port}`,
})
const thereAndBack = async (env: Readonly<Record<string, string>>, name: string): Promise<void> => {
  using engine = engineWith(env)
  engine.must('import', busyboxArchive(engine.directory), name)
  expect((await ran(engine, 'push', name)).stderr).toBe('')
  using other = engineWith(env)
  expect((await ran(other, 'pull', name)).stderr).toBe('')
  expect(other.must('run', '--rm', '--pull', 'never', name, 'echo', 'hello')).toBe('hello')
}
const pulling = async (env: Readonly<Record<string, string>>, name: string): Promise<string> => {
  using engine = engineWith(env)
  const { status, stderr } = await ran(engine, 'pull', name)
  expect([status, stderr]).toEqual([1, expect.stringContaining('error: cannot ')])
  return stderr
}

describe('an image goes there and back', () => {
  test('through tunnels to a registry with TLS, whose account the proxy does not hear', async () => {
    await using proxy = await openProxy({ names })
    await thereAndBack(over(proxy), `${SECURE}/test/busybox`)
    expect([...new Set(proxy.asked)]).toEqual([`CONNECT ${SECURE}`])
    expect(proxy.heard()).not.toContain('"authorization"')
  })

  test('but not where the certificate at the end of a tunnel is of somebody else, or nobody vouches for it (S154)', async () => {
    await using proxy = await openProxy({ names: { ...names, 'other.test:5000': names[SECURE] ?? 0 } })
    const other = await pulling(over(proxy), 'other.test:5000/test/busybox')
    expect(other).toMatch(/cannot ask https:\/\/other.test:5000: .*(altnames|ALTNAME)/)
    const unknown = await pulling({ ...over(proxy), NODE_EXTRA_CA_CERTS: '' }, `${SECURE}/test/busybox`)
    expect(unknown).toContain(`cannot ask https://${SECURE}: self-signed certificate`)
    expect(proxy.heard()).not.toContain('"authorization"')
  })

  test('by whole addresses to a registry without TLS, once there is no tunnel', async () => {
    await using proxy = await openProxy({ names: { [PLAIN]: names[PLAIN] ?? 0 } })
    await thereAndBack(over(proxy), `${PLAIN}/test/busybox`)
    expect(proxy.asked).toContain(`GET http://${PLAIN}/v2/test/busybox/manifests/latest`)
  })

  test('also where the proxy makes no tunnels to such ports', async () => {
    await using proxy = await openProxy({ names, answer: 'HTTP/1.1 403 Not that port\r\n\r\n' })
    await thereAndBack(over(proxy), `${PLAIN}/test/refused`)
  })

  test('over a proxy that wants an account', async () => {
    await using proxy = await openProxy({ names, account: 'you:proxy-secret' })
    for (const name of [SECURE, PLAIN]) await thereAndBack(over(proxy, 'you:proxy%2Dsecret@'), `${name}/test/account`)
  })

  test('over a proxy that speaks TLS, whose certificate is checked', async () => {
    const certificate = { cert: readFileSync(file('cert.pem'), 'utf8'), key: readFileSync(file('key.pem'), 'utf8') }
    await using proxy = await openProxy({ names, account: 'you:proxy-secret', certificate })
    const env = (host: string): Readonly<Record<string, string>> => ({
      https_proxy: `https://you:proxy-secret@${host}:${proxy.port}`,
      http_proxy: `https://you:proxy-secret@${host}:${proxy.port}`,
    })
    for (const name of [SECURE, PLAIN]) await thereAndBack(env('localhost'), `${name}/test/tls`)
    for (const name of [SECURE, PLAIN]) {
      const said = await pulling(env('127.0.0.1'), `${name}/test/tls`)
      expect(said).toContain(`over the proxy https://127.0.0.1:${proxy.port}: the proxy cannot be reached`)
      expect(said).toMatch(/altnames|IP/)
    }
  })
})

describe('which proxy', () => {
  test('is none for this machine, and for what NO_PROXY names', async () => {
    await using proxy = await openProxy({ names })
    using engine = engineWith(over(proxy))
    const name = `${plain?.host}/test/direct`
    engine.must('import', busyboxArchive(engine.directory), name)
    expect((await ran(engine, 'push', name)).stderr).toBe('')
    const said = await pulling({ ...over(proxy), NO_PROXY: 'example.com, .test' }, `${SECURE}/test/busybox`)
    expect(said).toContain(`cannot ask https://${SECURE}: getaddrinfo`)
    expect(proxy.asked).toEqual([])
  })

  test("may be that of registries.json, as in docker's daemon.json", async () => {
    await using proxy = await openProxy({ names, account: 'you:proxy-secret' })
    const address = `http://you:proxy-secret@127.0.0.1:${proxy.port}`
    const own = file('own.json')
    writeFileSync(own, JSON.stringify({ proxies: { 'https-proxy': address } }))
    const env = { COFFER_REGISTRIES: own, HTTPS_PROXY: 'http://127.0.0.1:1' }
    await thereAndBack(env, `${SECURE}/test/own`)
    writeFileSync(own, JSON.stringify({ proxies: { 'https-proxy': address.replace('secret', 'wrong') } }))
    expect(await pulling(env, `${SECURE}/test/own`)).toContain(`name and the password of https-proxy in ${own} (407)`)
    writeFileSync(own, `{"proxies": {"https-proxy": ${address}`)
    expect(await pulling(env, `${SECURE}/test/own`)).not.toContain('secret')
  })

  test('is chosen anew where a registry leads elsewhere', async () => {
    const seen: string[] = []
    const known = plain as TestRegistry
    using blobs = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      fetch: ({ url, headers }) => {
        seen.push(headers.get('proxy-authorization') ?? 'directly')
        return fetch(`http://${known.host}${new URL(url).pathname}`)
      },
    })
    using front = openLiar(known, (path) =>
      path.includes('/blobs/') ? Response.redirect(`http://127.0.0.1:${blobs.port}${path}`, 307) : undefined,
    )
    await using proxy = await openProxy({ names: { [PLAIN]: front.port ?? 0 }, account: 'you:proxy-secret' })
    using engine = engineWith(over(proxy, 'you:proxy-secret@'))
    expect((await ran(engine, 'pull', `${PLAIN}/test/busybox`)).stderr).toBe('')
    expect(seen).toEqual(['directly', 'directly'])
    expect(proxy.asked.some((asked) => asked.includes('/blobs/'))).toBe(true)
  })
})

describe('an error of the proxy is said to be one, without its password (S220)', () => {
  const reached = (name: string, { port }: { readonly port: number }): string =>
    `cannot reach ${name} over the proxy http://127.0.0.1:${port}: `

  test('that wants an account, or another', async () => {
    await using proxy = await openProxy({ names, account: 'you:proxy-secret' })
    for (const name of [SECURE, PLAIN]) {
      const none = await pulling(over(proxy), `${name}/test/busybox`)
      expect(none).toContain(`${reached(name, proxy)}the proxy wants a name and a password (407)`)
      expect(none).toMatch(/hint: {2}write http:\/\/NAME:PASSWORD@127[\d.:]+ in HTTPS?_PROXY/)
      const wrong = await pulling(over(proxy, 'you:wrong-secret@'), `${name}/test/busybox`)
      expect(wrong).toMatch(/the proxy does not take the name and the password of HTTPS?_PROXY \(407\)/)
      expect(wrong).not.toMatch(/wrong-secret|eW91/)
    }
  })

  test('that refuses the server', async () => {
    await using proxy = await openProxy({ names: {} })
    const said = await pulling(over(proxy), `${SECURE}/test/busybox`)
    expect(said).toContain(`${reached(SECURE, proxy)}the proxy answered 403 Not there`)
    expect(said).toContain(`hint:  the proxy has to allow ${SECURE}`)
    expect(await pulling(over(proxy), `${PLAIN}/test/busybox`)).toContain(
      `the registry, or the proxy http://127.0.0.1:${proxy.port} on the way to it, answered 403`,
    )
  })

  test('that does not get there, or says in its own way that it does not know the account', async () => {
    await using lost = await openProxy({ names, answer: 'HTTP/1.1 502 Bad\u001b[1m Gateway\r\n\r\n' })
    const said = await pulling(over(lost), `${SECURE}/test/busybox`)
    expect(said).toContain(`${reached(SECURE, lost)}the proxy answered 502 Bad?[1m Gateway`)
    expect(said).toContain('hint:  the proxy did not get there')
    // As tinyproxy does.
    await using other = await openProxy({ names, answer: 'HTTP/1.1 401 Unauthorized\r\n\r\n' })
    const refused = await pulling(over(other, 'you:proxy-secret@'), `${SECURE}/test/busybox`)
    expect(refused).toContain('and to take the name and the password of HTTPS_PROXY')
    expect(refused).not.toContain('proxy-secret')
  })

  test('that is not there, or is no proxy', async () => {
    const { port } = await openProxy({ names }).then(async (gone) => {
      await gone[Symbol.asyncDispose]()
      return gone
    })
    const env = { HTTPS_PROXY: `you:proxy-secret@127.0.0.1:${port}`, HTTP_PROXY: `you:proxy-secret@127.0.0.1:${port}` }
    for (const name of [SECURE, PLAIN]) {
      const said = await pulling(env, `${name}/test/busybox`)
      expect(said).toContain(`${reached(name, { port })}the proxy cannot be reached: connect ECONNREFUSED`)
      expect(said).not.toContain('secret')
    }
    const none = await pulling({ HTTPS_PROXY: 'socks5://you:proxy-secret@127.0.0.1:1' }, `${SECURE}/test/busybox`)
    expect(none).toContain('cannot use the proxy of HTTPS_PROXY: coffer does not speak socks5://')
    expect(none).not.toContain('secret')
  })

  test('and its challenge is not that of the registry: no account is told to it (S151)', async () => {
    const heard: string[] = []
    using tokens = Bun.serve({
      port: 0,
      hostname: '127.0.0.1',
      tls: { cert: readFileSync(file('cert.pem'), 'utf8'), key: readFileSync(file('key.pem'), 'utf8') },
      fetch: ({ headers }) => {
        heard.push(headers.get('authorization') ?? 'none')
        return Response.json({ token: 'word' })
      },
    })
    const challenge = `Bearer realm="https://localhost:${tokens.port}/token",service="x"`
    const answer = `HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: ${challenge}\r\nContent-Length: 0\r\n\r\n`
    await using proxy = await openProxy({ names, answer })
    const said = await pulling(over(proxy), `${SECURE}/test/busybox`)
    expect(said).toContain(`${reached(SECURE, proxy)}the proxy answered 401 Unauthorized`)
    expect([heard, proxy.asked]).toEqual([[], [`CONNECT ${SECURE}`]])
    expect(proxy.heard()).not.toContain('"authorization"')
  })
})
