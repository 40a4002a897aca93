/** The files of cgroup v1. Sources: kernel:admin-guide/cgroup-v1, kernel:scheduler/sched-bwc.rst, kernel:scheduler/sched-rt-group.rst */

import type { BlockIO } from '../oci/block-io.ts'
import type { Cpu, Memory } from '../oci/resources.ts'
import { exceptionsInV1 } from './cgroup-devices.ts'
import { openFile, putValue, type Reason, refuseLimit, setFile, setFileIfThere, V1 } from './cgroup-files.ts'
import { checkMemory, type Limits, wish } from './cgroup-limits.ts'
import type { Directory } from './cgroup-place.ts'
import type { Step } from './plan.ts'

export const limitsOfV1: Limits = {
  cpuset: ({ cpus, mems }, at) => [
    ...setUnlessEmpty(at, 'cpuset.cpus', cpus, because(`let it run on CPUs ${cpus}`, 'cpusets.rst')),
    ...setUnlessEmpty(at, 'cpuset.mems', mems, because(`give it memory of nodes ${mems}`, 'cpusets.rst')),
  ],
  cpu: (cpu, at) => [...cpuShares(cpu, at), ...realtime(cpu, at), ...bandwidth(cpu, at)],
  memory: (memory, at) => [...memoryAndSwap(memory, at), ...otherMemory(memory, at)],
  // Below 0 is no limit. 0 is one that a cgroup with a process in it exceeds already: it can make no other.
  pids: (limit, at) =>
    setFile(at, 'pids.max', limit < 0 ? 'max' : `${limit}`, because(`let it have ${limit} tasks`, 'pids.rst')),
  blockIO: (blockIO, at) => [...blockWeights(blockIO, at), ...throttles(blockIO, at)],
  hugepages: (limits, at) =>
    limits.flatMap(({ pageSize, limit }) =>
      // Pages are counted when they are used, and those that mmap(2) reserves a second time on their own: both need the limit.
      ['limit_in_bytes', 'rsvd.limit_in_bytes'].flatMap((file) =>
        setFile(
          at,
          `hugetlb.${pageSize}.${file}`,
          `${limit}`,
          because(`let it have ${limit} bytes in pages of ${pageSize}`, 'hugetlb.rst'),
        ),
      ),
    ),
  rdma: (limits, at) =>
    setFile(at, 'rdma.max', limits.map(rdmaLine), because('limit its use of RDMA devices', 'rdma.rst')),
  networkClass: ({ classID }, at) =>
    setFile(at, 'net_cls.classid', `${classID}`, because(`mark its packets with class ${classID}`, 'net_cls.rst')),
  networkPriorities: ({ priorities }, at) =>
    setFile(
      at,
      'net_prio.ifpriomap',
      priorities.map(({ name, priority }) => `${name} ${priority}`),
      because('set the priority of its packets', 'net_prio.rst'),
    ),
  devices: (policy, at, inUse) => {
    const reason = because('let it use only its devices', 'devices.rst')
    const exceptions = exceptionsInV1(policy)
    const allow = (values: readonly string[]): readonly Step[] => setFile(at, 'devices.allow', values, reason)
    const deny = (values: readonly string[]): readonly Step[] => setFile(at, 'devices.deny', values, reason)
    if (!policy.allowsByDefault) return [...deny(['a']), ...(exceptions.length === 0 ? [] : allow(exceptions))]
    // A new cgroup has what its parent has: more than that cannot be allowed, and "a" would fail below a cgroup that denies something.
    return [...(inUse ? allow(['a']) : []), ...(exceptions.length === 0 ? [] : deny(exceptions))]
  },
}

const because = (why: string, page: string): Reason => ({ why, see: [`${V1}/${page}`] })

const setUnlessEmpty = (at: Directory, file: string, value: string | undefined, reason: Reason): readonly Step[] =>
  value === undefined || value === '' ? [] : setFile(at, file, value, reason)

export const rdmaLine = ({
  device,
  hcaHandles,
  hcaObjects,
}: {
  readonly device: string
  readonly hcaHandles?: number | undefined
  readonly hcaObjects?: number | undefined
}): string =>
  device +
  (hcaHandles === undefined ? '' : ` hca_handle=${hcaHandles}`) +
  (hcaObjects === undefined ? '' : ` hca_object=${hcaObjects}`)

const MIN_SHARES = 2
const MAX_SHARES = 262144

function cpuShares({ shares, idle }: Cpu, at: Directory): readonly Step[] {
  const wished = wish(shares)
  if (wished !== undefined && (wished < MIN_SHARES || wished > MAX_SHARES)) {
    // The kernel would take the nearest one without a word.
    refuseLimit('invalid', 'cpu.shares', `${wished} shares are not within ${MIN_SHARES} to ${MAX_SHARES}`)
  }
  const see = ['kernel:scheduler/sched-design-CFS.rst']
  const setShares =
    wished === undefined
      ? []
      : setFile(at, 'cpu.shares', `${wished}`, {
          why: `give it ${wished} shares of the CPU, where 1024 are usual`,
          see,
        })
  const why = idle === 1 ? 'run it only when nothing else wants to' : 'run it as others'
  const setIdle = idle === undefined ? [] : setFile(at, 'cpu.idle', `${idle}`, { why, see })
  // An idle group refuses shares with EINVAL: kernel/sched/fair.c, sched_group_set_shares.
  return idle === 1 ? [...setShares, ...setIdle] : [...setIdle, ...setShares]
}

/**
 * Runtime and period of one bandwidth: each has a file of its own, and the kernel looks at both whenever one is written, so the right order
 * depends on what they were.
 */
function pair(
  at: Directory,
  [first, firstValue]: readonly [string, string | undefined],
  [second, secondValue]: readonly [string, string | undefined],
  reason: Reason,
): readonly Step[] {
  if (firstValue === undefined) return secondValue === undefined ? [] : setFile(at, second, secondValue, reason)
  if (secondValue === undefined) return setFile(at, first, firstValue, reason)
  const putFirst = putValue(first, firstValue, reason)
  const putSecond = putValue(second, secondValue, reason)
  return [
    openFile(at, first, reason),
    openFile(at, second, reason),
    { ...putFirst, tolerate: ['EINVAL'], then: [putSecond], otherwise: [putSecond, putFirst] },
  ]
}

const textOf = (value: number | bigint | undefined): string | undefined =>
  value === undefined ? undefined : `${value}`

const realtime = ({ realtimePeriod, realtimeRuntime }: Cpu, at: Directory): readonly Step[] =>
  pair(at, ['cpu.rt_period_us', textOf(wish(realtimePeriod))], ['cpu.rt_runtime_us', textOf(wish(realtimeRuntime))], {
    why: `let its real-time tasks run ${realtimeRuntime ?? 'the usual'} µs of every ${realtimePeriod ?? 1_000_000} µs`,
    see: ['kernel:scheduler/sched-rt-group.rst'],
  })

function bandwidth({ quota, period, burst }: Cpu, at: Directory): readonly Step[] {
  const wished = wish(quota)
  const reason: Reason = {
    why:
      wished === undefined || wished > 0
        ? `let it use ${wished ?? 'its quota'} µs of every ${period ?? 100_000} µs`
        : 'let it use the CPU without a limit',
    see: ['kernel:scheduler/sched-bwc.rst'],
  }
  const quotaText = wished === undefined ? undefined : `${wished < 0 ? -1 : wished}`
  const steps = pair(at, ['cpu.cfs_period_us', textOf(wish(period))], ['cpu.cfs_quota_us', quotaText], reason)
  if (burst === undefined) return steps
  const burstReason = { ...reason, why: `let it save up ${burst} µs of unused CPU time` }
  const putBurst = putValue('cpu.cfs_burst_us', `${burst}`, burstReason)
  // A burst must not exceed the quota, so a smaller one goes before it and a larger one behind it.
  return [openFile(at, 'cpu.cfs_burst_us', burstReason), { ...putBurst, tolerate: ['EINVAL'] }, ...steps, putBurst]
}

const LIMIT = 'memory.limit_in_bytes'
const SWAP = 'memory.memsw.limit_in_bytes'

function memoryAndSwap(memory: Memory, at: Directory): readonly Step[] {
  checkMemory(memory)
  const limit = wish(memory.limit)
  const swap = wish(memory.swap)
  const limitReason = because(
    limit === -1 ? 'lift its limit of memory' : `limit its memory to ${limit} bytes`,
    'memory.rst',
  )
  const swapReason = because(
    swap === undefined || swap === -1 ? 'lift its limit of swap' : `limit its memory and swap to ${swap} bytes`,
    'memory.rst',
  )
  // Without swap accounting there is no limit to lift. Lifting goes first, as memory alone must not exceed both.
  const lift = setFileIfThere(at, SWAP, '-1', swapReason)
  if (limit === undefined)
    return swap === undefined ? [] : swap === -1 ? lift : setFile(at, SWAP, `${swap}`, swapReason)
  if (swap === -1 || (limit === -1 && swap === undefined))
    return [...lift, ...setFile(at, LIMIT, `${limit}`, limitReason)]
  if (swap === undefined) return setFile(at, LIMIT, `${limit}`, limitReason)
  return pair(
    at,
    [LIMIT, `${limit}`],
    [SWAP, `${swap}`],
    because(`limit its memory to ${limit} bytes, with swap to ${swap}`, 'memory.rst'),
  )
}

function otherMemory(memory: Memory, at: Directory): readonly Step[] {
  const { swappiness, disableOOMKiller, useHierarchy } = memory
  const reservation = wish(memory.reservation)
  const kernelTCP = wish(memory.kernelTCP)
  if (useHierarchy === false) {
    refuseLimit('unsupported', 'memory.useHierarchy', 'since Linux 5.11 every cgroup counts the memory of those in it')
  }
  const set = (file: string, value: string, why: string): readonly Step[] =>
    setFile(at, file, value, because(why, 'memory.rst'))
  return [
    ...(reservation === undefined
      ? []
      : set('memory.soft_limit_in_bytes', `${reservation}`, `leave it ${reservation} bytes when memory is short`)),
    ...(kernelTCP === undefined
      ? []
      : set('memory.kmem.tcp.limit_in_bytes', `${kernelTCP}`, `limit its TCP buffers to ${kernelTCP} bytes`)),
    ...(swappiness === undefined
      ? []
      : set('memory.swappiness', `${swappiness}`, 'say how readily its memory is swapped out')),
    ...(disableOOMKiller === true
      ? set('memory.oom_control', '1', 'have it wait instead of being killed when memory is out')
      : []),
  ]
}

/** The names since Linux 5.0, which removed the CFQ scheduler: only BFQ weighs traffic of v1 cgroups. */
function blockWeights({ weight, leafWeight, weightDevice }: BlockIO, at: Directory): readonly Step[] {
  if (wish(leafWeight) !== undefined || weightDevice.some((device) => wish(device.leafWeight) !== undefined)) {
    refuseLimit(
      'unsupported',
      'blockIO.leafWeight',
      'the CFQ scheduler, which had leaf weights, is gone since Linux 5.0',
    )
  }
  const reason = because('weigh its disk traffic against that of others', 'blkio-controller.rst')
  const devices = weightDevice
    .filter((device) => wish(device.weight) !== undefined)
    .map((device) => `${device.major}:${device.minor} ${device.weight}`)
  return [
    ...(wish(weight) === undefined ? [] : setFile(at, 'blkio.bfq.weight', `${weight}`, reason)),
    ...(devices.length === 0 ? [] : setFile(at, 'blkio.bfq.weight_device', devices, reason)),
  ]
}

function throttles(blockIO: BlockIO, at: Directory): readonly Step[] {
  const files = [
    ['read_bps', blockIO.throttleReadBpsDevice],
    ['write_bps', blockIO.throttleWriteBpsDevice],
    ['read_iops', blockIO.throttleReadIOPSDevice],
    ['write_iops', blockIO.throttleWriteIOPSDevice],
  ] as const
  return files.flatMap(([name, devices]) =>
    devices.length === 0
      ? []
      : setFile(
          at,
          `blkio.throttle.${name}_device`,
          devices.map(({ major, minor, rate }) => `${major}:${minor} ${rate}`),
          because('limit its disk traffic', 'blkio-controller.rst'),
        ),
  )
}
