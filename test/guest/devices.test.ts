/** Device nodes, and devices that other controllers count, on cgroup v2. kernel:admin-guide/cgroup-v2.rst "Device controller", "HugeTLB", "RDMA", "Misc" */

import { afterEach, expect, test } from 'bun:test'
import { mkdirSync, readFileSync } from 'node:fs'
import type { Changes } from '../kernel/bundle.ts'
import { bind } from '../kernel/bundle.ts'
import { expectNothingLeft, makeSite } from '../kernel/site.ts'
import { ALL_DEVICES, counter, host, limits, MIB, NO_DEVICES, SPARE_DISK, setting } from './guest.ts'

afterEach(expectNothingLeft)

const { major, minor } = SPARE_DISK

/** A container that makes nodes: whether each of them can be made, read and written. */
const PROBE = `
cd /tmp
try() { if "$@" 2>/dev/null; then echo -n " yes"; else echo -n " no"; fi; }
reads() { (: <node); }
writes() { (: >>node); }
while read kind major minor; do
  echo -n "$kind $major:$minor"
  try mknod node $kind $major $minor
  if [ -e node ]; then try reads; try writes; rm node; fi
  echo
done`
const CAN_MAKE_NODES: Changes = {
  'process.capabilities.bounding': ['CAP_MKNOD'],
  'process.capabilities.effective': ['CAP_MKNOD'],
  'process.capabilities.permitted': ['CAP_MKNOD'],
  'process.capabilities.inheritable': undefined,
  'process.capabilities.ambient': undefined,
  '+mounts': [{ destination: '/tmp', type: 'tmpfs', source: 'tmpfs' }],
}

test('the device program denies what no rule allows, letter by letter (S92)', () => {
  using site = makeSite()
  const disk = `b ${major} ${minor}`
  const probe = (devices: readonly object[]): readonly string[] => {
    const nodes = ['c 1 3', 'c 1 5', 'c 10 229', disk].map((node) => `${node}\n`)
    return site
      .inside(PROBE, { ...CAN_MAKE_NODES, ...limits({ devices }) }, { stdin: nodes.join('') })
      .trim()
      .split('\n')
      .map((line) => line.split(' ').slice(2).join(' '))
  }
  const [all, only] = ['yes yes yes', 'yes no no']
  expect(probe(ALL_DEVICES)).toEqual([all, all, all, all])
  expect(probe(NO_DEVICES)).toEqual([all, all, only, only])
  const fuse = { type: 'c', major: 10, minor: 229 }
  expect(
    probe([...NO_DEVICES, { ...fuse, allow: true, access: 'rw' }, { ...fuse, allow: false, access: 'w' }]),
  ).toEqual([all, all, 'yes yes no', only])
  expect(probe([...NO_DEVICES, { allow: true, type: 'b', major, access: 'w' }])).toEqual([all, all, only, 'yes no yes'])
  expect(probe([...ALL_DEVICES, { ...fuse, allow: false, access: 'r' }])).toEqual([all, all, 'yes no yes', all])
})

test('an update of the device list takes the place of the one before', () => {
  using site = makeSite()
  site.up({ ...CAN_MAKE_NODES, ...limits({ devices: NO_DEVICES }) })
  expect(site.exec('mknod /tmp/fuse c 10 229').exitCode).toBe(0)
  const canRead = (): boolean => site.exec(': </tmp/fuse').exitCode === 0
  const update = (devices: readonly object[]): number | null =>
    site.call(['update', '--resources', '-', site.id], { stdin: JSON.stringify({ devices }) }).exitCode
  expect(canRead()).toBe(false)
  expect(update([...NO_DEVICES, { allow: true, type: 'c', major: 10, minor: 229, access: 'r' }])).toBe(0)
  expect(canRead()).toBe(true)
  expect(update(NO_DEVICES)).toBe(0)
  expect(canRead()).toBe(false)
})

test('huge pages beyond the limit are refused, counted and told by events', () => {
  host('echo 8 >/proc/sys/vm/nr_hugepages')
  expect(Number(readFileSync('/proc/sys/vm/nr_hugepages', 'utf8'))).toBeGreaterThanOrEqual(4)
  mkdirSync('/tmp/huge')
  host('mount -t hugetlbfs huge /tmp/huge')
  {
    using site = makeSite()
    site.up({
      '+mounts': [bind('/tmp/huge', '/mnt', 'rw')],
      ...limits({ hugepageLimits: [{ pageSize: '2MB', limit: 4 * MIB }] }),
    })
    expect(setting(site, 'hugetlb.2MB.max')).toBe(`${4 * MIB}`)
    expect(setting(site, 'hugetlb.2MB.rsvd.max')).toBe(`${4 * MIB}`)
    expect(site.exec(`fallocate -l ${4 * MIB} /mnt/first`).exitCode).toBe(0)
    expect(site.exec(`fallocate -l ${2 * MIB} /mnt/second`).exitCode).not.toBe(0)
    expect(counter(site, 'hugetlb.2MB.events', 'max')).toBeGreaterThan(0)
    const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
    expect(data.hugetlb['2MB']).toMatchObject({ usage: 4 * MIB })
    const missing = limits({ hugepageLimits: [{ pageSize: '64KB', limit: 0 }] })
    using other = makeSite()
    expect(other.run(missing).stderr).toContain('this machine has no pages of that size')
  }
  host('umount /tmp/huge && echo 0 >/proc/sys/vm/nr_hugepages')
})

test('RDMA devices and other resources that the machine has not are refused by the kernel, by name', () => {
  // The kernel of the guest has both controllers, and none of the devices that they count.
  using site = makeSite()
  for (const [resources, words] of [
    [{ rdma: { mlx5_0: { hcaHandles: 3 } } }, 'rdma.max'],
    [{ unified: { 'misc.max': 'sev 1' } }, 'misc.max'],
  ] as const) {
    const { exitCode, stderr } = site.run(limits(resources))
    expect([exitCode, stderr]).toEqual([1, expect.stringContaining(words)])
  }
  site.up()
  expect(['rdma.max', 'misc.max'].map((file) => setting(site, file))).toEqual(['', ''])
})
