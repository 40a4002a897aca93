/** A host for plugins: each is a JavaScript file of a stranger that runs in a box of its own and answers events, a JSON line for a JSON line. */

import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { type Box, type BoxProcess, sandbox } from 'coffer'

/** What comes in front of the plugin's own code, which defines `handle`. */
const LOADER = `
const lines = require('node:readline').createInterface({ input: process.stdin })
lines.on('line', (line) => console.log(JSON.stringify(handle(JSON.parse(line)))))
`

interface Plugin {
  readonly box: Box
  readonly process: BoxProcess
  readonly answers: AsyncIterator<string>
}

async function load(code: string): Promise<Plugin> {
  const box = await sandbox({
    root: 'host',
    cwd: '/',
    user: 65_534,
    mounts: [{ source: process.execPath }],
    limits: { memory: '256MiB', pids: 64, cpus: 1 },
  })
  await box.files.write('/srv/plugin.cjs', `${code}\n${LOADER}`)
  const child = await box.spawn([process.execPath, '/srv/plugin.cjs'])
  child.stderr.resume()
  const lines = createInterface({ input: child.stdout })
  return { box, process: child, answers: lines[Symbol.asyncIterator]() }
}

/** The answer of a plugin, or why there is none: a plugin that does not answer in time is ended. */
async function ask({ box, process: child, answers }: Plugin, event: unknown): Promise<string> {
  const timer = setTimeout(() => void box.kill(), 3000)
  try {
    if (!child.stdin.write(`${JSON.stringify(event)}\n`)) await once(child.stdin, 'drain')
    const { value, done } = await answers.next()
    return done ? 'it was ended' : value
  } finally {
    clearTimeout(timer)
  }
}

const plugins = {
  'a good plugin': 'const handle = ({ text }) => ({ text: text.toUpperCase() })',
  'one that never answers': 'const handle = () => { for (;;); }',
  'one that eats memory': 'const kept = []; const handle = () => { for (;;) kept.push(Buffer.alloc(1 << 20, 1)) }',
  'one that looks for keys': `const handle = () => {
    try { return require('node:fs').readFileSync(${JSON.stringify(process.env.HOME)} + '/.ssh/id_ed25519', 'utf8') }
    catch ({ code }) { return code }
  }`,
}
for (const [name, code] of Object.entries(plugins)) {
  const plugin = await load(code)
  console.log(`${name}: ${await ask(plugin, { text: 'hello' })}`)
  await plugin.box.kill()
}
