import { expect, test } from 'bun:test'
import { ordered, parseSetting, type SettingFacts, writesOf } from './cgroup-settings.ts'

const facts: SettingFacts = {
  deviceOf: (path) => (path === '/dev/vda' ? '254:0' : undefined),
  memoryLimit: () => 1000,
}
const lines = (word: string, version: 1 | 2): readonly string[] =>
  writesOf(parseSetting(word), version, facts).map(({ file, value }) => `${file} = ${value}`)

for (const [word, v1, v2] of [
  ['memory.max=256M', ['memory.limit_in_bytes = 268435456'], ['memory.max = 268435456']],
  ['memory.max=max', ['memory.limit_in_bytes = -1'], ['memory.max = max']],
  ['memory.low=1.5k', ['memory.soft_limit_in_bytes = 1536'], ['memory.low = 1536']],
  ['memory.swap.max=24', ['memory.memsw.limit_in_bytes = 1024'], ['memory.swap.max = 24']],
  ['cpu.max=50%', ['cpu.cfs_period_us = 100000', 'cpu.cfs_quota_us = 50000'], ['cpu.max = 50000 100000']],
  ['cpu.max=1.5', ['cpu.cfs_period_us = 100000', 'cpu.cfs_quota_us = 150000'], ['cpu.max = 150000 100000']],
  ['cpu.max=5000 20000', ['cpu.cfs_period_us = 20000', 'cpu.cfs_quota_us = 5000'], ['cpu.max = 5000 20000']],
  ['cpu.max=50% 20000', ['cpu.cfs_period_us = 20000', 'cpu.cfs_quota_us = 10000'], ['cpu.max = 10000 20000']],
  ['cpu.max=5000', ['cpu.cfs_quota_us = 5000'], ['cpu.max = 5000']],
  ['cpu.max=max', ['cpu.cfs_quota_us = -1'], ['cpu.max = max']],
  ['cpu.weight=100', ['cpu.shares = 1024'], ['cpu.weight = 100']],
  ['cgroup.freeze=1', ['freezer.state = FROZEN'], ['cgroup.freeze = 1']],
  ['pids.max=64', ['pids.max = 64'], ['pids.max = 64']],
  [
    'io.max=/dev/vda:rbps=10M,wiops=max',
    ['blkio.throttle.read_bps_device = 254:0 10485760', 'blkio.throttle.write_iops_device = 254:0 0'],
    ['io.max = 254:0 rbps=10485760 wiops=max'],
  ],
  ['io.max=8:0 rbps=1', ['blkio.throttle.read_bps_device = 8:0 1'], ['io.max = 8:0 rbps=1']],
  ['devices.deny=a', ['devices.deny = a'], ['devices.deny = a']],
] as const)
  test(`${word} is a setting under v1 and under v2`, () => {
    expect(lines(word, 1)).toEqual([...v1])
    expect(lines(word, 2)).toEqual([...v2])
  })

for (const [word, version, message] of [
  ['memory.max', 1, 'give NAME=VALUE'],
  ['memory.max=lots', 2, 'is no size'],
  ['cpu.max=0%', 2, 'no share of CPU time'],
  ['cpu.max=1 2 3', 2, 'no share of CPU time'],
  ['cpu.weight=0', 1, '1 to 10000'],
  ['io.max=/dev/none:rbps=1', 2, 'no block device'],
  ['io.max=8:0:bps=1', 2, '"bps" is no limit'],
  ['memory.high=1M', 1, 'a file of cgroup v2'],
  ['cpu.cfs_quota_us=1', 2, 'a file of cgroup v1'],
] as const)
  test(`${word} under v${version} is refused, and says why`, () => {
    let said = ''
    try {
      lines(word, version)
    } catch (error) {
      said = `${(error as Error).message} ${(error as { hint?: string }).hint}`
    }
    expect(said).toContain(message)
  })

test('memory.max comes before and behind the limit of memory and swap, whichever is to grow', () => {
  const writes = [
    { file: 'memory.limit_in_bytes', value: '1' },
    { file: 'memory.memsw.limit_in_bytes', value: '2' },
  ]
  expect(ordered(writes).map(({ file, isEarly }) => [file, isEarly === true])).toEqual([
    ['memory.limit_in_bytes', true],
    ['memory.memsw.limit_in_bytes', false],
    ['memory.limit_in_bytes', false],
  ])
})
