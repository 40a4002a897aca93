import { expect, test } from 'bun:test'
import { planLoopback } from './network-lo.ts'

test('lo is switched on with a structure that names it', () => {
  const [, flags] = planLoopback
  const request = flags?.call.args[2]
  if (!(request instanceof Uint8Array)) throw new TypeError('no structure')
  expect(request).toHaveLength(40)
  expect(new TextDecoder().decode(request.slice(0, 3))).toBe('lo\0')
  expect(new DataView(request.buffer).getUint16(16, true)).toBe(0x41)
})
