/** What is tried by a program that wants out of its box: through paths, links, sockets, and what the caller applies. */

import assert from 'node:assert/strict'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { OperationError, run, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const PLACE = process.env.COFFER_TEST_PLACE ?? '/var/tmp'

async function withDirectory(body: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(PLACE, 'coffer-escapes-'))
  try {
    await body(directory)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const SYSTEM = ['/bin', '/usr', '/lib', '/lib64'].filter(existsSync).map((source) => ({ source }))

/** A line for each way that led to the secret. */
const WAYS = (file: string, directory: string): string => `
try() { if out=$("$@" 2>/dev/null) && [ "\${out#*secret-word}" != "$out" ]; then echo "found by: $*"; fi; }
cd ${directory}
try cat ${file}
try cat ./../..${file}
try cat ${directory}/./${file.slice(directory.length + 1)}
try cat /proc/self/root${file}
try cat /proc/1/root${file}
try cat /proc/thread-self/root${file}
try cat /proc/self/cwd/${file.slice(directory.length + 1)}
ln -s ${file} /tmp/link 2>/dev/null; try cat /tmp/link
ln -s ${directory} /tmp/dir 2>/dev/null; try cat /tmp/dir/${file.slice(directory.length + 1)}
ln ${file} /tmp/hard 2>/dev/null; try cat /tmp/hard
cp -a ${file} /tmp/copy 2>/dev/null; try cat /tmp/copy
mv ${file} /usr/moved 2>/dev/null; try cat /usr/moved; mv /usr/moved ${file} 2>/dev/null
mkdir /tmp/bound 2>/dev/null; mount --bind ${directory} /tmp/bound 2>/dev/null; try cat /tmp/bound/${file.slice(directory.length + 1)}
exec 9<${directory}; try cat /dev/fd/9/${file.slice(directory.length + 1)}; try cat /proc/self/fd/9/${file.slice(directory.length + 1)}
umount -l ${file} 2>/dev/null; try cat ${file}
rm -rf ${file} 2>/dev/null; try cat ${file}
unshare -Ur cat ${file} 2>/dev/null | grep -o secret-word
true`

/** Leaves a process behind that has no output, but a way to what the output of its command was: it reads and writes there as long as it can. */
const EAVESDROPPER = `
import os, time
way = os.open('/proc/self/fd/1', os.O_PATH)
def attempt(flags, work):
    try: fd = os.open('/proc/self/fd/%d' % way, flags | os.O_NONBLOCK)
    except OSError: return
    try: work(fd)
    except OSError: pass
    os.close(fd)
def hear(fd):
    heard = os.read(fd, 4096)
    if heard: os.write(os.open('/tmp/heard', os.O_CREAT | os.O_APPEND | os.O_WRONLY), heard)
if os.fork():
    while not os.path.exists('/tmp/heard'):
        os.write(1, b'own\\n')
        time.sleep(0.002)
else:
    null = os.open('/dev/null', os.O_RDWR)
    for fd in 1, 2: os.dup2(null, fd)
    while True:
        attempt(os.O_RDONLY, hear)
        if os.path.exists('/tmp/heard'): attempt(os.O_WRONLY, lambda fd: os.write(fd, b'forged\\n'))
`

const refusalOf = async (promise: Promise<unknown>): Promise<string> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return `${error.kind}: ${error.message}`
}

export const cases: Cases = {
  'a process that is left behind neither hears nor forges what later commands print (S13)': async () => {
    const [one, other] = await Promise.all([sandbox({ root: 'host', cwd: '/' }), sandbox({ root: 'host', cwd: '/' })])
    try {
      assert.equal((await one.exec(['python3', '-c', EAVESDROPPER])).exitCode, 0)
      for (let count = 0; count < 20; count++) {
        const { stdout } = await other.exec(['sh', '-c', 'echo word; sleep 0.01; echo last'])
        assert.equal(stdout, 'word\nlast\n')
      }
      const { stdout } = await one.exec(['sort', '-u', '/tmp/heard'])
      assert.match(stdout, /^own$/m)
      assert.doesNotMatch(stdout, /word|last/)
    } finally {
      await Promise.all([one.kill(), other.kill()])
    }
  },
  'no spelling of a path and no link leads to a secret of this machine (S287)': async () => {
    const home = process.env.HOME ?? '/root'
    const file = join(home, '.netrc')
    mkdirSync(home, { recursive: true })
    writeFileSync(file, 'secret-word\n', { flag: 'wx' })
    try {
      const script = WAYS(file, home)
      const { stdout, verdict } = await run(['sh', '-c', script], { root: 'host', cwd: '/' })
      assert.deepEqual([stdout, verdict], ['', 'ok'])
      // Granted it is found by nearly all of them.
      const granted = await run(['sh', '-c', script], { root: 'host', cwd: '/', grant: [file] })
      assert.ok(granted.stdout.trim().split('\n').length > 8, granted.stdout)
    } finally {
      rmSync(file)
    }
  },
  'links in a directory that is shared lead nowhere outside of the box, and it stays as it was shared (S286)': () =>
    withDirectory(async (directory) => {
      const [shared, outside, root] = ['shared', 'outside', 'root'].map((name) => join(directory, name))
      for (const path of [shared, outside, root]) mkdirSync(path ?? '')
      writeFileSync(join(outside ?? '', 'canary'), 'untouched')
      symlinkSync(outside ?? '', join(shared ?? '', 'out'))
      symlinkSync('../outside', join(shared ?? '', 'up'))
      symlinkSync('/proc/self/root', join(shared ?? '', 'magic'))
      const options = {
        root: { directory: root ?? '' },
        mounts: [
          ...SYSTEM,
          { source: shared ?? '', target: '/rw', writable: true },
          { source: shared ?? '', target: '/ro' },
        ],
      }
      const script = `
        for d in out up magic${outside}; do echo changed >/rw/$d/canary; echo changed >/rw/$d/new; cat /rw/$d/canary; done 2>/dev/null
        mount -o remount,bind,rw /ro 2>/dev/null; echo x >/ro/made 2>/dev/null; echo y >/rw/made; cat /ro/made`
      const { stdout } = await run(['sh', '-c', script], options)
      assert.equal(stdout, 'y\n')
      assert.deepEqual(
        [readdirSync(outside ?? ''), readFileSync(join(outside ?? '', 'canary'), 'utf8')],
        [['canary'], 'untouched'],
      )
      assert.equal(readFileSync(join(shared ?? '', 'made'), 'utf8'), 'y\n')
    }),
  'what programs of this machine would run by themselves is not applied unless it is asked for (S288)': () =>
    withDirectory(async (directory) => {
      mkdirSync(join(directory, '.git', 'hooks'), { recursive: true })
      writeFileSync(join(directory, '.git', 'config'), '[core]\n')
      const PLANTS: Readonly<Record<string, string>> = {
        'a new hook': 'echo evil >.git/hooks/pre-commit; chmod +x .git/hooks/pre-commit',
        'a hook that is moved there': 'echo evil >x; mv x .git/hooks/post-checkout',
        'a hook through a link': 'ln -s .git/hooks l; echo evil >l/pre-push; rm l',
        'a hard link': 'echo evil >src; ln src .git/hooks/pre-commit',
        'a link in the place of the directory': 'mkdir evil; rm -r .git/hooks; ln -s ../evil .git/hooks',
        'another directory in the place of all':
          'cp -r .git other; echo evil >other/hooks/pre-commit; rm -r .git; mv other .git',
        'a file in the place of all': 'rm -r .git; echo gitdir: /tmp/evil >.git',
        'its configuration': 'printf "[core]\\nfsmonitor = evil\\n" >>.git/config',
        'a start of a shell': 'echo evil >.bashrc',
        'a task of an editor': 'mkdir .vscode; echo "{}" >.vscode/tasks.json',
      }
      for (const [name, script] of Object.entries(PLANTS)) {
        const box = await sandbox({ root: 'host', cwd: '/' })
        try {
          const { exitCode, stderr } = await box.exec(
            ['sh', '-c', `echo fine >${name.replaceAll(' ', '-')}; ${script}`],
            {
              cwd: directory,
            },
          )
          assert.deepEqual([name, exitCode, stderr], [name, 0, ''])
          assert.match(`${name} ${await refusalOf(box.apply())}`, /denied: .*run what is in .* by themselves/)
          assert.deepEqual(readdirSync(directory), ['.git'])
        } finally {
          await box.kill()
        }
      }
      const box = await sandbox({ root: 'host', cwd: '/' })
      await box.exec(['sh', '-c', 'echo fine >source; echo mine >.git/hooks/pre-commit; echo x >.git/index'], {
        cwd: directory,
      })
      await box.apply(({ path }) => !path.includes('/hooks/'))
      assert.deepEqual(readdirSync(join(directory, '.git')).sort(), ['config', 'hooks', 'index'])
      await box.apply(undefined, { controlFiles: true })
      assert.equal(readFileSync(join(directory, '.git', 'hooks', 'pre-commit'), 'utf8'), 'mine\n')
      await box.kill()
    }),
  'no socket of this machine answers, by path, by abstract name or by descriptor (S290)': () =>
    withDirectory(async (directory) => {
      const heard: string[] = []
      const names = [join(directory, 'a.sock'), `/tmp/coffer-${process.pid}.sock`, `/run/coffer-${process.pid}.sock`]
      const servers = [...names, `\0coffer-${process.pid}`].map((name) =>
        createServer((socket) => {
          heard.push(name)
          // Whoever asked has gone by then.
          socket.on('error', () => undefined)
          socket.end('hello')
        }).listen(name),
      )
      const script = `
import socket, sys
for name in sys.argv[1:]:
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(name.replace('@', '\\0'))
        print('answered', name)
    except OSError as error:
        pass
`
      const ways = names.flatMap((name) => [name, `/proc/self/root${name}`, `/proc/1/root${name}`])
      try {
        const command = ['python3', '-c', script, `@coffer-${process.pid}`, ...ways]
        const { stdout, verdict } = await run(command, { root: 'host', cwd: '/' })
        assert.deepEqual([stdout, verdict, heard], ['', 'ok', []])
        // In the network of this machine the abstract one is there, and a directory that is shared has its sockets.
        const mounts = [{ source: directory, target: '/mnt' }]
        const shared = await run(['python3', '-c', script, `@coffer-${process.pid}`, '/mnt/a.sock'], {
          root: 'host',
          cwd: '/',
          network: 'host',
          mounts,
        })
        assert.equal(shared.stdout.trim().split('\n').length, 2, shared.stdout)
      } finally {
        for (const server of servers) server.close()
      }
    }),
  'a storm of processes, some stopped, some traced, is over with its time (S291)': async () => {
    const script = `
import os, signal, ctypes
libc = ctypes.CDLL(None)
for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(sig, signal.SIG_IGN)
while True:
    try: pid = os.fork()
    except OSError: continue
    if pid == 0:
        os.setsid()
        libc.ptrace(0, 0, 0, 0)
        os.kill(os.getpid(), signal.SIGSTOP) if os.getpid() % 2 else None
`
    const limits = { wallClockMs: 500, pids: 100 }
    const begin = Date.now()
    const result = await run(['python3', '-c', script], { root: 'host', cwd: '/', limits })
    assert.ok(['wall-time', 'pids'].includes(result.verdict), result.verdict)
    const left = Date.now() - begin - result.usage.wallMs
    assert.ok(left < 60_000, `${left}`)
    assert.equal(result.signal, 'SIGKILL')
  },
}
