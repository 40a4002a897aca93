/** box.spawn with a terminal. */

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { type Box, OperationError, sandbox, type TerminalProcess } from '../../../src/index.ts'
import type { Cases } from '../cases.ts'

const PTY = { columns: 80, rows: 24 } as const

async function inBox(body: (box: Box) => Promise<void>): Promise<void> {
  const box = await sandbox({ root: 'host', cwd: '/' })
  try {
    await body(box)
  } finally {
    await box.kill()
  }
}

interface Screen {
  readonly text: () => string
  /** Resolves once that was printed. */
  readonly shows: (wanted: string | RegExp) => Promise<void>
  readonly ended: Promise<void>
}

function screenOf(stdout: Readable): Screen {
  let text = ''
  const listeners = new Set<() => void>()
  stdout.on('data', (bytes: Uint8Array) => {
    text += Buffer.from(bytes).toString()
    for (const listener of listeners) listener()
  })
  const ended = new Promise<void>((resolve) => stdout.on('end', resolve))
  return {
    text: () => text,
    ended,
    shows: (wanted) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (typeof wanted === 'string' ? text.includes(wanted) : wanted.test(text)) resolve()
        }
        listeners.add(look)
        look()
        void ended.then(() => reject(new Error(`it ended, and showed ${JSON.stringify(text)}`)))
      }),
  }
}

/** How many monitors this program has. */
const monitors = (): number =>
  readdirSync('/proc').filter((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8').startsWith(`coffer-monitor\0lib-${process.pid}-`)
    } catch {
      return false
    }
  }).length

const run = async (box: Box, script: string): Promise<[string, TerminalProcess]> => {
  const child = await box.spawn(['sh', '-c', script], { pty: PTY })
  const screen = screenOf(child.stdout)
  await Promise.all([child.exited, screen.ended])
  return [screen.text(), child]
}

export const cases: Cases = {
  'a command has a terminal of the size that was asked for, and one stream': () =>
    inBox(async (box) => {
      const script = 'tty; stty size; echo err >&2; echo $TERM; [ -t 0 ] && [ -t 1 ] && [ -t 2 ] && echo all; exit 7'
      const [text, child] = await run(box, script)
      assert.equal(text, '/dev/pts/0\r\n24 80\r\nerr\r\nxterm\r\nall\r\n')
      assert.deepEqual(await child.exited, { exitCode: 7, signal: undefined })
      assert.equal('stderr' in child, false)
      assert.equal(monitors(), 0)
    }),
  'what is typed arrives, and is echoed': () =>
    inBox(async (box) => {
      const child = await box.spawn(['sh', '-c', 'read name; echo "hello $name"'], { pty: PTY })
      const screen = screenOf(child.stdout)
      child.stdin.write('world\n')
      assert.deepEqual(await child.exited, { exitCode: 0, signal: undefined })
      await screen.ended
      assert.equal(screen.text(), 'world\r\nhello world\r\n')
    }),
  'Ctrl-C interrupts what is in the foreground, and not the shell behind it': () =>
    inBox(async (box) => {
      const child = await box.spawn(['bash', '--norc', '-i'], { pty: PTY, env: { PS1: '> ' } })
      const screen = screenOf(child.stdout)
      await screen.shows('> ')
      child.stdin.write('sh -c "echo be""gun; exec sleep 1000"\n')
      await screen.shows('begun')
      child.stdin.write('\x03')
      await screen.shows(/\^C/)
      child.stdin.write('echo status $?\n')
      await screen.shows('status 130')
      child.stdin.end('exit 4\n')
      assert.deepEqual(await child.exited, { exitCode: 4, signal: undefined })
    }),
  'a program hears of another size': () =>
    inBox(async (box) => {
      const script = 'trap "stty size; exit" WINCH; echo up; while :; do sleep 0.02; done'
      const child = await box.spawn(['bash', '-c', script], { pty: PTY })
      const screen = screenOf(child.stdout)
      await screen.shows('up')
      child.resize(132, 50)
      await screen.shows('50 132')
      assert.equal((await child.exited).exitCode, 0)
      child.resize(80, 25)
      assert.throws(() => child.resize(0, 25), /pty.columns is 0/)
    }),
  'the end of the input is the end of the file, also behind the beginning of a line': () =>
    inBox(async (box) => {
      for (const [typed, bytes] of [
        ['', 0],
        ['line\n', 5],
        ['line\nnext', 9],
      ] as const) {
        const child = await box.spawn(['wc', '-c'], { pty: PTY })
        const screen = screenOf(child.stdout)
        child.stdin.end(typed)
        await Promise.all([child.exited, screen.ended])
        assert.equal(
          screen
            .text()
            .split('\r\n')
            .at(-2)
            ?.replace(/^(next)?\D*/, ''),
          `${bytes}`,
          screen.text(),
        )
      }
    }),
  'what a command prints comes whole, however late it is read': () =>
    inBox(async (box) => {
      const size = 3_000_000
      const child = await box.spawn(['sh', '-c', `head -c ${size} /dev/zero | tr '\\0' x`], { pty: PTY })
      let length = 0
      for await (const bytes of child.stdout) length += (bytes as Uint8Array).length
      assert.equal(length, size)
      const late = await box.spawn(['sh', '-c', 'head -c 3000 /dev/zero | tr "\\0" x'], { pty: PTY })
      assert.equal((await late.exited).exitCode, 0)
      assert.equal(monitors(), 0)
      const screen = screenOf(late.stdout)
      await screen.ended
      assert.equal(screen.text().length, 3000)
    }),
  'a terminal that is not read lets the command wait': () =>
    inBox(async (box) => {
      const script = 'i=0; while [ $i -lt 6000 ]; do printf "%1000s" x; i=$((i+1)); echo $i >/usr/count; done'
      const child = await box.spawn(['sh', '-c', script], { pty: PTY })
      const seen = async (): Promise<number> => Number((await box.exec(['cat', '/usr/count'])).stdout)
      let before = -1
      for (let now = await seen(); now !== before || now === 0; now = await seen()) before = now
      // A terminal, a pipe, and two sockets are full by then, one of them of 2 MiB: native/monitor.c.
      assert.ok(before < 3000, `${before}`)
      const screen = screenOf(child.stdout)
      await Promise.all([child.exited, screen.ended])
      assert.equal(screen.text().length, 6_000_000)
    }),
  'who does not want the output any more lets the command run on': () =>
    inBox(async (box) => {
      const child = await box.spawn(
        ['sh', '-c', 'i=0; while [ $i -lt 300 ]; do printf "%1000s" x; i=$((i+1)); done; echo $i >/usr/count'],
        { pty: PTY },
      )
      child.stdout.destroy()
      assert.equal((await child.exited).exitCode, 0)
      assert.equal(await box.files.readText('/usr/count'), '300\n')
    }),
  'a signal, a deadline and the end of the box end it, and its monitor': () =>
    inBox(async (box) => {
      const controller = new AbortController()
      const start = async (options: object): Promise<TerminalProcess> => {
        const child = await box.spawn(['sh', '-c', 'trap "" HUP; echo up; sleep 1000'], { pty: PTY, ...options })
        await screenOf(child.stdout).shows('up')
        return child
      }
      const killed = { exitCode: undefined, signal: 'SIGKILL' }
      const aborted = await start({ signal: controller.signal })
      controller.abort()
      assert.deepEqual(await aborted.exited, killed)
      assert.deepEqual(await (await start({ wallClockMs: 200 })).exited, killed)
      const child = await start({})
      await child.kill('SIGKILL')
      assert.deepEqual(await child.exited, killed)
      const last = await start({})
      assert.equal(monitors(), 1)
      await box.kill()
      assert.deepEqual(await last.exited, killed)
      assert.equal(monitors(), 0)
    }),
  'many terminals at once are apart': () =>
    inBox(async (box) => {
      const one = async (number: number): Promise<void> => {
        const [text] = await run(box, `echo ${number}`)
        assert.equal(text, `${number}\r\n`)
      }
      await Promise.all(Array.from({ length: 20 }, (_, number) => one(number)))
    }),
  'a command that is not there, and a size that is none, are refused, and nothing is left': () =>
    inBox(async (box) => {
      const refused = async (command: string, pty: object): Promise<string | undefined> => {
        const error: unknown = await box.spawn([command], { pty } as { pty: typeof PTY }).then(
          () => assert.fail('it was not refused'),
          (reason) => reason,
        )
        assert.ok(error instanceof OperationError, String(error))
        return error.code ?? error.kind
      }
      assert.equal(await refused('no-such-program', PTY), 'ENOENT')
      for (const pty of [{ columns: 0, rows: 1 }, { columns: 1, rows: 70_000 }, { columns: 1.5, rows: 2 }, {}])
        assert.equal(await refused('true', pty), 'invalid')
      const { stdout } = await box.exec(['ls', '/dev/pts'])
      assert.deepEqual([stdout, monitors()], ['ptmx\n', 0])
    }),
  'a terminal of a user belongs to it': () =>
    inBox(async (box) => {
      const child = await box.spawn(['sh', '-c', 'stat -c %u $(tty); echo x >$(tty)'], { pty: PTY, user: 1234 })
      const screen = screenOf(child.stdout)
      await screen.ended
      assert.equal(screen.text(), '1234\r\nx\r\n')
    }),
}
