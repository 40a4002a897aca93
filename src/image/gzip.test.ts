import { expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { gunzipSync } from 'node:zlib'
import { gzipped } from './gzip-node.ts'

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

const compressed = async (bytes: Uint8Array, size: number): Promise<Buffer> =>
  Buffer.concat(await Array.fromAsync(gzipped(inChunks(bytes, size))))

/** Some of it is as random as a digest, some repeats. */
const sample = (length: number): Uint8Array => {
  const parts = Array.from({ length: Math.ceil(length / 64) }, (_, at) =>
    at % 3 === 0 ? createHash('sha512').update(`${at}`).digest() : Buffer.alloc(64, `line ${at % 7} `),
  )
  return Buffer.concat(parts).subarray(0, length)
}

test.each([0, 1, 31, 32 * 1024, 100_000, 3_000_001])(
  '%d bytes in parts are one member that unpacks to them',
  async (length) => {
    for (const size of [1000, 65_536, 524_288].filter((size) => length / size < 300)) {
      const archive = await compressed(sample(length), size)
      expect(gunzipSync(archive).equals(Buffer.from(sample(length)))).toBe(true)
      // A second member would begin with the same bytes.
      expect(archive.indexOf(Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4), 1)).toBe(-1)
    }
  },
)

test('what fails before the end is thrown, and no archive that looks whole comes', async () => {
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield sample(5000)
    throw new Error('no more')
  }
  const got: Uint8Array[] = []
  const reading = async (): Promise<void> => {
    for await (const part of gzipped(failing())) got.push(part)
  }
  await expect(reading()).rejects.toThrow('no more')
  expect(() => gunzipSync(Buffer.concat(got))).toThrow()
})
