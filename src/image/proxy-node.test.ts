import { expect, test } from 'bun:test'
import { OperationError } from '../base/errors.ts'
import { type OwnProxies, proxiesOf } from './proxy-node.ts'

const NONE: OwnProxies = { path: '', https: undefined, http: undefined, no: undefined }
const chosen = (env: Readonly<Record<string, string>>, url: string): string | undefined =>
  proxiesOf(env, NONE)(new URL(url))?.origin

const P = 'http://proxy.example:3128'

test('each kind of address has its variable, in capitals first', () => {
  expect(chosen({ HTTPS_PROXY: P }, 'https://registry.example/')).toBe(P)
  expect(chosen({ HTTPS_PROXY: P }, 'http://registry.example/')).toBeUndefined()
  expect(chosen({ HTTP_PROXY: P }, 'https://registry.example/')).toBeUndefined()
  expect(chosen({ http_proxy: P }, 'http://registry.example/')).toBe(P)
  expect(chosen({ HTTPS_PROXY: '', https_proxy: P }, 'https://registry.example/')).toBe(P)
  expect(chosen({ HTTPS_PROXY: P, https_proxy: 'http://other' }, 'https://registry.example/')).toBe(P)
  expect(chosen({ ALL_PROXY: P }, 'https://registry.example/')).toBeUndefined()
})

test('what a web server made of a header is no proxy', () => {
  expect(chosen({ HTTP_PROXY: P, REQUEST_METHOD: 'GET' }, 'http://registry.example/')).toBeUndefined()
  expect(chosen({ http_proxy: P, REQUEST_METHOD: 'GET' }, 'http://registry.example/')).toBe(P)
  expect(chosen({ HTTPS_PROXY: P, REQUEST_METHOD: 'GET' }, 'https://registry.example/')).toBe(P)
})

test('what a file says counts before a variable of that kind', () => {
  const own: OwnProxies = { path: 'registries.json', https: 'own.example:1', http: undefined, no: 'a.example' }
  const choose = proxiesOf({ HTTPS_PROXY: P, HTTP_PROXY: P, NO_PROXY: 'b.example' }, own)
  expect(choose(new URL('https://b.example'))).toMatchObject({
    origin: 'http://own.example:1',
    variable: 'https-proxy in registries.json',
  })
  expect(choose(new URL('http://b.example'))).toMatchObject({ origin: P, variable: 'HTTP_PROXY' })
  expect(choose(new URL('https://a.example'))).toBeUndefined()
})

test('this machine is asked directly', () => {
  for (const host of ['localhost', 'localhost:5000', '127.0.0.1', '127.9.9.9:5000', '[::1]:5000', '[::ffff:127.0.0.1]'])
    expect([host, chosen({ HTTPS_PROXY: P }, `https://${host}/`)]).toEqual([host, undefined])
  for (const host of ['localhost.example', '128.0.0.1', '[::2]'])
    expect([host, chosen({ HTTPS_PROXY: P }, `https://${host}/`)]).toEqual([host, P])
})

/** NO_PROXY, those that it excepts, those that it does not: the cases of httpproxy's tests, and its documentation. */
const EXCEPTIONS: readonly (readonly [string, string, string])[] = [
  ['*', 'a.example 10.0.0.1 [fd00::1]', ''],
  [
    'example.com',
    'example.com www.example.com EXAMPLE.com example.com:5000',
    'notexample.com example.com.au example.org',
  ],
  ['.example.com', 'www.example.com a.b.example.com', 'example.com wwwexample.com'],
  ['*.example.com', 'www.example.com', 'example.com'],
  ['example.com:5000', 'example.com:5000 www.example.com:5000', 'example.com example.com:5001'],
  ['example.com:443', 'example.com', 'example.com:80'],
  [' a.example , ,B.example,', 'a.example b.example', 'c.example'],
  ['10.0.0.0/8', '10.1.2.3 10.1.2.3:5000', '11.0.0.1 10.example 1.10.0.0'],
  ['10.1.2.3', '10.1.2.3 10.1.2.3:80', '10.1.2.4 110.1.2.3'],
  ['10.1.2.3:5000', '10.1.2.3:5000', '10.1.2.3'],
  ['fd00::/8', '[fd12::1]', '[fe80::1] 10.1.2.3'],
  ['fd00::1', '[fd00::1] [fd00:0::1]:80', '[fd00::2]'],
  ['[fd00::1]:5000', '[fd00::1]:5000', '[fd00::1]'],
  ['2.3', '', '10.1.2.3'],
  ['10.0.0.0/33, :80, [], [bad:80, 10.0.0.0/', '', '10.0.0.0 a.example:80'],
]
for (const [list, inside, outside] of EXCEPTIONS)
  test(`NO_PROXY=${list}`, () => {
    const direct = (hosts: string): readonly string[] => hosts.split(' ').filter((host) => host !== '')
    for (const host of direct(inside))
      expect([host, chosen({ HTTPS_PROXY: P, NO_PROXY: list }, `https://${host}/`)]).toEqual([host, undefined])
    for (const host of direct(outside))
      expect([host, chosen({ HTTPS_PROXY: P, no_proxy: list }, `https://${host}/`)]).toEqual([host, P])
  })

const proxy = (address: string): object | undefined =>
  proxiesOf({ HTTPS_PROXY: address }, NONE)(new URL('https://registry.example'))

test('a proxy may come without http://, with TLS, with a name and a password', () => {
  expect(proxy('proxy.example:3128')).toMatchObject({ origin: P, isTls: false, port: 3128 })
  expect(proxy('10.0.0.1')).toMatchObject({ origin: 'http://10.0.0.1', port: 80, authorization: undefined })
  expect(proxy('https://[fd00::1]')).toMatchObject({ hostname: 'fd00::1', isTls: true, port: 443 })
  expect(proxy('http://me:p%40ss@proxy.example:3128')).toMatchObject({
    origin: P,
    authorization: `Basic ${btoa('me:p@ss')}`,
  })
})

test('one that cannot be used is an error without its password', () => {
  for (const [address, reason] of [
    ['http://me:secret@', 'it is no address of a proxy'],
    ['http://me:secret@proxy:99999', 'it is no address of a proxy'],
    ['http://me:secret%@proxy', 'has a "%"'],
    ['socks5://me:secret@proxy:1080', 'coffer does not speak socks5://'],
  ] as const) {
    let message = ''
    try {
      proxy(address)
    } catch (error) {
      message = error instanceof OperationError ? `${error.message} ${error.hint}` : String(error)
    }
    expect([message.includes('cannot use the proxy of HTTPS_PROXY'), message]).toEqual([
      true,
      expect.stringContaining(reason),
    ])
    expect(message).not.toContain('secret')
  }
})
