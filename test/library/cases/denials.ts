/** denials: what a container was denied is told, by a process that nobody inside reaches, and nothing passes that did not pass before. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { type Denial, OperationError, type RunOptions, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const HOST = { root: 'host', cwd: '/' } as const

const sh = (script: string, options: Partial<RunOptions> = {}) =>
  run(['sh', '-c', script], { ...HOST, denials: true, ...options })
const python = (...lines: readonly string[]) => run(['python3', '-c', lines.join('\n')], { ...HOST, denials: true })
const short = ({ what, name, errno, process }: Denial): string => `${what} ${name} ${errno} ${process?.command}`

/** The supervisors of this program: processes below it by that name. */
function supervisors(): readonly number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  const field = (pid: string, name: string): string => {
    try {
      return readFileSync(`/proc/${pid}/${name}`, 'latin1')
    } catch {
      // It has ended.
      return ''
    }
  }
  const parentOf = (pid: string): string => /^.*\) \S (\d+)/s.exec(field(pid, 'stat'))?.[1] ?? ''
  const isOwn = (pid: string): boolean => pid === `${process.pid}` || (Number(pid) > 1 && isOwn(parentOf(pid)))
  return pids
    .filter((pid) => field(pid, 'cmdline').startsWith('coffer-denials\0') && isOwn(pid))
    .map(Number)
    .toSorted((a, b) => a - b)
}

async function until(what: string, holds: () => boolean): Promise<void> {
  const end = Date.now() + 10_000
  while (!holds()) {
    assert.ok(Date.now() < end, `waited in vain: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

export const cases: Cases = {
  'a call that the filter refuses is refused as before, and told with its process': async () => {
    const before = Date.now()
    const { stdout, denials, denialsLost } = await python(
      'import ctypes',
      'libc = ctypes.CDLL(None, use_errno=True)',
      'for call, argument in (libc.chroot, b"/"), (libc.unshare, 0x10000000), (libc.setns, 0):',
      '  call(argument); print(ctypes.get_errno())',
    )
    assert.equal(stdout, '1\n1\n1\n')
    const calls = denials.filter(({ what }) => what === 'system call')
    assert.deepEqual(
      calls.map(short),
      ['chroot', 'unshare', 'setns'].map((name) => `system call ${name} EPERM python3`),
    )
    assert.equal(denialsLost, 0)
    assert.ok(calls.every(({ time }) => time.getTime() >= before - 1 && time.getTime() <= Date.now()))
  },
  'a file that is denied is told by its path in the container, and one that is missing is not': async () => {
    const { denials } = await sh(
      'echo 1 >/usr/old; echo 1 >/sys/x; mkdir /sys/y; cd /sys; rm -f z; ln -s a kernel/link; mv /usr/old w; cat /nonexistent; /etc/passwd',
    )
    // mv(1) tries more than one call.
    const told = new Set(denials.map(({ what, name, errno }) => `${what} ${name} ${errno}`))
    assert.deepEqual([...told].toSorted(), [
      'file /etc/passwd EACCES',
      'file /sys/kernel/link EROFS',
      'file /sys/w EROFS',
      'file /sys/x EROFS',
      'file /sys/y EROFS',
      'file /sys/z EROFS',
    ])
  },
  'what passes is not told, even if it would not pass a second time': async () => {
    const { stdout, denials } = await python(
      'import os',
      'os.close(os.open("/usr/new", os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o000))',
      'os.mkdir("/usr/d"); os.rename("/usr/new", "/usr/d/new"); os.unlink("/usr/d/new"); os.rmdir("/usr/d")',
      'print(open("/etc/hostname").read() != "")',
    )
    assert.deepEqual([stdout, denials], ['True\n', []])
  },
  'a path that is changed under the look leads nowhere else than the kernel goes': async () => {
    const { stdout } = await python(
      'import ctypes, threading',
      'libc = ctypes.CDLL(None, use_errno=True)',
      'paths = [b"/usr/flip\\0", b"/sys/flip\\0"]',
      'path = ctypes.create_string_buffer(16)',
      'go = True',
      'def flip():',
      '  while go:',
      '    for one in paths: ctypes.memmove(path, one, len(one))',
      'thread = threading.Thread(target=flip); thread.start()',
      'for i in range(2000): libc.open(path, 0o101, 0o600), libc.chroot(path) == 0 and print("changed the root")',
      'go = False; thread.join()',
      'import os; print(os.path.exists("/sys/flip"))',
    )
    assert.equal(stdout, 'False\n')
  },
  'more than anybody wants to read is counted, and no more than counted': async () => {
    const { stdout, denials, denialsLost } = await python(
      'import os',
      'count = 0',
      'for i in range(20000):',
      '  try: os.chroot("/")',
      '  except PermissionError: count += 1',
      'print(count)',
    )
    assert.deepEqual([stdout, denials.length, denials.length + denialsLost], ['20000\n', 1000, 20_000])
  },
  'signals do not keep a call from its answer': async () => {
    const { stdout } = await python(
      'import os, signal',
      'seen = 0',
      'def on(*_):',
      '  global seen; seen += 1',
      'signal.signal(signal.SIGALRM, on)',
      'signal.setitimer(signal.ITIMER_REAL, 0.0002, 0.0002)',
      'for i in range(3000): os.close(os.open("/etc/hostname", os.O_RDONLY))',
      'signal.setitimer(signal.ITIMER_REAL, 0)',
      'print(seen > 10)',
    )
    assert.equal(stdout, 'True\n')
  },
  'nobody inside sees the supervisor, or ends it': async () => {
    const script = 'echo /proc/[0-9]*; (kill -9 -1); chroot / true'
    const { stdout, stderr, denials } = await sh(`sh -c '${script}'; chroot / true`)
    assert.equal(stdout, '/proc/1 /proc/2\n')
    assert.match(stderr, /Operation not permitted/)
    assert.equal(denials.at(-1)?.name, 'chroot')
  },
  'a box tells its denials as they happen, those of what a command left behind as well': async () => {
    const box = await sandbox({ ...HOST, denials: true })
    const told: string[] = []
    let isOver = false
    box.on('denied', (denial) => told.push(short(denial)))
    box.on('exit', () => {
      isOver = true
    })
    try {
      const { verdict, denials } = await box.exec(['sh', '-c', '(sleep 0.2; chroot / true) >/dev/null 2>&1 &'])
      assert.deepEqual([verdict, denials], ['ok', []])
      await until('a denial of the background', () => told.includes('system call chroot EPERM chroot'))
      assert.equal(isOver, false)
    } finally {
      await box.kill()
    }
    assert.equal(isOver, true)
    await until('its supervisor to end', () => supervisors().length === 0)
  },
  'a box that is made anew goes on telling': async () => {
    const box = await sandbox({ ...HOST, denials: true })
    const told: string[] = []
    box.on('denied', (denial) => told.push(short(denial)))
    try {
      await box.discard()
      await box.exec(['chroot', '/', 'true'])
      await until('a denial', () => told.length > 0)
    } finally {
      await box.kill()
    }
  },
  'a box without the option says so, and one that nobody listens to goes on': async () => {
    const deaf = await sandbox(HOST)
    try {
      assert.throws(
        () => deaf.on('denied', () => undefined),
        (error: unknown) => error instanceof OperationError && error.hint === 'make the box with denials: true',
      )
    } finally {
      await deaf.kill()
    }
    const { denials, stderr } = await run(['chroot', '/', 'true'], HOST)
    assert.deepEqual(denials, [])
    assert.match(stderr, /Operation not permitted/)
  },
  'without its supervisor a container is refused these calls, and none of them passes (S297)': async () => {
    const box = await sandbox({ ...HOST, denials: true })
    try {
      const child = await box.spawn([
        'python3',
        '-c',
        'import ctypes; libc = ctypes.CDLL(None, use_errno=True); print("up", flush=True); input()\n' +
          'print(libc.chroot(b"/"), ctypes.get_errno(), libc.open(b"/etc/hostname", 0), ctypes.get_errno(), flush=True)',
      ])
      child.stderr.resume()
      let printed = ''
      child.stdout.on('data', (bytes: Buffer) => {
        printed += bytes.toString()
      })
      await until('the program', () => printed.includes('up'))
      const [first] = supervisors()
      assert.ok(first !== undefined)
      process.kill(first, 'SIGKILL')
      await until('the supervisor to be gone', () => !supervisors().includes(first))
      child.stdin.end('go\n')
      await child.exited
      await until('the output', () => printed.split('\n').length > 2)
      assert.equal(printed, 'up\n-1 38 -1 38\n')
    } finally {
      await box.kill()
    }
  },
  'nothing is left of supervisors': async () => {
    for (let round = 0; round < 5; round++) await sh('chroot / true; sleep 100 &')
    await until('all of them to end', () => supervisors().length === 0)
  },
}
