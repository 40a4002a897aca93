import { expect, test } from 'bun:test'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Outcome, program } from './embedded.ts'

const utf8 = (text: string): string => Buffer.from(text).toString('latin1')

function outcomeOf(body: string, before = ''): Outcome {
  using made = program(body, before)
  return made.run()
}

test('what main returns is the exit status', () => {
  expect(outcomeOf('return 7').exitCode).toBe(7)
})

test('arguments and environment are those of this start, not those of the build', () => {
  using made = program(
    "print(native.args.slice(1).join('|') + '/' + native.env.filter((e) => e.startsWith('A=')).join())",
  )
  expect(made.run(['x', 'y z', ''], { A: '1' }).stdout).toBe('x|y z|/A=1')
  expect(made.run(['q'], { A: '2' }).stdout).toBe('q/A=2')
})

test('what a module makes when the program is built is there when it starts', () => {
  const table = "const table = new Map(); for (let i = 0; i < 5000; i++) table.set('key' + i, { square: i * i })"
  expect(outcomeOf("print(table.get('key4999').square)", table).stdout).toBe('24990001')
})

test('each start sees the heap as the build left it', () => {
  using made = program('count++; print(count)', 'let count = 41')
  expect(made.run().stdout).toBe('42')
  expect(made.run().stdout).toBe('42')
})

test('more memory than the heap of the snapshot is found elsewhere', () => {
  expect(
    outcomeOf(
      'const kept = []; for (let i = 0; i < 40; i++) kept.push(new Uint8Array(1e6).fill(i)); print(kept[39][999999])',
    ).stdout,
  ).toBe('39')
})

test('memory that was freed is used again', () => {
  const body = `
    for (let i = 0; i < 20000; i++) new Uint8Array(100000)
    const fd = call('openat', -100, '/proc/self/status', 0), bytes = new Uint8Array(4096)
    print(/VmPeak:\\s+(\\d+)/.exec(native.decode(bytes, 0, call('read', fd, bytes, 4096)))[1])`
  expect(Number(outcomeOf(body).stdout)).toBeLessThan(40_000)
})

test('an exception that nobody catches says that it is a bug, where it was, and exits with 70', () => {
  const { exitCode, stderr } = outcomeOf("const inner = () => { throw new TypeError('so not') }; inner()")
  expect(stderr).toMatch(
    /^coffer: this is a bug in coffer: TypeError: so not\n {4}at inner \(coffer.js.*\n {4}at main \(coffer.js:\d+\)\n$/,
  )
  expect(exitCode).toBe(70)
})

test('endless recursion is an exception, not a crash', () => {
  const { exitCode, stderr } = outcomeOf('const f = () => f() + 1; f()')
  expect(stderr).toStartWith('coffer: this is a bug in coffer: InternalError: stack overflow\n')
  expect(exitCode).toBe(70)
})

test('a bundle without main does not become a program', () => {
  expect(() => program('', '}; const other = () => {')).toThrow()
  expect(() => program('', 'throw new Error("at build")')).toThrow('at build')
})

test('Math.random, which would be the same at each start, is not there', () => {
  expect(outcomeOf('print(typeof Math.random)').stdout).toBe('undefined')
})

test('a closed standard descriptor is not taken by the first file that is opened', () => {
  using made = program("return call('openat', -100, '/proc/self/status', 0)")
  expect(Bun.spawnSync(['sh', '-c', `exec "$0" <&- >&- 2>&-`, made.path]).exitCode).toBe(3)
})

test('a failed call answers the negative errno', () => {
  expect(outcomeOf("print(call('close', -1), call('mkdirat', -100, '/proc/none', 0))").stdout).toBe('-9 -2')
})

test('numbers, bigints, strings, bytes and nothing are arguments', () => {
  const body = `
    const bytes = new Uint8Array([120, 97, 98, 99, 121])
    const results = [
      call('write', 1, bytes.subarray(1, 4), 3),
      call('write', 1n, new DataView(bytes.buffer, 3), 1),
      call('write', 1, bytes.buffer, 1n),
      call('write', 1, 'text', 4),
      call('write', 1, null, undefined),
      call('write', 1, native.address(bytes.subarray(4)), 1),
    ]
    print('', results)`
  expect(outcomeOf(body).stdout).toBe('abccxtexty 3,1,1,4,0,1')
})

test('what is no argument is refused before the call is made', () => {
  const tries = ["'a\\0b'", '1.5', '2 ** 60', 'NaN', 'true', '{}', '() => 1', 'Symbol()', '1, 2, 3, 4, 5, 6, 7']
  const body = `const answers = []
    for (const attempt of [${tries.map((args) => `() => call('getpid', ${args})`)}])
      try { answers.push(attempt()) } catch (error) { answers.push(error.name) }
    print(answers.join())`
  expect(outcomeOf(body).stdout).toBe(
    'TypeError,RangeError,RangeError,RangeError,TypeError,TypeError,TypeError,TypeError,TypeError',
  )
})

test('text becomes UTF-8 and UTF-8 becomes text', () => {
  const text = 'a ä € 𝄞 \u{10ffff} \u0000 z'
  expect(outcomeOf(`print(native.decode(native.encode(${JSON.stringify(text)})))`).stdout).toBe(utf8(text))
  expect(outcomeOf("print(native.encode('€').length, native.encode('').length)").stdout).toBe('3 0')
})

test('bytes that are no UTF-8 survive the way into text and back', () => {
  using made = program(
    "print(native.args[1] + '.'); return native.args[1] === native.decode(native.encode(native.args[1])) ? 0 : 1",
  )
  const odd = [
    [0xff],
    [0x61, 0x80, 0xc3],
    [0xed, 0xa0, 0x80],
    [0xc0, 0x80],
    [0xf5, 0x62],
    [0xe2, 0x82],
    [0xf4, 0x90, 0x80, 0x80],
  ]
  for (const bytes of odd) {
    const { exitCode, stdout } = made.run([Uint8Array.from(bytes)])
    expect(stdout).toBe(`${Buffer.from(bytes).toString('latin1')}.`)
    expect(exitCode).toBe(0)
  }
})

test('a lone surrogate that stands for no byte becomes U+FFFD', () => {
  expect(outcomeOf("print('\\ud800 \\udfff \\udc7f')").stdout).toBe(utf8('\ufffd \ufffd \ufffd'))
})

test('a part of the bytes is decoded, and none beside them', () => {
  expect(
    outcomeOf("const b = native.encode('xabcy'); print(native.decode(b.subarray(1), 1, 2) + native.decode(b, 4))")
      .stdout,
  ).toBe('bcy')
  expect(outcomeOf('native.decode(new Uint8Array(4), 2, 3)').stderr).toContain('RangeError')
  expect(outcomeOf('native.decode(new Uint8Array(4), -1)').stderr).toContain('RangeError')
})

test('a promise that is settled in main has run before the program ends', () => {
  expect(outcomeOf("Promise.resolve().then(() => print('later')); print('first ')").stdout).toBe('first later')
})

test('the executor gets the descriptors of the list in its order, and nothing else', async () => {
  // The pipes are 3, 4 and 5, 6, and the list makes them change places. The executor waits for a plan on 3; with no more of them it ends.
  const body = `
    const pipe = () => { const ends = new Int32Array(2); call('pipe2', ends, 0); return [...ends] }
    const [a, b] = [pipe(), pipe()]
    const pid = native.spawnExecutor([0, 1, 2, b[0], a[1], a[0]])
    for (const fd of [...a, b[0]]) call('close', fd)
    print(pid)
    call('read', 0, new Uint8Array(1), 1)
    call('close', b[1])
    print(call('wait4', pid, null, 0, null) === pid)`
  using made = program(body)
  await using child = Bun.spawn([made.path], { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit', env: { SECRET: 'x' } })
  const reader = child.stdout.getReader()
  const pid = Buffer.from((await reader.read()).value ?? []).toString()
  const fds = readdirSync(`/proc/${pid}/fd`)
  const links = fds.map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
  expect(fds).toEqual(['0', '1', '2', '3', '4', '5'])
  expect(links[4]).toBe(links[5] ?? '')
  expect(links[3]).not.toBe(links[4] ?? '')
  expect(readlinkSync(`/proc/${pid}/exe`)).toBe('/memfd:coffer (deleted)')
  expect(readFileSync(`/proc/${pid}/cmdline`, 'utf8')).toBe('coffer\0')
  expect(readFileSync(`/proc/${pid}/environ`, 'utf8')).toBe('')
  child.stdin.write('x')
  await child.stdin.end()
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('true')
})

test('the image that the executor runs from cannot be written, grown, shrunk or unsealed', () => {
  const body = `
    const ends = new Int32Array(2); call('pipe2', ends, 0)
    const pid = native.spawnExecutor([0, 1, 2, ends[0], 1])
    const image = call('openat', -100, \`/proc/\${pid}/exe\`, 0)
    const F_GET_SEALS = 1034
    const answers = [call('openat', -100, \`/proc/\${pid}/exe\`, 1), call('fcntl', image, F_GET_SEALS, 0) & 15]
    call('close', ends[1])
    call('wait4', pid, null, 0, null)
    answers.push(call('openat', -100, \`/proc/self/fd/\${image}\`, 1))
    const writable = answers.pop()
    answers.push(call('write', writable, 'x', 1), call('ftruncate', writable, 0))
    print(answers.join())`
  // While it runs it is ETXTBSY (26); behind that EPERM (1).
  expect(outcomeOf(body).stdout).toBe('-26,15,-1,-1')
})

test('a descriptor that is not open is reported, and no child is left', () => {
  expect(outcomeOf("print(native.spawnExecutor([0, 99]), call('wait4', -1, null, 1, null))").stdout).toBe('-9 -10')
})

test('the image of the executor is an ELF file', () => {
  expect(outcomeOf('print(native.decode(native.executorImage(), 1, 3))').stdout).toBe('ELF')
})
