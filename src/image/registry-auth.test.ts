import { expect, test } from 'bun:test'
import { parseChallenges, readCredentials } from './registry-auth.ts'

const shown = (header: string): readonly (readonly [string, Readonly<Record<string, string>>])[] =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])

test('a challenge has a scheme and parameters, quoted or not, with commas inside the quotes', () => {
  expect(shown('Bearer realm="https://auth.example/token",service="a, b",scope="repository:x:pull,push"')).toEqual([
    ['bearer', { realm: 'https://auth.example/token', service: 'a, b', scope: 'repository:x:pull,push' }],
  ])
  expect(shown('Basic realm=plain, Bearer realm="with \\"quotes\\""')).toEqual([
    ['basic', { realm: 'plain' }],
    ['bearer', { realm: 'with "quotes"' }],
  ])
})

test('what is no challenge is none', () => {
  expect(shown('')).toEqual([])
  expect(shown('"="')).toEqual([])
  expect(shown(',,,')).toEqual([])
})

const read = (auths: object): Readonly<Record<string, object>> =>
  Object.fromEntries(readCredentials(JSON.stringify({ auths }), 'config.json', atob))

test('an account is kept under the host of its registry, and that of docker.io under its old address', () => {
  expect(
    read({
      'https://index.docker.io/v1/': { auth: btoa('me:a:b') },
      'localhost:5000': { username: 'u', password: 'p' },
    }),
  ).toEqual({
    'docker.io': { kind: 'password', user: 'me', password: 'a:b' },
    'localhost:5000': { kind: 'password', user: 'u', password: 'p' },
  })
})

test('a token is one of the user or of the registry, and counts before a name', () => {
  expect(
    read({
      'a.example': { auth: btoa('me:'), identitytoken: 'long' },
      'b.example': { auth: btoa('me:secret'), identitytoken: 'long', registrytoken: 'as it is' },
      'c.example': { auth: btoa('me:secret'), identitytoken: '' },
    }),
  ).toEqual({
    'a.example': { kind: 'identity', token: 'long' },
    'b.example': { kind: 'registry', token: 'as it is' },
    'c.example': { kind: 'password', user: 'me', password: 'secret' },
  })
})

test('of a file that cannot be read the place is told, and nothing of what stands there (S220)', () => {
  const said = (text: string): string => {
    try {
      readCredentials(text, 'config.json', atob)
    } catch (error) {
      return String(error)
    }
    return 'nothing'
  }
  const texts = {
    '{"auths":{"a.example":{"auth":canary}}}': 'it is not JSON',
    canary: 'it is not JSON',
    '["canary"]': 'it is not JSON, or no object',
    '{"auths":"canary"}': 'auths is not what it has to be',
    '{"auths":{"a.example":"canary"}}': 'auths["a.example"] is not what it has to be',
    '{"auths":{"a.example":{"auth":["canary"]}}}': 'auths["a.example"].auth is not what it has to be',
    '{"auths":{"a.example":{"identitytoken":"canary\\u0000"}}}': 'auths["a.example"].identitytoken is not what',
  }
  for (const [text, words] of Object.entries(texts)) {
    expect(said(text)).toContain(`cannot read config.json: ${words}`)
    expect(said(text)).not.toContain('canary')
  }
})

test('an entry that a helper fills in is no account', () => {
  expect(read({ 'localhost:5000': {} })).toEqual({})
})
