/** Limits of cgroup v1 whose tests change the machine: huge pages, swap, disk weights, priorities of packets. kernel:admin-guide/cgroup-v1 */

import { afterEach, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, readFileSync } from 'node:fs'
import { host, limits, MIB, makeDisk, NO_DEVICES, SPARE_DISK } from '../guest/guest.ts'
import { bind } from '../kernel/bundle.ts'
import { until } from '../kernel/leaks.ts'
import { expectNothingLeft, makeSite, type Site } from '../kernel/site.ts'

afterEach(expectNothingLeft)

/** A file of the container's cgroup. */
const setting = ({ cgroup }: Pick<Site, 'cgroup'>, controller: string, file: string): string =>
  readFileSync(`/sys/fs/cgroup/${controller}${cgroup}/${file}`, 'utf8').trim()

/** Fills so many MiB of its own memory. */
const eat = (megabytes: number): string => `dd if=/dev/zero of=/dev/null bs=${megabytes}M count=1 2>/dev/null`

beforeAll(() => {
  const disk = makeDisk('swap', { memory_backed: 1, size: 128 })
  host(`mkswap ${disk} && swapon ${disk}`)
})

test('memory beyond the limit of v1 goes to swap as far as the limit of both allows', () => {
  using site = makeSite()
  site.up(limits({ memory: { limit: 24 * MIB, swap: 80 * MIB } }))
  expect(site.exec('dd if=/dev/zero of=/dev/shm/file bs=1M count=40 2>/dev/null').exitCode).toBe(0)
  expect(Number(/^swap (\d+)$/m.exec(setting(site, 'memory', 'memory.stat'))?.[1])).toBeGreaterThan(10 * MIB)
  expect(site.exec(eat(120)).exitCode).toBe(137)
})

test('with a swappiness of 0 memory beyond the limit of v1 is not swapped out but kills', () => {
  const exitCode = (swappiness: number): number | null => {
    using site = makeSite()
    site.up(limits({ memory: { limit: 24 * MIB, swap: 80 * MIB, swappiness } }))
    return site.exec(eat(40)).exitCode
  }
  expect([exitCode(60), exitCode(0)]).toEqual([0, 137])
})

test('huge pages beyond the limit of v1 are refused', () => {
  host('echo 8 >/proc/sys/vm/nr_hugepages')
  mkdirSync('/tmp/huge')
  host('mount -t hugetlbfs huge /tmp/huge')
  {
    using site = makeSite()
    site.up({
      '+mounts': [bind('/tmp/huge', '/mnt', 'rw')],
      ...limits({ hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }] }),
    })
    expect(site.exec(`fallocate -l ${4 * MIB} /mnt/first`).exitCode).toBe(0)
    expect(site.exec(`fallocate -l ${2 * MIB} /mnt/second`).exitCode).not.toBe(0)
    // Space for a file is reserved before it is taken.
    expect(Number(setting(site, 'hugetlb', 'hugetlb.2MB.rsvd.failcnt'))).toBeGreaterThan(0)
    const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
    expect(data.hugetlb['2MB']).toMatchObject({ usage: 4 * MIB })
  }
  host('umount /tmp/huge && echo 0 >/proc/sys/vm/nr_hugepages')
})

test('of two containers that read without end the one with more weight of v1 gets more', () => {
  using heavy = makeSite()
  using light = makeSite()
  const { name, major, minor } = SPARE_DISK
  host(`modprobe bfq && echo bfq >/sys/block/${name}/queue/scheduler`)
  for (const [site, weight] of [
    [heavy, 1000],
    [light, 100],
  ] as const)
    site.up({
      'process.args': ['sh', '-c', 'while :; do dd if=/dev/disk of=/dev/null iflag=direct bs=64k 2>/dev/null; done'],
      'linux.devices': [{ path: '/dev/disk', type: 'b', major, minor, fileMode: 0o600 }],
      ...limits({
        devices: [...NO_DEVICES, { allow: true, type: 'b', major, minor, access: 'rw' }],
        blockIO: { weight },
      }),
    })
  const moved = (site: Site): number =>
    Number(/^\S+ Read (\d+)$/m.exec(setting(site, 'blkio', 'blkio.bfq.io_service_bytes'))?.[1] ?? 0)
  until('both to read', () => moved(heavy) > 0 && moved(light) > 0)
  const before = [moved(heavy), moved(light)]
  Bun.sleepSync(2500)
  const [more = 0, less = 0] = [moved(heavy), moved(light)].map((bytes, index) => bytes - (before[index] ?? 0))
  expect(more / less).toBeGreaterThan(2)
  for (const site of [heavy, light]) site.call(['delete', '--force', site.id])
  host(`echo none >/sys/block/${name}/queue/scheduler`)
})

test('packets have the priority of the net_prio cgroup, which decides about their way through a device of the host', () => {
  // A priority that is the number of a class leads there: tc-htb(8) "CLASSIFICATION". Priorities are for devices of the host alone.
  host(
    'modprobe -a sch_htb dummy && ip link add out type dummy && ip addr add 10.9.9.1/24 dev out && ip link set out up',
  )
  host('tc qdisc add dev out root handle 1: htb && tc class add dev out parent 1: classid 1:10 htb rate 1gbit')
  using site = makeSite()
  const packets = (priority: number): number => {
    const changes = { 'linux.namespaces': ['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })) }
    site.up({ ...changes, ...limits({ network: { priorities: [{ name: 'out', priority }] } }) })
    const count = (): number =>
      Number(/class htb 1:10 .*?Sent \d+ bytes (\d+) pkt/s.exec(host('tc -s class show dev out'))?.[1])
    const before = count()
    host('ip neigh replace 10.9.9.2 lladdr 02:00:00:00:00:02 dev out')
    site.exec('ping -c 2 -W 1 10.9.9.2', '--cap', 'CAP_NET_RAW')
    site.call(['delete', '--force', site.id])
    return count() - before
  }
  expect([packets(0x10010), packets(0)]).toEqual([2, 0])
  host('ip link delete out')
})
