import { expect, test } from 'bun:test'
import {
  allCapabilities,
  capabilitiesIn,
  capabilityBit,
  capabilityMask,
  capabilityName,
  hasBit,
  intersectMasks,
  isCapability,
  lastCapability,
  parseCapabilityMask,
} from './capabilities.ts'

test('there are 41 capabilities, and each leads to its bit and back', () => {
  expect(allCapabilities()).toHaveLength(lastCapability + 1)
  for (const [bit, name] of allCapabilities().entries()) {
    expect(capabilityBit(name)).toBe(bit)
    expect(capabilityName(bit)).toBe(name)
  }
  expect(capabilityName(41)).toBeUndefined()
})

test('bits are those of linux/capability.h', () => {
  expect(capabilityBit('CAP_CHOWN')).toBe(0)
  expect(capabilityBit('CAP_SYS_ADMIN')).toBe(21)
  expect(capabilityBit('CAP_SETFCAP')).toBe(31)
  expect(capabilityBit('CAP_MAC_OVERRIDE')).toBe(32)
  expect(capabilityBit('CAP_CHECKPOINT_RESTORE')).toBe(40)
})

test('a mask has its 32nd and later capabilities in the high word', () => {
  expect(capabilityMask(['CAP_CHOWN', 'CAP_SETFCAP', 'CAP_BPF', 'CAP_CHOWN'])).toEqual({ low: 0x8000_0001, high: 0x80 })
  expect(capabilityMask(allCapabilities())).toEqual({ low: 0xffff_ffff, high: 0x1ff })
  expect(capabilityMask([])).toEqual({ low: 0, high: 0 })
})

test('a mask gives its capabilities back', () => {
  expect(capabilitiesIn(capabilityMask(['CAP_SYSLOG', 'CAP_SETFCAP', 'CAP_KILL']))).toEqual([
    'CAP_KILL',
    'CAP_SETFCAP',
    'CAP_SYSLOG',
  ])
  expect(capabilitiesIn({ low: 0, high: 0xffff_fe00 })).toEqual([])
})

test('masks of /proc/PID/status are read', () => {
  expect(parseCapabilityMask('000001ffffffffff')).toEqual({ low: 0xffff_ffff, high: 0x1ff })
  expect(parseCapabilityMask('00000000a80425fb')).toEqual({ low: 0xa804_25fb, high: 0 })
  expect(parseCapabilityMask('3')).toEqual({ low: 3, high: 0 })
})

test('an intersection has what both have', () => {
  const both = intersectMasks({ low: 0xffff_ffff, high: 1 }, { low: 0x8000_0001, high: 3 })
  expect(both).toEqual({ low: 0x8000_0001, high: 1 })
  expect([hasBit(both, 31), hasBit(both, 32), hasBit(both, 33)]).toEqual([true, true, false])
})

test('names are spelt as the kernel spells them', () => {
  expect([isCapability('CAP_KILL'), isCapability('KILL'), isCapability('cap_kill')]).toEqual([true, false, false])
})
