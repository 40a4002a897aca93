/** run(): what a command gets, and how its end is told. */

import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OperationError, type RunOptions, run } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const HOST = { root: 'host' } as const
const sh = (script: string, options: Partial<RunOptions> = {}) => run(['sh', '-c', script], { ...HOST, ...options })
const python = (script: string, options: Partial<RunOptions> = {}) =>
  run(['python3', '-c', script], { ...HOST, ...options })

const refused = async (promise: Promise<unknown>): Promise<OperationError> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return error
}

export const cases: Cases = {
  'a command that ends well is ok': async () => {
    const { verdict, exitCode, signal } = await run(['true'], HOST)
    assert.deepEqual({ verdict, exitCode, signal }, { verdict: 'ok', exitCode: 0, signal: undefined })
  },
  'what it prints comes back whole, and apart': async () => {
    const { stdout, stderr } = await sh('echo out; echo err >&2; head -c 300000 /dev/zero | tr "\\0" x')
    assert.equal(stdout, `out\n${'x'.repeat(300_000)}`)
    assert.equal(stderr, 'err\n')
  },
  'standard output can be opened by its path': async () => {
    const { stdout, stderr } = await sh('echo a >/dev/stdout; echo b >/dev/stderr')
    assert.deepEqual([stdout, stderr], ['a\n', 'b\n'])
  },
  'it reads what it was given, and its end': async () => {
    assert.equal((await run(['cat'], { ...HOST, stdin: 'häuser\n' })).stdout, 'häuser\n')
    assert.equal((await run(['wc', '-c'], { ...HOST, stdin: new Uint8Array(1_000_000) })).stdout.trim(), '1000000')
    assert.equal((await run(['cat'], HOST)).stdout, '')
  },
  'an exit status other than 0 is failed, and a signal killed': async () => {
    const failed = await sh('exit 7')
    assert.deepEqual([failed.verdict, failed.exitCode], ['failed', 7])
    const killed = await python('import ctypes; ctypes.string_at(0)')
    assert.deepEqual([killed.verdict, killed.exitCode, killed.signal], ['killed', undefined, 'SIGSEGV'])
  },
  'a program that is not there, and options that are wrong, reject': async () => {
    assert.match((await refused(run(['no-such-program'], HOST))).message, /find no-such-program/)
    assert.match((await refused(run([], HOST))).message, /command is empty/)
    assert.match((await refused(run(['a\0b'], HOST))).message, /NUL/)
    assert.match((await refused(sh('', { limits: { memory: 'much' } }))).message, /limits.memory is "much"/)
    assert.match((await refused(sh('', { limits: { pids: 0 } }))).message, /limits.pids is 0/)
    assert.match((await refused(run(['true'], { root: {} } as unknown as RunOptions))).message, /root is {}/)
  },
  'an option that coffer does not know or has not got is refused by name': async () => {
    const withOption = (more: object) => refused(run(['true'], { ...HOST, ...more } as RunOptions))
    const wrong = await withOption({ limit: { pids: 3 } })
    assert.match(wrong.message, /no option "limit"/)
    assert.match(wrong.hint ?? '', /"limits"/)
    const { kind, message } = await withOption({ fallback: 'landlock' })
    assert.equal(kind, 'unsupported')
    assert.match(message, /cannot serve the option fallback: /)
    assert.match((await withOption({ allow: ['example.com:443'] })).hint ?? '', /network: \{ allow/)
    assert.equal((await withOption({ network: 'some' })).kind, 'invalid')
  },
  'words that look like flags or shell are just words (S295)': async () => {
    const { stdout } = await run(['printf', '%s|', '--', '-n', '$(id)', 'a\nb', '`x`'], HOST)
    assert.equal(stdout, '--|-n|$(id)|a\nb|`x`|')
  },
  'it has no capability, no way to new privileges, and a filter (S285)': async () => {
    const { stdout } = await sh('grep -E "^(Cap|NoNew|Seccomp:)" /proc/self/status | tr -s "\\t" " "')
    const none = ['Inh', 'Prm', 'Eff', 'Bnd', 'Amb'].map((set) => `Cap${set}: 0000000000000000`)
    assert.equal(stdout, [...none, 'NoNewPrivs: 1', 'Seccomp: 2', ''].join('\n'))
  },
  'it sees only its own processes, loopback, host name and descriptors (S285)': async () => {
    const { stdout } = await sh('echo $$; ls /sys/class/net; hostname; echo /proc/[0-9]*; echo /proc/self/fd/*')
    assert.equal(stdout, '1\nlo\ncoffer\n/proc/1\n/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3\n')
  },
  'its environment is what it was given, and a path and a home (S285)': async () => {
    process.env.SECRET_OF_CALLER = 'x'
    const { stdout } = await run(['env'], { ...HOST, env: { A: '1', HOME: '/h' } })
    assert.deepEqual(stdout.trim().split('\n').sort(), [
      'A=1',
      'HOME=/h',
      stdout.split('\n').find((line) => line.startsWith('PATH=')),
    ])
  },
  'what it writes to the root of this machine is gone with it': async () => {
    const path = `/usr/coffer-library-${process.pid}`
    const { stdout, verdict } = await sh(`echo new >${path}; cat ${path}; rm -r /usr/bin 2>/dev/null; echo /usr/bin/*`)
    assert.deepEqual([stdout, verdict], ['new\n/usr/bin/*\n', 'ok'])
    assert.throws(() => readFileSync(path), /ENOENT/)
  },
  'secrets of users are not shown, unless they are granted': async () => {
    const home = process.env.HOME ?? '/root'
    const hidden = join(home, '.netrc')
    mkdirSync(home, { recursive: true })
    writeFileSync(hidden, 'machine example.com password x\n', { flag: 'wx' })
    try {
      assert.equal(
        (await sh(`cat ${hidden} 2>&1; ls -A ~/.ssh /etc/ssh 2>/dev/null; cat /etc/shadow 2>&1`)).stdout.includes(
          'password',
        ),
        false,
      )
      assert.match((await sh(`cat ${hidden}`, { grant: [hidden] })).stdout, /password x/)
      assert.match((await refused(sh('', { grant: [join(home, '.ssh', 'id')] }))).message, /a part of/)
    } finally {
      rmSync(hidden)
    }
  },
  'a directory can be its root, and mounts are read-only unless they are said to be writable': async () => {
    const directory = mkdtempSync(join(tmpdir(), 'coffer-library-'))
    try {
      writeFileSync(join(directory, 'in'), 'text\n')
      const script = 'cat /in; echo x >/in; echo y >/out/made; echo z >/out/sub 2>/dev/null; ls /'
      const mounts = ['bin', 'lib', 'lib64', 'usr'].map((name) => ({ source: `/${name}` }))
      mkdirSync(join(directory, 'shared'))
      const { stdout, stderr } = await run(['sh', '-c', script], {
        root: { directory },
        mounts: [
          ...mounts,
          { source: join(directory, 'in'), target: '/in' },
          { source: join(directory, 'shared'), target: '/out', writable: true },
        ],
      })
      assert.match(stdout, /^text\n/)
      assert.match(stderr, /Read-only file system/)
      assert.equal(readFileSync(join(directory, 'shared', 'made'), 'utf8'), 'y\n')
    } finally {
      rmSync(directory, { recursive: true })
    }
  },
  'a limit of what is written is refused where nobody counts it': async () => {
    const directory = tmpdir()
    const limits = { diskBytes: '1MiB' } as const
    assert.match((await refused(run(['true'], { root: { directory }, limits }))).message, /diskBytes is required/)
    assert.equal((await refused(run(['true'], { root: { directory }, requires: ['diskBytes'] }))).kind, 'invalid')
  },
  'a command runs as another user, elsewhere, and by another host name': async () => {
    const { stdout } = await sh('id -u; id -g; pwd; hostname', {
      user: { uid: 1234, gid: 567 },
      cwd: '/usr',
      hostname: 'judge',
    })
    assert.equal(stdout, '1234\n567\n/usr\njudge\n')
  },
  'network host has the interfaces of this machine': async () => {
    const interfaces = (text: string): string =>
      text
        .split('\n')
        .slice(2)
        .map((line) => line.split(':')[0]?.trim())
        .join()
    const { stdout } = await sh('cat /proc/net/dev', { network: 'host' })
    assert.equal(interfaces(stdout), interfaces(readFileSync('/proc/net/dev', 'utf8')))
  },
}
