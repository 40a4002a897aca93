/** The settings of a cgroup as it has them now, by the names of plan/cgroup-settings.ts on v1 as well. */

import type { Files } from '../base/files.ts'
import { controllerOf } from '../plan/cgroup-settings.ts'
import { directoryOf, type Tree } from '../plan/cgroup-tool.ts'

/** In the order in which `get` prints them. */
const SETTINGS = [
  'memory.max',
  'memory.low',
  'memory.high',
  'memory.swap.max',
  'memory.current',
  'memory.peak',
  'cpu.max',
  'cpu.max.burst',
  'cpu.weight',
  'cpu.idle',
  'cpuset.cpus',
  'cpuset.mems',
  'pids.max',
  'pids.current',
  'io.max',
  'io.weight',
  'cgroup.freeze',
] as const

export interface Value {
  readonly name: string
  /** Undefined if there is no such file. */
  readonly value: string | undefined
  readonly file: string
}

/** Which tree a setting is in: on v1 that of its controller, else v2. */
export function treeFor(name: string, trees: readonly Tree[]): Tree | undefined {
  const controller = controllerOf(name)
  const v1 = trees.find(({ version, controllers }) => version === 1 && controllers.includes(controller))
  return v1 ?? trees.find(({ version }) => version === 2) ?? (controller === '' ? trees[0] : undefined)
}

export const readAllValues = (files: Files, trees: readonly Tree[]): readonly Value[] =>
  SETTINGS.map((name) => readValue(files, trees, name)).filter(({ value }) => value !== undefined)

/** A name that is no setting is a file, and is read as it is. */
export function readValue(files: Files, trees: readonly Tree[], name: string): Value {
  const tree = treeFor(name, trees)
  if (tree === undefined) return { name, value: undefined, file: name }
  const directory = directoryOf(tree)
  const read = (file: string): string | undefined => files.readText(`${directory}/${file}`)?.trim()
  const found = tree.version === 1 ? inV1(name, read) : undefined
  const [file, value] = found ?? [name, read(name)]
  return { name, value: value?.replace(/\n/g, '; '), file: `${directory}/${file}` }
}

type Read = (file: string) => string | undefined

/** No limit of v1 is the largest number of pages. mm/page_counter.c, PAGE_COUNTER_MAX */
const LARGEST = 0x7fff_ffff_ffff_f000

const size = (text: string | undefined): string | undefined =>
  text === undefined || Number(text) < LARGEST ? text : 'max'

function inV1(name: string, read: Read): readonly [string, string | undefined] | undefined {
  switch (name) {
    case 'memory.max':
      return ['memory.limit_in_bytes', size(read('memory.limit_in_bytes'))]
    case 'memory.low':
      return ['memory.soft_limit_in_bytes', size(read('memory.soft_limit_in_bytes'))]
    case 'memory.swap.max':
      return ['memory.memsw.limit_in_bytes', swapLimit(read)]
    case 'memory.current':
      return ['memory.usage_in_bytes', read('memory.usage_in_bytes')]
    case 'memory.peak':
      return ['memory.max_usage_in_bytes', read('memory.max_usage_in_bytes')]
    case 'cpu.max': {
      const [quota, period] = [read('cpu.cfs_quota_us'), read('cpu.cfs_period_us')]
      return ['cpu.cfs_quota_us', quota === undefined ? undefined : `${quota === '-1' ? 'max' : quota} ${period}`]
    }
    case 'cpu.max.burst':
      return ['cpu.cfs_burst_us', read('cpu.cfs_burst_us')]
    case 'cpu.weight': {
      const shares = read('cpu.shares')
      return ['cpu.shares', shares === undefined ? undefined : `${Math.round((Number(shares) * 100) / 1024)}`]
    }
    case 'io.max':
      return ['blkio.throttle.*', throttles(read)]
    case 'io.weight':
      return ['blkio.bfq.weight', read('blkio.bfq.weight')]
    case 'cgroup.freeze': {
      const state = read('freezer.state')
      return ['freezer.state', state === undefined ? undefined : state === 'THAWED' ? '0' : '1']
    }
    default:
      return undefined
  }
}

function swapLimit(read: Read): string | undefined {
  const [both, memory] = [read('memory.memsw.limit_in_bytes'), read('memory.limit_in_bytes')]
  if (both === undefined || memory === undefined) return undefined
  return size(both) === 'max' ? 'max' : `${Number(both) - Number(memory)}`
}

const THROTTLES = [
  ['rbps', 'read_bps'],
  ['wbps', 'write_bps'],
  ['riops', 'read_iops'],
  ['wiops', 'write_iops'],
] as const

function throttles(read: Read): string | undefined {
  const devices = new Map<string, string[]>()
  for (const [key, file] of THROTTLES)
    for (const line of (read(`blkio.throttle.${file}_device`) ?? '').split('\n')) {
      const [device, limit] = line.split(' ')
      if (device !== undefined && limit !== undefined)
        devices.set(device, [...(devices.get(device) ?? []), `${key}=${limit}`])
    }
  return devices.size === 0
    ? undefined
    : [...devices].map(([device, limits]) => `${device} ${limits.join(' ')}`).join('\n')
}
