/** network: { allow }, asked from inside with programs that know no proxy. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Denial, explain, OperationError, probe, type RunOptions, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'
import { BIG_BYTES, BIG_SHA256, FOUR, NEAR, SIX, startWorld, type World } from '../world.ts'

const sh = (script: string, allow: readonly string[], options: Partial<RunOptions> = {}) =>
  run(['sh', '-c', script], { root: 'host', cwd: '/', network: { allow }, ...options })

const python = (script: string, allow: readonly string[], options: Partial<RunOptions> = {}) =>
  run(['/usr/bin/python3', '-c', script], { root: 'host', cwd: '/', network: { allow }, ...options })

/** The world is up for one case: nothing of it holds the program. */
async function inWorld(body: (world: World) => Promise<void>): Promise<void> {
  const world = await startWorld()
  world.names.set('web.example', [FOUR, SIX])
  try {
    await body(world)
  } finally {
    world.end()
  }
}

const namesOf = (denials: readonly Denial[]): readonly string[] => denials.map(({ name, errno }) => `${name} ${errno}`)

export const cases: Cases = {
  'programs that know no proxy reach what is allowed, over IPv4 and IPv6, and by their own resolver': () =>
    inWorld(async ({ names }) => {
      names.set('four.example', [FOUR])
      names.set('six.example', [SIX])
      const script = [
        'curl -sS -4 http://web.example/ && curl -sS -6 http://web.example/',
        'curl -sS -4 http://six.example/ && curl -sS -6 http://four.example/',
        `curl -sS http://${FOUR}:8080/ && curl -sS -g 'http://[${SIX}]:8080/'`,
        `/usr/bin/python3 -c 'import urllib.request as u; print(u.urlopen("http://web.example/").read().decode(), end="")'`,
        `${process.execPath} -e 'fetch("http://WEB.example./").then((r) => r.text()).then((t) => console.log(t.trim()))'`,
      ].join('\n')
      const allow = [...['web', 'four', 'six'].map((name) => `${name}.example:80`), `${FOUR}:8080`, `[${SIX}]:8080`]
      const { stdout, stderr, denials } = await sh(script, allow, { mounts: [{ source: process.execPath }] })
      assert.equal(stderr, '')
      const lines = stdout.trimEnd().split('\n')
      assert.deepEqual(lines.slice(2, 6), [
        `hello from ${SIX}`,
        `hello from ${FOUR}`,
        `hello from ${FOUR}`,
        `hello from ${SIX}`,
      ])
      assert.equal(lines.length, 8)
      for (const line of lines) assert.match(line, /^hello from /)
      assert.deepEqual(denials, [])
    }),
  'what is not allowed is refused at once, and told by name (S237, S289)': () =>
    inWorld(async ({ met, asked }) => {
      const script = [
        'curl -sS http://evil.example/',
        'curl -sS http://web.example:8080/',
        `curl -sS http://${FOUR}/`,
        `curl -sS -g 'http://[${SIX}]/'`,
        `curl -sS http://${NEAR}/`,
        'curl -sS http://169.254.169.254/latest/meta-data/',
      ].join('; ')
      const { stderr, denials, usage } = await sh(script, ['web.example:80'])
      assert.deepEqual(
        [...stderr.matchAll(/curl: \((\d+)\)/g)].map(([, code]) => code),
        ['6', '7', '7', '7', '7', '7'],
      )
      assert.deepEqual(namesOf(denials).toSorted(), [
        `${NEAR}:80 ECONNREFUSED`,
        '169.254.169.254:80 ECONNREFUSED',
        `${FOUR}:80 ECONNREFUSED`,
        `[${SIX}]:80 ECONNREFUSED`,
        'evil.example EAI_NONAME',
        'web.example:8080 ECONNREFUSED',
      ])
      assert.equal(denials[0]?.what, 'host')
      assert.ok(denials[0]?.time instanceof Date)
      assert.deepEqual([met, asked.includes('evil.example')], [[], false])
      assert.ok(usage.wallMs < 20_000)
    }),
  'other notations of an address, and of a name, lead nowhere else (S289)': () =>
    inWorld(async ({ met, names }) => {
      names.set('web.example.evil', [NEAR])
      const hosts = [
        '0x0a0b0c0d',
        '168496141',
        '012.013.014.015',
        '10.722957',
        '[::ffff:10.11.12.13]',
        '127.0.0.1',
        '2130706433',
        '[::1]',
        'web.example.evil',
        'web.example@evil.example',
        'xn--wb-eka.example',
      ]
      const { stdout } = await sh(
        hosts.map((host) => `curl -sSg 'http://${host}/' 2>/dev/null; printf '%s ' $?`).join('; '),
        ['web.example:80'],
      )
      // 6: no such name. 7: refused.
      assert.equal(stdout, '7 7 7 7 7 7 7 7 6 6 6 ')
      assert.deepEqual(met, [])
      assert.match((await sh('curl -sS http://WEB.EXAMPLE./', ['web.example:80'])).stdout, /^hello/)
    }),
  'a name leads to no address of this machine or its neighbourhood, until that is allowed (S242, S289)': () =>
    inWorld(async ({ met, names }) => {
      names.set('evil.example', [NEAR, '127.0.0.1', '169.254.169.254', '::1', '::ffff:a0b:c0d'])
      const refused = await sh('curl -sS http://evil.example/', ['evil.example:80'])
      assert.deepEqual([refused.exitCode === 0, refused.stdout], [false, ''])
      assert.match(namesOf(refused.denials).join(), /^evil\.example:80 \(.+\) ECONNRESET$/)
      assert.deepEqual(met, [])
      const allowed = await sh('curl -sS http://evil.example/', ['evil.example:80', `${NEAR}:80`])
      assert.equal(allowed.stdout, `hello from ${NEAR}\n`)
      assert.deepEqual(met, [`${NEAR}:80`])
    }),
  'the loopback of this machine is allowed by its address alone, and the own one is left alone': () =>
    inWorld(async () => {
      assert.equal((await sh('curl -sS http://127.0.0.1:8080/', ['127.0.0.1:8080'])).stdout, 'hello from 127.0.0.1\n')
      const own = `import socket, threading
s = socket.create_server(("127.0.0.1", 8080))
threading.Thread(target=lambda: s.accept()[0].sendall(b"own")).start()
print(socket.create_connection(("127.0.0.1", 8080)).recv(9))`
      assert.equal((await python(own, ['web.example:8080'])).stdout, "b'own'\n")
    }),
  'no datagram gets out, and none to another name server (S236, S289)': () =>
    inWorld(async ({ asked }) => {
      const script = `import socket
def send(address, port, family=socket.AF_INET):
    s = socket.socket(family, socket.SOCK_DGRAM); s.connect((address, port)); s.settimeout(5); s.send(b"x")
    try: s.recv(9)
    except OSError as e: print(type(e).__name__)
send(socket.gethostbyname("web.example"), 443)
send("${FOUR}", 53)
send("8.8.8.8", 53)
send("${SIX}", 53, socket.AF_INET6)
for kind in (socket.SOCK_RAW, socket.SOCK_DGRAM):
    try: socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP); print("ping")
    except OSError as e: print(type(e).__name__)
`
      const { stdout, stderr, denials } = await python(script, ['web.example:443'])
      assert.equal(stderr, '')
      assert.deepEqual(stdout.trim().split('\n'), [
        ...new Array<string>(4).fill('ConnectionRefusedError'),
        'PermissionError',
        'PermissionError',
      ])
      // Those of IPv4 and of IPv6 come from two sockets.
      assert.deepEqual(namesOf(denials).toSorted(), [
        `${FOUR}:53/udp ECONNREFUSED`,
        '8.8.8.8:53/udp ECONNREFUSED',
        `[${SIX}]:53/udp ECONNREFUSED`,
        'web.example:443/udp ECONNREFUSED',
      ])
      assert.deepEqual(new Set(asked), new Set(['web.example']))
    }),
  'names of a wildcard come as they are asked for, and ports of a range are all there': () =>
    inWorld(async ({ names }) => {
      names.set('a.web.example', [FOUR])
      names.set('b.c.web.example', [NEAR, FOUR])
      const script = ['a.web.example', 'b.c.web.example', 'a.web.example:8080', 'web.example', 'd.web.example']
        .map((host) => `curl -sS http://${host}/ 2>&1`)
        .join('; ')
      const { stdout, denials } = await sh(script, ['*.web.example:80', 'a.web.example:8079-8081'])
      assert.deepEqual(
        stdout
          .trim()
          .split('\n')
          .map((line) => line.replace(/curl: (\(\d+\)).*/, '$1')),
        [`hello from ${FOUR}`, `hello from ${FOUR}`, `hello from ${FOUR}`, '(6)', '(6)'],
      )
      assert.deepEqual(namesOf(denials), ['web.example EAI_NONAME'])
    }),
  'a resolv.conf that is a link to where nothing is, as systemd-resolved has it, is found': () =>
    inWorld(async () => {
      const directory = mkdtempSync(join(tmpdir(), 'coffer-egress-'))
      try {
        for (const name of ['etc', 'usr', 'bin', 'lib', 'lib64']) mkdirSync(join(directory, name))
        symlinkSync('../run/systemd/resolve/stub-resolv.conf', join(directory, 'etc', 'resolv.conf'))
        const mounts = ['/usr', '/bin', '/lib', '/lib64'].map((source) => ({ source }))
        const command = ['sh', '-c', 'cat /etc/resolv.conf; curl -sS http://web.example/']
        const { stdout, stderr } = await run(command, {
          root: { directory, copyOnWrite: true },
          mounts,
          network: { allow: ['web.example:80'] },
        })
        assert.deepEqual([stdout.replace(SIX, FOUR), stderr], [`nameserver 127.0.0.53\nhello from ${FOUR}\n`, ''])
      } finally {
        rmSync(directory, { recursive: true })
      }
    }),
  'names are answered over TCP as well, one after the other': () =>
    inWorld(async () => {
      const script = `import socket, struct
q = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + b"\\x03web\\x07example\\0" + struct.pack(">2H", 1, 1)
s = socket.create_connection(("127.0.0.53", 53))
for part in (1, 9):
    m = struct.pack(">H", len(q)) + q
    s.sendall(m[:part]); s.sendall(m[part:])
    n, = struct.unpack(">H", s.recv(2)); print(socket.inet_ntoa(s.recv(n)[-4:]))
s.sendall(b"\\xff\\xff"); print(s.recv(9))`
      const { stdout, stderr } = await python(script, ['web.example:80'])
      assert.match(stderr + stdout, /^198\.18\.1\.0\n198\.18\.1\.0\n(?:b''|)|ConnectionResetError/)
      assert.equal(stdout.split('\n')[1], '198.18.1.0')
    }),
  '100 MB come byte for byte, and go so, and each half of a connection ends by itself': () =>
    inWorld(async () => {
      const down =
        'import socket, hashlib\ns = socket.create_connection(("web.example", 9000)); h = hashlib.sha256(); n = 0\nwhile b := s.recv(65536): h.update(b); n += len(b)\nprint(n, h.hexdigest())'
      const { stdout, stderr, verdict } = await python(down, ['web.example:9000'], { limits: { wallClockMs: 60_000 } })
      assert.deepEqual([stdout, stderr, verdict], [`${BIG_BYTES} ${BIG_SHA256}\n`, '', 'ok'])
      const up = `import socket
s = socket.create_connection(("web.example", 9001)); b = (b"coffer " * 9363)[:65536]
for _ in range(${BIG_BYTES} // len(b)): s.sendall(b)
s.shutdown(socket.SHUT_WR); print(s.makefile().read())`
      const sent = await python(up, ['web.example:9001'], { limits: { wallClockMs: 60_000 } })
      assert.deepEqual([sent.stdout, sent.stderr], [`${BIG_SHA256}\n`, ''])
    }),
  'a connection that the host resets is reset inside': () =>
    inWorld(async () => {
      const { stdout } = await python(
        'import socket\ntry: print(socket.create_connection(("web.example", 9002)).recv(9))\nexcept OSError as e: print(type(e).__name__)',
        ['web.example:9002'],
      )
      assert.equal(stdout, 'ConnectionResetError\n')
    }),
  'more connections at once than the relay holds are all served': () =>
    inWorld(async ({ met }) => {
      const script = `import socket, threading
def one(i):
    s = socket.create_connection(to); s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    r[i] = s.makefile("rb").read().endswith(b"\\n")
r = [False] * 400; to = (socket.gethostbyname("web.example"), 80)
t = [threading.Thread(target=one, args=(i,)) for i in range(400)]
[x.start() for x in t]; [x.join() for x in t]; print(sum(r))`
      const limits = { wallClockMs: 60_000, ...(probe().enforces.includes('pids') ? { pids: 500 } : {}) }
      const { stdout, stderr } = await python(script, ['web.example:80'], { limits })
      assert.deepEqual([stdout, stderr], ['400\n', ''])
      assert.equal(met.length, 400)
    }),
  'a box that floods its relay holds up neither this program nor another box, and is not asked about for ever (S240)':
    () =>
      inWorld(async ({ names, asked }) => {
        names.set('other.example', [FOUR])
        const box = await sandbox({ root: 'host', cwd: '/', network: { allow: ['*.web.example:80'] } })
        try {
          const script = `import socket, threading, time
def names():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); i = 0
    while True:
        i += 1
        s.sendto(b"\\0\\1\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\x08%08d\\x03web\\x07example\\0\\0\\1\\0\\1" % i, ("127.0.0.53", 53))
def refusals():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    while True: s.sendto(b"x", ("8.8.8.8", 1))
def connections():
    while True:
        try: socket.create_connection(("198.18.1.0", 80)).close()
        except OSError: pass
for f in (names, refusals, connections): threading.Thread(target=f, daemon=True).start()
print("up", flush=True); time.sleep(1000)`
          const flood = await box.spawn(['/usr/bin/python3', '-c', script])
          await new Promise((resolve) => flood.stdout.once('data', resolve))
          const { stdout, usage } = await sh('for i in 1 2 3 4 5; do curl -sS http://other.example/; done', [
            'other.example:80',
          ])
          assert.equal(stdout, `hello from ${FOUR}\n`.repeat(5))
          // 200 names at once and 20 a second, for each of which the machine's resolver asks twice.
          assert.ok(asked.length < 500 + usage.wallMs, `${asked.length} names in ${usage.wallMs} ms`)
        } finally {
          await box.kill()
        }
      }),
  'a box tells of what is denied as it happens, and its copies and what it begins again with have the same hosts': () =>
    inWorld(async () => {
      const box = await sandbox({ root: 'host', cwd: '/', network: { allow: ['web.example:80'] } })
      try {
        const heard = new Promise<Denial>((resolve) => box.on('denied', resolve))
        const { stdout } = await box.exec(['sh', '-c', 'curl -sS http://web.example/; curl -s http://a.example/'])
        assert.match(stdout, /^hello/)
        assert.deepEqual(namesOf([await heard]), ['a.example EAI_NONAME'])
        const other = await box.fork()
        assert.match((await other.exec(['curl', '-sS', 'http://web.example/'])).stdout, /^hello/)
        await other.kill()
        await box.discard()
        assert.match((await box.exec(['curl', '-sS', 'http://web.example/'])).stdout, /^hello/)
      } finally {
        await box.kill()
      }
    }),
  'what was refused last is told, and of a thousand and more a thousand': () =>
    inWorld(async () => {
      assert.deepEqual(namesOf((await sh(`exec curl -s http://${FOUR}/`, [])).denials), [`${FOUR}:80 ECONNREFUSED`])
      const script =
        'import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nfor i in range(3000): s.sendto(b"x", ("192.0.2.1", 1000 + i))'
      assert.ok((await python(script, [])).denials.length <= 1000)
    }),
  'the relay is in the limits of its box, and gone with it': () =>
    inWorld(async () => {
      const box = await sandbox({ root: 'host', cwd: '/', network: { allow: ['web.example:80'] } })
      assert.equal(relays().length, 1)
      if (box.enforced.includes('pids')) assert.equal(box.stats().pids.current, 2)
      await box.kill()
      assert.deepEqual(relays(), [])
      assert.equal((await sh('exit 3', ['web.example:80'])).exitCode, 3)
      await assert.rejects(run(['no-such-program'], { root: 'host', network: { allow: [] } }), /no-such-program/)
      assert.deepEqual(relays(), [])
    }),
  'a box whose relay is killed goes on and reaches nothing': () =>
    inWorld(async ({ met }) => {
      const box = await sandbox({ root: 'host', cwd: '/', network: { allow: ['web.example:80'] } })
      try {
        // In a program without privilege it is the same user's.
        for (const pid of relays()) process.kill(pid, 'SIGKILL')
        const { exitCode, stderr } = await box.exec(['curl', '-sS', 'http://web.example/'])
        assert.deepEqual([exitCode, /Could not resolve/.test(stderr), met], [6, true, []])
        assert.equal((await box.exec(['curl', '-sS', 'http://198.18.1.0/'])).exitCode, 7)
      } finally {
        await box.kill()
      }
    }),
  'a list that is wrong is refused by name, and what would be done is shown': async () => {
    const refusal = async (allow: unknown): Promise<string> => {
      const error = await sh('true', allow as readonly string[]).then(
        () => assert.fail('it was not refused'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof OperationError)
      return `${error.kind} ${error.message}`
    }
    assert.match(await refusal(['example.com']), /^invalid .*network\.allow: "example\.com" is no host with a port/)
    assert.match(await refusal([80]), /^invalid .*network\.allow: 80 is no host with a port/)
    assert.match(await refusal('example.com:80'), /^invalid .*network is \{"allow":"example\.com:80"\}/)
    const plan = await explain(['true'], {
      root: 'host',
      cwd: '/',
      network: { allow: ['example.com:443', '192.0.2.1:80'] },
    })
    for (const part of [
      '198.18.1.0',
      '192.0.2.1',
      'have all addresses of IPv6 lead to lo',
      'make the relay',
      '/etc/resolv.conf',
    ])
      assert.ok(plan.includes(part), part)
    assert.ok(probe().enforces.includes('hosts'))
  },
}

/** Of this program: its executor has a process for each container, and that the relay as its child. */
function relays(): readonly number[] {
  const parentOf = (pid: number): number => Number(textOf(pid, 'stat').replace(/^.*\) . (\d+) .*$/s, '$1'))
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => textOf(pid, 'cmdline').startsWith('coffer-relay\0'))
    .filter((pid) => parentOf(parentOf(parentOf(pid))) === process.pid)
}

function textOf(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1')
  } catch {
    return ''
  }
}
