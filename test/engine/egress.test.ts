/** `--egress`: the hosts that a container reaches and no others, with a world outside at addresses of the network that the tests run in. */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import { FOUR, NEAR, SIX, startWorld, type World } from '../library/world.ts'
import { SOMEONE } from '../someone.ts'
import { openTestEngine, type Ran, type TestEngine } from './engine.ts'
import { openUserEngine } from './rootless-engine.ts'

const ADDRESSES = [`${FOUR}/32`, `${NEAR}/32`, `${SIX}/128`]
const ip = (...words: readonly string[]): void => {
  const { exitCode, stderr } = Bun.spawnSync(['ip', ...words])
  if (exitCode !== 0) throw new Error(`ip ${words.join(' ')}: ${stderr.toString()}`)
}

let engine: Pick<TestEngine, 'dataRoot' | 'runRoot' | 'spawn'> & Disposable
let world: World
/** The world answers meanwhile. */
async function coffer(...words: readonly string[]): Promise<Ran> {
  const child = engine.spawn(...words)
  child.stdin.end()
  const [stdout, stderr, status] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ])
  return { status, stdout, stderr }
}

async function must(...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await coffer(...words)
  if (status !== 0) throw new Error(`coffer ${words.join(' ')} ended with ${status}: ${stderr}`)
  return stdout.replace(/\n$/, '')
}

const listed = (hosts: readonly string[]): readonly string[] => [
  '--dns',
  '127.0.0.1',
  ...hosts.flatMap((host) => ['--egress', host]),
]

/** What a script says in a container of this machine's programs that may reach these hosts. */
const run = (script: string, hosts: readonly string[], ...flags: readonly string[]): Promise<Ran> =>
  coffer('run', '--rm', ...listed(hosts), ...flags, 'host', 'sh', '-c', script)

const start = (name: string, hosts: readonly string[], ...flags: readonly string[]): Promise<string> =>
  must('run', '-d', '--name', name, ...listed(hosts), ...flags, 'host', 'sleep', '1000')

const page = async (name: string, url = 'http://web.example/'): Promise<string> =>
  (await coffer('exec', name, 'curl', '-sS', '-m', '20', url)).stdout.trim()

/** `HOST ERRNO` of each that was denied to a container, in the order of the alphabet. */
async function denied(id: string): Promise<readonly string[]> {
  const format = '{{.Actor.ID}} {{.Actor.Attributes.host}} {{.Actor.Attributes.errno}}'
  const words = ['--since', '1h', '--until', '0s', '--filter', 'type=network', '--filter', 'event=denied']
  const lines = (await must('events', ...words, '--format', format)).split('\n')
  return lines
    .filter((line) => line.startsWith(id))
    .map((line) => line.slice(id.length).trim())
    .sort()
}

/** The process beside the container that has the file of this lock; 0 for none. */
function holderOf(id: string, kind: 'relay' | 'policy'): number {
  const path = join(engine.runRoot, '.netns', `${id}.${kind}`)
  return Number(
    readdirSync('/proc').find((pid) => commandOf(pid).startsWith('coffer') && filesOf(pid).includes(path)) ?? 0,
  )
}

/** Nothing for one that has ended meanwhile. */
function filesOf(pid: string): readonly string[] {
  try {
    const directory = `/proc/${pid}/fd`
    return readdirSync(directory).map((fd) => readlinkSync(join(directory, fd)))
  } catch {
    return []
  }
}

const statusOf = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/status`, 'utf8')
  } catch {
    return ''
  }
}
/** Whoever is the first process of this machine waits for it some time. */
const isGone = (pid: number): boolean => /^$|\nState:\tZ/.test(statusOf(pid))
const gone = async (pid: number): Promise<void> => {
  while (!isGone(pid)) await Bun.sleep(5)
}

/** A name server that says over UDP that its answer is cut off, and all of it over TCP; `seen` has which of the two was asked. */
function startCutting(hostname: string, seen: string[]): Promise<() => void> {
  const answer = (query: Uint8Array, isCut: boolean): Buffer => {
    const question = Buffer.from(query.subarray(0, query.length))
    const isFour = question.readUInt16BE(question.length - 4) === 1
    const records = isCut || !isFour ? [] : [Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 203, 0, 113, 10])]
    const reply = Buffer.concat([question, ...records])
    reply[2] = isCut ? 0x83 : 0x81
    reply[3] = 0x80
    reply[7] = records.length
    return reply
  }
  const tcp = Bun.listen({
    hostname,
    port: 53,
    socket: {
      data(socket, bytes) {
        seen.push('tcp')
        const reply = answer(bytes.subarray(2), false)
        // In pieces, as streams come.
        socket.write(Buffer.from([0, reply.length]))
        setImmediate(() => socket.write(reply))
      },
    },
  })
  const data = (socket: Bun.udp.Socket<'buffer'>, query: Buffer, port: number, address: string): void => {
    seen.push('udp')
    // First of somebody who guesses the number.
    const forged = answer(query, false)
    forged[0] = (forged[0] ?? 0) ^ 1
    socket.send(forged, port, address)
    socket.send(answer(query, true), port, address)
  }
  return Bun.udpSocket({ hostname, port: 53, socket: { data } }).then((udp) => () => {
    udp.close()
    tcp.stop(true)
  })
}

const KINDS = [
  ['root', openTestEngine],
  ['a user', () => openUserEngine(true)],
] as const

describe.each(KINDS)('as %s', (kind, open) => {
  beforeAll(() => {
    engine = open()
    for (const address of ADDRESSES) ip('address', 'add', address, 'dev', 'lo')
    // The kernel looks for others with an address of IPv6 before it is one.
    while (Bun.spawnSync(['ip', '-6', 'address', 'show', 'tentative']).stdout.length > 0);
  })
  afterAll(() => {
    for (const address of ADDRESSES) ip('address', 'del', address, 'dev', 'lo')
    engine[Symbol.dispose]()
  })
  beforeEach(async () => {
    world = await startWorld()
    world.names.set('web.example', [FOUR, SIX])
  })
  afterEach(async () => {
    const ids = (await must('ps', '-aq')).split('\n').filter(Boolean)
    if (ids.length > 0) await must('rm', '-f', ...ids)
    world.end()
  })

  describe('a container with a list of hosts', () => {
    test('reaches these by name, over IPv4 and IPv6, with programs that know no proxy', async () => {
      world.names.set('four.example', [FOUR])
      world.names.set('six.example', [SIX])
      const script = [
        'curl -sS -4 http://web.example/; curl -sS -6 http://web.example/',
        'curl -sS http://four.example/; curl -sS http://six.example/; curl -sS http://WEB.example./',
        `curl -sS http://${FOUR}:8080/; curl -sS -g 'http://[${SIX}]:8080/'`,
      ].join('; ')
      const hosts = [...['web', 'four', 'six'].map((name) => `${name}.example:80`), `${FOUR}:8080`, `[${SIX}]:8080`]
      const { stdout, stderr } = await run(script, hosts)
      expect(stderr).toBe('')
      expect(stdout.replaceAll('hello from ', '').trim().split('\n')).toEqual([FOUR, FOUR, FOUR, SIX, FOUR, FOUR, SIX])
    })

    test('is refused all else at once, and what it was refused is told as events, the last as well (S237, S289)', async () => {
      const id = await start('listed', ['web.example:80'])
      const script = [
        'curl -sS http://evil.example/',
        'curl -sS http://web.example:8080/',
        `curl -sS http://${FOUR}/`,
        `curl -sS -g 'http://[${SIX}]/'`,
        'curl -sS http://169.254.169.254/latest/meta-data/',
        'curl -sS http://127.0.0.1/',
      ].join('; ')
      const { stderr } = await coffer('exec', 'listed', 'sh', '-c', script)
      expect([...stderr.matchAll(/curl: \((\d+)\)/g)].map(([, code]) => code)).toEqual(['6', '7', '7', '7', '7', '7'])
      await must('exec', 'listed', 'sh', '-c', `curl -s http://${NEAR}/; true`)
      await must('rm', '-f', 'listed')
      expect(await denied(id)).toEqual(
        [
          `${NEAR}:80 ECONNREFUSED`,
          '169.254.169.254:80 ECONNREFUSED',
          `${FOUR}:80 ECONNREFUSED`,
          `[${SIX}]:80 ECONNREFUSED`,
          'evil.example EAI_NONAME',
          'web.example:8080 ECONNREFUSED',
        ].sort(),
      )
      expect([world.met, world.asked.includes('evil.example')]).toEqual([[], false])
    })

    test('is led nowhere else by other notations of an address or a name (S289)', async () => {
      world.names.set('web.example.evil', [NEAR])
      const hosts = [
        '0x0a0b0c0d',
        '168496141',
        '012.013.014.015',
        '[::ffff:10.11.12.13]',
        '2130706433',
        'web.example.evil',
      ]
      const script = hosts.map((host) => `curl -sSg 'http://${host}/' 2>/dev/null; printf '%s ' $?`).join('; ')
      expect((await run(script, ['web.example:80'])).stdout).toBe('7 7 7 7 7 6 ')
      expect(world.met).toEqual([])
    })

    test('reaches no address of this machine or its neighbourhood by a name, until that is listed (S242, S289)', async () => {
      world.names.set('evil.example', [NEAR, '127.0.0.1', '169.254.169.254', '::1', '::ffff:a0b:c0d'])
      expect((await run('curl -sS http://evil.example/', ['evil.example:80'])).status).not.toBe(0)
      expect(world.met).toEqual([])
      expect((await denied('')).some((one) => / evil\.example:80 \(.+\) ECONNRESET$/.test(one))).toBe(true)
      const { stdout } = await run('curl -sS http://evil.example/', ['evil.example:80', `${NEAR}:80`])
      expect([stdout, world.met]).toEqual([`hello from ${NEAR}\n`, [`${NEAR}:80`]])
    })

    test('gets no packet out with every capability and a network that it has changed itself (S236, S289)', async () => {
      const script = `
      ip route flush table local; ip link add dummy0 type dummy; ip address add 203.0.113.1/24 dev dummy0
      ip link set dummy0 up; ip route add default via 203.0.113.9; ip -6 route flush table all
      curl -sS -m 1 http://${FOUR}/ || ping -c 1 -W 1 ${FOUR} || echo closed`
      const { stdout } = await run(script, ['web.example:80'], '--privileged')
      expect(stdout.trim().split('\n').at(-1)).toBe('closed')
      expect(world.met).toEqual([])
    })

    test('has names of a wildcard as it asks for them, and each port of a range', async () => {
      world.names.set('a.web.example', [FOUR])
      const urls = ['http://a.web.example/', 'http://a.web.example:8080/', 'http://web.example/']
      const { stdout } = await run(urls.map((url) => `curl -sS ${url} 2>&1`).join('; '), [
        '*.web.example:80',
        'a.web.example:8079-8081',
      ])
      expect(stdout).toMatch(/^(hello from 203\.0\.113\.10\n){2}curl: \(6\)/)
    })

    test('keeps the list when it is started again, in exec, and for who joins its network', async () => {
      const id = await start('kept', ['web.example:80'])
      const config = JSON.parse(await must('inspect', '-f', '{{json .HostConfig}}', 'kept'))
      expect([config.NetworkMode, config.Egress]).toEqual(['egress', ['web.example:80']])
      expect(await page('kept')).toMatch(/^hello/)
      const before = [holderOf(id, 'relay'), holderOf(id, 'policy')]
      await must('restart', '-t', '0', 'kept')
      expect(before.map(isGone)).toEqual([true, true])
      expect([await page('kept'), await page('kept', `http://${FOUR}/`)]).toEqual([`hello from ${FOUR}`, ''])
      const joined = ['run', '--rm', '--network', 'container:kept', 'host', 'curl', '-sS']
      expect((await coffer(...joined, '--resolve', 'web.example:80:198.18.1.0', 'http://web.example/')).stdout).toMatch(
        /^hello/,
      )
      expect((await coffer(...joined, `http://${FOUR}/`)).status).toBe(7)
    })

    test('is not connected to networks beside it, nor is a port of it published', async () => {
      await start('alone', ['web.example:80'])
      for (const words of [
        ['network', 'connect', 'bridge', 'alone'],
        ['update', '--publish-add', '80:80', 'alone'],
      ])
        expect((await coffer(...words)).stderr).toContain(
          'container with a list of hosts (--egress) has no network beside them',
        )
      for (const flags of [
        ['--network', 'none'],
        ['--network', 'host'],
        ['--network', 'bridge'],
        ['--net', 'container:alone'],
        ['-p', '80:80'],
        ['--ip', '10.0.0.9'],
      ])
        expect((await run('true', ['web.example:80'], ...flags)).stderr).toContain('--egress and --')
      expect((await run('true', ['web.example'])).stderr).toContain('--egress: "web.example" is no host with a port')
      expect(
        (await coffer('run', '--egress', 'web.example:80', '--mount-ns', 'host', 'host', 'true')).stderr,
      ).toContain('--egress needs mounts')
      expect(await must('ps', '--all', '--format', '{{.Names}} {{.Networks}}')).toBe('alone egress')
    })
  })

  describe('the policy beside it', () => {
    test('asks the next server where one does not answer, over TCP what was cut off, and takes no forged answer (S240)', async () => {
      const seen: string[] = []
      const end = await startCutting('127.0.0.77', seen)
      try {
        const flags = ['--dns', '127.0.0.78', '--dns', '127.0.0.77', '--egress', 'long.example:80']
        const { stdout } = await coffer('run', '--rm', ...flags, 'host', 'curl', '-sS', 'http://long.example/')
        expect(stdout).toBe(`hello from ${FOUR}\n`)
        expect(seen.sort()).toEqual(['tcp', 'tcp', 'udp', 'udp'])
      } finally {
        end()
      }
    })

    test('has no privilege and a filter of system calls, and the relay is nobody', async () => {
      const id = await start('bare', ['web.example:80'])
      const [policy, relay] = [statusOf(holderOf(id, 'policy')), statusOf(holderOf(id, 'relay'))]
      for (const status of [policy, relay])
        expect(status).toMatch(/CapPrm:\t0{16}\nCapEff:\t0{16}\n[\s\S]*NoNewPrivs:\t1\n/)
      expect(policy).toContain('\nSeccomp:\t2\n')
      // Without root it is the user, and no more.
      const uid = kind === 'root' ? 65_534 : SOMEONE
      expect(relay).toContain(`\nUid:\t${uid}\t${uid}\t${uid}\t${uid}\n`)
    })

    test('is not looked into by the root of a container that sees it', async () => {
      const id = await start('seeing', ['web.example:80'], '--pid', 'host')
      const pids = [holderOf(id, 'policy'), holderOf(id, 'relay')]
      const attach = `import ctypes, sys
for pid in sys.argv[1:]: print(ctypes.CDLL(None).ptrace(16, int(pid), 0, 0))`
      const attached = await coffer('exec', 'seeing', 'python3', '-c', attach, ...pids.map(String))
      expect(attached.stdout).toBe('-1\n-1\n')
      // Its own child, which has let go of what is read here before it is attached to. Nobody else would end it: who is stopped stays so.
      const own = `import ctypes, subprocess
nothing = subprocess.DEVNULL
child = subprocess.Popen(['sleep', '9'], stdout=nothing, stderr=nothing)
print(ctypes.CDLL(None).ptrace(16, child.pid, 0, 0))
child.kill()`
      expect((await coffer('exec', 'seeing', 'python3', '-c', own)).stdout).toBe('0\n')
    })

    test.each(['relay', 'policy'] as const)(
      'closes the container when the %s is killed, and the next command mends it',
      async (kind) => {
        const id = await start('mended', ['web.example:80'])
        expect(await page('mended')).toMatch(/^hello/)
        const both = [holderOf(id, 'relay'), holderOf(id, 'policy')]
        process.kill(both[kind === 'relay' ? 0 : 1] ?? 0, 'SIGKILL')
        await Promise.all(both.map(gone))
        world.met.length = 0
        expect([await page('mended'), await page('mended', 'http://198.18.1.0/'), world.met]).toEqual(['', '', []])
        expect((await coffer('ps')).stderr).toBe('')
        expect(await page('mended')).toBe(`hello from ${FOUR}`)
        await must('rm', '-f', 'mended')
        expect(readdirSync(join(engine.runRoot, '.netns'))).toEqual([])
      },
    )

    test('is hindered by nothing that a container does, nor is the command that mends it (S240)', async () => {
      const id = await start('hinders', ['web.example:80'], '--privileged')
      const both = [holderOf(id, 'relay'), holderOf(id, 'policy')] as const
      process.kill(both[0], 'SIGKILL')
      await Promise.all(both.map(gone))
      const listening = engine.spawn('exec', 'hinders', 'python3', '-c', LISTEN)
      const { value } = await listening.stdout.getReader().read()
      if (value === undefined) console.log(await new Response(listening.stderr).text())
      expect(Buffer.from(value ?? []).toString()).toBe('up\n')
      const { status, stderr } = await coffer('ps')
      expect([status, stderr]).toEqual([0, expect.stringContaining('EADDRINUSE')])
      await must('rm', '-f', 'hinders')
      expect(readdirSync(join(engine.runRoot, '.netns'))).toEqual([])
    })

    test('outlives a flood of questions, connections and datagrams, and tells a part of it (S240)', async () => {
      world.names.set('other.example', [FOUR])
      const [id] = await Promise.all([start('flood', ['*.web.example:80']), start('other', ['other.example:80'])])
      const flood = engine.spawn('exec', 'flood', 'python3', '-c', FLOOD)
      await flood.stdout.getReader().read()
      for (let turn = 0; turn < 5; turn++) expect(await page('other', 'http://other.example/')).toMatch(/^hello/)
      expect([holderOf(id, 'relay'), holderOf(id, 'policy')].map(isGone)).toEqual([false, false])
      // Five pages may be quicker than the first refusal.
      while ((await denied(id)).length === 0) await Bun.sleep(20)
      await must('rm', '-f', 'flood')
      const count = (await denied(id)).length
      expect(count).toBeGreaterThan(0)
      expect(count).toBeLessThan(1000)
    }, 60_000)

    test('is gone with the container, however and whenever its command is killed (S244)', async () => {
      for (let round = 0; round < 12; round++) {
        const child = engine.spawn('run', '--rm', ...listed(['web.example:80']), 'host', 'sleep', '0.02')
        await Bun.sleep(round * 12)
        child.kill('SIGKILL')
        await child.exited
      }
      // Its monitor and its cleaner live on.
      do await Bun.sleep(20)
      while ((await must('ps', '-aq', '--filter', 'status=running')) !== '')
      const ids = (await must('ps', '-aq')).split('\n').filter(Boolean)
      if (ids.length > 0) await coffer('rm', '-f', ...ids)
      expect(readdirSync(join(engine.runRoot, '.netns'))).toEqual([])
      // A cleaner is done a moment after its container is known to nobody.
      while (readdirSync('/proc').some((pid) => commandOf(pid).includes(engine.dataRoot))) await Bun.sleep(20)
    }, 60_000)
  })
})

function commandOf(pid: string): string {
  try {
    return /^\d+$/.test(pid) ? readFileSync(`/proc/${pid}/cmdline`, 'latin1') : ''
  } catch {
    return ''
  }
}

const LISTEN = `import socket, time
s = socket.socket(); s.bind(("198.18.1.0", 80)); s.listen()
print("up", flush=True); time.sleep(1000)`

const FLOOD = `import socket, threading, time
def names():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); i = 0
    while True:
        i += 1
        s.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x08%08d\\x03web\\x07example\\0\\0\\1\\0\\1" % i, ("127.0.0.53", 53))
def refusals():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); i = 0
    while True:
        i += 1
        s.sendto(b"x", ("8.8.8.8", 1 + i % 60000))
def connections():
    while True:
        try: socket.create_connection(("198.18.1.0", 80)).close()
        except OSError: pass
for f in (names, refusals, connections): threading.Thread(target=f, daemon=True).start()
print("up", flush=True); time.sleep(1000)`
