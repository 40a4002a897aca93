/** Names in networks: who answers, what for, and what becomes of other questions. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { mkdirSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
  for (const name of ['front', 'back']) engine.must('network', 'create', name)
  engine.must('network', 'create', '--internal', 'closed')
})
afterAll(() => engine[Symbol.dispose]())

const sleeping = (name: string, ...flags: readonly string[]): string =>
  engine.must('run', '-d', '--name', name, ...flags, 'busybox', 'sleep', '1000')

const addressOf = (name: string, network: string): string =>
  engine.must('inspect', '-f', `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`, name)

/** The addresses, or the names of an address, that nslookup prints; or why there are none. */
function lookUp(from: string, name: string): string {
  const { stdout } = engine.coffer('exec', from, 'nslookup', name)
  const found = [...stdout.matchAll(/^(?:Address(?: \d+)?: |.*\tname = )(\S+)$/gm)].map(([, one = '']) => one)
  return found.length > 0 ? found.sort().join(' ') : (/: ([A-Z]+)$/m.exec(stdout)?.[1] ?? '')
}

describe('a network that somebody made', () => {
  test('has names, aliases and short ids, also of those that come later and in capitals', () => {
    sleeping('early', '--network', 'front', '--network-alias', 'first')
    const id = sleeping('late', '--network', 'front').slice(0, 12)
    expect(engine.must('exec', 'early', 'cat', '/etc/resolv.conf')).toStartWith('nameserver 127.0.0.11\n')
    const [early, late] = [addressOf('early', 'front'), addressOf('late', 'front')]
    expect(['late', 'LATE', 'late.front', id].map((name) => lookUp('early', name))).toEqual(Array(4).fill(late))
    expect(['early', 'first'].map((name) => lookUp('late', name))).toEqual([early, early])
    expect(engine.must('exec', 'early', 'ping', '-c', '1', '-W', '2', 'late')).toContain('1 packets received')
    engine.must('rm', '-f', 'late')
    expect(lookUp('early', 'late')).not.toContain(late)
    engine.must('rm', '-f', 'early')
  })

  test('does not take a host name for the name of a file (S246)', () => {
    const outsideOfNames = join(engine.dataRoot, 'networks', 'front', 'elsewhere')
    mkdirSync(outsideOfNames)
    sleeping('climber', '--network', 'front', '--hostname', '../elsewhere')
    expect(readdirSync(outsideOfNames)).toEqual([])
    expect(engine.must('exec', 'climber', 'hostname')).toBe('../elsewhere')
    engine.must('rm', '-f', 'climber')
    rmdirSync(outsideOfNames)
  })

  test('names several of one alias all together, and an address by its name', () => {
    for (const name of ['one', 'two']) sleeping(name, '--network', 'front', '--network-alias', 'both')
    const addresses = ['one', 'two'].map((name) => addressOf(name, 'front'))
    expect(lookUp('one', 'both')).toBe(addresses.join(' '))
    expect(lookUp('one', addresses[1] ?? '')).toBe('two.front')
    engine.must('rename', 'two', 'three')
    expect([lookUp('one', 'three'), lookUp('one', addresses[1] ?? '')]).toEqual([addresses[1] ?? '', 'three.front'])
    expect(lookUp('one', 'two')).not.toContain(addresses[1] ?? '')
    engine.must('rm', '-f', 'one', 'three')
  })

  test('does not know those of another, until one is connected to it', () => {
    sleeping('asking', '--network', 'front')
    sleeping('other', '--network', 'back')
    expect(lookUp('asking', 'other')).not.toMatch(/\d/)
    engine.must('network', 'connect', '--alias', 'data', 'front', 'other')
    const address = addressOf('other', 'front')
    expect([lookUp('asking', 'other'), lookUp('asking', 'data')]).toEqual([address, address])
    expect(lookUp('other', 'asking')).toBe(addressOf('asking', 'front'))
    engine.must('network', 'disconnect', 'front', 'other')
    expect([lookUp('asking', 'other'), lookUp('other', 'asking')].join()).not.toMatch(/\d/)
    engine.must('rm', '-f', 'asking', 'other')
  })

  test('resolves for one that came from the default network too', () => {
    sleeping('target', '--network', 'front')
    sleeping('moved')
    expect(engine.must('exec', 'moved', 'cat', '/etc/resolv.conf')).not.toContain('127.0.0.11')
    engine.must('network', 'connect', 'front', 'moved')
    expect(lookUp('moved', 'target')).toBe(addressOf('target', 'front'))
    engine.must('rm', '-f', 'target', 'moved')
  })
})

const question = (id: number, name: string, type: number): Buffer =>
  Buffer.concat([
    Buffer.from([id >> 8, id & 255, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    ...name.split('.').map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label)])),
    Buffer.from([0, 0, type, 0, 1]),
  ])

/** An answer to any question: 192.0.2.7. RFC 1035 */
function answerTo(query: Uint8Array): Buffer {
  const reply = Buffer.concat([query, Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7])])
  reply[2] = 0x81
  reply[3] = 0x80
  reply[7] = 1
  return reply
}

const framed = (message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message])

/** The first message that comes, with its length. */
async function message(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  let all = Buffer.alloc(0)
  for await (const chunk of stream) {
    all = Buffer.concat([all, chunk])
    if (all.length >= 2 && all.length >= 2 + all.readUInt16BE(0)) break
  }
  return all
}

const SERVER = '127.0.0.53'

describe('other names', () => {
  const seen: string[] = []
  const heard = (query: Uint8Array): void => {
    seen.push(
      Buffer.from(query.subarray(12))
        .toString('latin1')
        .replace(/[^a-z]+/g, '.'),
    )
  }
  let servers: Disposable[] = []
  beforeAll(async () => {
    const udp = await Bun.udpSocket({
      hostname: SERVER,
      port: 53,
      socket: {
        data(socket, query, port, address) {
          heard(query)
          socket.send(answerTo(query), port, address)
        },
      },
    })
    const tcp = Bun.listen({
      hostname: SERVER,
      port: 53,
      socket: {
        data(socket, query) {
          heard(query.subarray(2))
          socket.write(framed(answerTo(query.subarray(2))))
        },
      },
    })
    servers = [{ [Symbol.dispose]: () => udp.close() }, { [Symbol.dispose]: () => tcp.stop(true) }]
  })
  afterAll(() => {
    for (const server of servers) server[Symbol.dispose]()
  })

  const run = async (...words: readonly string[]): Promise<string> => {
    const child = engine.spawn(...words)
    return await new Response(child.stdout).text()
  }

  test('are asked of the servers of this machine, in its own network', async () => {
    sleeping('asks', '--network', 'front', '--dns', SERVER)
    const shown = await run('exec', 'asks', 'nslookup', 'example.org')
    expect(shown).toContain('192.0.2.7')
    expect(seen).toContain('.example.org.')
  })

  test('are asked over TCP by those who want that, and names of neighbours are answered', async () => {
    for (const [name, address] of [
      ['example.net', [192, 0, 2, 7]],
      ['asks', addressOf('asks', 'front').split('.').map(Number)],
    ] as const) {
      const child = engine.spawn('exec', '-i', 'asks', 'nc', '-w', '2', '127.0.0.11', '53')
      child.stdin.write(framed(question(0x1234, name, 1)))
      child.stdin.flush()
      const reply = await message(child.stdout)
      child.stdin.end()
      expect([reply.readUInt16BE(0), reply.readUInt16BE(2), [...reply.subarray(-4)]]).toEqual([
        reply.length - 2,
        0x1234,
        [...address],
      ])
    }
    expect(seen).toContain('.example.net.')
    expect(seen.join()).not.toContain('.asks.')
    engine.must('rm', '-f', 'asks')
  })

  test('are refused where there is no way out, and no server hears of them (S236)', async () => {
    sleeping('inside', '--network', 'closed', '--dns', SERVER)
    expect(await run('exec', 'inside', 'nslookup', 'secret.example')).toContain('REFUSED')
    expect(await run('exec', 'inside', 'nslookup', 'inside')).toContain(addressOf('inside', 'closed'))
    expect(seen.join()).not.toContain('secret')
    engine.must('rm', '-f', 'inside')
  })
})

describe('the name server', () => {
  const pidOf = (id: string): number => {
    const inode = Bun.spawnSync(['stat', '-c', '%i', join(engine.runRoot, '.netns', `${id}.names`)]).stdout.toString()
    const line = Bun.spawnSync(['cat', '/proc/locks']).stdout.toString().split('\n')
    return Number(line.find((one) => one.includes(`:${inode.trim()} `))?.split(/\s+/)[4] ?? 0)
  }
  const statusOf = (pid: number): string => Bun.spawnSync(['cat', `/proc/${pid}/status`]).stdout.toString()

  test('has no privilege, a filter of system calls, and a root of networks alone', () => {
    const pid = pidOf(sleeping('served', '--network', 'front'))
    expect(statusOf(pid)).toMatch(/CapEff:\t0{16}\n/)
    expect(statusOf(pid)).toMatch(/CapPrm:\t0{16}\n/)
    expect(statusOf(pid)).toMatch(/NoNewPrivs:\t1\nSeccomp:\t2\n/)
    expect(
      Bun.spawnSync(['readlink', `/proc/${pid}/root`])
        .stdout.toString()
        .trim(),
    ).toBe(join(engine.dataRoot, 'networks'))
    const pss = Number(
      /^Pss: +(\d+) kB/m.exec(Bun.spawnSync(['cat', `/proc/${pid}/smaps_rollup`]).stdout.toString())?.[1],
    )
    expect(pss).toBeLessThan(100)
    engine.must('rm', '-f', 'served')
    // Whoever is the first process of this machine waits for it some time.
    expect(statusOf(pid)).toMatch(/^$|\nState:\tZ/)
  })

  test('is not looked into by the root of a container that sees it', () => {
    // Its own sleeper has let go of what is read here once it is attached to: it stays stopped for ever when its tracer has ended.
    const attach = `import ctypes, subprocess, sys
nothing = subprocess.DEVNULL
pid = int(sys.argv[1]) if len(sys.argv) > 1 else subprocess.Popen(['sleep', '9'], stdout=nothing, stderr=nothing).pid
print(ctypes.CDLL(None).ptrace(16, pid, 0, 0))`
    const id = engine.must(
      'run',
      '-d',
      '--name',
      'seeing',
      '--network',
      'front',
      '--pid',
      'host',
      'host',
      'sleep',
      '1000',
    )
    expect(engine.must('exec', 'seeing', 'python3', '-c', attach, `${pidOf(id)}`)).toBe('-1')
    expect(engine.must('exec', 'seeing', 'python3', '-c', attach)).toBe('0')
    engine.must('rm', '-f', 'seeing')
  })

  test('that somebody killed is there again with the next start, and the container goes without it too', () => {
    const id = sleeping('orphan', '--network', 'front')
    process.kill(pidOf(id), 'SIGKILL')
    expect(lookUp('orphan', 'orphan')).toBe('')
    engine.must('ps')
    expect(lookUp('orphan', 'orphan')).toBe(addressOf('orphan', 'front'))
    process.kill(pidOf(id), 'SIGKILL')
    engine.must('rm', '-f', 'orphan')
  })

  test('outlives 200,000 packets that nobody would send (S240)', () => {
    const id = sleeping('fuzzed', '--network', 'front', '--dns', '127.0.0.99')
    const pid = pidOf(id)
    const file = join(engine.runRoot, '.netns', id)
    const { stdout, stderr } = Bun.spawnSync([
      'nsenter',
      `--net=${file}`,
      process.execPath,
      join(import.meta.dir, 'resolver-fuzz.ts'),
    ])
    expect(stderr.toString()).toBe('')
    expect(stdout.toString()).toBe('sent 200000, answered\n')
    expect([statusOf(pid).includes('State:\tS'), pid > 0]).toEqual([true, true])
    expect(lookUp('fuzzed', 'fuzzed')).toBe(addressOf('fuzzed', 'front'))
    engine.must('rm', '-f', 'fuzzed')
  }, 60_000)
})
