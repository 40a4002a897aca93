/**
 * Which proxy a request goes over: HTTPS_PROXY, HTTP_PROXY and NO_PROXY of the caller or those of a file, read as docker and other programs
 * in Go read them.
 *
 * Source: golang.org/x/net/http/httpproxy; golang.org/s/cgihttpproxy for REQUEST_METHOD
 */

import type { BlockList } from 'node:net'
import { OperationError } from '../base/errors.ts'

export interface HttpProxy {
  /** `http://proxy.example:3128`: what may be shown. */
  readonly origin: string
  readonly isTls: boolean
  /** Without brackets. */
  readonly hostname: string
  readonly port: number
  /** Of a Proxy-Authorization header, if its address has a name and a password. */
  readonly authorization: string | undefined
  /** Where it was read: `HTTPS_PROXY`, `https-proxy in /etc/coffer/registries.json`. */
  readonly variable: string
}

/** Throws `invalid` or `unsupported` for a proxy that would be used and cannot be. */
export type ProxyChoice = (url: URL) => HttpProxy | undefined

/** Loaded by who asks a registry, as in registry-http-node.ts. */
const net = (): typeof import('node:net') => process.getBuiltinModule('node:net')

type Environment = Readonly<Record<string, string | undefined>>

/** Of a file; each counts before the variable of that kind. */
export interface OwnProxies {
  readonly path: string
  readonly https: string | undefined
  readonly http: string | undefined
  readonly no: string | undefined
}

export function proxiesOf(env: Environment, { path, https, http, no }: OwnProxies): ProxyChoice {
  // A program that a web server starts gets HTTP_PROXY from whoever sends a header "Proxy".
  const isCgi = env.REQUEST_METHOD !== undefined && env.REQUEST_METHOD !== ''
  const chosen = {
    'https:': ownOf(`https-proxy in ${path}`, https) ?? given(env, ['HTTPS_PROXY', 'https_proxy']),
    'http:': ownOf(`http-proxy in ${path}`, http) ?? given(env, isCgi ? ['http_proxy'] : ['HTTP_PROXY', 'http_proxy']),
  }
  const exceptions = no ?? given(env, ['NO_PROXY', 'no_proxy'])?.text ?? ''
  return (url) => {
    const proxy = chosen[url.protocol === 'https:' ? 'https:' : 'http:']
    return proxy === undefined || isExcepted(url, exceptions) ? undefined : proxyIn(proxy)
  }
}

interface Given {
  readonly text: string
  /** What it is called where it was read. */
  readonly variable: string
}

const ownOf = (variable: string, text: string | undefined): Given | undefined =>
  text === undefined ? undefined : { text, variable }

function given(env: Environment, names: readonly string[]): Given | undefined {
  const variable = names.find((name) => env[name] !== undefined && env[name] !== '')
  return variable === undefined ? undefined : { text: env[variable] ?? '', variable }
}

/** What is wrong is not shown: there may be a password in it. */
function proxyIn({ text, variable }: Given): HttpProxy {
  const operation = `use the proxy of ${variable}`
  const hint = 'write http://HOST:PORT, or https://, with NAME:PASSWORD@ before the host if it wants them'
  const url = URL.parse(/^[a-z][a-z\d+.-]*:\/\//i.test(text) ? text : `http://${text}`)
  if (url === null || url.hostname === '')
    throw new OperationError({ kind: 'invalid', operation, reason: 'it is no address of a proxy', hint })
  const { protocol, hostname, port } = url
  const isTls = protocol === 'https:'
  if (!isTls && protocol !== 'http:')
    throw new OperationError({ kind: 'unsupported', operation, reason: `coffer does not speak ${protocol}//`, hint })
  return {
    origin: url.origin,
    isTls,
    hostname: withoutBrackets(hostname),
    port: port === '' ? DEFAULT_PORTS[protocol] : Number(port),
    authorization: authorizationIn(url, operation),
    variable,
  }
}

const DEFAULT_PORTS = { 'http:': 80, 'https:': 443 } as const

const withoutBrackets = (hostname: string): string => hostname.replace(/^\[|\]$/g, '')

function authorizationIn({ username, password }: URL, operation: string): string | undefined {
  if (username === '' && password === '') return undefined
  const plain = decoded(`${username}:${password}`)
  if (plain !== undefined) return `Basic ${Buffer.from(plain).toString('base64')}`
  const reason = 'the name or the password has a "%" that two hexadecimal digits do not follow'
  throw new OperationError({ kind: 'invalid', operation, reason, hint: 'write %25 for a "%"' })
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    if (error instanceof URIError) return undefined
    throw error
  }
}

interface Server {
  readonly host: string
  readonly port: string
}

type Exception = (server: Server) => boolean

/** Whether a request goes there directly: to this machine always, and to what NO_PROXY lists. */
function isExcepted({ protocol, hostname, port }: URL, list: string): boolean {
  const host = withoutBrackets(hostname).toLowerCase()
  if (host === 'localhost' || LOOPBACK.some((network) => isWithin(networkOf(network), host))) return true
  const server = { host, port: port === '' ? String(DEFAULT_PORTS[protocol === 'https:' ? protocol : 'http:']) : port }
  const exceptions = list.split(',').flatMap((entry) => exceptionOf(entry.trim().toLowerCase()) ?? [])
  return exceptions.some((excepts) => excepts(server))
}

const LOOPBACK = ['127.0.0.0/8', '::1/128']

/**
 * | entry                     | excepts                                   |
 * |---------------------------|-------------------------------------------|
 * | `*`                       | everything                                |
 * | `10.0.0.0/8`              | the addresses of a network                |
 * | `10.1.2.3`, `[fd00::1]:80` | an address, at a port if one is given    |
 * | `example.com`             | the host, and all names below it          |
 * | `.example.com`, `*.example.com` | the names below it                  |
 * | `example.com:5000`        | the same, at a port                       |
 */
function exceptionOf(entry: string): Exception | undefined {
  if (entry === '*') return () => true
  const network = networkOf(entry)
  if (network !== undefined) return ({ host }) => isWithin(network, host)
  const [, bracketed, named, given] = /^(?:\[([^\]]*)\]|([^:]*)):(\d*)$/.exec(entry) ?? []
  const name = (bracketed ?? named ?? entry).replace(/^\*(?=\.)/, '')
  if (name === '') return undefined
  const isPort = ({ port }: Server): boolean => given === undefined || given === '' || given === port
  const address = net().isIP(name) === 0 ? undefined : networkOf(`${name}/${net().isIPv4(name) ? 32 : 128}`)
  if (address !== undefined) return (server) => isWithin(address, server.host) && isPort(server)
  const suffix = name.startsWith('.') ? name : `.${name}`
  const hasHost = suffix !== name
  return (server) =>
    net().isIP(server.host) === 0 &&
    (server.host.endsWith(suffix) || (hasHost && server.host === name)) &&
    isPort(server)
}

function networkOf(text: string): BlockList | undefined {
  const [, address = '', bits] = /^([^/]+)\/(\d{1,3})$/.exec(text) ?? []
  const family = net().isIP(address)
  if (family === 0 || Number(bits) > (family === 4 ? 32 : 128)) return undefined
  const network = new (net().BlockList)()
  network.addSubnet(address, Number(bits), family === 4 ? 'ipv4' : 'ipv6')
  return network
}

const isWithin = (network: BlockList | undefined, host: string): boolean =>
  net().isIP(host) !== 0 && network?.check(host, net().isIPv4(host) ? 'ipv4' : 'ipv6') === true
