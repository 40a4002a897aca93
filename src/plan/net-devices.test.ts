import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import type { Struct } from '../linux/call.ts'
import type { LinkAddress } from '../linux/netlink-read.ts'
import { lasts, type MovedDevice, planNetDevices } from './net-devices.ts'
import type { Step } from './plan.ts'

const host = { isRootless: false, canMapIds: true }
const address: LinkAddress = {
  family: 2,
  prefixLength: 24,
  scope: 0,
  index: 7,
  flags: 0x280,
  attributes: new Map([
    [1, new Uint8Array([192, 0, 2, 7])],
    [2, new Uint8Array([192, 0, 2, 7])],
    [3, new Uint8Array([101, 116, 104, 49, 0])],
  ]),
}
const device: MovedDevice = { device: 'eth1', name: 'eth0', addresses: [address] }
const steps = planNetDevices({ devices: [device], joinsHosts: false, host })

const inside = steps.find((step) => step.child !== undefined)?.child ?? []
const messages = (list: readonly Step[]): readonly string[] => linesOf(list).match(/(?<=sendto\()[^}]*}/g) ?? []
const BACK = [
  'container-rtnetlink, {RTM_GETLINK}',
  'container-rtnetlink, {RTM_NEWLINK}',
  'host-rtnetlink, {RTM_GETLINK}',
  'host-rtnetlink, {RTM_NEWADDR, NLM_F_EXCL|NLM_F_CREATE}',
  'host-rtnetlink, {RTM_NEWLINK}',
]

test('one process moves a device and makes it in the container what it was on the host', () => {
  expect(messages(inside)).toEqual([
    'container-rtnetlink, {RTM_GETLINK}',
    'host-rtnetlink, {RTM_GETLINK}',
    'host-rtnetlink, {RTM_NEWLINK}',
    'container-rtnetlink, {RTM_GETLINK}',
    'container-rtnetlink, {RTM_NEWADDR, NLM_F_EXCL|NLM_F_CREATE}',
    'container-rtnetlink, {RTM_NEWLINK}',
  ])
})

test('the device comes back if a later step of that process fails, and if a later step of the plan does', () => {
  expect(messages(inside.flatMap(({ undo = [] }) => undo))).toEqual(BACK)
  const [mover] = steps.flatMap(({ undo = [] }) => undo)
  expect(messages(mover?.child ?? [])).toEqual(BACK)
})

test('an address keeps what it was asked for with, and not what the kernel or its device have given it', () => {
  const message = inside.find(({ why }) => why.includes('its address back'))?.call.args[1] as Struct
  // Length 4 + 4, IFA_FLAGS, IFA_F_NOPREFIXROUTE without IFA_F_PERMANENT.
  expect([...message.struct.subarray(-8)]).toEqual([8, 0, 8, 0, 0, 2, 0, 0])
  const types = [24, 32, 40].map((at) => message.struct[at + 2])
  expect(types).toEqual([1, 2, 8])
  expect(message.fields).toEqual([{ offset: 20, sizeBytes: 4, value: { slot: 'device-index' } }])
})

test('addresses last that are global and were not given for a while', () => {
  expect(lasts({ scope: 0, flags: 0x80 })).toBe(true)
  expect(lasts({ scope: 0, flags: 0 })).toBe(false)
  expect(lasts({ scope: 253, flags: 0x80 })).toBe(false)
})

test('without devices there is nothing to do, and the network namespace of the host is no place to move them to', () => {
  expect(planNetDevices({ devices: [], joinsHosts: true, host })).toEqual([])
  const refused = (change: object): string => {
    try {
      planNetDevices({ devices: [device], joinsHosts: false, host, ...change })
    } catch (error) {
      return (error as Error).message
    }
    return 'accepted'
  }
  expect(refused({ joinsHosts: true })).toContain('joins the one of the host')
  expect(refused({ host: { isRootless: true, canMapIds: false } })).toContain('needs CAP_NET_ADMIN')
})
