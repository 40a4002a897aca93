import { expect, test } from 'bun:test'
import { linesOf, settingsOf } from '../../test/plan-lines.ts'
import type { CgroupLayout } from '../linux/cgroup.ts'
import { parseResources } from '../oci/resources.ts'
import { type CgroupUpdate, planCgroupUpdate } from './cgroup-update.ts'
import type { Step } from './plan.ts'

const layout: CgroupLayout = {
  mode: 'v2',
  hierarchies: [{ version: 2, controllers: [], mountPoint: '/v2', own: '/', readonly: false, isDelegated: true }],
  unmounted: [['net_cls']],
  available: ['cpu', 'memory', 'pids', 'io'],
  enabled: [],
}
const parse = (json: object) => parseResources(json, 'test')
const update = (change: object, current: object = {}, more: Partial<CgroupUpdate> = {}): readonly Step[] =>
  planCgroupUpdate({
    cgroup: { paths: { '': '/v2/x' } },
    resources: parse(change),
    current: parse(current),
    layout,
    isRootless: false,
    ...more,
  })
const v1 = {
  cgroup: { paths: { memory: '/v1/memory/x', devices: '/v1/devices/x' } },
  layout: { ...layout, mode: 'v1' as const },
}

test('only what changes is set', () => {
  expect(linesOf(update({ pids: { limit: 9 } }, { memory: { limit: 1000 }, pids: { limit: 5 } }))).toBe(
    'pids.max = openat("/v2/x/pids.max", O_WRONLY)\nwrite(pids.max, "9")',
  )
  expect(update({})).toEqual([])
})

test('halves of one setting are completed with what was set before', () => {
  expect(settingsOf(update({ cpu: { period: 5000 } }, { cpu: { quota: 1000 } }))).toEqual(['cpu.max = 1000 5000'])
  expect(settingsOf(update({ memory: { limit: 600 } }, { memory: { limit: 1000, swap: 3000 } }))).toEqual([
    'memory.swap.max = 2400',
    'memory.max = 600',
  ])
  expect(settingsOf(update({ memory: { swap: 4000 } }, { memory: { limit: 1000, swap: 3000 } }))[0]).toBe(
    'memory.swap.max = 3000',
  )
})

test('a new weight for all disks leaves single ones with theirs', () => {
  const current = { blockIO: { weight: 500, weightDevice: [{ major: 8, minor: 0, weight: 10 }] } }
  expect(settingsOf(update({ blockIO: { weight: 300 } }, current)).slice(0, 2)).toEqual([
    'io.bfq.weight = default 300',
    'io.bfq.weight = 8:0 10',
  ])
  expect(settingsOf(update({ blockIO: { throttleReadBpsDevice: [] } }, current))).toEqual([])
})

test('a higher limit of memory needs swap raised with it', () => {
  expect(() => update({ memory: { limit: 5000 } }, { memory: { limit: 1000, swap: 3000 } })).toThrow(
    'memory and swap together (3000) cannot be less than memory alone (5000)',
  )
})

test('lifting the limit of memory lifts that of swap', () => {
  expect(settingsOf(update({ memory: { limit: -1 } }, { memory: { limit: 1000, swap: 3000 } }))).toEqual([
    'memory.swap.max = max',
    'memory.max = max',
  ])
})

test('a check before the update refuses what would kill', () => {
  const limit = { limit: 1000, checkBeforeUpdate: true }
  expect(() => update({ memory: limit }, {}, { usedBytes: 1000 })).toThrow(
    'cannot apply linux.resources.memory.limit: 1000 bytes are not more than the 1000 in use',
  )
  expect(settingsOf(update({ memory: limit }, {}, { usedBytes: 999 }))).toEqual(['memory.max = 1000'])
})

test('device rules stay unless there are new ones', () => {
  const rules = { devices: [{ allow: false, access: 'rwm' }] }
  expect(linesOf(update({ pids: { limit: 9 } }, rules))).not.toContain('bpf')
  const lines = linesOf(update(rules, rules))
  expect(lines).toStartWith('cgroup = openat("/v2/x", O_RDONLY)')
  expect(lines).toContain('BPF_PROG_QUERY')
  expect(lines).toContain('attach_flags=BPF_F_ALLOW_MULTI|BPF_F_REPLACE, replace_bpf_fd=device-program-before')
  expect(settingsOf(update(rules, {}, v1))).toContain('devices.deny = a')
  expect(settingsOf(update({ devices: [{ allow: true }] }, {}, v1))).toEqual(['devices.allow = a'])
})

test('a limit of a controller that the container has not joined is refused', () => {
  expect(() => update({ network: { classID: 5 } })).toThrow(
    'cannot apply linux.resources.network.classID: the container is in no cgroup of the net_cls controller',
  )
  const joined = { paths: { '': '/v2/x' }, unmounted: { net_cls: 'x' } }
  expect(linesOf(update({ network: { classID: 5 } }, {}, { cgroup: joined }))).toContain('fsopen("cgroup")')
})
