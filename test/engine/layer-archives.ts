/** Archives of layers that no program would write, and what becomes of them. */

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openExecutor } from '../../src/executor/persistent-node.ts'
import { planLayer } from '../../src/image/layer.ts'
import { padded, type TarEntry } from '../../src/image/tar.ts'
import { readTar } from '../../src/image/tar-read.ts'
import { tarEnd, tarHeader } from '../../src/image/tar-write.ts'
import { utf8 } from '../../src/linux/bytes.ts'
import { bytesOf, textOf } from '../../src/observe/files-node.ts'

export interface Unpacking extends AsyncDisposable {
  readonly directory: string
  /** A new directory. */
  readonly fresh: () => string
  /** Answers the directory of the layer. */
  readonly unpack: (bytes: Uint8Array) => Promise<string>
}

export function openUnpacking(): Unpacking {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-layers-'))
  const executor = openExecutor(join(import.meta.dir, '..', '..', 'dist', 'coffer-executor'))
  let count = 0
  const fresh = (): string => {
    const path = join(directory, `${++count}`)
    mkdirSync(path)
    return path
  }
  const unpack = async (bytes: Uint8Array): Promise<string> => {
    const layer = fresh()
    const options = {
      directory: layer,
      name: 'test',
      architecture: 'x86_64',
      ids: undefined,
    } as const
    for await (const plan of planLayer(readTar(inChunks(bytes), textOf), options)) await executor.run(plan)
    return layer
  }
  return {
    directory,
    fresh,
    unpack,
    [Symbol.asyncDispose]: async () => {
      await executor.close()
      rmSync(directory, { recursive: true })
    },
  }
}

export async function* inChunks(bytes: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const ENTRY: TarEntry = {
  path: 'file',
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  sizeBytes: 0,
  modified: { seconds: 1_600_000_000, nanos: 0 },
  target: '',
  device: { major: 0, minor: 0 },
  xattrs: new Map(),
}

/** `edit` changes the header, whose sum is made right again. */
export type Written = Partial<TarEntry> & {
  readonly content?: string | Uint8Array
  readonly edit?: (header: Uint8Array) => void
}

export const entryBytes = ({ content = '', edit, ...entry }: Written): Uint8Array => {
  const bytes = typeof content === 'string' ? utf8(content) : content
  const header = tarHeader({ ...ENTRY, ...entry, sizeBytes: bytes.length }, bytesOf)
  if (edit !== undefined) {
    edit(header.subarray(-512))
    sum(header.subarray(-512))
  }
  const body = new Uint8Array(padded(bytes.length))
  body.set(bytes)
  return Buffer.concat([header, body])
}

export const archive = (...entries: readonly Written[]): Uint8Array =>
  Buffer.concat([...entries.map(entryBytes), tarEnd()])

/** A header of pax: `type` is x for the next entry, g for all. */
export const paxBytes = (body: string | Uint8Array, type: 'x' | 'g' = 'x'): Uint8Array =>
  entryBytes({ path: 'pax', content: body, edit: (header) => header.set(utf8(type), 156) })

export const paxRecord = (key: string, value: string): string => {
  const rest = Buffer.byteLength(` ${key}=${value}\n`)
  const length = rest + `${rest + `${rest}`.length}`.length
  return `${length} ${key}=${value}\n`
}

/** Over the block with blanks in the place of the sum. */
function sum(header: Uint8Array): void {
  header.set(utf8(' '.repeat(8)), 148)
  const total = header.reduce((all, byte) => all + byte, 0)
  header.set(utf8(`${total.toString(8).padStart(6, '0')}\0 `), 148)
}
