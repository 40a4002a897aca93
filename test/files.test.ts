/** The two implementations of Files beside each other, on files of every kind. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFiles } from '../src/observe/files-node.ts'
import type { Program } from './embedded.ts'
import { describeFiles } from './programs/describe-files.ts'
import { programOf } from './typescript.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-files-'))
afterAll(() => rmSync(directory, { recursive: true }))

let describing: Program
beforeAll(() => {
  describing = programOf(
    ['test/programs/describe-files.ts', 'src/observe/files-embedded.ts'],
    `const text = coffer_.describeFiles(coffer_.embeddedFiles(native), native.args.slice(1))
     for (let bytes = native.encode(text); bytes.length > 0; ) bytes = bytes.subarray(call('write', 1, bytes, bytes.length))`,
  )
})
afterAll(() => describing[Symbol.dispose]())

const inside = (...names: readonly string[]): readonly string[] => names.map((name) => join(directory, name))

function both(paths: readonly string[]): readonly [string, string] {
  const { exitCode, stdout, stderr } = describing.run(paths)
  expect([exitCode, stderr]).toEqual([0, ''])
  return [Buffer.from(stdout, 'latin1').toString(), describeFiles(nodeFiles(), paths)]
}

function expectEqual(paths: readonly string[]): string {
  const [embedded, node] = both(paths)
  expect(embedded).toBe(node)
  return node
}

test('files, directories, links and what is not there are the same in both', () => {
  writeFileSync(join(directory, 'text'), 'hällo 😀\n')
  writeFileSync(join(directory, 'empty'), '')
  mkdirSync(join(directory, 'folder/deep'), { recursive: true })
  symlinkSync('text', join(directory, 'link'))
  symlinkSync('nothing', join(directory, 'dangling'))
  symlinkSync('loop', join(directory, 'loop'))
  const names = [
    'text',
    'empty',
    'folder',
    'folder/deep',
    'link',
    'dangling',
    'loop',
    'nothing',
    'text/below',
    'folder/no',
  ]
  const told = expectEqual(inside(...names))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(told.map(({ text }) => text)).toEqual([
    'hällo 😀\n',
    '',
    ['kernel', `read ${directory}/folder`, 'EISDIR', `${directory}/folder`],
    ['kernel', `read ${directory}/folder/deep`, 'EISDIR', `${directory}/folder/deep`],
    'hällo 😀\n',
    'absent',
    ['kernel', `read ${directory}/loop`, 'ELOOP', `${directory}/loop`],
    'absent',
    'absent',
    'absent',
  ])
})

test('devices and files of the kernel are the same in both', () => {
  expectEqual(['/dev/null', '/proc/sys/kernel/cap_last_cap', '/proc/1/ns', '/proc/filesystems', '/sys', '/'])
})

test('a file that fills the buffer many times over is read whole', () => {
  for (const sizeBytes of [16_383, 16_384, 16_385, 65_536, 3_000_000]) {
    writeFileSync(join(directory, `size-${sizeBytes}`), 'é'.repeat(sizeBytes / 2) + 'x'.repeat(sizeBytes % 2))
  }
  const told = expectEqual(inside('size-16383', 'size-16384', 'size-16385', 'size-65536', 'size-3000000'))
  expect(
    told
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).bytes),
  ).toEqual([16_383, 16_384, 16_385, 65_536, 3_000_000])
})

test('a directory with thousands of names is listed whole', () => {
  mkdirSync(join(directory, 'many'))
  const names = Array.from({ length: 3000 }, (_, index) => `${index}-${'x'.repeat(index % 200)}`)
  for (const name of names) writeFileSync(join(directory, 'many', name), '')
  const { list } = JSON.parse(expectEqual(inside('many')))
  expect(list).toEqual(names.sort())
})

test('a name that is no UTF-8 can be listed and read', () => {
  mkdirSync(join(directory, 'odd'))
  writeFileSync(Buffer.concat([Buffer.from(`${directory}/odd/`), Buffer.from([0xff, 0x80, 0x78, 0xc3, 0xa9])]), 'found')
  const [name = ''] = nodeFiles().list(join(directory, 'odd')) ?? []
  expect(name).toBe('\udcff\udc80xé')
  // join() of Bun takes lone surrogates away.
  expect(nodeFiles().readText(`${directory}/odd/${name}`)).toBe('found')
  expectEqual(inside('odd'))
})

test('a device without end is refused', () => {
  const [embedded, node] = both(['/dev/zero'])
  for (const told of [embedded, node]) {
    expect(JSON.parse(told).text).toEqual(['invalid', 'read /dev/zero', null, '/dev/zero'])
  }
})
