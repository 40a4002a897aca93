/** Shares and ceilings for disk traffic: the blkio controller of cgroup v1, io of v2. */

import { listOf, optionalSection, type Section, sectionOf } from '../base/field.ts'
import { type Integer64, optionalInteger, requiredInteger, requiredInteger64, UINT16, UINT64 } from '../base/integer.ts'
import { type Place, refuse } from '../base/place.ts'
import { MAJOR, MINOR } from './devices.ts'

/** Weights are 10 to 1000 for the kernel, and 0 is no wish. `leafWeight` is of the CFQ scheduler, gone since Linux 5.0. */
export interface BlockIO {
  readonly weight?: number | undefined
  readonly leafWeight?: number | undefined
  readonly weightDevice: readonly WeightDevice[]
  readonly throttleReadBpsDevice: readonly ThrottleDevice[]
  readonly throttleWriteBpsDevice: readonly ThrottleDevice[]
  readonly throttleReadIOPSDevice: readonly ThrottleDevice[]
  readonly throttleWriteIOPSDevice: readonly ThrottleDevice[]
}

export interface WeightDevice {
  readonly major: number
  readonly minor: number
  readonly weight?: number | undefined
  readonly leafWeight?: number | undefined
}

/** `rate` is bytes or operations per second; 0 lifts the limit. */
export interface ThrottleDevice {
  readonly major: number
  readonly minor: number
  readonly rate: Integer64
}

/** Source: oci:runtime-spec/config-linux.md#block-io */
export function blockIOOf(resources: Section): BlockIO | undefined {
  const section = optionalSection(resources, 'blockIO')
  if (section === undefined) return undefined
  return {
    weight: optionalInteger(section, 'weight', UINT16),
    leafWeight: optionalInteger(section, 'leafWeight', UINT16),
    weightDevice: listOf(section, 'weightDevice', parseWeightDevice),
    throttleReadBpsDevice: listOf(section, 'throttleReadBpsDevice', parseThrottleDevice),
    throttleWriteBpsDevice: listOf(section, 'throttleWriteBpsDevice', parseThrottleDevice),
    throttleReadIOPSDevice: listOf(section, 'throttleReadIOPSDevice', parseThrottleDevice),
    throttleWriteIOPSDevice: listOf(section, 'throttleWriteIOPSDevice', parseThrottleDevice),
  }
}

function parseWeightDevice(value: unknown, place: Place): WeightDevice {
  const section = sectionOf(value, place)
  const weight = optionalInteger(section, 'weight', UINT16)
  const leafWeight = optionalInteger(section, 'leafWeight', UINT16)
  if (weight === undefined && leafWeight === undefined) refuse(place, 'has neither weight nor leafWeight')
  return { ...deviceNumberOf(section), weight, leafWeight }
}

function parseThrottleDevice(value: unknown, place: Place): ThrottleDevice {
  const section = sectionOf(value, place)
  return { ...deviceNumberOf(section), rate: requiredInteger64(section, 'rate', UINT64) }
}

const deviceNumberOf = (device: Section): { readonly major: number; readonly minor: number } => ({
  major: requiredInteger(device, 'major', MAJOR),
  minor: requiredInteger(device, 'minor', MINOR),
})
