/**
 * One vocabulary for the settings of cgroups: the names of v2, with units, and what v1 calls them.
 *
 * | setting          | value                        | v1                                                   |
 * |------------------|------------------------------|------------------------------------------------------|
 * | memory.max       | 256M, max                    | memory.limit_in_bytes                                |
 * | memory.low       | 64M                          | memory.soft_limit_in_bytes                           |
 * | memory.swap.max  | 0, 64M, max                  | memory.memsw.limit_in_bytes, memory and swap at once |
 * | cpu.max          | 50%, 1.5, 50000 100000, max  | cpu.cfs_period_us, cpu.cfs_quota_us                  |
 * | cpu.max.burst    | microseconds                 | cpu.cfs_burst_us                                     |
 * | cpu.weight       | 1 to 10000, usually 100      | cpu.shares, usually 1024                             |
 * | cpu.idle         | 0, 1                         | cpu.idle                                             |
 * | cpuset.cpus/mems | 0-2,5                        | the same                                             |
 * | pids.max         | 64, max                      | the same                                             |
 * | io.max           | /dev/vda:rbps=10M,wiops=max  | blkio.throttle.read_bps_device and its like          |
 * | io.weight        | 1 to 1000                    | blkio.bfq.weight                                     |
 * | cgroup.freeze    | 0, 1                         | freezer.state                                        |
 *
 * Any other name with a dot is a file, and its value is written as it is. Source: kernel:admin-guide/cgroup-v2.rst, cgroup-v1/
 */

import { OperationError } from '../base/errors.ts'

export interface Setting {
  readonly name: string
  readonly value: string
}

/** One write(2). */
export interface SettingWrite {
  readonly file: string
  readonly value: string
  /** The kernel may refuse it before the next ones are made, and it comes again behind them. */
  readonly isEarly?: boolean
}

export interface SettingFacts {
  /** major:minor of a block device; undefined if there is none at the path. */
  readonly deviceOf: (path: string) => string | undefined
  /** memory.limit_in_bytes as it is, in bytes, where memory.swap.max comes without memory.max. */
  readonly memoryLimit: () => number | undefined
}

/** Throws `invalid` for a word that is no NAME=VALUE. */
export function parseSetting(word: string): Setting {
  const equals = word.indexOf('=')
  if (equals > 0) return { name: word.slice(0, equals), value: word.slice(equals + 1) }
  throw refusal('invalid', word, 'it is no setting', 'give NAME=VALUE: memory.max=256M')
}

/** The controller by its v1 name; '' for what cgroups have without one. */
export function controllerOf(name: string): string {
  if (name === 'cgroup.freeze') return 'freezer'
  const word = name.replace(/\..*/, '')
  if (word === 'io') return 'blkio'
  if (/^cpuacct/.test(word)) return 'cpuacct'
  return word === 'cgroup' || word === 'tasks' || word === 'notify_on_release' ? '' : word
}

const IN_V2: Readonly<Record<string, string>> = {
  'memory.limit_in_bytes': 'memory.max',
  'memory.soft_limit_in_bytes': 'memory.low',
  'memory.memsw.limit_in_bytes': 'memory.swap.max',
  'cpu.cfs_quota_us': 'cpu.max',
  'cpu.cfs_period_us': 'cpu.max',
  'cpu.cfs_burst_us': 'cpu.max.burst',
  'cpu.shares': 'cpu.weight',
  'freezer.state': 'cgroup.freeze',
  'blkio.throttle.read_bps_device': 'io.max',
  'blkio.throttle.write_bps_device': 'io.max',
  'blkio.throttle.read_iops_device': 'io.max',
  'blkio.throttle.write_iops_device': 'io.max',
  'blkio.weight': 'io.weight',
}

/** Throws `invalid` for a value that cannot be, and `unsupported` for a setting that this version has not. */
export function writesOf(setting: Setting, version: 1 | 2, facts: SettingFacts): readonly SettingWrite[] {
  return version === 1 ? writesInV1(setting, facts) : writesInV2(setting, facts)
}

function writesInV2({ name, value }: Setting, facts: SettingFacts): readonly SettingWrite[] {
  const inV2 = IN_V2[name]
  if (inV2 !== undefined)
    throw refusal('unsupported', name, 'it is a file of cgroup v1, and its controller is in v2 here', `use ${inV2}`)
  if (isSize(name)) return [{ file: name, value: sizeText(name, value, 'max') }]
  if (name === 'cpu.max') {
    const { quota, period } = cpuMax(value)
    return [{ file: name, value: period === undefined ? quota : `${quota} ${period}` }]
  }
  if (name === 'io.max') {
    const { device, limits } = ioMax(value, facts)
    return [{ file: name, value: `${device} ${limits.map(([key, limit]) => `${key}=${limit}`).join(' ')}` }]
  }
  return [{ file: name, value }]
}

function writesInV1(setting: Setting, facts: SettingFacts): readonly SettingWrite[] {
  const { name, value } = setting
  switch (name) {
    case 'memory.max':
      return [{ file: 'memory.limit_in_bytes', value: sizeText(name, value, '-1') }]
    case 'memory.low':
      return [{ file: 'memory.soft_limit_in_bytes', value: sizeText(name, value, '-1') }]
    case 'memory.swap.max':
      return [{ file: 'memory.memsw.limit_in_bytes', value: memoryAndSwap(value, facts) }]
    case 'cpu.max': {
      const { quota, period } = cpuMax(value)
      const writes = [{ file: 'cpu.cfs_quota_us', value: quota === 'max' ? '-1' : quota }]
      return period === undefined ? writes : [{ file: 'cpu.cfs_period_us', value: period }, ...writes]
    }
    case 'cpu.max.burst':
      return [{ file: 'cpu.cfs_burst_us', value }]
    case 'cpu.weight':
      return [{ file: 'cpu.shares', value: sharesOf(value) }]
    case 'io.max':
      return throttlesOf(value, facts)
    case 'io.weight':
      return [{ file: 'blkio.bfq.weight', value }]
    case 'cgroup.freeze':
      return [{ file: 'freezer.state', value: value === '0' ? 'THAWED' : 'FROZEN' }]
    default:
      refuseV2Alone(name)
      return [{ file: name, value }]
  }
}

const V2_ALONE =
  /^(memory\.(min|high|oom\.group|swap\.high|zswap\.max|reclaim|peak)|io\.(latency|cost.*)|cpu\.(pressure|uclamp.*)|cgroup\.(kill|type|max\..*|pressure|subtree_control)|cpuset\.cpus\.partition|misc\.max)$/

function refuseV2Alone(name: string): void {
  if (!V2_ALONE.test(name)) return
  throw refusal(
    'unsupported',
    name,
    'it is a file of cgroup v2, and its controller is in v1 here',
    'v1 has nothing like it; a kernel that was started with cgroup_no_v1=all has v2 alone',
  )
}

/** memory.max first may be refused while memory and swap together allow less; behind that it is right. */
export function ordered(writes: readonly SettingWrite[]): readonly SettingWrite[] {
  const limit = writes.find(({ file }) => file === 'memory.limit_in_bytes')
  const hasBoth = writes.some(({ file }) => file === 'memory.memsw.limit_in_bytes')
  if (limit === undefined || !hasBoth) return writes
  return [{ ...limit, isEarly: true }, ...writes.filter((one) => one !== limit), limit]
}

const isSize = (name: string): boolean => /^memory\.(min|low|high|max|swap\.max|swap\.high|zswap\.max)$/.test(name)

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

/** Bytes of `256M`, `1.5G`, `4096`; undefined for another text. */
export function bytesOf(text: string): number | undefined {
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([kmgt]?)(?:i?b)?$/i.exec(text) ?? []
  const factor = UNITS[unit.toLowerCase()]
  return digits === undefined || factor === undefined ? undefined : Math.floor(Number(digits) * factor)
}

function sizeText(name: string, value: string, unlimited: string): string {
  if (value === 'max' || value === '-1') return unlimited
  const bytes = bytesOf(value)
  if (bytes === undefined)
    throw refusal(
      'invalid',
      `${name}=${value}`,
      `"${value}" is no size`,
      'give bytes, a number with K, M, G or T, or max',
    )
  return `${bytes}`
}

function memoryAndSwap(value: string, { memoryLimit }: SettingFacts): string {
  const swap = sizeText('memory.swap.max', value, '-1')
  if (swap === '-1') return swap
  const memory = memoryLimit()
  if (memory !== undefined) return `${memory + Number(swap)}`
  throw refusal(
    'invalid',
    `memory.swap.max=${value}`,
    'v1 limits memory and swap together, and memory has no limit',
    'give memory.max as well',
  )
}

/** The kernel's own relation: kernel/sched/core.c, sched_weight_from_cgroup. */
function sharesOf(value: string): string {
  const weight = Number(value)
  if (!Number.isInteger(weight) || weight < 1 || weight > 10_000)
    throw refusal('invalid', `cpu.weight=${value}`, 'a weight is 1 to 10000', 'usual are 100')
  return `${Math.max(2, Math.round((weight * 1024) / 100))}`
}

const PERIOD_MICROS = 100_000

/** A share of one CPU (`50%`), a number of CPUs below 1000 (`1.5`), or microseconds of a period as the kernel has them. */
function cpuMax(value: string): { readonly quota: string; readonly period: string | undefined } {
  const [first = '', period, ...more] = value.trim().split(/[\s,]+/)
  if (more.length > 0 || (period !== undefined && !/^\d+$/.test(period))) throw badCpu(value)
  if (first === 'max' || first === '-1') return { quota: 'max', period }
  const micros = period === undefined ? PERIOD_MICROS : Number(period)
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(first)?.[1]
  if (percent !== undefined && Number(percent) > 0)
    return { quota: `${Math.round((Number(percent) / 100) * micros)}`, period: `${micros}` }
  const number = /^\d+(\.\d+)?$/.test(first) ? Number(first) : 0
  if (number <= 0) throw badCpu(value)
  if (number < 1000 && period === undefined) return { quota: `${Math.round(number * micros)}`, period: `${micros}` }
  return { quota: first, period }
}

const badCpu = (value: string): OperationError =>
  refusal(
    'invalid',
    `cpu.max=${value}`,
    'it is no share of CPU time',
    'give 50%, a number of CPUs, "QUOTA PERIOD" in µs, or max',
  )

type IoKey = 'rbps' | 'wbps' | 'riops' | 'wiops'
const IO_FILES: Readonly<Record<IoKey, string>> = {
  rbps: 'blkio.throttle.read_bps_device',
  wbps: 'blkio.throttle.write_bps_device',
  riops: 'blkio.throttle.read_iops_device',
  wiops: 'blkio.throttle.write_iops_device',
}

/** `/dev/vda:rbps=10M,wiops=100`, or as the kernel has it: `254:0 rbps=1048576 wiops=max`. */
function ioMax(
  value: string,
  { deviceOf }: SettingFacts,
): { readonly device: string; readonly limits: readonly (readonly [IoKey, string])[] } {
  const [, where = '', list = ''] = /^(\/[^:\s]+|\d+:\d+)[:\s]+(.+)$/.exec(value) ?? []
  const bad = (reason: string): OperationError =>
    refusal(
      'invalid',
      `io.max=${value}`,
      reason,
      'give DEVICE:KEY=LIMIT,... with rbps, wbps, riops, wiops: /dev/vda:rbps=10M',
    )
  if (where === '') throw bad('it names no device and limits')
  const device = where.startsWith('/') ? deviceOf(where) : where
  if (device === undefined) throw bad(`${where} is no block device`)
  const limits = list.split(/[\s,]+/).map((word): readonly [IoKey, string] => {
    const [key = '', limit = ''] = word.split('=')
    if (!(key in IO_FILES)) throw bad(`"${key}" is no limit`)
    const bytes = limit === 'max' ? 'max' : bytesOf(limit)
    if (bytes === undefined) throw bad(`"${limit}" is no number`)
    return [key as IoKey, `${bytes}`]
  })
  return { device, limits }
}

/** v1 takes 0 for no limit. */
function throttlesOf(value: string, facts: SettingFacts): readonly SettingWrite[] {
  const { device, limits } = ioMax(value, facts)
  return limits.map(([key, limit]) => ({ file: IO_FILES[key], value: `${device} ${limit === 'max' ? '0' : limit}` }))
}

const refusal = (kind: 'invalid' | 'unsupported', what: string, reason: string, hint: string): OperationError =>
  new OperationError({ kind, operation: `set ${what}`, reason, hint, see: ['kernel:admin-guide/cgroup-v2.rst'] })
