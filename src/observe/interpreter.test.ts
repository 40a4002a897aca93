import { expect, test } from 'bun:test'
import type { FileStatus, Files } from '../base/files.ts'
import { missingInterpreter } from './interpreter.ts'

type Tree = Readonly<Record<string, Uint8Array | { readonly link: string } | 'fifo'>>

const STATUS: Omit<FileStatus, 'kind'> = {
  mode: 0o755,
  uid: 0,
  gid: 0,
  links: 1,
  sizeBytes: 0,
  device: { major: 0, minor: 0 },
  identity: '',
}

/** An image below /image. */
function filesOf(tree: Tree): Files {
  const entry = (path: string) => tree[path.replace(/^\/image/, '').replace(/\/+/g, '/')]
  return {
    readText: () => undefined,
    readBytes: (path) => {
      const found = entry(path)
      if (found === 'fifo') throw new Error('nobody opens a fifo')
      return found instanceof Uint8Array ? found : undefined
    },
    list: () => undefined,
    readLink: (path) => {
      const found = entry(path)
      return found !== undefined && typeof found === 'object' && 'link' in found ? found.link : undefined
    },
    status: (path) => {
      const found = entry(path)
      if (found === undefined) return undefined
      return { ...STATUS, kind: found === 'fifo' ? 'fifo' : 'file' }
    },
  }
}

const script = (line: string): Uint8Array => new TextEncoder().encode(`#!${line}\necho\n`)

/** An ELF file of 64 bits with one program header, at 64: PT_INTERP. */
function elf(interpreter: string): Uint8Array {
  const bytes = new Uint8Array(256)
  const view = new DataView(bytes.buffer)
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1])
  view.setUint32(32, 64, true)
  view.setUint16(54, 56, true)
  view.setUint16(56, 1, true)
  view.setUint32(64, 3, true)
  view.setUint32(72, 128, true)
  view.setUint32(96, interpreter.length + 1, true)
  bytes.set(new TextEncoder().encode(interpreter), 128)
  return bytes
}

const missing = (tree: Tree, path = '/app'): string | undefined => missingInterpreter(filesOf(tree), '/image', path)

test('the loader of an ELF file, or the interpreter of a script, is named if the image does not have it', () => {
  expect(missing({ '/app': elf('/lib64/ld-linux-x86-64.so.2') })).toBe('/lib64/ld-linux-x86-64.so.2')
  expect(missing({ '/app': script('/usr/bin/env python3') })).toBe('/usr/bin/env')
  expect(missing({ '/app': script('/bin/sh'), '/bin/sh': elf('/lib/ld.so') })).toBe('/lib/ld.so')
})

test('nothing is missing where all is there, or where the program itself is not', () => {
  expect(missing({ '/app': script('/bin/sh'), '/bin/sh': new Uint8Array([0x7f]) })).toBeUndefined()
  expect(missing({})).toBeUndefined()
  expect(missing({ '/app': 'fifo' })).toBeUndefined()
})

test('links are followed inside of the image, and end', () => {
  const tree: Tree = {
    '/app': { link: '/opt/../opt/app' },
    '/opt/app': script('/bin/sh'),
    '/bin': { link: '../../usr/bin' },
  }
  expect(missing(tree)).toBe('/bin/sh')
  expect(missing({ ...tree, '/usr/bin/sh': new Uint8Array([1]) })).toBeUndefined()
  expect(missing({ '/app': { link: '/app' } })).toBeUndefined()
})
