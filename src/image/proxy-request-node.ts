/**
 * Requests over a proxy: through a tunnel to who speaks TLS (CONNECT), and by whole addresses to who does not.
 *
 * Not https-proxy-agent: it gives what a proxy answers to CONNECT as if the server had said it, so that the challenge of a proxy would be that of
 * a registry, and be told its account. Not `proxyEnv` of Node's own agent: it came with 22.21, and has rules of its own for NO_PROXY.
 *
 * Source: RFC 9110 section 9.3.6, RFC 9112 section 3.2.2
 */

import type { ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { AgentOptions, Agent as TlsAgent } from 'node:https'
import type { Duplex } from 'node:stream'
import { type ErrorFields, OperationError } from '../base/errors.ts'
import type { HttpProxy } from './proxy-node.ts'

/** The code of a proxy that does not make a tunnel to a server. */
export const PROXY_REFUSED = 'ERR_PROXY_REFUSED'

const SILENCE_MS = 60_000

const http = (): typeof import('node:http') => process.getBuiltinModule('node:http')
const https = (): typeof import('node:https') => process.getBuiltinModule('node:https')

/** Makes its connections through tunnels. `options` are of TLS to the server; the certificate of a proxy is always checked. */
export function tunnelAgent(proxy: HttpProxy, options: AgentOptions): TlsAgent {
  const agent = new (https().Agent)(options)
  const createConnection = agent.createConnection.bind(agent)
  agent.createConnection = (target, done) => {
    const { host, port } = target as { readonly host: string; readonly port: number }
    tunnel(proxy, host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`)
      .then((socket) => createConnection({ ...target, socket } as typeof target) as Duplex)
      .then(
        (stream) => done?.(null, stream),
        (error: Error) => done?.(error, undefined as never),
      )
    return undefined
  }
  return agent
}

/** A request to a server without TLS, which the proxy makes for us. */
export function requestOver(proxy: HttpProxy, url: URL, options: RequestOptions): ClientRequest {
  return toProxy(proxy, {
    ...options,
    // Not the whole URL: a name and a password in it would be sent.
    path: url.origin + url.pathname + url.search,
    headers: { ...options.headers, host: url.host },
  })
}

/** Throws `denied` or `missing` if there is no tunnel: it was the proxy that answered. */
function checkTunnel(
  proxy: HttpProxy,
  { statusCode = 0, statusMessage = '' }: IncomingMessage,
  authority: string,
): void {
  if (statusCode >= 200 && statusCode < 300) return
  if (statusCode === 407) throw unauthorized(proxy, authority)
  const [kind, action] =
    statusCode >= 500
      ? (['missing', 'the proxy did not get there: is the name right?'] as const)
      : (['denied', `the proxy has to allow ${authority}${withAccount(proxy)}`] as const)
  throw failure(proxy, authority, {
    kind,
    reason: `the proxy answered ${statusCode} ${statusMessage.replace(/[^ -~]/g, '?').slice(0, 80)}`.trim(),
    code: PROXY_REFUSED,
    hint: `${action}\na host that NO_PROXY names is asked directly`,
  })
}

const withAccount = ({ authorization, variable }: HttpProxy): string =>
  authorization === undefined ? '' : `, and to take the name and the password of ${variable}`

/** What 407 means, which nobody but a proxy answers. */
export const unauthorized = (proxy: HttpProxy, authority: string): OperationError =>
  failure(proxy, authority, {
    kind: 'denied',
    reason:
      proxy.authorization === undefined
        ? 'the proxy wants a name and a password (407)'
        : `the proxy does not take the name and the password of ${proxy.variable} (407)`,
    hint: `write ${proxy.origin.replace('//', '//NAME:PASSWORD@')} in ${proxy.variable}`,
  })

const AUTHORITIES = '; NODE_EXTRA_CA_CERTS names a file of authorities for the certificate of a proxy'

/** No proxy is there, or it is none. */
export function unreachableProxy(proxy: HttpProxy, authority: string, cause: unknown): OperationError {
  const { code, message } = cause as NodeJS.ErrnoException
  return failure(proxy, authority, {
    kind: 'missing',
    reason: `the proxy cannot be reached: ${message === '' ? (code ?? 'no answer') : message}`,
    hint: `is ${proxy.variable} right? A host that NO_PROXY names is asked directly${proxy.isTls ? AUTHORITIES : ''}`,
    cause,
  })
}

function tunnel(proxy: HttpProxy, authority: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const headers = { host: authority, 'user-agent': 'coffer' }
    const request = toProxy(proxy, { method: 'CONNECT', path: authority, headers, agent: false })
    request.on('connect', (response, socket, head) => {
      try {
        checkTunnel(proxy, response, authority)
      } catch (error) {
        socket.destroy()
        reject(error)
        return
      }
      socket.setTimeout(0)
      if (head.length > 0) socket.unshift(head)
      resolve(socket)
    })
    request.on('error', (cause) => reject(unreachableProxy(proxy, authority, cause)))
    request.setTimeout(SILENCE_MS, () => request.destroy(new Error(`it was silent for ${SILENCE_MS / 1000} s`)))
    request.end()
  })
}

function toProxy({ isTls, hostname, port, authorization }: HttpProxy, options: RequestOptions): ClientRequest {
  const headers = authorization === undefined ? {} : { 'proxy-authorization': authorization }
  const all = { ...options, hostname, port, headers: { ...options.headers, ...headers } }
  // The name in its certificate; without it, Node takes that of the Host header.
  return isTls ? https().request({ ...all, servername: isAddress(hostname) ? '' : hostname }) : http().request(all)
}

const isAddress = (hostname: string): boolean => process.getBuiltinModule('node:net').isIP(hostname) !== 0

const failure = (proxy: HttpProxy, authority: string, fields: Omit<ErrorFields, 'operation'>): OperationError =>
  new OperationError({ ...fields, operation: `reach ${authority} over the proxy ${proxy.origin}` })
