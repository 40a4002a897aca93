import { expect, test } from 'bun:test'
import { slot } from './call.ts'
import {
  IFA_FLAGS,
  IFA_LOCAL,
  IFLA_IFNAME,
  linkBody,
  NLM_F_REQUEST,
  netlinkMessage,
  numberAttribute,
  RTM_GETLINK,
  RTM_NEWADDR,
  textAttribute,
} from './netlink.ts'
import { parseAddress, parseAnswers } from './netlink-read.ts'

test('a message has its length in front, and attributes at multiples of 4', () => {
  const { struct } = netlinkMessage({
    type: RTM_GETLINK,
    flags: NLM_F_REQUEST,
    body: linkBody(0),
    attributes: [textAttribute(IFLA_IFNAME, 'eth0'), numberAttribute(9, 5)],
  })
  expect([...struct.subarray(0, 8)]).toEqual([52, 0, 0, 0, RTM_GETLINK, 0, NLM_F_REQUEST, 0])
  expect([...struct.subarray(32, 44)]).toEqual([9, 0, IFLA_IFNAME, 0, 101, 116, 104, 48, 0, 0, 0, 0])
  expect([...struct.subarray(44)]).toEqual([8, 0, 9, 0, 5, 0, 0, 0])
})

test('what is known only when it is sent is a field of the message', () => {
  const { struct, fields } = netlinkMessage({
    type: RTM_GETLINK,
    flags: 0,
    body: linkBody(slot('index')),
    attributes: [{ type: 28, value: slot('namespace') }],
  })
  expect(struct).toHaveLength(40)
  expect(fields).toEqual([
    { offset: 20, sizeBytes: 4, value: slot('index') },
    { offset: 36, sizeBytes: 4, value: slot('namespace') },
  ])
})

test('answers are taken apart, and one that is cut off is left out', () => {
  const one = netlinkMessage({
    type: RTM_NEWADDR,
    flags: 0,
    body: { bytes: new Uint8Array([2, 24, 0x80, 253, 7, 0, 0, 0]) },
    attributes: [{ type: IFA_LOCAL, value: new Uint8Array([10, 0, 0, 1]) }],
  }).struct
  const bytes = new Uint8Array([...one, ...one.subarray(0, 20)])
  const answers = parseAnswers(bytes)
  expect(answers).toHaveLength(1)
  const address = answers[0] && parseAddress(answers[0])
  expect(address).toMatchObject({ family: 2, prefixLength: 24, flags: 0x80, scope: 253, index: 7 })
  expect([...(address?.attributes.get(IFA_LOCAL) ?? [])]).toEqual([10, 0, 0, 1])
})

test('the flags of an address that are cut off are those of its header', () => {
  const body = Uint8Array.of(2, 24, 0x80, 253, 7, 0, 0, 0, 6, 0, IFA_FLAGS, 0, 1, 1)
  expect(parseAddress({ type: RTM_NEWADDR, body })).toMatchObject({ flags: 0x80 })
})
