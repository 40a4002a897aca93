/** network: 'bridge' and { name }: boxes in networks of the engine, beside its containers. */

import assert from 'node:assert/strict'
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Box, boxPool, explain, OperationError, run, type SandboxOptions, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const { COFFER_TEST_PROGRAM: program = '', COFFER_DATA_ROOT: data = '', COFFER_RUN_ROOT: runRoot = '' } = process.env
const OUTSIDE = '203.0.113.10'

function must(command: string, ...words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(command, words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${words.join(' ')} ended with ${status}: ${stderr}`)
  return stdout.trimEnd()
}
const coffer = (...words: readonly string[]): string => must(program, ...words)

const inBridge = { root: 'host', cwd: '/', network: 'bridge' } as const
const inNetwork = (name: string, options: Partial<SandboxOptions> = {}): SandboxOptions => ({
  ...inBridge,
  network: { name },
  ...options,
})

/** The id and the address of each member. */
function membersOf(network: string): Readonly<Record<string, string>> {
  const [{ Containers }] = JSON.parse(coffer('network', 'inspect', network)) as [
    { readonly Containers: Readonly<Record<string, { readonly IPv4Address: string }>> },
  ]
  return Object.fromEntries(Object.entries(Containers).map(([id, { IPv4Address }]) => [id, IPv4Address]))
}

const addressOf = async (box: Box): Promise<string> =>
  (await box.exec(['ip', '-4', '-o', 'address', 'show', 'dev', 'eth0'])).stdout.split(/\s+/)[3] ?? ''

const devices = (): readonly string[] =>
  must('ip', '-br', 'link')
    .split('\n')
    .map((line) => line.split(/[@\s]/)[0] ?? '')
    .filter((name) => !/^coffer\d/.test(name))

/** Devices but for bridges, which stay as long as their networks, rules, namespaces, leases, names and boxes: what a network leaves when nobody is in one. */
const whatIsThere = (): object => ({
  devices: devices(),
  rules: must('nft', 'list', 'ruleset'),
  forwarding: readFileSync('/proc/sys/net/ipv4/ip_forward', 'utf8'),
  namespaces: existsSync(join(runRoot, '.netns')) ? readdirSync(join(runRoot, '.netns')) : [],
  boxes: existsSync(join(data, 'boxes')) ? readdirSync(join(data, 'boxes')) : [],
  mounts: readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(runRoot)),
  members: existsSync(join(data, 'networks'))
    ? readdirSync(join(data, 'networks')).flatMap((name) =>
        ['leases', 'names']
          .map((kind) => join(data, 'networks', name, kind))
          .flatMap((path) => (existsSync(path) ? readdirSync(path) : [])),
      )
    : [],
})

const before = whatIsThere()
const expectedDevices = devices().length
const DEVICES_MS = 10_000

/** The kernel takes the devices of a network namespace away some time after its last process. net/core/net_namespace.c, cleanup_net */
function nothingIsLeft(): void {
  const end = Date.now() + DEVICES_MS
  while (devices().length > expectedDevices && Date.now() < end);
  assert.deepEqual(whatIsThere(), before)
}

/** A server that answers each connection with a word; up when it prints. */
async function serving(through: readonly string[], address: string, word: string): Promise<ChildProcess> {
  const script = `const s = require('node:net').createServer((c) => c.end('${word} ' + c.remoteAddress)); s.listen(80, '${address}', () => console.log('up'))`
  const [command = '', ...words] = [...through, process.execPath, '-e', script]
  const child = spawn(command, words, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(child.stdout, 'data')
  return child
}

const FETCH = (to: string): readonly string[] => ['busybox', 'nc', '-w', '5', to, '80']

export const cases: Cases = {
  'a command in the bridge has an address, a way out and the name servers of this machine': async () => {
    const server = await serving(['ip', 'netns', 'exec', 'outside'], OUTSIDE, 'hello')
    try {
      const script = `ip -4 -o address show dev eth0; cat /etc/resolv.conf; ${FETCH(OUTSIDE).join(' ')}`
      const { stdout, stderr, verdict } = await run(['sh', '-c', script], inBridge)
      assert.equal(stderr, '')
      // Outside it is this machine that asks.
      assert.match(stdout, /inet 172\.\d+\.0\.2\/16 (?:.|\n)*\nnameserver 203\.0\.113\.53\nhello 203\.0\.113\.1$/)
      assert.equal(verdict, 'ok')
    } finally {
      server.kill()
      await once(server, 'exit')
    }
    nothingIsLeft()
  },
  'boxes and containers of a network find each other by name, and reach each other': async () => {
    coffer('network', 'create', 'front')
    const word = 'while :; do echo from-container | busybox nc -l -p 80 >/dev/null; done'
    const container = coffer('run', '-d', '--name', 'web', '--network', 'front', 'host', 'sh', '-c', word)
    const box = await sandbox(inNetwork('front', { hostname: 'tester' }))
    try {
      assert.deepEqual(Object.keys(membersOf('front')).sort(), [container, box.id].sort())
      assert.equal(membersOf('front')[box.id], await addressOf(box))
      const { stdout, stderr } = await box.exec(['sh', '-c', `until ${FETCH('web').join(' ')}; do :; done`])
      assert.equal(stdout, 'from-container\n', stderr)
      const [address] = (await addressOf(box)).split('/')
      for (const name of ['tester', box.id])
        assert.ok(coffer('exec', 'web', 'busybox', 'nslookup', name).includes(address ?? '?'), name)
      assert.throws(() => coffer('network', 'rm', 'front'), /active endpoints/)
    } finally {
      await box.kill()
    }
    assert.deepEqual(Object.keys(membersOf('front')), [container])
    coffer('rm', '-f', 'web')
    coffer('network', 'rm', 'front')
    nothingIsLeft()
  },
  'each box has an address of its own: forked, of a pool, and begun again': async () => {
    const box = await sandbox(inBridge)
    const fork = await box.fork()
    const pool = await boxPool({ ...inBridge, size: 2 })
    const taken = await pool.take()
    const addresses = await Promise.all([box, fork, taken].map(addressOf))
    assert.equal(new Set(addresses).size, 3)
    for (const address of addresses) assert.match(address, /^172\.\d+\.0\.\d+\/16$/)
    await box.discard()
    assert.match(await addressOf(box), /^172\.\d+\.0\.\d+\/16$/)
    const gateway = (await box.exec(['ip', 'route'])).stdout.split(' ')[2] ?? ''
    assert.match(gateway, /^172\.\d+\.0\.1$/)
    const [first = ''] = addresses[1]?.split('/') ?? []
    assert.equal((await box.exec(['busybox', 'nc', '-w', '5', first, '80'])).stderr.includes('refused'), true)
    await Promise.all([box.kill(), fork.kill(), pool.close()])
    nothingIsLeft()
  },
  'what ends a box while it is joining leaves nothing': async () => {
    for (let round = 0; round < 8; round++) {
      const signal = AbortSignal.timeout(round * 8)
      const made = [sandbox({ ...inBridge, signal }), run(['sleep', '1000'], { ...inBridge, signal })]
      for (const end of await Promise.allSettled(made))
        if (end.status === 'fulfilled' && 'kill' in end.value) await end.value.kill()
    }
    nothingIsLeft()
  },
  'a box whose processes are killed leaves its network': async () => {
    const box = await sandbox(inBridge)
    const ended = new Promise((resolve) => box.on('exit', resolve))
    await box.exec(['true'])
    const first = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && cgroupOf(pid).includes(`coffer-${box.id}`))
    process.kill(Number(first), 'SIGKILL')
    await ended
    nothingIsLeft()
  },
  'what a program that is killed leaves, the next command takes away, and the next box; not that of one that lives':
    async () => {
      for (const next of [() => coffer('network', 'prune', '-f'), () => run(['true'], inBridge)]) {
        const child = spawn(process.execPath, ['-e', LEAVES], { stdio: ['ignore', 'pipe', 'inherit'] })
        const [id] = await once(child.stdout.setEncoding('utf8'), 'data')
        await next()
        assert.deepEqual(Object.keys(membersOf('bridge')), [String(id).trim()])
        child.kill('SIGKILL')
        await once(child, 'exit')
        assert.notDeepEqual(whatIsThere(), before)
        await next()
        nothingIsLeft()
      }
    },
  'a network that there is not is refused by name, and so is what is none': async () => {
    await assert.rejects(run(['true'], { ...inBridge, network: { name: 'nope' } }), (error: unknown) => {
      assert.ok(error instanceof OperationError)
      assert.deepEqual([error.kind, error.message], ['missing', 'cannot find network nope: network nope not found'])
      assert.match(error.hint ?? '', /coffer network create/)
      return true
    })
    await assert.rejects(sandbox({ ...inBridge, network: { name: '../..' } }), /not found/)
    await assert.rejects(sandbox({ ...inBridge, network: { name: 'a\0b' } }), /NUL/)
    await assert.rejects(run(['true'], { ...inBridge, network: 'brigde' as 'bridge' }), /network is "brigde"/)
    nothingIsLeft()
  },
  'a name of a host that is a path is the name of no file (S246)': async () => {
    coffer('network', 'create', 'front')
    mkdirSync(join(data, 'escaped'))
    const box = await sandbox(inNetwork('front', { hostname: '../../../escaped' }))
    assert.equal((await box.exec(['hostname'])).stdout, '../../../escaped\n')
    assert.deepEqual(readdirSync(join(data, 'escaped')), [])
    await box.kill()
    coffer('network', 'rm', 'front')
  },
  'explain shows where the namespace of the network is joined, and takes nothing': async () => {
    const text = await explain(['true'], inBridge)
    assert.match(text, /network-of-the-box/)
    nothingIsLeft()
  },
}

const cgroupOf = (pid: string): string => {
  try {
    return readFileSync(`/proc/${pid}/cgroup`, 'utf8')
  } catch {
    return ''
  }
}

const index = JSON.stringify(join(import.meta.dirname, '..', '..', '..', 'dist', 'index.js'))
const LEAVES = `import(${index}).then(async ({ sandbox }) => {
  const box = await sandbox({ root: 'host', cwd: '/', network: 'bridge' })
  console.log(box.id)
  setInterval(() => undefined, 100000)
})`
