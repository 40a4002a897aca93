/** A proxy for a test: the only way to names that are nowhere else. */

import {
  request as ask,
  createServer as createPlain,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTls } from 'node:https'
import { type AddressInfo, connect, type Socket } from 'node:net'

export interface TestProxy extends AsyncDisposable {
  readonly port: number
  /** What was asked, `CONNECT registry.test:5000` or `GET http://registry.test:5000/v2/`. */
  readonly asked: string[]
  /** All headers that came, one after the other. */
  readonly heard: () => string
}

export interface ProxyOptions {
  /** Which servers of this machine names stand for: `registry.test:5000` → a port. Others are refused with 403. */
  readonly names: Readonly<Record<string, number>>
  /** `NAME:PASSWORD`, for which it asks with 407. */
  readonly account?: string
  readonly certificate?: { readonly cert: string; readonly key: string }
  /** What it answers to CONNECT in place of a tunnel. */
  readonly answer?: string
}

export async function openProxy({ names, account, certificate, answer }: ProxyOptions): Promise<TestProxy> {
  const [asked, headers, sockets]: [string[], string[], Set<Socket>] = [[], [], new Set()]
  const server: Server = certificate === undefined ? createPlain() : createTls(certificate)
  const isKnown = (request: IncomingMessage): boolean => {
    asked.push(`${request.method} ${request.url}`)
    headers.push(JSON.stringify(request.headers))
    return account === undefined || request.headers['proxy-authorization'] === `Basic ${btoa(account)}`
  }
  server.on('connection', (socket: Socket) => sockets.add(socket))
  server.on('connect', (request: IncomingMessage, client: Socket) => {
    client.on('error', () => client.destroy())
    const port = names[request.url ?? '']
    if (!isKnown(request)) client.end('HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic realm="x"\r\n\r\n')
    else if (answer !== undefined) client.end(answer)
    else if (port === undefined) client.end('HTTP/1.1 403 Not there\r\n\r\n')
    else {
      const upstream = connect(port, '127.0.0.1', () => {
        client.write('HTTP/1.1 200 Connection established\r\n\r\n')
        client.pipe(upstream).pipe(client)
      })
      upstream.on('error', () => client.destroy())
      sockets.add(upstream)
    }
  })
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    const { host = '', pathname = '', search = '' } = URL.parse(request.url ?? '') ?? {}
    const port = names[host]
    if (!isKnown(request)) response.writeHead(407).end()
    else if (port === undefined) response.writeHead(403).end()
    else {
      const { 'proxy-authorization': _, ...own } = request.headers
      const options = { host: '127.0.0.1', port, method: request.method, path: pathname + search, headers: own }
      const onward = ask(options, (found) => {
        response.writeHead(found.statusCode ?? 500, found.headers)
        found.pipe(response)
      })
      onward.on('error', () => response.destroy())
      request.pipe(onward)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    asked,
    heard: () => headers.join('\n'),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}
