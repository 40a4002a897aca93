/**
 * Objects of the snapshot, whose references are not counted: native/counted.h.
 *
 * All of it runs in an engine that collects garbage whenever an object is made and overwrites what it frees, so what is freed too early shows.
 */

import { beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { programOf } from './embedded.ts'

const ROOT = join(import.meta.dir, '..')
const COMPILE_MS = 300_000

beforeAll(() => {
  const { exitCode, stderr } = Bun.spawnSync(['make', '-C', ROOT, 'build-strict'], { stdout: 'ignore', stderr: 'pipe' })
  if (exitCode !== 0) throw new Error(stderr.toString())
}, COMPILE_MS)

/** What `claims`, of the form `is(value, expected)`, disagree about, when `before` is part of the snapshot. */
function disagreements(before: string, claims: string): string {
  const is = "const is = (a, b) => { if (a !== b) throw new Error('it is ' + a + ', not ' + b) }"
  using made = programOf(`var coffer = (() => {${is}\n${before}\nreturn { main() {${claims}} } })()`, true)
  const { exitCode, stderr } = made.run()
  return exitCode === 0 ? '' : `${exitCode}: ${stderr}`
}

test.each(['language', 'closure', 'loop', 'builtin'])(
  "the engine's own test of %s passes, with what it tests in the snapshot",
  (subject) => {
    const tests = join(ROOT, 'node_modules/qjsc/deps/quickjs_2021_03_27/tests')
    const text = readFileSync(join(tests, `test_${subject}.js`), 'utf8')
    const calls = text.search(/^test\w*\(\);$/m)
    expect(calls).toBeGreaterThan(0)
    // Once when it is built, so that what the first round left is in the snapshot; and again, out of it.
    using made = programOf(`${text}\nvar coffer = { main: () => {${text.slice(calls)}\nreturn 7 } }`, true)
    expect(made.run()).toEqual({ exitCode: 7, stdout: '', stderr: '' })
  },
)

test('an array is spread to what iterating over it gives: native/spread.h', () => {
  const before = `
    const list = [{ n: 1 }, { n: 2 }], holes = [1, , 3], own = [1, 2], longer = [1]
    longer.length = 3
    own[Symbol.iterator] = function* () { yield 9 }
    class Two extends Array { *[Symbol.iterator]() { yield 'two' } }`
  const claims = `
    for (let i = 0; i < 100; i++) is([...list, { n: i }, ...list].map(({ n }) => n).join(), '1,2,' + i + ',1,2')
    is([...[1, 2], ...[], ...'ab', ...new Set([3]), ...[4]].join(), '1,2,a,b,3,4')
    is([...holes].length, 3); is(1 in [...holes], true); is([...longer].length, 3); is(2 in [...longer], true)
    is([, ...[1, 2]].length, 3); is(0 in [, ...[1, 2]], false); is([, ...[1, 2]][2], 2)
    is([...own].join(), '9'); is([...new Two()].join(), 'two')
    ;(function () { is([...arguments, ...[3]].join(), '1,2,3') })(1, 2)
    is(Math.max(...[1, 5], ...[3]), 5)
    const iterator = Object.getPrototypeOf([][Symbol.iterator]()), { next } = iterator
    iterator.next = function () { const { done, value } = next.call(this); return { done, value: value * 10 } }
    is([...[1, 2]].join(), '10,20')
    iterator.next = next
    is([...[1, 2]].join(), '1,2')`
  expect(disagreements(before, claims)).toBe('')
})

test('what is put into an object of the snapshot lives as long as it is there', () => {
  const before = `
    const map = new Map([['a', { n: 1 }], ['b', { n: 2 }]]), set = new Set(['x']), list = [{ n: 0 }], object = { inner: {} }
    let variable = { n: 0 }
    class Counter { #seen = []; see(v) { this.#seen.push(v); return this.#seen.length } last() { return this.#seen[this.#seen.length - 1] } }
    const counter = new Counter()
    const weak = new WeakMap(), key = {}`
  const claims = `
    for (let i = 0; i < 200; i++) {
      map.set('a', { n: 'value ' + i }); map.set('key ' + i, { i }); set.add({ i }); list.push({ i }); list[0] = ['first', i]
      object.inner = { deeper: [i, 'deep ' + i] }; object['name ' + i] = { i }; variable = { n: 'variable ' + i, before: null }
      counter.see({ i, text: 'seen ' + i }); weak.set(key, { i }); weak.set({ i }, { key })
    }
    is(map.get('a').n, 'value 199'); is(map.get('key 7').i, 7); is(map.get('b').n, 2); is(map.size, 202)
    is([...set].length, 201); is([...set][5].i, 4); is(list[0].join(), 'first,199'); is(list[200].i, 199)
    is(object.inner.deeper[1], 'deep 199'); is(object['name 3'].i, 3); is(variable.n, 'variable 199')
    is(counter.last().text, 'seen 199'); is(weak.get(key).i, 199)`
  expect(disagreements(before, claims)).toBe('')
})

test('what is taken out of an object of the snapshot is freed', () => {
  const before = 'const map = new Map(), object = { held: null }; let variable'
  const claims = `
    const bytes = new Uint8Array(8192)
    const peak = () => Number(/VmPeak:\\s+(\\d+)/.exec(native.decode(bytes, 0, native.syscall(${process.arch === 'arm64' ? 63 : 0}, status, bytes, 8192)))[1])
    const status = native.syscall(${process.arch === 'arm64' ? 56 : 257}, -100, '/proc/self/status', 0)
    for (let i = 0; i < 3000; i++) {
      map.set('key', new Uint8Array(100000)); object.held = [new Uint8Array(100000)]; variable = () => object.held
      if (i % 2) map.delete('key')
    }
    if (peak() > 60000) throw new Error('it takes ' + peak() + ' KiB')`
  expect(disagreements(before, claims)).toBe('')
})

test('what is taken out of a map of the snapshot is gone, also for who walks over it', () => {
  const before = "const map = new Map([['a', [1]], ['b', [2]], ['c', [3]]]), walk = map.entries(); walk.next()"
  const claims = `
    map.delete('b'); map.delete('a')
    is([...map.keys()].join(), 'c'); is(walk.next().value.join(), 'c,3'); is(walk.next().done, true)
    for (let i = 0; i < 100; i++) map.set(i, { i })
    is(map.has('a'), false); is(map.has(undefined), false); is(map.size, 101); is(map.get(50).i, 50)
    const walker = map.keys(); is(walker.next().value, 'c'); map.delete('c'); is(walker.next().value, 0)
    map.clear(); is(map.size, 0); map.set('a', [9]); is(map.get('a')[0], 9)`
  expect(disagreements(before, claims)).toBe('')
})

test('a text of the snapshot stays as it is when something is appended to it', () => {
  const before = "let text = 'abc'.repeat(11), wide = 'ä€'.repeat(11); const holder = { text: 'x'.repeat(41) + text }"
  const claims = `
    const before = text.length, longer = text + '!', wider = wide + '!', other = holder.text + '!'
    is(text.length, before); is(text, 'abc'.repeat(11)); is(longer, 'abc'.repeat(11) + '!')
    is(wide, 'ä€'.repeat(11)); is(wider, 'ä€'.repeat(11) + '!'); is(holder.text.length + 1, other.length)
    text += '?'; is(text, 'abc'.repeat(11) + '?')`
  expect(disagreements(before, claims)).toBe('')
})

test('objects that are alike go on alone when one of the snapshot is changed', () => {
  const before = 'const first = { only: 1, here: 2 }, list = []'
  const claims = `
    const second = { only: 3, here: 4 }
    first.more = 5; delete first.only; Object.defineProperty(first, 'here', { enumerable: false })
    is(JSON.stringify(first), '{"more":5}'); is(JSON.stringify(second), '{"only":3,"here":4}')
    second.other = 6; const third = { only: 7, here: 8, more: 9 }
    is(JSON.stringify(second), '{"only":3,"here":4,"other":6}'); is(JSON.stringify(third), '{"only":7,"here":8,"more":9}')
    for (let i = 0; i < 60; i++) { first['p' + i] = { i }; if (i % 3 === 0) delete first['p' + (i - 1)] }
    is(first.p59.i, 59); is(first.p2, undefined)
    Object.setPrototypeOf(first, { inherited: [1] }); is(first.inherited[0], 1)`
  expect(disagreements(before, claims)).toBe('')
})

test('a generator, a closure and a promise of the snapshot go on where the build left them', () => {
  const before = `
    function* count() { let i = { n: 0 }; const next = () => ({ n: i.n + 1 }); while (i.n < 9) { yield i; i = next() } }
    const counting = count(); counting.next()
    const counter = (() => { let n = { n: 0 }; return { up: () => { n = { n: n.n + 1 }; return n }, get: () => n } })()
    let fulfil; const promise = new Promise((resolve) => { fulfil = resolve }), seen = []
    const waiting = (async () => { const value = await promise; seen.push(value); return { value } })()`
  const claims = `
    is([...counting].map(({ n }) => n).join(), '1,2,3,4,5,6,7,8')
    for (let i = 0; i < 20; i++) counter.up()
    is(counter.get().n, 20)
    waiting.then(({ value }) => { is(value.text, 'late'); is(seen[0].text, 'late') })
    fulfil({ text: 'late' })`
  expect(disagreements(before, claims)).toBe('')
})

test('a big integer, a symbol and a regular expression of the snapshot can be used again and again', () => {
  const before =
    "const big = 2n ** 200n, symbol = Symbol('s'), pattern = /(a+)(?<rest>b*)/gu, object = { [symbol]: big }"
  const claims = `
    for (let i = 0; i < 50; i++) { is((big + 1n - big).toString(), '1'); is(object[symbol], big); is(symbol.description, 's')
      pattern.lastIndex = 0; is(pattern.exec('aab').groups.rest, 'b'); is('aabxab'.replace(pattern, '$2'), 'bxb') }`
  expect(disagreements(before, claims)).toBe('')
})
