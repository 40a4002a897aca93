/** The files of cgroup v2, and how settings that are written for v1 are told to it. Source: kernel:admin-guide/cgroup-v2.rst */

import type { Integer64 } from '../base/integer.ts'
import { type Slot, slot } from '../linux/call.ts'
import { attachDeviceProgram, encodeEbpf, loadDeviceProgram } from '../linux/ebpf.ts'
import type { BlockIO } from '../oci/block-io.ts'
import type { Cpu, Memory } from '../oci/resources.ts'
import { deviceProgram } from './cgroup-device-program.ts'
import { replaceDeviceProgram } from './cgroup-device-update.ts'
import { openFile, putValue, type Reason, refuseLimit, setFile, setFileIfThere, V2 } from './cgroup-files.ts'
import { checkMemory, type Limits, wish } from './cgroup-limits.ts'
import type { Directory } from './cgroup-place.ts'
import { rdmaLine } from './cgroup-v1.ts'
import type { Step } from './plan.ts'

/** The cgroup's directory: clone3 makes init in it, and programs are attached to it. */
export const CGROUP: Slot = slot('cgroup')

export const limitsOfV2: Limits = {
  cpuset: ({ cpus, mems }, at) => [
    ...setUnlessEmpty(at, 'cpuset.cpus', cpus, because(`let it run on CPUs ${cpus}`, 'cpuset.cpus')),
    ...setUnlessEmpty(at, 'cpuset.mems', mems, because(`give it memory of nodes ${mems}`, 'cpuset.mems')),
  ],
  cpu: (cpu, at) => [...cpuWeight(cpu, at), ...bandwidth(cpu, at)],
  memory: (memory, at) => {
    refuseWhatV2HasNot(memory)
    return [...swapAlone(memory, at), ...memoryAlone(memory, at)]
  },
  // A process can be cloned into a cgroup only if there is room: 1 leaves as much as 0, which is none beside the first.
  pids: (limit, at) =>
    setFile(
      at,
      'pids.max',
      limit < 0 ? 'max' : `${limit === 0 ? 1 : limit}`,
      because(`let it have ${limit} tasks`, 'pids.max'),
    ),
  blockIO: (blockIO, at) => [...ioWeights(blockIO, at), ...ioMax(blockIO, at)],
  hugepages: (limits, at) =>
    limits.flatMap(({ pageSize, limit }) =>
      // Pages are counted when they are used, and those that mmap(2) reserves a second time on their own: both need the limit.
      ['max', 'rsvd.max'].flatMap((file) =>
        setFile(
          at,
          `hugetlb.${pageSize}.${file}`,
          `${limit}`,
          because(`let it have ${limit} bytes in pages of ${pageSize}`, 'hugetlb.<hugepagesize>.max'),
        ),
      ),
    ),
  rdma: (limits, at) =>
    setFile(at, 'rdma.max', limits.map(rdmaLine), because('limit its use of RDMA devices', 'rdma.max')),
  networkClass: () => refuseLimit('unsupported', 'network.classID', 'cgroup v2 has no net_cls controller'),
  networkPriorities: () => refuseLimit('unsupported', 'network.priorities', 'cgroup v2 has no net_prio controller'),
  devices: (policy, _at, inUse) => {
    const program = deviceProgram(policy)
    if (inUse) return replaceDeviceProgram(CGROUP, program)
    if (program === undefined) return []
    const reason = { why: 'let it use only its devices', see: [`${V2} "Device controller"`, 'bpf(2)'] }
    const loaded = slot('device-program')
    return [
      { call: loadDeviceProgram(encodeEbpf(program)), ...reason, into: loaded },
      { call: attachDeviceProgram(CGROUP, loaded), ...reason },
    ]
  },
}

const because = (why: string, file: string): Reason => ({ why, see: [`${V2} "${file}"`] })

const setUnlessEmpty = (at: Directory, file: string, value: string | undefined, reason: Reason): readonly Step[] =>
  value === undefined || value === '' ? [] : setFile(at, file, value, reason)

/** Limits of v1 count from -1, those of v2 up to `max`. */
const limitText = (value: Integer64): string => (value < 0 ? 'max' : `${value}`)

/**
 * CPU shares (2 to 262144, usually 1024) as a weight (1 to 10000, usually 100): smallest, usual and largest fit, on a curve that is
 * quadratic in the logarithm. As runc since 1.3.2 and crun since 1.23. Source: runc pull request 4785, crun pull request 1767
 */
export function weightOfShares(shares: Integer64): number {
  const value = Number(shares)
  if (value <= 2) return 1
  if (value >= 262144) return 10000
  const log = Math.log2(value)
  const exponent = (log * log + 125 * log) / 612 - 7 / 34
  // Powers are not exact: without this, 1024 shares may become 101.
  return Math.ceil(10 ** exponent - 1e-9)
}

/** A weight of v1 (10 to 1000) as one of v2 (1 to 10000). Source: runc, ConvertBlkIOToIOWeightValue; crun.1 "IO controller" */
export const ioWeightOf = (weight: number): number => Math.floor(1 + ((weight - 10) * 9999) / 990)

function cpuWeight(cpu: Cpu, at: Directory): readonly Step[] {
  for (const field of ['realtimePeriod', 'realtimeRuntime'] as const) {
    if (wish(cpu[field]) !== undefined)
      refuseLimit('unsupported', `cpu.${field}`, 'cgroup v2 does not limit real-time tasks')
  }
  const shares = wish(cpu.shares)
  const why = `give it the weight of ${shares} CPU shares, where 1024 are usual`
  const setWeight =
    shares === undefined ? [] : setFile(at, 'cpu.weight', `${weightOfShares(shares)}`, because(why, 'cpu.weight'))
  const { idle } = cpu
  const whyIdle = idle === 1 ? 'run it only when nothing else wants to' : 'run it as others'
  const setIdle = idle === undefined ? [] : setFile(at, 'cpu.idle', `${idle}`, because(whyIdle, 'cpu.idle'))
  // An idle group refuses a weight with EINVAL: kernel/sched/fair.c, sched_group_set_shares.
  return idle === 1 ? [...setWeight, ...setIdle] : [...setIdle, ...setWeight]
}

function bandwidth(cpu: Cpu, at: Directory): readonly Step[] {
  const quota = wish(cpu.quota)
  const period = wish(cpu.period)
  const { burst } = cpu
  const quotaText = quota === undefined ? 'max' : limitText(quota)
  // "$MAX $PERIOD"; without a second number the period stays.
  const steps =
    quota === undefined && period === undefined
      ? []
      : setFile(
          at,
          'cpu.max',
          period === undefined ? quotaText : `${quotaText} ${period}`,
          because(`let it use ${quotaText} µs of every ${period ?? 100_000} µs`, 'cpu.max'),
        )
  if (burst === undefined) return steps
  const burstReason = because(`let it save up ${burst} µs of unused CPU time`, 'cpu.max.burst')
  const putBurst = putValue('cpu.max.burst', `${burst}`, burstReason)
  // A burst must not exceed the quota, so a smaller one goes before it and a larger one behind it.
  return [openFile(at, 'cpu.max.burst', burstReason), { ...putBurst, tolerate: ['EINVAL'] }, ...steps, putBurst]
}

function refuseWhatV2HasNot(memory: Memory): void {
  if (wish(memory.kernelTCP) !== undefined) {
    refuseLimit(
      'unsupported',
      'memory.kernelTCP',
      'cgroup v2 counts TCP buffers as memory, and does not limit them on their own',
    )
  }
  if (memory.swappiness !== undefined) {
    refuseLimit(
      'unsupported',
      'memory.swappiness',
      'cgroup v2 has no swappiness',
      'linux.resources.memory.swap limits swap',
    )
  }
  if (memory.disableOOMKiller === true) {
    refuseLimit('unsupported', 'memory.disableOOMKiller', 'cgroup v2 always kills when memory is out')
  }
  if (memory.useHierarchy === false) {
    refuseLimit('unsupported', 'memory.useHierarchy', 'a cgroup of v2 always counts the memory of those in it')
  }
}

/** v1 and the specification count memory and swap together, v2 swap alone. Source: oci:runtime-spec/config-linux.md#memory */
function swapAlone(memory: Memory, at: Directory): readonly Step[] {
  checkMemory(memory)
  const swap = swapOf(wish(memory.swap), wish(memory.limit))
  if (swap === undefined) return []
  const reason = because(swap === -1 ? 'lift its limit of swap' : `limit its swap to ${swap} bytes`, 'memory.swap.max')
  // A kernel without swap accounting has no such file, and then there is nothing to lift, or none to use.
  const set = swap === -1 || swap === 0 ? setFileIfThere : setFile
  return set(at, 'memory.swap.max', limitText(swap), reason)
}

/** Bytes of swap, or -1 for no limit. Memory without a limit and nothing said of swap lifts both, as in v1. */
function swapOf(both: Integer64 | undefined, limit: Integer64 | undefined): Integer64 | undefined {
  if (both === undefined) return limit === -1 ? -1 : undefined
  if (both < 0) return -1
  if (limit === -1) return both
  if (limit === undefined) {
    refuseLimit(
      'invalid',
      'memory.swap',
      'cgroup v2 limits swap alone, which is the difference to memory.limit',
      'set both',
    )
  }
  // A difference below 2^53 may be a bigint here; it is only printed, and compared with 0 where both are equal.
  if (both === limit) return 0
  return typeof both === 'number' && typeof limit === 'number' ? both - limit : BigInt(both) - BigInt(limit)
}

function memoryAlone(memory: Memory, at: Directory): readonly Step[] {
  const limit = wish(memory.limit)
  const reservation = wish(memory.reservation)
  const why = limit === -1 ? 'lift its limit of memory' : `limit its memory to ${limit} bytes`
  return [
    ...(limit === undefined ? [] : setFile(at, 'memory.max', limitText(limit), because(why, 'memory.max'))),
    ...(reservation === undefined
      ? []
      : setFile(
          at,
          'memory.low',
          limitText(reservation),
          because(`leave it ${reservation} bytes when memory is short`, 'memory.low'),
        )),
  ]
}

/** BFQ takes weights as v1 had them, and io.weight, for disks with an I/O cost model, a wider range. */
function ioWeights({ weight, leafWeight, weightDevice }: BlockIO, at: Directory): readonly Step[] {
  if (wish(leafWeight) !== undefined || weightDevice.some((device) => wish(device.leafWeight) !== undefined)) {
    refuseLimit('unsupported', 'blockIO.leafWeight', 'cgroup v2 has no leaf weights')
  }
  const lines = (convert: (weight: number) => number): readonly string[] => [
    ...(weight === undefined || weight === 0 ? [] : [`default ${convert(weight)}`]),
    ...weightDevice.flatMap((device) =>
      device.weight === undefined || device.weight === 0
        ? []
        : [`${device.major}:${device.minor} ${convert(device.weight)}`],
    ),
  ]
  const bfq = lines((value) => value)
  if (bfq.length === 0) return []
  const reason = because('weigh its disk traffic against that of others', 'io.weight')
  return setFileIfThere(at, 'io.bfq.weight', bfq, reason, setFile(at, 'io.weight', lines(ioWeightOf), reason))
}

function ioMax(blockIO: BlockIO, at: Directory): readonly Step[] {
  const keys = [
    ['rbps', blockIO.throttleReadBpsDevice],
    ['wbps', blockIO.throttleWriteBpsDevice],
    ['riops', blockIO.throttleReadIOPSDevice],
    ['wiops', blockIO.throttleWriteIOPSDevice],
  ] as const
  const lines = keys.flatMap(([key, devices]) =>
    // Zero lifts a limit in v1, and is refused here.
    devices.map(({ major, minor, rate }) => `${major}:${minor} ${key}=${rate === 0 ? 'max' : rate}`),
  )
  return lines.length === 0 ? [] : setFile(at, 'io.max', lines, because('limit its disk traffic', 'io.max'))
}
