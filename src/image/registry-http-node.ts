/**
 * Requests to one registry: TLS, accounts, proxies, redirections, bounds.
 *
 * Not fetch(): it cannot be told which authorities to trust for one server, and its streams cost twice the time. Credentials go to the origin
 * of the registry and to the server of tokens that it names, and nowhere else; from https nothing leads to http.
 *
 * Source: oci:distribution-spec, docker: registry/spec/auth/token.md, RFC 9110
 */

import type { ClientRequest, IncomingMessage, Agent as PlainAgent, RequestOptions } from 'node:http'
import type { AgentOptions, Agent as TlsAgent } from 'node:https'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { OperationError } from '../base/errors.ts'
import type { HttpProxy, ProxyChoice } from './proxy-node.ts'
import { requestOver, tunnelAgent, unauthorized, unreachableProxy } from './proxy-request-node.ts'
import { overProxy, unusable } from './registry-answer-node.ts'
import { type Challenge, type Credentials, parseChallenges } from './registry-auth.ts'
import { basic, isToken, readToken, tokenRequest } from './registry-token-node.ts'

export interface Endpoint {
  /** `https://registry-1.docker.io`. */
  readonly origin: string
  readonly credentials: Credentials | undefined
  /** Beside the usual ones, PEM. */
  readonly authorities: string | undefined
  readonly checksCertificate: boolean
  readonly proxyFor: ProxyChoice
  /** `repository:library/busybox:pull`. */
  readonly scope: string
  /** Has the server of tokens give one that stands for name and password from then on: `identityToken` of the connection. */
  readonly wantsIdentity?: boolean | undefined
}

export interface RegistryRequest {
  readonly method: 'GET' | 'HEAD' | 'PATCH' | 'POST' | 'PUT'
  /** A path of the registry, or a whole address that it gave. */
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  /** Called again if the request has to be made again. */
  readonly body?: (() => Readable) | undefined
}

const REDIRECTIONS = 5
const SILENCE_MS = 60_000

/**
 * Loaded by who asks a registry, and not by `load` and `save`: an import takes 36 ms, half of them for a WebSocket that nobody asked for.
 */
const http = (): typeof import('node:http') => process.getBuiltinModule('node:http')
const https = (): typeof import('node:https') => process.getBuiltinModule('node:https')

export class Connection {
  readonly origin: string
  readonly #endpoint: Endpoint
  readonly #plain: PlainAgent = new (http().Agent)({ keepAlive: true })
  readonly #tlsOptions: AgentOptions
  readonly #tls: TlsAgent
  /** By the origin of the proxy. */
  readonly #tunnels = new Map<string, TlsAgent>()
  /** What the server of tokens gave to keep in place of a password, if it was asked for and gives such. */
  identityToken: string | undefined
  #authorization: string | undefined
  #login: Promise<string | undefined> | undefined

  constructor(endpoint: Endpoint) {
    this.origin = endpoint.origin
    this.#endpoint = endpoint
    const { authorities, checksCertificate } = endpoint
    this.#tlsOptions = {
      keepAlive: true,
      rejectUnauthorized: checksCertificate,
      ...(authorities === undefined
        ? {}
        : { ca: [...process.getBuiltinModule('node:tls').rootCertificates, authorities] }),
    }
    this.#tls = new (https().Agent)(this.#tlsOptions)
  }

  close(): void {
    this.#plain.destroy()
    this.#tls.destroy()
    for (const agent of this.#tunnels.values()) agent.destroy()
  }

  /** The response, whatever its status but 401, whose body is the caller's to read. Throws what went wrong on the way. */
  async send(request: RegistryRequest): Promise<IncomingMessage> {
    const used = this.#authorization
    const response = await this.#follow(request)
    if (response.statusCode !== 401) return response
    const challenges = parseChallenges(response.headers['www-authenticate'] ?? '')
    const again = await this.#logIn(challenges, used)
    if (again === undefined || again === used) return response
    response.resume()
    return this.#follow(request)
  }

  /** Several requests that are refused at once log in once. */
  async #logIn(challenges: readonly Challenge[], used: string | undefined): Promise<string | undefined> {
    if (this.#authorization !== used) return this.#authorization
    this.#login ??= this.#authorizationFor(challenges)
    try {
      this.#authorization = await this.#login
      return this.#authorization
    } finally {
      this.#login = undefined
    }
  }

  async #authorizationFor(challenges: readonly Challenge[]): Promise<string | undefined> {
    const { credentials } = this.#endpoint
    const bearer = challenges.find(({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'))
    if (bearer !== undefined) return `Bearer ${await this.#token(bearer)}`
    const canTell = challenges.some(({ scheme }) => scheme === 'basic') && credentials?.kind === 'password'
    return canTell ? basic(credentials) : undefined
  }

  async #token({ parameters }: Challenge): Promise<string> {
    const { credentials, scope, wantsIdentity = false } = this.#endpoint
    if (credentials?.kind === 'registry') return ownToken(credentials.token, this.origin)
    const realm = this.#resolve(parameters.get('realm') ?? '', this.origin)
    const request = tokenRequest(realm, { service: parameters.get('service'), scope, wantsIdentity }, credentials)
    const hint =
      credentials?.kind === 'identity' ? 'the identity token in config.json may have ended: log in again' : undefined
    const { token, identity } = await readToken(await this.#once(new URL(request.url), request), realm.host, hint)
    this.identityToken = identity
    return token
  }

  async #follow(request: RegistryRequest): Promise<IncomingMessage> {
    let url = this.#resolve(request.url, this.origin)
    for (let count = 0; ; count++) {
      const isOwn = url.origin === this.origin
      const authorization = isOwn && this.#authorization !== undefined ? { authorization: this.#authorization } : {}
      const response = await this.#once(url, { ...request, headers: { ...request.headers, ...authorization } })
      const { statusCode = 0, headers } = response
      const location = headers.location
      const isRedirection = [301, 302, 303, 307, 308].includes(statusCode) && location !== undefined
      if (!isRedirection) return response
      response.resume()
      if (count === REDIRECTIONS) throw unusable(`ask ${this.origin}`, `it redirects more than ${REDIRECTIONS} times`)
      url = this.#resolve(location, url.href)
    }
  }

  #resolve(text: string, base: string): URL {
    const url = URL.parse(text, base)
    if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
      throw unusable(`ask ${this.origin}`, `it leads to ${JSON.stringify(text.slice(0, 80))}, which is no address`)
    if (url.protocol === 'http:' && this.origin.startsWith('https:'))
      throw unusable(`ask ${this.origin}`, `it leads from https to ${url.origin}`)
    return url
  }

  async #once(url: URL, { method, headers, body }: RegistryRequest): Promise<IncomingMessage> {
    // Not the whole URL: a name and a password in it would be sent.
    const place = { hostname: url.hostname.replace(/^\[|\]$/g, ''), port: url.port, path: url.pathname + url.search }
    const options = { ...place, method, headers: { 'user-agent': 'coffer', ...headers } }
    const proxy = this.#endpoint.proxyFor(url)
    const request = this.#request(url, options, proxy)
    const response = new Promise<IncomingMessage>((resolve, reject) => {
      request.on('response', resolve)
      request.on('error', reject)
      request.setTimeout(SILENCE_MS, () => request.destroy(silence(url.host)))
    })
    try {
      const [answer] = await Promise.all([response, body === undefined ? request.end() : pipeline(body(), request)])
      if (proxy === undefined || url.protocol === 'https:') return answer
      if (answer.statusCode === 407) throw unauthorized(proxy, url.host)
      overProxy.set(answer, proxy)
      return answer
    } catch (cause) {
      if (cause instanceof OperationError) throw cause
      if (proxy === undefined || url.protocol === 'https:') throw unreachableServer(url.origin, cause)
      throw unreachableProxy(proxy, url.host, cause)
    }
  }

  #request(url: URL, options: RequestOptions, proxy: HttpProxy | undefined): ClientRequest {
    if (url.protocol === 'https:') return https().request({ ...options, agent: this.#tlsAgent(proxy) })
    return proxy === undefined ? http().request({ ...options, agent: this.#plain }) : requestOver(proxy, url, options)
  }

  #tlsAgent(proxy: HttpProxy | undefined): TlsAgent {
    if (proxy === undefined) return this.#tls
    const agent = this.#tunnels.get(proxy.origin) ?? tunnelAgent(proxy, this.#tlsOptions)
    this.#tunnels.set(proxy.origin, agent)
    return agent
  }
}

function ownToken(token: string, origin: string): string {
  if (isToken(token)) return token
  throw unusable(`log in to ${origin}`, 'its registrytoken in config.json has characters that no token has')
}

const silence = (host: string): Error =>
  Object.assign(new Error(`${host} was silent for ${SILENCE_MS / 1000} s`), { code: 'ETIMEDOUT' })

/** The words of TLS are those of OpenSSL, and say more than a code. */
function unreachableServer(origin: string, cause: unknown): OperationError {
  const { code, message } = cause as NodeJS.ErrnoException
  const isCertificate = /CERT|SELF_SIGNED|ALTNAME|UNABLE_TO|UNABLE_TO_VERIFY/.test(code ?? '')
  return new OperationError({
    kind: isCertificate ? 'denied' : 'missing',
    operation: `ask ${origin}`,
    reason: message === '' ? (code ?? 'no answer') : message,
    ...(code === undefined ? {} : { code }),
    ...(isCertificate
      ? { hint: 'give the certificate of its authority in /etc/coffer/certs.d/REGISTRY/ca.crt, or --tls-verify=false' }
      : {}),
    cause,
  })
}
