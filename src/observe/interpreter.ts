/** Why a program that is there cannot be executed: the interpreter of a script, or the loader of an ELF file, is not in the image. */

import type { Files } from '../base/files.ts'

/**
 * The path of the interpreter that `path` needs and that is not below `root`; undefined if that is not what is wrong.
 *
 * Links are followed as inside of the container, and nothing but plain files is opened: the image may be anybody's. execve(2), elf(5)
 */
export function missingInterpreter(files: Files, root: string, path: string): string | undefined {
  let program = path
  // As many scripts may interpret one another: fs/exec.c, exec_binprm.
  for (let depth = 0; depth < 5; depth++) {
    const bytes = readInRoot(files, root, program)
    if (bytes === undefined) return depth === 0 ? undefined : program
    const interpreter = interpreterOf(bytes)
    if (interpreter === undefined) return undefined
    program = interpreter
  }
  return undefined
}

function readInRoot(files: Files, root: string, path: string): Uint8Array | undefined {
  const at = resolveInRoot(files, root, path)
  return at !== undefined && files.status(at)?.kind === 'file' ? files.readBytes(at) : undefined
}

const MAX_LINKS = 40

/** A path without links, of the host; undefined for a loop. */
function resolveInRoot(files: Files, root: string, path: string): string | undefined {
  const rest = path.split('/')
  let at: readonly string[] = []
  for (let links = 0; rest.length > 0; ) {
    const name = rest.shift() ?? ''
    if (name === '' || name === '.') continue
    if (name === '..') {
      at = at.slice(0, -1)
      continue
    }
    const link = files.readLink(`${root}/${[...at, name].join('/')}`)
    if (link === undefined) {
      at = [...at, name]
      continue
    }
    if (++links > MAX_LINKS) return undefined
    if (link.startsWith('/')) at = []
    rest.unshift(...link.split('/'))
  }
  return `${root}/${at.join('/')}`
}

function interpreterOf(bytes: Uint8Array): string | undefined {
  if (bytes[0] === 0x23 && bytes[1] === 0x21) return scriptInterpreter(bytes)
  const isElf = bytes[0] === 0x7f && bytes[1] === 0x45 && bytes[2] === 0x4c && bytes[3] === 0x46
  return isElf && bytes.length >= 64 ? elfInterpreter(bytes) : undefined
}

const asciiOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

function scriptInterpreter(bytes: Uint8Array): string | undefined {
  const end = bytes.indexOf(0x0a)
  const line = asciiOf(bytes.subarray(2, end < 0 ? 256 : Math.min(end, 256)))
  const [name = ''] = line.trim().split(/[ \t]/)
  return name === '' ? undefined : name
}

const PT_INTERP = 3

/**
 * | field                       | 64 bits     | 32 bits     |
 * |-----------------------------|-------------|-------------|
 * | e_phoff, e_phentsize, e_phnum | 32, 54, 56 | 28, 42, 44  |
 * | p_offset, p_filesz          | 8, 32       | 4, 16       |
 */
function elfInterpreter(bytes: Uint8Array): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const is64 = bytes[4] === 2
  const word = (at: number): number => (at + 4 <= bytes.length ? view.getUint32(at, true) : 0)
  const half = (at: number): number => (at + 2 <= bytes.length ? view.getUint16(at, true) : 0)
  const headers = word(is64 ? 32 : 28)
  const size = half(is64 ? 54 : 42)
  for (let index = 0; index < half(is64 ? 56 : 44); index++) {
    const header = headers + index * size
    if (word(header) !== PT_INTERP) continue
    const offset = word(header + (is64 ? 8 : 4))
    // A NUL ends it.
    return asciiOf(bytes.subarray(offset, offset + Math.min(word(header + (is64 ? 32 : 16)), 4096) - 1))
  }
  return undefined
}
