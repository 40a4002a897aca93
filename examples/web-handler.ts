/** A web server that renders what strangers send: each request is a program, whose output is the page. A client that leaves ends it. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { run, type Verdict } from 'coffer'

/** What a client is told; the rest is the program's own fault. */
const STATUS: Readonly<Partial<Record<Verdict, number>>> = { ok: 200, output: 413, 'wall-time': 504, 'cpu-time': 504 }
const UNPROCESSABLE = 422
const limits = { memory: '64MiB', pids: 16, cpuTimeMs: 1000, wallClockMs: 20_000, outputBytes: 100_000 }

async function render(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  const program = (await request.toArray()).join('')
  const options = { root: 'host', cwd: '/', user: 65_534, stdin: program, limits, signal: gone.signal } as const
  const { verdict, stdout } = await run(['python3', '-'], options)
  const isOk = verdict === 'ok'
  response.writeHead(STATUS[verdict] ?? UNPROCESSABLE, {
    'content-type': isOk ? 'text/html; charset=utf-8' : 'text/plain',
    // A page of a stranger: nothing of it may act for the visitor either.
    'content-security-policy': "default-src 'none'; sandbox",
  })
  response.end(isOk ? stdout : verdict)
}

const server = createServer((request, response) => {
  render(request, response).catch((error: unknown) => {
    console.error(error)
    response.writeHead(500).end()
  })
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo

const pages = {
  'a page': 'print("<h1>", 6 * 7, "</h1>")',
  'one without end': 'while True: print("x" * 1000)',
  'one that never comes': 'import time\ntime.sleep(1000)',
  'one that computes for ever': 'while True: pass',
  'a memory bomb': 'kept = []\nwhile True: kept.append(bytearray(1 << 20))',
  'a fork bomb': 'import os\nwhile True: os.fork()',
  'one that shows a key': `print(open(${JSON.stringify(process.env.HOME)} + "/.ssh/id_ed25519").read())`,
  'one that asks this server': `import urllib.request as web\nprint(web.urlopen("http://127.0.0.1:${port}/").read())`,
}
for (const [name, body] of Object.entries(pages)) {
  const answer = await fetch(`http://127.0.0.1:${port}/`, { method: 'POST', body })
  console.log(`${name}: ${answer.status} ${(await answer.text()).trim()}`)
}
server.closeAllConnections()
server.close()
