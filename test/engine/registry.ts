/** A registry for a test: Debian's docker-registry on this machine, with a directory of its own. */

import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer, Socket } from 'node:net'
import { join } from 'node:path'
import type { Ran, TestEngine } from './engine.ts'

export interface TestRegistry extends AsyncDisposable {
  /** `localhost:PORT`. */
  readonly host: string
  readonly directory: string
}

export interface RegistryOptions {
  /** Lines of htpasswd(1). */
  readonly accounts?: string
  readonly certificate?: { readonly certificate: string; readonly key: string }
}

export async function openRegistry(directory: string, options: RegistryOptions = {}): Promise<TestRegistry> {
  mkdirSync(directory, { recursive: true })
  const host = `localhost:${await freePort()}`
  const tls = options.certificate
  const auth =
    options.accounts === undefined
      ? ''
      : `auth:\n  htpasswd:\n    realm: test\n    path: ${fileWith(directory, 'htpasswd', options.accounts)}\n`
  const config = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: ${directory}/storage}
  delete: {enabled: true}
http:
  addr: ${host.replace('localhost', '127.0.0.1')}
${tls === undefined ? '' : `  tls: {certificate: ${tls.certificate}, key: ${tls.key}}\n`}${auth}`
  const child = Bun.spawn(['docker-registry', 'serve', fileWith(directory, 'config.yml', config)], {
    env: { PATH: process.env.PATH ?? '', OTEL_TRACES_EXPORTER: 'none' },
    stdout: 'ignore',
    stderr: Bun.file(join(directory, 'log')),
  })
  await accepts(Number(host.slice(host.indexOf(':') + 1)), child)
  return {
    host,
    directory,
    [Symbol.asyncDispose]: async () => {
      child.kill()
      await child.exited
    },
  }
}

function fileWith(directory: string, name: string, text: string): string {
  const path = join(directory, name)
  writeFileSync(path, text)
  return path
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer()
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })

/** A registry says nothing when it is ready, so it is asked until it accepts or ends. */
async function accepts(port: number, child: Bun.Subprocess): Promise<void> {
  while (child.exitCode === null) {
    try {
      const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data: () => undefined } })
      socket.end()
      return
    } catch {
      await Bun.sleep(20)
    }
  }
  throw new Error(`docker-registry ended with ${child.exitCode}`)
}

export interface CuttingProxy extends AsyncDisposable {
  readonly host: string
  /** How many connections it has cut. */
  readonly cuts: () => number
  /** How much of the answers the clients were sent. */
  readonly passedBytes: () => number
}

/** Passes bytes on to `target`, and breaks each of the first `times` connections behind so many bytes of answer. */
export async function openCuttingProxy(target: string, bytes: number, times: number): Promise<CuttingProxy> {
  let [cuts, total] = [0, 0]
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    let passed = 0
    const upstream = new Socket()
    upstream.connect(Number(target.slice(target.indexOf(':') + 1)), '127.0.0.1')
    sockets.add(client).add(upstream)
    client.pipe(upstream)
    upstream.on('data', (chunk: Buffer) => {
      passed += chunk.length
      const isCut = passed > bytes && cuts < times
      const kept = isCut ? chunk.subarray(0, chunk.length - (passed - bytes)) : chunk
      total += kept.length
      if (!isCut) {
        client.write(kept)
        return
      }
      cuts++
      client.write(kept, () => client.destroy())
      upstream.destroy()
    })
    upstream.on('end', () => client.end())
    for (const socket of [client, upstream])
      socket.on('error', () => {
        client.destroy()
        upstream.destroy()
      })
  })
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      resolve(typeof address === 'object' && address !== null ? address.port : 0)
    })
  })
  return {
    host: `localhost:${port}`,
    cuts: () => cuts,
    passedBytes: () => total,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resolve())
      }),
  }
}

export type Lie = (path: string, request: Request, port: number | undefined) => Response | Promise<Response> | undefined

/** A registry that has what the real one has, but for what `lie` says of a path. */
export const openLiar = ({ host }: TestRegistry, lie: Lie): Bun.Server<undefined> =>
  Bun.serve({
    port: 0,
    hostname: '127.0.0.1',
    fetch: (request, { port }) => {
      const { pathname, search } = new URL(request.url)
      const { method, headers, body } = request
      // With its Host: the registry makes addresses of it.
      return lie(pathname, request, port) ?? fetch(`http://${host}${pathname}${search}`, { method, headers, body })
    },
  })

/** For what talks to a server in this very process, which has to go on meanwhile. */
export async function ran(other: TestEngine, ...words: readonly string[]): Promise<Ran> {
  const child = other.spawn(...words)
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { status, stdout, stderr }
}
