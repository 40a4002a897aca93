/** Limits of disk traffic on cgroup v2, by what they do to it. kernel:admin-guide/cgroup-v2.rst "IO" */

import { afterEach, beforeAll, expect, test } from 'bun:test'
import type { Changes } from '../kernel/bundle.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'
import { CGROUPS, host, limits, MIB, NO_DEVICES, pressure, SPARE_DISK, setting } from './guest.ts'

afterEach(expectNothingLeft)

const { name, major, minor } = SPARE_DISK
const AT = { major, minor }

/** A container that may use the disk, within these limits. */
const withDisk = (blockIO: object): Changes => ({
  'linux.devices': [{ path: '/dev/disk', type: 'b', ...AT, fileMode: 0o600 }],
  ...limits({ devices: [...NO_DEVICES, { allow: true, type: 'b', ...AT, access: 'rw' }], blockIO }),
})

const READ = 'dd if=/dev/disk of=/dev/null iflag=direct'
const WRITE = 'dd if=/dev/zero of=/dev/disk oflag=direct'
const THREE_MIB = 'bs=64k count=48'
/** Each of them waits for the one before, so their time is their latency. */
const TWENTY = 'bs=4k count=20'

/** Seconds that the container's clock goes on while a command runs in it. */
function secondsFor({ exec }: Pick<Site, 'exec'>, command: string): number {
  const now = 'cut -d " " -f 1 /proc/uptime'
  const { exitCode, stdout } = exec(`${now} && ${command} 2>/dev/null && ${now}`)
  expect(exitCode).toBe(0)
  const [begin = 0, end = 0] = stdout.split('\n').map(Number)
  return end - begin
}

beforeAll(() => {
  host(`echo none >/sys/block/${name}/queue/scheduler`)
})

for (const [field, rate, command, seconds] of [
  ['throttleReadBpsDevice', 2 * MIB, `${READ} ${THREE_MIB}`, 1.5],
  ['throttleWriteBpsDevice', 2 * MIB, `${WRITE} ${THREE_MIB}`, 1.5],
  ['throttleReadIOPSDevice', 20, `${READ} ${TWENTY}`, 1],
  ['throttleWriteIOPSDevice', 20, `${WRITE} ${TWENTY}`, 1],
] as const)
  test(`io.max makes each transfer wait: ${field}`, () => {
    using site = makeSite()
    using free = makeSite()
    site.up(withDisk({ [field]: [{ ...AT, rate }] }))
    free.up(withDisk({ [field]: [{ ...AT, rate: 0 }] }))
    // The kernel lets the first slice of 100 ms pass at once: block/blk-throttle.c, DFL_THROTL_SLICE_HD.
    const limited = secondsFor(site, command)
    expect(limited).toBeGreaterThan(seconds * 0.7)
    expect(secondsFor(free, command)).toBeLessThan(limited / 2)
    expect(pressure(site, 'io')).toBeGreaterThan(seconds * 500_000)
  })

test('all limits of a disk are in one line of io.max, and what was moved is in events', () => {
  using site = makeSite()
  site.up(
    withDisk({
      throttleReadBpsDevice: [{ ...AT, rate: 8 * MIB }],
      throttleWriteBpsDevice: [{ ...AT, rate: 9 * MIB }],
      throttleReadIOPSDevice: [{ ...AT, rate: 500 }],
      throttleWriteIOPSDevice: [{ ...AT, rate: 600 }],
    }),
  )
  expect(setting(site, 'io.max')).toBe(`${major}:${minor} rbps=${8 * MIB} wbps=${9 * MIB} riops=500 wiops=600`)
  expect(site.exec(`${READ} ${THREE_MIB}`).exitCode).toBe(0)
  const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
  expect(data.blkio.ioServiceBytesRecursive).toContainEqual({ ...AT, op: 'Read', value: 3 * MIB })
  expect(data.blkio.ioServicedRecursive).toContainEqual({ ...AT, op: 'Read', value: 48 })
})

test('the weight of disk traffic is converted for io.weight, and is that of v1 for the scheduler bfq', () => {
  using site = makeSite()
  const weights = { weight: 500, weightDevice: [{ ...AT, weight: 10 }] }
  expect(site.run(withDisk(weights)).stderr).toContain('queue/scheduler')
  host(`echo '${major}:${minor} enable=1' >${CGROUPS}/io.cost.qos`)
  site.up(withDisk(weights))
  expect(setting(site, 'io.weight')).toBe(`default 4950\n${major}:${minor} 1`)
  site.call(['delete', '--force', site.id])
  host(`echo '${major}:${minor} enable=0' >${CGROUPS}/io.cost.qos`)
  host(`modprobe bfq && echo bfq >/sys/block/${name}/queue/scheduler`)
  site.up(withDisk(weights))
  expect(setting(site, 'io.bfq.weight')).toBe(`default 500\n${major}:${minor} 10`)
  expect(site.call(['update', '--blkio-weight', '300', site.id]).exitCode).toBe(0)
  expect(setting(site, 'io.bfq.weight')).toBe(`default 300\n${major}:${minor} 10`)
  host(`echo none >/sys/block/${name}/queue/scheduler`)
})

test('of two containers that read without end the one with more weight gets more', () => {
  using heavy = makeSite()
  using light = makeSite()
  host(`modprobe bfq && echo bfq >/sys/block/${name}/queue/scheduler`)
  const reads = { 'process.args': ['sh', '-c', `while :; do ${READ} bs=64k 2>/dev/null; done`] }
  heavy.up({ ...withDisk({ weight: 1000 }), ...reads })
  light.up({ ...withDisk({ weight: 100 }), ...reads })
  const moved = (site: Site): number => Number(/ rbytes=(\d+)/.exec(` ${setting(site, 'io.stat')}`)?.[1] ?? 0)
  const before = [moved(heavy), moved(light)]
  Bun.sleepSync(2500)
  const [more = 0, less = 0] = [moved(heavy), moved(light)].map((bytes, index) => bytes - (before[index] ?? 0))
  expect(more / less).toBeGreaterThan(2)
  for (const site of [heavy, light]) site.call(['delete', '--force', site.id])
  host(`echo none >/sys/block/${name}/queue/scheduler`)
})
