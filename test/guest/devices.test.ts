/** Disks, device nodes and huge pages on cgroup v2. kernel:admin-guide/cgroup-v2.rst "IO", "Device controller", "HugeTLB" */

import { afterEach, beforeAll, expect, test } from 'bun:test'
import { mkdirSync, readFileSync } from 'node:fs'
import type { Changes } from '../kernel/bundle.ts'
import { bind } from '../kernel/bundle.ts'
import { expectNothingLeft, makeSite } from '../kernel/site.ts'
import { ALL_DEVICES, CGROUPS, counter, host, limits, MIB, makeDisk, NO_DEVICES, setting } from './guest.ts'

afterEach(expectNothingLeft)

const DISK = 'slow'
let major = 0
let minor = 0
beforeAll(() => {
  const [first, second] = host(`stat -c '%Hr %Lr' ${makeDisk(DISK, { size: 64 })}`)
    .split(' ')
    .map(Number)
  major = first ?? 0
  minor = second ?? 0
})

/** A container that may use the disk, within these limits. */
const withDisk = (blockIO: object): Changes => ({
  'linux.devices': [{ path: '/dev/disk', type: 'b', major, minor, fileMode: 0o600 }],
  ...limits({ devices: [...NO_DEVICES, { allow: true, type: 'b', major, minor, access: 'rw' }], blockIO }),
})

/** Seconds that the container's clock goes on while it moves 3 MiB to or from the disk. */
const TIMED = 'now() { cut -d " " -f 1 /proc/uptime; }; begin=$(now); "$@" 2>/dev/null; echo "$(now) $begin"'
const READ = 'dd if=/dev/disk of=/dev/null iflag=direct bs=64k count=48'
const WRITE = 'dd if=/dev/zero of=/dev/disk oflag=direct bs=64k count=48'

function secondsOf(stdout: string): number {
  const [end = 0, begin = 0] = stdout.split(' ').map(Number)
  return end - begin
}

for (const [field, command] of [
  ['throttleReadBpsDevice', READ],
  ['throttleWriteBpsDevice', WRITE],
] as const)
  test(`io.max slows the disk down: ${field}`, () => {
    using site = makeSite()
    const take = (rate: number): number =>
      secondsOf(site.inside(`set -- ${command}; ${TIMED}`, withDisk({ [field]: [{ major, minor, rate }] })))
    expect(take(0)).toBeLessThan(1)
    expect(take(2 * MIB)).toBeWithin(1, 3)
  })

test('limits of operations are told to io.max beside those of bytes, and what was moved is in events', () => {
  using site = makeSite()
  const at = { major, minor }
  site.up(
    withDisk({
      throttleReadBpsDevice: [{ ...at, rate: 8 * MIB }],
      throttleWriteBpsDevice: [{ ...at, rate: 9 * MIB }],
      throttleReadIOPSDevice: [{ ...at, rate: 500 }],
      throttleWriteIOPSDevice: [{ ...at, rate: 600 }],
    }),
  )
  expect(setting(site, 'io.max')).toBe(`${major}:${minor} rbps=${8 * MIB} wbps=${9 * MIB} riops=500 wiops=600`)
  expect(site.exec(READ).exitCode).toBe(0)
  const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
  // As in the output of runc, 0 is left out.
  const told = minor === 0 ? { major } : at
  expect(data.blkio.ioServiceBytesRecursive).toContainEqual({ ...told, op: 'Read', value: 3 * MIB })
  expect(data.blkio.ioServicedRecursive).toContainEqual({ ...told, op: 'Read', value: 48 })
})

test('the weight of disk traffic is converted for io.weight, and is that of v1 for the scheduler bfq', () => {
  using site = makeSite()
  const weights = { weight: 500, weightDevice: [{ major, minor, weight: 10 }] }
  expect(site.run(withDisk(weights)).stderr).toContain('queue/scheduler')
  host(`echo '${major}:${minor} enable=1' >${CGROUPS}/io.cost.qos`)
  site.up(withDisk(weights))
  expect(setting(site, 'io.weight')).toBe(`default 4950\n${major}:${minor} 1`)
  site.call(['delete', '--force', site.id])
  host(`modprobe bfq && echo bfq >/sys/block/${DISK}/queue/scheduler`)
  site.up(withDisk(weights))
  expect(setting(site, 'io.bfq.weight')).toBe(`default 500\n${major}:${minor} 10`)
  expect(site.call(['update', '--blkio-weight', '300', site.id]).exitCode).toBe(0)
  expect(setting(site, 'io.bfq.weight')).toBe(`default 300\n${major}:${minor} 10`)
  host(`echo none >/sys/block/${DISK}/queue/scheduler`)
})

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
