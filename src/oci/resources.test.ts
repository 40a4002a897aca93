import { expect, test } from 'bun:test'
import { exampleConfig, refusalOf } from './example-config.ts'

const resources = (path: string, value: unknown) =>
  exampleConfig({ [`linux.resources.${path}`]: value }).linux.resources
const refused = (path: string, value: unknown) => refusalOf({ [`linux.resources.${path}`]: value })

test('memory is bytes, or -1 for no limit', () => {
  expect(resources('memory', { limit: -1, reservation: 0 })?.memory).toEqual({
    limit: -1,
    reservation: 0,
    checkBeforeUpdate: false,
  })
  expect(refused('memory.limit', -2)).toBe('linux.resources.memory.limit is -2, which is less than -1')
})

test('swappiness is 0 to 100, and the unsigned -1 of Go programs is none', () => {
  expect(resources('memory', { swappiness: 18446744073709551615n })?.memory?.swappiness).toBeUndefined()
  expect(resources('memory', { swappiness: 100 })?.memory?.swappiness).toBe(100)
  expect(refused('memory.swappiness', 101)).toBe('linux.resources.memory.swappiness is 101, which is more than 100')
})

test('the idle flag is 0 or 1', () => {
  expect(refused('cpu.idle', 2)).toContain('which is more than 1')
})

test('the number of tasks may be left out, as the Go type does', () => {
  expect(resources('pids', {})?.pids).toEqual({})
  expect(resources('pids', { limit: -1 })?.pids).toEqual({ limit: -1 })
})

test('a weight for a device says which weight, a throttle which rate', () => {
  expect(refused('blockIO.weightDevice', [{ major: 8, minor: 0 }])).toBe(
    'linux.resources.blockIO.weightDevice[0] has neither weight nor leafWeight',
  )
  expect(refused('blockIO.throttleReadBpsDevice', [{ major: 8, minor: 0 }])).toBe(
    'linux.resources.blockIO.throttleReadBpsDevice[0].rate is missing, and has to be an integer',
  )
  expect(refused('blockIO.weight', 65536)).toContain('which is more than 65535')
})

test('huge pages have a size like the names of their files', () => {
  for (const pageSize of ['2M', '0MB', '2mb', '2 MB', '2MB\n']) {
    expect(refused('hugepageLimits', [{ pageSize, limit: 1 }]), pageSize).toStartWith(
      `linux.resources.hugepageLimits[0].pageSize is ${JSON.stringify(pageSize)}, which is not a size of pages`,
    )
  }
})

test('an RDMA device has a limit of something', () => {
  expect(refused('rdma', { mlx5_1: {} })).toBe('linux.resources.rdma["mlx5_1"] has neither hcaHandles nor hcaObjects')
  expect(resources('rdma', { a: { hcaHandles: 1 }, b: { hcaObjects: 2 } })?.rdma).toEqual([
    { device: 'a', hcaHandles: 1 },
    { device: 'b', hcaObjects: 2 },
  ])
})

test('a unified key is a file of the group itself, and the order is kept', () => {
  for (const file of ['../memory.max', 'a/memory.max', '/memory.max', '.', '..', '', 'memory', '.memory.max']) {
    expect(refused('unified', { [file]: '1' }), file).toStartWith(
      `linux.resources.unified[${JSON.stringify(file)}] is not the name of a cgroup file`,
    )
  }
  expect(resources('unified', { 'memory.high': '1G', 'hugetlb.1GB.max': '', 'io.max': '8:0 rbps=1' })?.unified).toEqual(
    [
      { file: 'memory.high', value: '1G' },
      { file: 'hugetlb.1GB.max', value: '' },
      { file: 'io.max', value: '8:0 rbps=1' },
    ],
  )
})
