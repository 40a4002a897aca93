/** accept: 'landlock', for a caller that may make no user namespace: landlock.test.ts sees to that. */

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { explain, OperationError, probe, type RunOptions, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const accept = 'landlock'
const sh = (script: string, options: Partial<RunOptions> = {}) =>
  run(['sh', '-c', script], { root: 'host', cwd: '/', accept, ...options })
const python = (lines: readonly string[], options: Partial<RunOptions> = {}) =>
  run(['python3', '-c', lines.join('\n')], { root: 'host', cwd: '/', accept, ...options })

const errorOf = async (promise: Promise<unknown>): Promise<OperationError> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return error
}

const isAlive = (pid: number): boolean => {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'latin1'))
  } catch {
    return false
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!holds()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** A directory of the caller's for one case. */
async function inDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = join(homedir(), 'work')
  mkdirSync(directory)
  try {
    await body(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

/** What the command could reach of the machine's processes. */
async function besideAnother(body: (pid: number) => Promise<void>): Promise<void> {
  const other = spawn('sh', ['-c', 'echo; read word'], {
    env: { SECRET: 'of another' },
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  try {
    assert.ok(other.pid !== undefined)
    // Before it runs, its environment may not be there yet.
    await once(other.stdout, 'data')
    await body(other.pid)
    assert.equal(isAlive(other.pid), true)
  } finally {
    other.kill('SIGKILL')
  }
}

export const cases: Cases = {
  'without it nothing is run, and the error says what there is (S297)': async () => {
    const error = await errorOf(run(['true'], { root: 'host', cwd: '/' }))
    assert.match(`${error.message} ${error.hint}`, /clone3.*ENOSPC.*accept: 'landlock'/s)
  },
  'probe tells of it, and what keeps namespaces away': () => {
    const { isUsable, landlock, problems } = probe()
    assert.deepEqual([isUsable, landlock.isUsable], [false, true])
    assert.ok(landlock.abi >= 4)
    assert.ok(problems.some(({ feature, hint }) => feature === 'namespaces' && hint?.includes('max_user_namespaces')))
  },
  'a command writes to its own directory, which is gone behind it, and nowhere else': async () => {
    const { stdout, stderr, verdict } = await sh(
      'echo kept >"$TMPDIR/f" && cat "$TMPDIR/f"; echo "$TMPDIR"; for p in "$HOME/f" /etc/f /tmp/f /dev/shm/f /var/tmp/f; do echo x >$p; done',
    )
    const [text, scratch = ''] = stdout.split('\n')
    assert.deepEqual([text, verdict], ['kept', 'failed'])
    assert.equal(stderr.match(/Permission denied/g)?.length, 5)
    assert.equal(existsSync(scratch), false)
    assert.equal(existsSync(join(homedir(), 'f')), false)
  },
  'what it left in its directory is removed, however deep': async () => {
    const { stdout, verdict } = await python(
      [
        'import os',
        'os.chdir(os.environ["TMPDIR"])',
        'for i in range(3000): os.mkdir("d" * 100); os.chdir("d" * 100)',
        'open("f", "w"); os.symlink("/etc", "link"); os.chmod(".", 0); print(os.environ["TMPDIR"])',
      ],
      { accept: ['landlock', 'attributes'] },
    )
    assert.equal(verdict, 'ok')
    assert.equal(existsSync(stdout.trim()), false)
    assert.ok(existsSync('/etc/passwd'))
  },
  'secrets stay secret, and what is granted is shown': async () => {
    const key = join(homedir(), '.ssh', 'id_rsa')
    assert.match(readFileSync(key, 'utf8'), /secret/)
    const { stdout, stderr } = await sh('cat ~/.ssh/id_rsa; cat /etc/passwd | head -c 4; cat /etc/ssh/* /var/log/*')
    assert.equal(stdout, 'root')
    assert.match(stderr, /id_rsa: Permission denied/)
    assert.match((await sh('cat ~/.ssh/id_rsa', { grant: [join(homedir(), '.ssh')] })).stdout, /secret/)
  },
  'a mount is read, and written to if it says so': () =>
    inDirectory(async (directory) => {
      writeFileSync(join(directory, 'in'), 'in\n')
      const script = `cat ${directory}/in; mkdir ${directory}/d && echo out >${directory}/d/out && mv ${directory}/d/out ${directory}/out; rm ${directory}/in`
      const reading = await sh(script, { mounts: [{ source: directory }] })
      assert.deepEqual([reading.stdout, readdirSync(directory)], ['in\n', ['in']])
      await sh(script, { mounts: [{ source: directory, writable: true }] })
      assert.deepEqual(readdirSync(directory).toSorted(), ['d', 'out'])
      const error = await errorOf(sh('true', { mounts: [{ source: homedir() }] }))
      assert.match(error.message, /mounts\[0\] would show .*\.ssh/)
    }),
  'it has no network but the one that it is given': async () => {
    const server = createServer((socket) => socket.end('hello'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    assert.ok(typeof address === 'object' && address !== null)
    const lines = ['import socket', `print(socket.create_connection(("127.0.0.1", ${address.port})).recv(9).decode())`]
    try {
      const { verdict, stderr } = await python(lines)
      assert.equal(verdict, 'failed')
      assert.match(stderr, /Operation not permitted/)
      assert.equal((await python(lines, { network: 'host' })).stdout, 'hello\n')
    } finally {
      server.close()
    }
  },
  'services of this machine behind unix sockets are out of reach, whatever network it has (S290)': () =>
    inDirectory(async (directory) => {
      const path = join(directory, 'socket')
      let calls = 0
      const server = createServer((socket) => {
        calls++
        socket.end()
      })
      await new Promise<void>((resolve) => server.listen(path, resolve))
      const lines = [
        'import socket, ctypes',
        'for make in (lambda: socket.socket(socket.AF_UNIX), lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)[0],',
        '             lambda: socket.socketpair()[0]):',
        `  try: make().connect("${path}"); print("connected")`,
        '  except OSError: print("refused")',
        'a, b = socket.socketpair(); a.send(b"pair"); print(b.recv(9).decode())',
      ]
      try {
        for (const network of ['none', 'host'] as const) {
          const { stdout } = await python(lines, { network, mounts: [{ source: directory, writable: true }] })
          assert.equal(stdout, 'refused\nrefused\nrefused\npair\n')
        }
        assert.equal(calls, 0)
      } finally {
        server.close()
      }
    }),
  'processes of its user get no signal and show no memory': () =>
    besideAnother(async (pid) => {
      assert.match(readFileSync(`/proc/${pid}/environ`, 'utf8'), /of another/)
      const { stdout } = await python([
        'import os, signal, resource',
        'def tried(what, call):',
        '  try: call(); print(what, "done")',
        '  except OSError as error: print(what, "refused")',
        `tried("kill", lambda: os.kill(${pid}, signal.SIGKILL))`,
        `tried("environ", lambda: open("/proc/${pid}/environ").read())`,
        `tried("root", lambda: os.listdir("/proc/${pid}/root/"))`,
        `tried("limit", lambda: resource.prlimit(${pid}, resource.RLIMIT_NOFILE, (3, 3)))`,
        `tried("priority", lambda: os.setpriority(os.PRIO_PROCESS, ${pid}, 19))`,
        `tried("affinity", lambda: os.sched_setaffinity(${pid}, {0}))`,
        'tried("own", lambda: (os.kill(os.getpid(), 0), os.sched_setaffinity(0, {0}), open("/proc/self/environ").read()))',
      ])
      const refused = ['kill', 'environ', 'root', 'limit', 'priority', 'affinity'].map((what) => `${what} refused\n`)
      assert.equal(stdout, `${refused.join('')}own done\n`)
    }),
  'all that it started ends with it, also what tried to get away': async () => {
    const started = Date.now()
    const { stdout, verdict } = await python([
      'import os, time',
      'for get_away in (lambda: None, os.setsid, lambda: os.setpgid(0, 0)):',
      '  if os.fork() == 0:',
      '    try: get_away()',
      '    except OSError: pass',
      '    if os.fork() == 0:',
      '      print(os.getpid(), flush=True); os.close(1); os.close(2); time.sleep(1000)',
      '    os._exit(0)',
      '  os.wait()',
      'time.sleep(0.3)',
    ])
    const pids = stdout.trim().split('\n').map(Number)
    assert.deepEqual([verdict, pids.length], ['ok', 3])
    await until('them to end', () => !pids.some(isAlive))
    assert.ok(Date.now() - started < 60_000)
  },
  'time that is over ends all of it': async () => {
    const { verdict, stdout } = await sh('sleep 1000 & echo $!; wait', { limits: { wallClockMs: 300 } })
    assert.equal(verdict, 'wall-time')
    await until('it to end', () => !isAlive(Number(stdout)))
    assert.equal((await sh('yes', { limits: { outputBytes: 1000 } })).verdict, 'output')
  },
  'limits of each process hold where they are accepted, and are refused by name elsewhere': async () => {
    const limits = { memory: '100MiB', pids: 20, cpuTimeMs: 1000, diskBytes: '1MiB' } as const
    for (const name of Object.keys(limits)) {
      const error = await errorOf(sh('true', { limits: { [name]: limits[name as 'pids'] } }))
      assert.match(error.message, new RegExp(`cannot enforce ${name} under Landlock`))
    }
    const accepting = { accept: ['landlock', 'memory', 'pids', 'cpuTimeMs', 'diskBytes'], limits } as const
    const { stdout } = await python(
      [
        'import os, time',
        'try: bytearray(200 << 20)',
        'except MemoryError: print("memory")',
        'count = 0',
        'try:',
        '  while count < 200:',
        '    if os.fork() == 0: time.sleep(1000)',
        '    count += 1',
        'except BlockingIOError: print(count <= 20)',
      ],
      accepting,
    )
    assert.equal(stdout, 'memory\nTrue\n')
    assert.equal((await sh('while :; do :; done', accepting)).verdict, 'cpu-time')
    assert.equal((await sh('head -c 2M /dev/zero >"$TMPDIR/f"', accepting)).verdict, 'disk')
  },
  'modes and times of files stay as they are, unless that is accepted': () =>
    inDirectory(async (directory) => {
      writeFileSync(join(directory, 'f'), '')
      const script = `chmod 777 ${directory}/f && touch -d 2001-01-01 ${directory}/f && echo changed`
      const mounts = [{ source: directory }]
      assert.equal((await sh(script, { mounts })).stdout, '')
      const { stdout, enforced, shortfalls } = await sh(script, { mounts, accept: ['landlock', 'attributes'] })
      assert.deepEqual([stdout, enforced.includes('attributes')], ['changed\n', false])
      assert.ok(shortfalls.some(({ feature }) => feature === 'attributes'))
    }),
  'a result says what was enforced, what was not, and what in its place': async () => {
    const { enforced, shortfalls } = await sh('true')
    for (const feature of ['landlock', 'seccomp', 'no-new-privileges', 'network', 'wallClockMs'] as const)
      assert.ok(enforced.includes(feature), feature)
    assert.deepEqual(
      shortfalls.map(({ feature }) => feature),
      ['namespaces', 'memory', 'swap', 'pids', 'cpuTimeMs', 'diskBytes'],
    )
    assert.match(shortfalls.find(({ feature }) => feature === 'pids')?.instead ?? '', /^RLIMIT_NPROC/)
    const error = await errorOf(sh('true', { requires: ['namespaces'] }))
    assert.match(error.message, /cannot enforce namespaces under Landlock/)
  },
  'what takes namespaces is refused by name': async () => {
    const error = await errorOf(sandbox({ root: 'host', accept }))
    assert.match(error.message, /cannot make a box under Landlock/)
    assert.match((await errorOf(sh('true', { user: 1 }))).message, /cannot serve the option user/)
    assert.match((await errorOf(sh('true', { root: { directory: '/' } }))).message, /cannot serve the option root/)
  },
  'it has an input, an environment, a directory and an end': async () => {
    const { stdout, exitCode } = await sh('cat; echo $A; pwd; exit 3', { stdin: 'in\n', env: { A: '1' }, cwd: '/usr' })
    assert.deepEqual([stdout, exitCode], ['in\n1\n/usr\n', 3])
    assert.equal((await errorOf(run(['no-such-program'], { root: 'host', cwd: '/', accept }))).code, 'ENOENT')
  },
  'a signal ends it when it runs': () =>
    inDirectory(async (directory) => {
      const controller = new AbortController()
      const ended = sh(`: >${directory}/up; sleep 1000`, {
        signal: controller.signal,
        mounts: [{ source: directory, writable: true }],
      })
      await until('it to run', () => existsSync(join(directory, 'up')))
      controller.abort()
      assert.equal((await ended).verdict, 'killed')
    }),
  'explain shows the rules in words': async () => {
    const text = await explain(['true'], { root: 'host', cwd: '/', accept })
    assert.match(text, /landlock_create_ruleset\(\{handled_access_fs=LANDLOCK_ACCESS_FS_EXECUTE\|/)
    assert.match(text, /LANDLOCK_RULE_PATH_BENEATH, \{allowed_access=LANDLOCK_ACCESS_FS_EXECUTE/)
    assert.match(text, /landlock_restrict_self\(ruleset\)/)
  },
}
