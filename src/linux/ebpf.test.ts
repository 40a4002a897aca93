import { expect, test } from 'bun:test'
import { slot } from './call.ts'
import { attachDeviceProgram, copy, encodeEbpf, exit, jumpIf, load32, set } from './ebpf.ts'

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

test('instructions are encoded as the kernel reads them', () => {
  expect(hex(encodeEbpf([load32(2, 1, 4)]))).toBe('6112040000000000')
  expect(hex(encodeEbpf([copy(3, 2)]))).toBe('bf23000000000000')
  expect(hex(encodeEbpf([jumpIf('differs', 4, 1, 6)]))).toBe('5504060001000000')
  expect(hex(encodeEbpf([set(0, 1), exit()]))).toBe('b7000000010000009500000000000000')
})

test('an operand with its highest bit set keeps all 32 bits', () => {
  expect(hex(encodeEbpf([jumpIf('equals32', 0, 0xfff0_0001, 1)]))).toBe('160001000100f0ff')
})

test('a program that takes the place of another names both, and agrees with those of other cgroups', () => {
  const { args } = attachDeviceProgram(slot('cgroup'), slot('new'), slot('old'))
  const [command, attributes, size] = args
  expect([command, size]).toEqual([8, 20])
  if (typeof attributes !== 'object' || !('struct' in attributes)) throw new Error('no attributes')
  // target_fd, attach_bpf_fd, BPF_CGROUP_DEVICE, BPF_F_ALLOW_MULTI | BPF_F_REPLACE, replace_bpf_fd
  expect(hex(attributes.struct)).toBe('0000000000000000060000000600000000000000')
  expect(attributes.fields.map(({ offset, value }) => [offset, value])).toEqual([
    [0, slot('cgroup')],
    [4, slot('new')],
    [16, slot('old')],
  ])
})
