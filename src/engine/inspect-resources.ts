/** Limits and devices of a container in docker's words. Source: docker: api/swagger.yaml, Resources */

import type { Json } from '../base/json.ts'
import type { Intent } from './intent.ts'
import { type BlockRate, type DeviceRule, type IntentDevice, type IntentResources, swapOf } from './intent-resources.ts'

const NANOS_PER_CPU = 1_000_000_000

export const resourceSettings = (intent: Intent): { readonly [name: string]: Json } => ({
  ...memoryAndProcessors(intent.resources),
  ...blockSettings(intent.resources),
  ...deviceSettings(intent),
  CgroupParent: intent.cgroupParent ?? '',
})

const memoryAndProcessors = (resources: IntentResources): { readonly [name: string]: Json } => ({
  CpuShares: resources.cpuShares ?? 0,
  Memory: resources.memoryBytes ?? 0,
  MemorySwap: swapOf(resources.memoryBytes, resources.memorySwapBytes) ?? 0,
  MemoryReservation: resources.memoryReservationBytes ?? 0,
  MemorySwappiness: resources.memorySwappiness ?? null,
  OomKillDisable: resources.disablesOomKiller ?? false,
  NanoCpus: Math.round((resources.cpus ?? 0) * NANOS_PER_CPU),
  CpuQuota: resources.cpuQuotaMicros ?? 0,
  CpuPeriod: resources.cpuPeriodMicros ?? 0,
  CpuRealtimePeriod: resources.cpuRealtimePeriodMicros ?? 0,
  CpuRealtimeRuntime: resources.cpuRealtimeRuntimeMicros ?? 0,
  CpusetCpus: resources.cpusetCpus ?? '',
  CpusetMems: resources.cpusetMems ?? '',
  PidsLimit: resources.pids ?? null,
})

/** A device is known by its numbers: the name of it that udev makes. */
const nameOf = (kind: 'block' | 'char', { major, minor }: { readonly major: number; readonly minor: number }): string =>
  `/dev/${kind}/${major}:${minor}`

function blockSettings({ blockWeight, blockWeightDevices = [], blockRates = {} }: IntentResources): {
  readonly [name: string]: Json
} {
  const rates = (kind: BlockRate): Json =>
    blockRates[kind]?.map((one) => ({ Path: nameOf('block', one), Rate: one.rate })) ?? null
  return {
    BlkioWeight: blockWeight ?? 0,
    BlkioWeightDevice: blockWeightDevices.map((one) => ({ Path: nameOf('block', one), Weight: one.weight })),
    BlkioDeviceReadBps: rates('ReadBps'),
    BlkioDeviceWriteBps: rates('WriteBps'),
    BlkioDeviceReadIOps: rates('ReadIOPS'),
    BlkioDeviceWriteIOps: rates('WriteIOPS'),
  }
}

/** One that has all devices of the machine names none, as with docker. */
function deviceSettings({ devices, deviceRules, privileged }: Intent): { readonly [name: string]: Json } {
  const ruleOf = (device: IntentDevice): DeviceRule | undefined =>
    deviceRules.find(
      ({ type, major, minor }) => type === device.type && major === device.major && minor === device.minor,
    )
  const named = privileged ? [] : devices
  const ofDevices = new Set(named.map(ruleOf))
  const others = deviceRules.filter((rule) => !ofDevices.has(rule))
  const word = (number: number | undefined): string => (number === undefined ? '*' : `${number}`)
  return {
    Devices: named.map((device) => ({
      PathOnHost: nameOf(device.type === 'b' ? 'block' : 'char', device),
      PathInContainer: device.path,
      CgroupPermissions: ruleOf(device)?.access ?? '',
    })),
    DeviceCgroupRules:
      others.length === 0
        ? null
        : others.map(({ type, major, minor, access }) => `${type} ${word(major)}:${word(minor)} ${access}`),
    DeviceRequests: null,
  }
}
