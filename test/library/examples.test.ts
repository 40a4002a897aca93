/** examples/ as a user of the package runs them: in a folder into which it was installed, with a secret, and a server that nobody may reach. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binOf, RUNTIMES } from './both-runtimes.ts'
import { type Installed, install, SECRET } from './installed.ts'
import { cgroupsBelow } from './left.ts'

/** The lines that each prints: an input, and how the line goes on. */
const PRINTED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  judge: {
    'a good one': 'accepted',
    'a wrong one': 'wrong answer',
    'one that crashes': 'failed',
    'a fork bomb': 'pids',
    'a memory bomb': 'memory',
    'endless output': 'output',
    'an endless loop': 'cpu-time',
    'one that sleeps': 'wall-time',
    'one that fills the disk': 'disk',
  },
  'agent-tool': {
    'read a file': '"buy bread"',
    'write one': '"(no output)"',
    'see what was written': '"2"',
    'look for keys': '"exit status 1\\ncat: ',
    'call home': '"exit status 1\\nbash: connect: ',
    'change the system': '"exit status 2\\nls: ',
    'bomb with forks': '"ended: wall-time\\n',
    'print without end': '"ended: output\\ny\\ny\\n',
    'still be there': '"buy milk"',
  },
  'plugin-host': {
    'a good plugin': '{"text":"HELLO"}',
    'one that never answers': 'it was ended',
    'one that eats memory': 'it was ended',
    'one that looks for keys': '"ENOENT"',
  },
  'build-step': {
    'an honest step': 'ok, made hello.tar',
    'one that changes the sources': 'failed',
    'one that takes keys along': 'failed',
    'one that calls home': 'failed',
    'one that fills the disk': 'disk',
    'one that bombs with forks': 'wall-time',
    'one that stays': 'wall-time',
  },
  'web-handler': {
    'a page': '200 <h1> 42 </h1>',
    'one without end': '413 output',
    'one that never comes': '504 wall-time',
    'one that computes for ever': '504 cpu-time',
    'a memory bomb': '422 memory',
    'a fork bomb': '422 pids',
    'one that shows a key': '422 failed',
    'one that asks this server': '422 failed',
  },
}

const examples = join(import.meta.dir, '..', '..', 'examples')
let installed: Installed
let visits = 0
const server = Bun.listen({
  hostname: '127.0.0.1',
  port: 0,
  socket: { open: () => void visits++, data: () => undefined },
})

beforeAll(async () => {
  installed = await install()
  for (const name of readdirSync(examples)) copyFileSync(join(examples, name), join(installed.directory, name))
})
afterAll(() => {
  server.stop(true)
  installed[Symbol.dispose]()
})

test('each example is run here', () => {
  expect(readdirSync(examples).toSorted()).toEqual(
    Object.keys(PRINTED)
      .map((name) => `${name}.ts`)
      .toSorted(),
  )
})

for (const runtime of RUNTIMES)
  describe(runtime, () => {
    for (const [name, lines] of Object.entries(PRINTED))
      test(`${name} gets an answer to each hostile input, and the host is as it was`, async () => {
        const passwd = readFileSync('/etc/passwd', 'utf8')
        const before = visits
        const { pid, stdout, stderr } = await installed.run([binOf(runtime), `${name}.ts`, String(server.port)])
        const expected = Object.entries(lines).map(([input, end]) => `${input}: ${end}`)
        const printed = stdout.trimEnd().split('\n')
        expect(printed.map((line, index) => line.slice(0, expected[index]?.length))).toEqual(expected)
        expect(stdout + stderr).not.toContain(SECRET)
        expect(visits).toBe(before)
        expect(readFileSync('/etc/passwd', 'utf8')).toBe(passwd)
        expect(cgroupsBelow(`coffer-lib-${pid}-`)).toEqual([])
      })
  })

test('a step that is given the network of this machine calls home', async () => {
  const path = join(installed.directory, 'connected.ts')
  const source = readFileSync(join(examples, 'build-step.ts'), 'utf8')
  writeFileSync(path, source.replace("root: 'host',", "root: 'host', network: 'host',").replace("['network', ", '['))
  const before = visits
  const { stdout } = await installed.run([binOf('bun'), path, String(server.port)])
  expect(stdout).toContain('one that calls home: ok')
  expect(visits).toBe(before + 1)
})
