/** Device nodes that a container has, and rules for which devices it may use. */

import {
  listOf,
  optionalString,
  optionalWord,
  requiredBoolean,
  requiredPath,
  requiredWord,
  type Section,
  sectionOf,
} from '../base/field.ts'
import { optionalInteger, type Range, requiredInteger, UINT16 } from '../base/integer.ts'
import { fieldOf, type Place, refuse, shown } from '../base/place.ts'
import { ID } from './id-mappings.ts'

// include/linux/kdev_t.h: 12 bits and 20 bits. mknod(2) drops higher bits without a word, which would name another device.
export const MAJOR: Range = { min: 0, max: 0xfff }
export const MINOR: Range = { min: 0, max: 0xf_ffff }

interface DeviceNode {
  readonly path: string
  /** Permission bits; 0666 if undefined. */
  readonly fileMode?: number | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
}

/** `c` and `u` are character devices, `b` is a block device, `p` a named pipe. mknod(1) */
export type Device = DeviceNode &
  (
    | { readonly type: 'c' | 'b' | 'u'; readonly major: number; readonly minor: number }
    | { readonly type: 'p'; readonly major?: never; readonly minor?: never }
  )

const PERMISSIONS = 0o7777

/** Source: oci:runtime-spec/config-linux.md#devices */
export const devicesOf = (linux: Section): readonly Device[] => listOf(linux, 'devices', parseDevice)

function parseDevice(value: unknown, place: Place): Device {
  const section = sectionOf(value, place)
  const type = requiredWord(section, 'type', ['c', 'b', 'u', 'p'])
  const fileMode = optionalInteger(section, 'fileMode', UINT16)
  const node = {
    path: requiredPath(section, 'path'),
    // Some engines copy the whole st_mode, in which the file type stands too; `type` says that already.
    fileMode: fileMode === undefined ? undefined : fileMode & PERMISSIONS,
    uid: optionalInteger(section, 'uid', ID),
    gid: optionalInteger(section, 'gid', ID),
  }
  if (type === 'p') return { ...node, type }
  return {
    ...node,
    type,
    major: requiredInteger(section, 'major', MAJOR),
    minor: requiredInteger(section, 'minor', MINOR),
  }
}

/** Allows or denies `access` to devices; an undefined `major` or `minor` is every one. The last rule that matches decides. */
export interface DeviceRule {
  readonly allow: boolean
  /** `a` is every character and block device, and then has no `major` and `minor`. */
  readonly type: 'a' | 'b' | 'c'
  readonly major?: number | undefined
  readonly minor?: number | undefined
  /** Letters of `r` (read), `w` (write), `m` (mknod), each at most once. */
  readonly access: string
}

/** Source: oci:runtime-spec/config-linux.md#allowed-device-list */
export const deviceRulesOf = (resources: Section): readonly DeviceRule[] =>
  listOf(resources, 'devices', parseDeviceRule)

function parseDeviceRule(value: unknown, place: Place): DeviceRule {
  const section = sectionOf(value, place)
  const type = optionalWord(section, 'type', ['a', 'b', 'c']) ?? 'a'
  const major = wildcardOr(optionalInteger(section, 'major', { min: -1, max: MAJOR.max }))
  const minor = wildcardOr(optionalInteger(section, 'minor', { min: -1, max: MINOR.max }))
  if (type === 'a' && (major !== undefined || minor !== undefined)) {
    // kernel:admin-guide/cgroup-v1/devices.rst: "a" ignores the numbers, so the rule would be for every device there is.
    refuse(place, 'has a device number, and type "a", which is every device', 'say whether it is type "b" or "c"')
  }
  return { allow: requiredBoolean(section, 'allow'), type, major, minor, access: accessOf(section) }
}

// runc and docker write -1 for every number, where the specification leaves the field out.
const wildcardOr = (number: number | undefined): number | undefined => (number === -1 ? undefined : number)

function accessOf(rule: Section): string {
  const access = optionalString(rule, 'access') ?? 'rwm'
  if (!/^(?!.*(.).*\1)[rwm]+$/.test(access)) {
    refuse(fieldOf(rule.place, 'access'), `is ${shown(access)}`, 'it is made of r (read), w (write) and m (mknod)')
  }
  return access
}
