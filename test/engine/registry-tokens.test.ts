/** Tokens that stand for an account: identity tokens, by which others are asked for, and registry tokens, which go as they are. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type Ran, type TestEngine } from './engine.ts'
import { openLiar, openRegistry, ran, type TestRegistry } from './registry.ts'

const IDENTITY = 'identity-canary'
const directory = mkdtempSync(join(tmpdir(), 'coffer-registry-tokens-'))
const config = join(directory, 'config.json')
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

interface Front extends Disposable {
  readonly host: string
  /** Requests for tokens: `GET ?service=…` or `POST ` and the form. */
  readonly asked: string[]
  /** The headers of all other requests. */
  readonly heard: string[]
}

/** The registry behind a server of tokens: `t-SCOPE` is good, and `answer` says what a request for one gets. */
function openFront(answer: (asked: URLSearchParams, request: Request) => Response): Front {
  const [asked, heard]: [string[], string[]] = [[], []]
  const server = openLiar(registry, (path, request, port) => {
    if (path === '/token') {
      return request.text().then((body) => {
        const text = request.method === 'POST' ? body : new URL(request.url).search
        asked.push(`${request.method} ${text}`)
        return answer(new URLSearchParams(text), request)
      })
    }
    const authorization = request.headers.get('authorization') ?? 'none'
    heard.push(authorization)
    if (/^Bearer (?:t-repository:[\w/]+:pull(?:,push)?|as-it-is)$/.test(authorization)) return undefined
    const realm = `http://127.0.0.1:${port}/token`
    return new Response('', { status: 401, headers: { 'www-authenticate': `Bearer realm="${realm}",service="a b"` } })
  })
  return { host: `127.0.0.1:${server.port}`, asked, heard, [Symbol.dispose]: () => void server.stop(true) }
}

const tokenFor = (asked: URLSearchParams): Response =>
  asked.get('refresh_token') === IDENTITY && asked.get('grant_type') === 'refresh_token'
    ? Response.json({ access_token: `t-${asked.get('scope')}`, expires_in: 60 })
    : Response.json({ error: 'invalid_grant' }, { status: 400 })

const empty = (): TestEngine => openTestEngine({ DOCKER_CONFIG: directory })
const pull = async (host: string, entry: object): Promise<Ran> => {
  writeFileSync(config, JSON.stringify({ auths: { [host]: entry } }))
  using other = empty()
  return await ran(other, 'pull', `${host}/test/busybox`)
}

test('an identity token is told to the server of tokens alone, which gives others for it (S151)', async () => {
  using front = openFront(tokenFor)
  const { status, stderr } = await pull(front.host, { auth: btoa('me:'), identitytoken: IDENTITY })
  expect([status, stderr]).toEqual([0, ''])
  expect(front.asked.map((text) => Object.fromEntries(new URLSearchParams(text.replace('POST ', ''))))).toEqual([
    {
      grant_type: 'refresh_token',
      client_id: 'coffer',
      service: 'a b',
      scope: 'repository:test/busybox:pull',
      refresh_token: IDENTITY,
    },
  ])
  expect([...new Set(front.heard)]).toEqual(['none', 'Bearer t-repository:test/busybox:pull'])
})

test('one that has ended is an error that says what to do, and not what it was', async () => {
  using front = openFront(tokenFor)
  const { status, stderr } = await pull(front.host, { identitytoken: 'ended-canary' })
  expect([status, stderr]).toEqual([
    1,
    expect.stringContaining(`error: cannot log in to ${front.host}: the registry answered 400`),
  ])
  expect(stderr).toContain('hint:  the identity token in config.json may have ended: log in again')
  expect(stderr).not.toContain('canary')
})

test('a registry token goes to the registry as it is, and nobody is asked for another', async () => {
  using front = openFront(tokenFor)
  const entry = { auth: btoa('me:secret'), identitytoken: IDENTITY, registrytoken: 'as-it-is' }
  expect((await pull(front.host, entry)).stderr).toBe('')
  expect([front.asked, [...new Set(front.heard)]]).toEqual([[], ['none', 'Bearer as-it-is']])
  const { status, stderr } = await pull(front.host, { registrytoken: 'no\r\ntoken' })
  expect([status, stderr]).toEqual([1, expect.stringContaining('characters that no token has')])
  expect((await pull(front.host, { registrytoken: 'other' })).stderr).toContain('answered 401')
})

test('login keeps the token that a server gives for name and password, and not the password', async () => {
  using front = openFront((asked, { headers }) => {
    if (asked.has('grant_type')) return tokenFor(asked)
    const isMe = headers.get('authorization') === `Basic ${btoa('me:secret')}`
    const identity = asked.get('offline_token') === 'true' ? { refresh_token: IDENTITY } : {}
    return Response.json({ token: `t-${asked.get('scope')}`, ...identity }, { status: isMe ? 200 : 401 })
  })
  rmSync(config, { force: true })
  using other = empty()
  const login = other.spawn('login', '--username', 'me', '--password-stdin', front.host)
  login.stdin.write('secret\n')
  login.stdin.end()
  expect([await login.exited, await new Response(login.stdout).text()]).toEqual([0, 'Login Succeeded\n'])
  expect(JSON.parse(readFileSync(config, 'utf8'))).toEqual({
    auths: { [front.host]: { auth: btoa('me:'), identitytoken: IDENTITY } },
  })
  expect((await ran(other, 'pull', `${front.host}/test/busybox`)).stderr).toBe('')
  expect(front.asked.map((text) => text.slice(0, text.indexOf(' ')))).toEqual(['GET', 'POST'])
  expect(other.must('logout', front.host)).toBe(`Removing login credentials for ${front.host}`)
})

test('a name and a password alone are told as before, and ask for no identity token', async () => {
  using front = openFront((asked) =>
    Response.json({ token: `t-${asked.get('scope')}` }, { status: asked.has('offline_token') ? 400 : 200 }),
  )
  expect((await pull(front.host, { auth: btoa('me:secret') })).stderr).toBe('')
  expect(front.asked).toEqual(['GET ?service=a+b&scope=repository%3Atest%2Fbusybox%3Apull&account=me'])
})
