/**
 * What a configuration asks of controllers, and the one interface by which cgroup v1 and v2 answer.
 *
 * Every field of `linux.resources` belongs to a request, which names the controller that it needs. So one list decides what is joined,
 * what v2 has to hand on, what is mounted privately, and what is refused.
 */

import type { Integer64 } from '../base/integer.ts'
import type { BlockIO } from '../oci/block-io.ts'
import type { Cpu, HugepageLimit, Memory, NetworkResources, RdmaLimit, Resources } from '../oci/resources.ts'
import type { DevicePolicy } from './cgroup-devices.ts'
import { refuseLimit } from './cgroup-files.ts'
import type { Directory } from './cgroup-place.ts'
import type { Step } from './plan.ts'

/** Both implementations work on new cgroups and on those in use: order and fallbacks fit either. */
export interface Limits {
  readonly cpuset: (cpu: Cpu, directory: Directory) => readonly Step[]
  readonly cpu: (cpu: Cpu, directory: Directory) => readonly Step[]
  readonly memory: (memory: Memory, directory: Directory) => readonly Step[]
  readonly pids: (limit: Integer64, directory: Directory) => readonly Step[]
  readonly blockIO: (blockIO: BlockIO, directory: Directory) => readonly Step[]
  readonly hugepages: (limits: readonly HugepageLimit[], directory: Directory) => readonly Step[]
  readonly rdma: (limits: readonly RdmaLimit[], directory: Directory) => readonly Step[]
  readonly networkClass: (network: NetworkResources, directory: Directory) => readonly Step[]
  readonly networkPriorities: (network: NetworkResources, directory: Directory) => readonly Step[]
  /** `inUse`: the cgroup has a policy already, which the new one replaces. */
  readonly devices: (policy: DevicePolicy, directory: Directory, inUse: boolean) => readonly Step[]
}

export interface Request {
  /** By its v1 name. */
  readonly controller: string
  /** Below linux.resources; the first one that needs the controller. */
  readonly field: string
  readonly plan: (limits: Limits, directory: Directory) => readonly Step[]
}

/** In the order in which they are carried out: memory of a NUMA node can only be charged where the cpuset allows it. */
export function requestsOf(resources: Resources): readonly Request[] {
  const { cpu, memory, pids, blockIO, network, hugepageLimits, rdma } = resources
  const requests: Request[] = []
  const ask = (controller: string, field: string | undefined, plan: Request['plan']): void => {
    if (field !== undefined) requests.push({ controller, field, plan })
  }
  if (cpu !== undefined) {
    ask('cpuset', firstIn('cpu', cpu, ['cpus', 'mems']), (limits, at) => limits.cpuset(cpu, at))
    ask('cpu', firstIn('cpu', cpu, CPU_FIELDS), (limits, at) => limits.cpu(cpu, at))
  }
  if (memory !== undefined) {
    ask('memory', firstIn('memory', memory, MEMORY_FIELDS), (limits, at) => limits.memory(memory, at))
  }
  const pidsLimit = pids?.limit
  if (pidsLimit !== undefined) ask('pids', 'pids.limit', (limits, at) => limits.pids(pidsLimit, at))
  if (blockIO !== undefined) {
    ask('blkio', firstIn('blockIO', blockIO, BLOCK_IO_FIELDS), (limits, at) => limits.blockIO(blockIO, at))
  }
  if (hugepageLimits.length > 0) ask('hugetlb', 'hugepageLimits', (limits, at) => limits.hugepages(hugepageLimits, at))
  if (rdma.length > 0) ask('rdma', 'rdma', (limits, at) => limits.rdma(rdma, at))
  if (network !== undefined) {
    ask('net_cls', firstIn('network', network, ['classID']), (limits, at) => limits.networkClass(network, at))
    ask('net_prio', firstIn('network', network, ['priorities']), (limits, at) => limits.networkPriorities(network, at))
  }
  return requests
}

const CPU_FIELDS = ['shares', 'quota', 'burst', 'period', 'realtimeRuntime', 'realtimePeriod', 'idle'] as const
const MEMORY_FIELDS = [
  'limit',
  'swap',
  'reservation',
  'kernelTCP',
  'swappiness',
  'disableOOMKiller',
  'useHierarchy',
] as const
const BLOCK_IO_FIELDS = [
  'weight',
  'leafWeight',
  'weightDevice',
  'throttleReadBpsDevice',
  'throttleWriteBpsDevice',
  'throttleReadIOPSDevice',
  'throttleWriteIOPSDevice',
] as const

/**
 * The first of the fields that wishes something.
 *
 * Zero is no wish in most fields: engines write 0, false and "" for what the user left out. For `idle` and `classID`, 0 is the kernel's
 * default, which an update can set.
 */
function firstIn<Key extends string>(
  section: string,
  values: { readonly [each in Key]?: unknown },
  fields: readonly Key[],
): string | undefined {
  const found = fields.find((key) => isWish(key, values[key]))
  return found === undefined ? undefined : `${section}.${found}`
}

/** Whether a field of memory, cpu or blockIO asks for something. */
export function isWish(key: string, value: unknown): boolean {
  if (key === 'idle' || key === 'classID' || key === 'swappiness') return value !== undefined
  if (key === 'useHierarchy') return value === false
  return Array.isArray(value) ? value.length > 0 : value !== undefined && value !== 0 && value !== '' && value !== false
}

/** A number that is set and not 0. */
export const wish = (value: Integer64 | undefined): Integer64 | undefined => (value === 0 ? undefined : value)

/**
 * An update as one with what was set before, where two fields are one setting to the kernel: quota and period, memory with and without swap,
 * weights for all disks and for single ones.
 * Fields of one setting that are both unchanged stay out.
 */
export function completed(update: Resources, current: Resources | undefined): Resources {
  const { cpu, memory, blockIO } = update
  return {
    ...update,
    ...(blockIO === undefined ? {} : { blockIO: withDiskWeights(blockIO, current?.blockIO) }),
    ...(cpu === undefined ? {} : { cpu: withPair(cpu, current?.cpu, 'quota', 'period') }),
    ...(memory === undefined ? {} : { memory: memoryWithSwap(memory, current?.memory) }),
  }
}

/** A weight for all disks takes away those that single ones have: block/bfq-cgroup.c, bfq_io_set_weight_legacy. */
const withDiskWeights = (update: BlockIO, current: BlockIO | undefined): BlockIO =>
  isWish('', update.weight) && update.weightDevice.length === 0 && current !== undefined
    ? { ...update, weightDevice: current.weightDevice }
    : update

/** Without a limit on memory there can be none on memory and swap together, unless both are given. */
export const liftsSwap = ({ limit, swap }: Pick<Memory, 'limit' | 'swap'>): boolean =>
  limit === -1 && wish(swap) === undefined

const memoryWithSwap = (update: Memory, current: Memory | undefined): Memory =>
  liftsSwap(update) ? { ...update, swap: -1 } : withPair(update, current, 'limit', 'swap')

function withPair<Section extends object, Key extends keyof Section>(
  update: Section,
  current: Section | undefined,
  first: Key,
  second: Key,
): Section {
  const hasFirst = isWish('', update[first])
  const hasSecond = isWish('', update[second])
  if (current === undefined || hasFirst === hasSecond) return update
  return hasFirst ? { ...update, [second]: current[second] } : { ...update, [first]: current[first] }
}

/** Memory with swap below memory alone is nothing a cgroup can have. Throws `invalid`. */
export function checkMemory({ limit, swap }: Memory): void {
  if (limit === undefined || swap === undefined || swap <= 0 || limit <= swap) return
  refuseLimit(
    'invalid',
    'memory.swap',
    `memory and swap together (${swap}) cannot be less than memory alone (${limit})`,
  )
}
