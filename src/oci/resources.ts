/** The limits and shares of a container: what its control group is set to. */

import {
  booleanOf,
  entriesOf,
  listOf,
  optionalBoolean,
  optionalSection,
  optionalString,
  requiredString,
  type Section,
  sectionOf,
  stringOf,
} from '../base/field.ts'
import {
  INT64,
  type Integer64,
  optionalInteger,
  optionalInteger64,
  type Range,
  requiredInteger,
  requiredInteger64,
  UINT32,
  UINT64,
} from '../base/integer.ts'
import { fieldOf, type Place, refuse, shown } from '../base/place.ts'
import { type BlockIO, blockIOOf } from './block-io.ts'
import { type DeviceRule, deviceRulesOf } from './devices.ts'

/** Source: oci:runtime-spec/config-linux.md#control-groups */
export interface Resources {
  readonly devices: readonly DeviceRule[]
  readonly memory?: Memory | undefined
  readonly cpu?: Cpu | undefined
  readonly pids?: Pids | undefined
  readonly blockIO?: BlockIO | undefined
  readonly hugepageLimits: readonly HugepageLimit[]
  readonly network?: NetworkResources | undefined
  readonly rdma: readonly RdmaLimit[]
  /** Files of cgroup v2 and what is written to them, in the order of the document. */
  readonly unified: readonly UnifiedSetting[]
}

/** Bytes, or -1 for no limit. */
export interface Memory {
  readonly limit?: Integer64 | undefined
  readonly reservation?: Integer64 | undefined
  /** Memory and swap together, as cgroup v1 counts. */
  readonly swap?: Integer64 | undefined
  /** Ignored by kernels since 5.16; the specification advises against it. */
  readonly kernel?: Integer64 | undefined
  readonly kernelTCP?: Integer64 | undefined
  /** 0 to 100. */
  readonly swappiness?: number | undefined
  readonly disableOOMKiller?: boolean | undefined
  readonly useHierarchy?: boolean | undefined
  /** Refuse a new limit below what is in use. */
  readonly checkBeforeUpdate: boolean
}

/** Times are microseconds. A `quota` below 1 is no limit. */
export interface Cpu {
  readonly shares?: Integer64 | undefined
  readonly quota?: Integer64 | undefined
  readonly burst?: Integer64 | undefined
  readonly period?: Integer64 | undefined
  readonly realtimeRuntime?: Integer64 | undefined
  readonly realtimePeriod?: Integer64 | undefined
  /** As cpuset(7) writes lists: `0-3,8`. */
  readonly cpus?: string | undefined
  readonly mems?: string | undefined
  /** 1 runs the group only when nothing else wants to (SCHED_IDLE). */
  readonly idle?: number | undefined
}

/** How many tasks; 0 and less is no limit. */
export interface Pids {
  readonly limit?: Integer64 | undefined
}

export interface HugepageLimit {
  /** Like `2MB`, as in the names of the hugetlb files. */
  readonly pageSize: string
  readonly limit: Integer64
}

/** The net_cls and net_prio controllers, which cgroup v2 has not. */
export interface NetworkResources {
  readonly classID?: number | undefined
  readonly priorities: readonly { readonly name: string; readonly priority: number }[]
}

export interface RdmaLimit {
  readonly device: string
  readonly hcaHandles?: number | undefined
  readonly hcaObjects?: number | undefined
}

export interface UnifiedSetting {
  readonly file: string
  readonly value: string
}

/** The resources of a document of their own, as `update --resources FILE` takes them. */
export const parseResources = (json: unknown, document: string): Resources =>
  resourcesOf(sectionOf(json, `${document}: `))

export function resourcesOf(section: Section): Resources {
  return {
    devices: deviceRulesOf(section),
    memory: memoryOf(section),
    cpu: cpuOf(section),
    pids: pidsOf(section),
    blockIO: blockIOOf(section),
    hugepageLimits: listOf(section, 'hugepageLimits', parseHugepageLimit),
    network: networkOf(section),
    rdma: entriesOf(section, 'rdma', parseRdmaLimit),
    unified: entriesOf(section, 'unified', parseUnified),
  }
}

const BYTES: Range = { min: -1, max: INT64.max }
const SWAPPINESS_MAX = 100

function memoryOf(resources: Section): Memory | undefined {
  const section = optionalSection(resources, 'memory')
  if (section === undefined) return undefined
  return {
    limit: optionalInteger64(section, 'limit', BYTES),
    reservation: optionalInteger64(section, 'reservation', BYTES),
    swap: optionalInteger64(section, 'swap', BYTES),
    kernel: optionalInteger64(section, 'kernel', BYTES),
    kernelTCP: optionalInteger64(section, 'kernelTCP', BYTES),
    swappiness: swappinessOf(section),
    disableOOMKiller: optionalBoolean(section, 'disableOOMKiller'),
    useHierarchy: optionalBoolean(section, 'useHierarchy'),
    checkBeforeUpdate: booleanOf(section, 'checkBeforeUpdate'),
  }
}

function swappinessOf(memory: Section): number | undefined {
  const swappiness = optionalInteger64(memory, 'swappiness', UINT64)
  // -1 as an unsigned integer: how Go programs write "not set" into this field.
  if (swappiness === undefined || swappiness === UINT64.max) return undefined
  if (swappiness > SWAPPINESS_MAX) {
    refuse(fieldOf(memory.place, 'swappiness'), `is ${swappiness}, which is more than ${SWAPPINESS_MAX}`)
  }
  return Number(swappiness)
}

const IDLE: Range = { min: 0, max: 1 }

function cpuOf(resources: Section): Cpu | undefined {
  const section = optionalSection(resources, 'cpu')
  if (section === undefined) return undefined
  return {
    shares: optionalInteger64(section, 'shares', UINT64),
    quota: optionalInteger64(section, 'quota', INT64),
    burst: optionalInteger64(section, 'burst', UINT64),
    period: optionalInteger64(section, 'period', UINT64),
    realtimeRuntime: optionalInteger64(section, 'realtimeRuntime', INT64),
    realtimePeriod: optionalInteger64(section, 'realtimePeriod', UINT64),
    cpus: optionalString(section, 'cpus'),
    mems: optionalString(section, 'mems'),
    idle: optionalInteger(section, 'idle', IDLE),
  }
}

// The schema wants `limit`, the Go type of 1.3 lets it out; without it there is nothing to do.
function pidsOf(resources: Section): Pids | undefined {
  const section = optionalSection(resources, 'pids')
  return section === undefined ? undefined : { limit: optionalInteger64(section, 'limit', INT64) }
}

function parseHugepageLimit(value: unknown, place: Place): HugepageLimit {
  const section = sectionOf(value, place)
  const pageSize = requiredString(section, 'pageSize')
  if (!/^[1-9]\d*[KMG]B$/.test(pageSize)) {
    refuse(
      fieldOf(place, 'pageSize'),
      `is ${shown(pageSize)}, which is not a size of pages`,
      'write it like 2MB or 1GB',
    )
  }
  return { pageSize, limit: requiredInteger64(section, 'limit', UINT64) }
}

function networkOf(resources: Section): NetworkResources | undefined {
  const section = optionalSection(resources, 'network')
  if (section === undefined) return undefined
  return {
    classID: optionalInteger(section, 'classID', UINT32),
    priorities: listOf(section, 'priorities', parsePriority),
  }
}

function parsePriority(value: unknown, place: Place): { readonly name: string; readonly priority: number } {
  const section = sectionOf(value, place)
  return { name: requiredString(section, 'name'), priority: requiredInteger(section, 'priority', UINT32) }
}

function parseRdmaLimit(device: string, value: unknown, place: Place): RdmaLimit {
  const section = sectionOf(value, place)
  const hcaHandles = optionalInteger(section, 'hcaHandles', UINT32)
  const hcaObjects = optionalInteger(section, 'hcaObjects', UINT32)
  if (hcaHandles === undefined && hcaObjects === undefined) refuse(place, 'has neither hcaHandles nor hcaObjects')
  return { device, hcaHandles, hcaObjects }
}

function parseUnified(file: string, value: unknown, place: Place): UnifiedSetting {
  // A file of the container's own group, and none above or below it.
  if (!/^[^/.][^/]*\.[^/]+$/.test(file)) {
    refuse(place, 'is not the name of a cgroup file', 'write it like memory.high, without a directory')
  }
  return { file, value: stringOf(value, place) }
}
