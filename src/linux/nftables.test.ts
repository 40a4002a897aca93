import { expect, test } from 'bun:test'
import { batch, newTable } from './nftables.ts'

/** The flags of each message: struct nlmsghdr has its length first, and flags at 6. */
function flagsOf(bytes: Uint8Array): readonly number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset)
  const flags: number[] = []
  for (let at = 0; at < bytes.length; at += view.getUint32(at, true)) flags.push(view.getUint16(at + 6, true))
  return flags
}

test('of a batch the last change asks for the answer, as older kernels do not answer its end', () => {
  const NLM_F_ACK = 4
  const asks = flagsOf(batch([newTable('one'), newTable('two')])).map((flags) => (flags & NLM_F_ACK) !== 0)
  expect(asks).toEqual([false, false, true, false])
})
