/** The Linux part of a container's configuration. */

import {
  optionalSection,
  optionalString,
  optionalWord,
  pathsOf,
  requiredWord,
  type Section,
  stringsOf,
} from '../base/field.ts'
import { fieldOf, refuseUnsupported } from '../base/place.ts'
import { type Device, devicesOf } from './devices.ts'
import { type IdMapping, idMappingsOf } from './id-mappings.ts'
import { type IntelRdt, intelRdtOf } from './intel-rdt.ts'
import { type MemoryPolicy, memoryPolicyOf } from './memory-policy.ts'
import { type Namespace, namespacesOf, type TimeOffsets, timeOffsetsOf } from './namespaces.ts'
import { type NetDevice, netDevicesOf } from './net-devices.ts'
import { type Resources, resourcesOf } from './resources.ts'
import { type Seccomp, seccompOf } from './seccomp.ts'
import { type Sysctl, sysctlsOf } from './sysctl.ts'

const ROOTFS_PROPAGATIONS = [
  'private',
  'rprivate',
  'shared',
  'rshared',
  'slave',
  'rslave',
  'unbindable',
  'runbindable',
] as const

/** The specification has the four without `r`; docker and podman write the recursive ones too. */
export type RootfsPropagation = (typeof ROOTFS_PROPAGATIONS)[number]

/** personality(2): `LINUX32` makes uname(2) tell of a 32-bit machine. */
export interface Personality {
  readonly domain: 'LINUX' | 'LINUX32'
}

/** Source: oci:runtime-spec/config-linux.md */
export interface Linux {
  readonly namespaces: readonly Namespace[]
  readonly uidMappings: readonly IdMapping[]
  readonly gidMappings: readonly IdMapping[]
  readonly timeOffsets?: TimeOffsets | undefined
  readonly devices: readonly Device[]
  readonly netDevices: readonly NetDevice[]
  /** Absolute below the mount points of the hierarchies; relative, below a directory that the runtime chooses. */
  readonly cgroupsPath?: string | undefined
  readonly resources?: Resources | undefined
  readonly intelRdt?: IntelRdt | undefined
  readonly memoryPolicy?: MemoryPolicy | undefined
  readonly sysctl: readonly Sysctl[]
  readonly seccomp?: Seccomp | undefined
  readonly rootfsPropagation?: RootfsPropagation | undefined
  readonly maskedPaths: readonly string[]
  readonly readonlyPaths: readonly string[]
  readonly mountLabel?: string | undefined
  readonly personality?: Personality | undefined
}

export function linuxOf(section: Section): Linux {
  const resources = optionalSection(section, 'resources')
  const seccomp = optionalSection(section, 'seccomp')
  return {
    namespaces: namespacesOf(section),
    uidMappings: idMappingsOf(section, 'uidMappings'),
    gidMappings: idMappingsOf(section, 'gidMappings'),
    timeOffsets: timeOffsetsOf(section),
    devices: devicesOf(section),
    netDevices: netDevicesOf(section),
    cgroupsPath: optionalString(section, 'cgroupsPath'),
    resources: resources && resourcesOf(resources),
    intelRdt: intelRdtOf(section),
    memoryPolicy: memoryPolicyOf(section),
    sysctl: sysctlsOf(section),
    seccomp: seccomp && seccompOf(seccomp),
    rootfsPropagation: optionalWord(section, 'rootfsPropagation', ROOTFS_PROPAGATIONS),
    maskedPaths: pathsOf(section, 'maskedPaths'),
    readonlyPaths: pathsOf(section, 'readonlyPaths'),
    mountLabel: optionalString(section, 'mountLabel'),
    personality: personalityOf(section),
  }
}

function personalityOf(linux: Section): Personality | undefined {
  const section = optionalSection(linux, 'personality')
  if (section === undefined) return undefined
  if (stringsOf(section, 'flags').length > 0) {
    // The specification lists no flag, and runtimes have to refuse values that they do not support.
    refuseUnsupported(fieldOf(section.place, 'flags'), 'is not empty, and the specification has no flag for it')
  }
  return { domain: requiredWord(section, 'domain', ['LINUX', 'LINUX32']) }
}
