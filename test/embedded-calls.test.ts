/** The system calls of the front program, made by the embedded engine. */

import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { programOf } from './typescript.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-calls-'))
afterAll(() => rmSync(directory, { recursive: true }))

const modules = ['call', 'events', 'files', 'process', 'sockets', 'terminal'].map(
  (name) => `src/executor/embedded-${name}.ts`,
)

/** What `body` returns, made by the engine in `directory` and passed on as JSON; in it, `here` is that directory. */
function resultOf(body: string): unknown {
  using made = programOf(
    ['src/base/errors.ts', 'src/linux/process.ts', ...modules],
    `const here = native.args[1]
     const thrown = (act) => { try { act() } catch (error) { return error.message } return 'nothing' }
     const result = (() => { ${body} })()
     coffer_.writeText(native, 1, JSON.stringify(result))`,
  )
  const { exitCode, stdout, stderr } = made.run([directory])
  expect([exitCode, stderr]).toEqual([0, ''])
  return JSON.parse(stdout)
}

test('an error names operation, call, path and errno', () => {
  expect(resultOf("return thrown(() => coffer_.open(native, '/nowhere/x', 0))")).toBe(
    'cannot open /nowhere/x: openat(/nowhere/x) = ENOENT',
  )
})

test('directories are made with those above them, and are there already without an error', () => {
  expect(
    resultOf(`
      coffer_.makeDirectories(native, here + '/a/b/c', 0o750)
      coffer_.makeDirectories(native, here + '/a/b/c', 0o750)
      coffer_.writeNewFile(native, here + '/a/file', '', 0o600)
      return [
        coffer_.makeDirectory(native, here + '/a', 0o750), coffer_.makeDirectory(native, here + '/d', 0o750),
        thrown(() => coffer_.makeDirectories(native, here + '/a/file/x', 0o750)).replace(here, ''),
        thrown(() => coffer_.removeDirectory(native, here + '/a')).split(' = ')[1],
        coffer_.removeDirectory(native, here + '/d'), coffer_.removeDirectory(native, here + '/d'),
      ]`),
  ).toEqual([
    false,
    true,
    `cannot make the directory /a/file/x: mkdirat(${directory}/a/file/x) = ENOTDIR`,
    'ENOTEMPTY',
    true,
    false,
  ])
  expect(statSync(join(directory, 'a/b/c')).isDirectory()).toBe(true)
})

test('a file is replaced as a whole, and a new one never replaces', () => {
  writeFileSync(join(directory, 'state'), 'old')
  writeFileSync(join(directory, '.state.new'), 'left by one that was killed')
  expect(
    resultOf(`
      coffer_.replaceFile(native, { path: here + '/state', temporary: here + '/.state.new', text: 'neu ü', mode: 0o600 })
      return thrown(() => coffer_.writeNewFile(native, here + '/state', 'x', 0o600)).split(' = ')[1]`),
  ).toBe('EEXIST')
  expect(readFileSync(join(directory, 'state'), 'utf8')).toBe('neu ü')
  expect(statSync(join(directory, 'state')).mode & 0o777).toBe(0o600)
  expect(readdirSync(directory)).not.toContain('.state.new')
})

test('a lock is held by one open file at a time', () => {
  writeFileSync(join(directory, 'lock'), '')
  expect(
    resultOf(`
      const [one, other] = [coffer_.open(native, here + '/lock', 0), coffer_.open(native, here + '/lock', 0)]
      coffer_.lock(native, one)
      const during = coffer_.tryLock(native, other)
      coffer_.close(native, one)
      return [during, coffer_.tryLock(native, other)]`),
  ).toEqual([false, true])
})

test('an anonymous file is read from its start', () => {
  expect(
    resultOf(`
      const into = new Uint8Array(16)
      const count = coffer_.read(native, coffer_.memoryFile(native, 'x', native.encode('content')), into)
      return native.decode(into, 0, count)`),
  ).toBe('content')
})

test('poll waits for what is not ready, and tells what is', () => {
  expect(
    resultOf(`
      const { readEnd, writeEnd } = coffer_.pipe(native)
      const before = coffer_.clockNanos(native, coffer_.CLOCK_MONOTONIC)
      const nothing = coffer_.poll(native, [{ fd: readEnd, events: coffer_.POLLIN }], 30)
      const waitedMs = (coffer_.clockNanos(native, coffer_.CLOCK_MONOTONIC) - before) / 1e6
      coffer_.writeText(native, writeEnd, 'x')
      const both = coffer_.poll(native, [{ fd: readEnd, events: coffer_.POLLIN }, { fd: writeEnd, events: coffer_.POLLOUT }])
      coffer_.close(native, writeEnd)
      const closed = coffer_.poll(native, [{ fd: readEnd, events: coffer_.POLLIN }])
      return [nothing === undefined, waitedMs >= 30, both, closed]`),
  ).toEqual([true, true, [1, 4], [1 | 16]])
})

test('a descriptor that has nothing is told apart from one at its end', () => {
  expect(
    resultOf(`
      const { readEnd, writeEnd } = coffer_.pipe(native, 0o4000)
      const into = new Uint8Array(4)
      const empty = coffer_.readIfReady(native, readEnd, into) === undefined
      let full = 0
      while (coffer_.writeIfReady(native, writeEnd, new Uint8Array(65536)) !== undefined) full++
      return [empty, full > 0, coffer_.readIfReady(native, readEnd, into)]`),
  ).toEqual([true, true, 4])
})

test('blocked signals are read, in the order of their numbers', () => {
  expect(
    resultOf(`
      const signals = coffer_.signalMask([10, 15, 34])
      coffer_.blockSignals(native, signals)
      const fd = coffer_.openSignalFd(native, signals)
      const before = coffer_.readSignal(native, fd) === undefined
      for (const signal of [34, 15, 10]) coffer_.kill(native, coffer_.ownPid(native), signal)
      return [before, ...[1, 2, 3].map(() => coffer_.readSignal(native, fd)), coffer_.readSignal(native, fd) === undefined]`),
  ).toEqual([true, 10, 15, 34, true])
})

test('event counters and watched files become ready once for all that happened', () => {
  writeFileSync(join(directory, 'watched'), 'x')
  expect(
    resultOf(`
      const counter = coffer_.openEventFd(native)
      coffer_.writeAll(native, counter, Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0))
      const counts = [coffer_.readEventFd(native, counter), coffer_.readEventFd(native, counter)]
      const watch = coffer_.watchFiles(native, [here + '/watched'], 2)
      const before = coffer_.drain(native, watch)
      coffer_.writeExisting(native, here + '/watched', 'y')
      coffer_.writeExisting(native, here + '/watched', 'z')
      return [counts, before, coffer_.drain(native, watch), coffer_.drain(native, watch)]`),
  ).toEqual([[3, 0], false, true, false])
})

test('descriptors cross a socket, and are not inherited by accident', () => {
  expect(
    resultOf(`
      const server = coffer_.listenUnix(native, here + '/socket')
      const client = coffer_.connectUnix(native, here + '/socket')
      const connection = coffer_.acceptUnix(native, server)
      const file = coffer_.memoryFile(native, 'x', native.encode('content'))
      coffer_.sendDescriptors(native, client, native.encode('hi'), [file, 1])
      const into = new Uint8Array(16)
      const { sizeBytes, fds } = coffer_.receiveDescriptors(native, connection, into)
      const text = native.decode(into, 0, sizeBytes)
      const flags = fds.map((fd) => coffer_.attempt(native, 'fcntl', fd, 1, 0))
      const content = native.decode(into, 0, coffer_.read(native, fds[0], into))
      coffer_.close(native, client)
      return [text, fds.length, flags, content, coffer_.receiveDescriptors(native, connection, into)]`),
  ).toEqual(['hi', 2, [1, 1], 'content', { sizeBytes: 0, fds: [] }])
})

test('bytes without descriptors cross as well, and many descriptors at once', () => {
  expect(
    resultOf(`
      const [one, other] = coffer_.socketPair(native, 5)
      const into = new Uint8Array(4)
      coffer_.sendDescriptors(native, one, native.encode('a'), [])
      const none = coffer_.receiveDescriptors(native, other, into).fds.length
      coffer_.sendDescriptors(native, one, native.encode('a'), Array(253).fill(0))
      return [none, coffer_.receiveDescriptors(native, other, into).fds.length]`),
  ).toEqual([0, 253])
})

test('a socket path that the kernel has no room for is refused by name', () => {
  expect(resultOf("return thrown(() => coffer_.connectUnix(native, '/' + 'x'.repeat(107)))")).toContain(
    'its path has more than 107 bytes',
  )
})

test('children are reaped with how they ended, and a pidfd outlives its pid', () => {
  expect(
    resultOf(`
      const { readEnd, writeEnd } = coffer_.pipe(native)
      const pid = native.spawnExecutor([0, 1, 2, readEnd, writeEnd])
      const pidfd = coffer_.openPidfd(native, pid)
      const running = coffer_.reapAny(native) === undefined
      coffer_.signalPidfd(native, pidfd, 9)
      const ready = coffer_.poll(native, [{ fd: pidfd, events: coffer_.POLLIN }])
      const killed = coffer_.waitForPidfd(native, pidfd)
      const done = coffer_.waitForPid(native, native.spawnExecutor([0, 1, 2, coffer_.memoryFile(native, 'x', new Uint8Array(0)), 1]))
      return [
        running, ready, killed.pid === pid, killed.by, killed.signal, coffer_.exitStatus(killed), done.by, done.code,
        coffer_.signalPidfd(native, pidfd, 9), coffer_.openPidfd(native, pid) === undefined, coffer_.reapAny(native) === undefined,
      ]`),
  ).toEqual([true, [1], true, 'signal', 9, 137, 'code', 0, false, true, true])
})

test('the process knows itself as procfs does', () => {
  const release = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  const capabilities = Number.parseInt(
    /^CapEff:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '',
    16,
  )
  const [name, ids, mask, time] = resultOf(`
    return [coffer_.kernelName(native), coffer_.effectiveIds(native), coffer_.effectiveCapabilities(native), coffer_.timeMs(native)]
  `) as [{ release: string }, object, { low: number; high: number }, number]
  expect(name.release).toBe(release)
  expect(ids).toEqual({ uid: process.geteuid?.() ?? -1, gid: process.getegid?.() ?? -1 })
  expect(mask.high * 2 ** 32 + mask.low).toBe(capabilities)
  expect(Math.abs(time - Date.now())).toBeLessThan(60_000)
})

test('a terminal has a size and can be made raw and back; a pipe is none', () => {
  expect(
    resultOf(`
      const master = coffer_.open(native, '/dev/ptmx', 0o2 | 0o400)
      coffer_.must(native, 'unlock', 'ioctl', master, 0x40045431, new Int32Array(1))
      const terminal = coffer_.must(native, 'open the peer', 'ioctl', master, 0x5441, 0o2 | 0o400)
      coffer_.setTerminalSize(native, master, { rows: 33, columns: 111 })
      const settings = coffer_.terminalSettings(native, terminal)
      coffer_.setTerminal(native, terminal, coffer_.rawSettings(settings))
      coffer_.writeText(native, master, 'a')
      const into = new Uint8Array(8)
      // Without a newline, a terminal that is not raw would keep the letter.
      const raw = native.decode(into, 0, coffer_.read(native, terminal, into))
      coffer_.setTerminal(native, terminal, settings)
      const restored = coffer_.terminalSettings(native, terminal).join() === settings.join()
      const { readEnd } = coffer_.pipe(native)
      return [
        coffer_.terminalSize(native, terminal), raw, restored, coffer_.isTerminal(native, terminal),
        coffer_.isTerminal(native, readEnd), coffer_.terminalSize(native, readEnd) === undefined, coffer_.isTerminal(native, 999),
      ]`),
  ).toEqual([{ rows: 33, columns: 111 }, 'a', true, true, false, true, false])
})
