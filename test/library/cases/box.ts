/** sandbox(): a box in which many commands run. */

import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { type Box, type BoxOptions, OperationError, sandbox } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'
import { cgroupsBelow } from '../left.ts'

/** Not `await using`: Node 22 does not parse it. */
async function inBox(body: (box: Box) => Promise<void>, options: Partial<BoxOptions> = {}): Promise<void> {
  const box = await sandbox({ root: 'host', cwd: '/', ...options })
  try {
    await body(box)
  } finally {
    await box.kill()
  }
}

const textOf = async (stream: AsyncIterable<Uint8Array>): Promise<string> => {
  let text = ''
  for await (const bytes of stream) text += Buffer.from(bytes).toString()
  return text
}

const codeOf = async (promise: Promise<unknown>): Promise<string | undefined> => {
  const error = await promise.then(
    () => assert.fail('it was not refused'),
    (reason: unknown) => reason,
  )
  assert.ok(error instanceof OperationError, String(error))
  return error.code ?? error.kind
}

export const cases: Cases = {
  'commands of a box share its files and its processes': () =>
    inBox(async (box) => {
      assert.equal((await box.exec(['sh', '-c', 'echo kept >/usr/f; sleep 1000 >/dev/null 2>&1 &'])).verdict, 'ok')
      const { stdout } = await box.exec(['sh', '-c', 'cat /usr/f; for p in /proc/[0-9]*; do cat $p/comm; done'])
      assert.deepEqual(stdout.split('\n').slice(0, 3), ['kept', 'coffer-init', 'sleep'])
    }),
  'a command of a box is confined as its first one is (S69)': () =>
    inBox(async (box) => {
      const { stdout } = await box.exec(['grep', '-E', '^(CapBnd|CapEff|NoNewPrivs|Seccomp):', '/proc/self/status'])
      const none = '0000000000000000'
      assert.deepEqual(stdout.replaceAll('\t', ' ').trim().split('\n'), [
        `CapEff: ${none}`,
        `CapBnd: ${none}`,
        'NoNewPrivs: 1',
        'Seccomp: 2',
      ])
      assert.equal((await box.exec(['readlink', '/proc/1/exe'])).exitCode, 1)
    }),
  'a command has its own input, environment, directory, user and end': () =>
    inBox(
      async (box) => {
        const script = 'cat; echo $A$B; pwd; id -u; exit 5'
        const { stdout, exitCode, verdict } = await box.exec(['sh', '-c', script], {
          stdin: 'in\n',
          env: { B: '2' },
          cwd: '/usr',
          user: 77,
        })
        assert.deepEqual([stdout, exitCode, verdict], ['in\n12\n/usr\n77\n', 5, 'failed'])
      },
      { env: { A: '1' } },
    ),
  'limits of a command end it and not the box': () =>
    inBox(
      async (box) => {
        const endless = ['sh', '-c', 'while :; do :; done']
        assert.equal((await box.exec(endless, { limits: { wallClockMs: 200 } })).verdict, 'wall-time')
        assert.equal((await box.exec(endless, { limits: { cpuTimeMs: 200 } })).verdict, 'cpu-time')
        assert.equal((await box.exec(['yes'], { limits: { outputBytes: 1000 } })).verdict, 'output')
        const bomb = 'x = []\nwhile True: x.append(bytearray(1 << 20))'
        const { verdict, outOfMemory, usage } = await box.exec(['python3', '-c', bomb])
        assert.deepEqual([verdict, outOfMemory?.process?.name], ['memory', 'python3'])
        const { peakBytes = 0, limitBytes } = outOfMemory ?? {}
        assert.ok(peakBytes > 60 << 20 && peakBytes <= 64 << 20, `${peakBytes}`)
        assert.deepEqual([limitBytes, usage.peakMemoryBytes], [64 << 20, peakBytes])
        const fill = await box.exec([
          'sh',
          '-c',
          'for i in 1 2 3; do head -c 1000000 /dev/zero >/usr/f$i || exit 1; done',
        ])
        assert.deepEqual([fill.verdict, (await box.exec(['true'])).verdict], ['disk', 'ok'])
        await box.exec(['sh', '-c', 'rm /usr/f?'])
        assert.equal((await box.exec(['false'])).verdict, 'failed')
        assert.equal((await box.exec(['true'])).verdict, 'ok')
      },
      { limits: { memory: '64MiB', diskBytes: '2MiB' } },
    ),
  'all that is written is there: of a short command, of one that waits for its reader, and of who outlives it': () =>
    inBox(async (box) => {
      const script = (then: string): readonly string[] => ['sh', '-c', `echo err >&2; ${then}`]
      for (const [then, length] of [
        ['true', 0],
        ['head -c 200000 /dev/zero', 200_000],
        ['head -c 5000000 /dev/zero', 5_000_000],
        ['sleep 0.05; head -c 300000 /dev/zero', 300_000],
        ['(sleep 0.05; head -c 7 /dev/zero) &', 7],
        ['(sleep 0.05; head -c 300000 /dev/zero) & head -c 65536 /dev/zero', 365_536],
      ] as const) {
        const { stdoutBytes, stderr, verdict } = await box.exec(script(then))
        assert.deepEqual([stdoutBytes.length, stderr, verdict], [length, 'err\n', 'ok'], then)
      }
    }),
  'the time of a command is that of its program': () =>
    inBox(async (box) => {
      const { usage } = await box.exec(['sleep', '0.1'])
      assert.ok(usage.wallMs >= 100, `${usage.wallMs}`)
      const begin = performance.now()
      const short = await box.exec(['true'])
      assert.ok(short.usage.wallMs > 0 && short.usage.wallMs < performance.now() - begin, `${short.usage.wallMs}`)
    }),
  'many commands run at once in one box': () =>
    inBox(async (box) => {
      const results = await Promise.all(Array.from({ length: 20 }, (_, index) => box.exec(['echo', `${index}`])))
      assert.deepEqual(
        results.map(({ stdout }) => Number(stdout)),
        [...results.keys()],
      )
    }),
  'a command that was not found is an error, and the box goes on': () =>
    inBox(async (box) => {
      assert.equal(await codeOf(box.exec(['no-such-program'])), 'ENOENT')
      assert.equal((await box.exec(['true'])).verdict, 'ok')
    }),
  'a spawned command has streams, which end': () =>
    inBox(async (box) => {
      const child = await box.spawn(['sh', '-c', 'cat; echo err >&2; exit 3'])
      child.stdin.write('one\n')
      child.stdin.end('two\n')
      const [stdout, stderr, exit] = await Promise.all([textOf(child.stdout), textOf(child.stderr), child.exited])
      assert.deepEqual([stdout, stderr, exit], ['one\ntwo\n', 'err\n', { exitCode: 3, signal: undefined }])
    }),
  'a stream that is not read lets the command wait': () =>
    inBox(async (box) => {
      const script = 'i=0; while [ $i -lt 3000 ]; do printf "%1000s" x; i=$((i+1)); echo $i >/usr/count; done'
      const child = await box.spawn(['sh', '-c', script])
      child.stderr.resume()
      const seen = async (): Promise<number> => Number((await box.exec(['cat', '/usr/count'])).stdout)
      let before = -1
      for (let now = await seen(); now !== before; now = await seen()) before = now
      assert.ok(before < 1000, `${before}`)
      assert.equal((await textOf(child.stdout)).length, 3_000_000)
      assert.equal((await child.exited).exitCode, 0)
    }),
  'a spawned command gets signals by name': () =>
    inBox(async (box) => {
      const child = await box.spawn(['sh', '-c', 'trap "echo got; exit 9" USR1; echo up; while :; do sleep 0.05; done'])
      child.stderr.resume()
      const heard = new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
      await heard
      await child.kill('SIGUSR1')
      child.stdout.resume()
      assert.deepEqual(await child.exited, { exitCode: 9, signal: undefined })
      await child.kill('SIGTERM')
      await assert.rejects(child.kill('SIGNOTHING'), /SIGNOTHING/)
    }),
  'files go in and out': () =>
    inBox(async (box) => {
      const large = new Uint8Array(20_000_000).map((_, index) => index % 251)
      await box.files.makeDirectory('/usr/d')
      await box.files.write('/usr/d/large', large)
      assert.equal(Buffer.compare(await box.files.read('/usr/d/large'), large), 0)
      await box.files.write('/usr/d/large', 'short')
      assert.equal(await box.files.readText('/usr/d/large'), 'short')
      assert.equal((await box.exec(['stat', '-c', '%a %u %s', '/usr/d/large'])).stdout, '644 0 5\n')
      await box.exec(['sh', '-c', 'cd /usr/d; mkdir sub; ln -s /etc link; mkfifo fifo'])
      const list = await box.files.list('/usr/d')
      assert.deepEqual(list.map(({ name, kind }) => `${name} ${kind}`).sort(), [
        'fifo fifo',
        'large file',
        'link symlink',
        'sub directory',
      ])
    }),
  'paths of a box do not lead out of it (S17)': () =>
    inBox(async (box) => {
      await box.exec([
        'sh',
        '-c',
        'ln -s /../../../../etc/hostname /usr/up; ln -s /proc/1/root/etc /usr/magic; ln -s /proc/1/fd/0 /usr/fd; mkfifo /usr/fifo',
      ])
      await box.exec(['sh', '-c', 'echo inside >/etc/hostname'])
      assert.equal(await box.files.readText('/usr/up'), 'inside\n')
      assert.equal(await codeOf(box.files.read('/usr/fd')), 'ELOOP')
      assert.equal(await codeOf(box.files.read('/usr/magic/hostname')), 'ELOOP')
      assert.equal(await codeOf(box.files.read('/usr/fifo')), 'EINVAL')
      assert.equal(await codeOf(box.files.write('/usr/fifo', 'x')), 'ENXIO')
      assert.equal(await codeOf(box.files.read('/usr')), 'EINVAL')
      assert.equal(await codeOf(box.files.read('relative')), 'invalid')
      assert.equal(await codeOf(box.files.read('/usr/up', { maxBytes: 3 })), 'invalid')
    }),
  'a paused box stands still, and goes on': () =>
    inBox(async (box) => {
      const child = await box.spawn(['sh', '-c', 'while :; do echo x; sleep 0.01; done'])
      child.stderr.resume()
      let count = 0
      child.stdout.on('data', () => count++)
      await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
      await box.pause()
      // What it had printed may still be on its way.
      let before = -1
      for (let look = 0; look < 25 && before !== count; look++) {
        before = count
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      assert.equal(count, before)
      await box.resume()
      await new Promise<void>((resolve) => child.stdout.once('data', () => resolve()))
      await child.kill()
      assert.equal((await child.exited).signal, 'SIGKILL')
    }),
  'a paused box can be killed': () =>
    inBox(async (box) => {
      await box.spawn(['sleep', '1000'])
      await box.pause()
      await box.kill()
    }),
  'limits change while it lives, and stats tell': () =>
    inBox(async (box) => {
      await box.update({ memory: '200MiB', pids: 30 })
      const { memory, pids } = box.stats()
      assert.deepEqual([memory.memory.limitBytes, pids.limit, pids.current], [200 << 20, 30, 1])
      await assert.rejects(box.update({ memory: 'x' }), /limits.memory/)
    }),
  'a signal ends a box, and one that is aborted makes none': async () => {
    const controller = new AbortController()
    const { signal } = controller
    const box = await sandbox({ root: 'host', cwd: '/', signal })
    const ended = new Promise<boolean>((resolve) => box.on('exit', ({ wasKilled }) => resolve(wasKilled)))
    controller.abort()
    assert.equal(await ended, true)
    await box.kill()
    await assert.rejects(sandbox({ root: 'host', signal }), { name: 'AbortError' })
    for (const delay of [0, 1, 3, 10]) {
      const late = new AbortController()
      const making = sandbox({ root: 'host', cwd: '/', signal: late.signal })
      setTimeout(() => late.abort(), delay)
      // Before it is up it rejects, behind that the box has ended.
      const outcome = await making.then(
        async (made): Promise<string | undefined> => {
          await new Promise<void>((resolve) => late.signal.addEventListener('abort', () => resolve()))
          const code = await codeOf(made.exec(['true']))
          await made.kill()
          return code
        },
        (error: Error) => error.name,
      )
      assert.ok(['AbortError', 'conflict'].includes(`${outcome}`), `${outcome}`)
    }
    assert.deepEqual(cgroupsBelow(`coffer-lib-${process.pid}-`), [])
  },
  'an option that is not known is refused by name': () =>
    inBox(async (box) => {
      await assert.rejects(box.exec(['true'], { limit: {} } as object), /no option "limit"/)
      await assert.rejects(box.spawn(['true'], { stdin: '' } as object), /no option "stdin"/)
      await assert.rejects(sandbox({ root: 'host', stdin: '' } as BoxOptions), /no option "stdin"/)
    }),
  'a box that has ended refuses work, and tells of its end once': async () => {
    const box = await sandbox({ root: 'host', cwd: '/' })
    const seen: boolean[] = []
    box.on('exit', ({ wasKilled }) => seen.push(wasKilled))
    for (const event of ['denied', 'exits'] as unknown as readonly 'exit'[])
      assert.throws(() => box.on(event, () => undefined), /cannot hear what a box is denied: |no event "exits"/)
    const child = await box.spawn(['sleep', '1000'])
    const late = box.exec(['sleep', '1000']).then(
      ({ verdict }) => verdict,
      (error: OperationError) => error.kind,
    )
    await box.kill()
    await box.kill()
    assert.deepEqual([(await child.exited).signal, seen], ['SIGKILL', [true]])
    // Under way it was killed, and before that there was no box to run it in.
    assert.ok(['killed', 'conflict'].includes(await late))
    assert.equal(await codeOf(box.exec(['true'])), 'conflict')
    assert.equal(await codeOf(box.files.read('/etc/passwd')), 'conflict')
    const left = readdirSync('/sys/fs/cgroup/pids').filter((name) => name === `coffer-${box.id}`)
    assert.deepEqual([left, existsSync(`/sys/fs/cgroup/freezer/coffer-${box.id}`)], [[], false])
  },
}
