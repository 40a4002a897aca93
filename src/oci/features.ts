/**
 * What coffer implements, for engines that ask before they write a configuration. It tells of the program, not of the host.
 *
 * Source: oci:runtime-spec/features.md, features-linux.md
 */

import { HOOK_NAMES } from './hooks.ts'
import { mountOptionWords } from './mount-options.ts'
import { NAMESPACE_TYPES } from './namespaces.ts'
import { SECCOMP_ACTIONS, SECCOMP_FLAGS, SECCOMP_OPERATORS } from './seccomp.ts'
import { OCI_VERSION, OCI_VERSION_MIN } from './version.ts'

interface Switch {
  readonly enabled: boolean
}

/** The `features` document; the order of the keys is that of runc. */
export interface Features {
  readonly ociVersionMin: string
  readonly ociVersionMax: string
  readonly hooks: readonly string[]
  readonly mountOptions: readonly string[]
  readonly linux: {
    readonly namespaces: readonly string[]
    readonly capabilities: readonly string[]
    readonly cgroup: CgroupFeatures
    readonly seccomp: SeccompFeatures
    readonly apparmor: Switch
    readonly selinux: Switch
    readonly intelRdt: Switch
    readonly mountExtensions: { readonly idmap: Switch }
    readonly netDevices: Switch
  }
  readonly annotations: { readonly [key: string]: string }
  /** Annotations by which a configuration may change what the runtime does. */
  readonly potentiallyUnsafeConfigAnnotations: readonly string[]
}

interface CgroupFeatures {
  readonly v1: boolean
  readonly v2: boolean
  readonly systemd: boolean
  readonly systemdUser: boolean
  readonly rdma: boolean
}

interface SeccompFeatures {
  readonly enabled: boolean
  readonly actions: readonly string[]
  readonly operators: readonly string[]
  readonly archs: readonly string[]
  readonly knownFlags: readonly string[]
  readonly supportedFlags: readonly string[]
}

/** What the other parts of the program say of themselves. */
export interface FeatureFacts {
  /** All that the program knows, in the order of their numbers. */
  readonly capabilities: readonly string[]
  readonly cgroup: CgroupFeatures
  /** Architectures that the compiler makes filters for, and flags that it passes on. */
  readonly seccomp: { readonly archs: readonly string[]; readonly supportedFlags: readonly string[] }
  readonly apparmor: boolean
  readonly selinux: boolean
  readonly intelRdt: boolean
  readonly idmap: boolean
  readonly netDevices: boolean
  readonly annotations: { readonly [key: string]: string }
}

export const features = (facts: FeatureFacts): Features => ({
  ociVersionMin: OCI_VERSION_MIN,
  ociVersionMax: OCI_VERSION,
  hooks: HOOK_NAMES,
  mountOptions: mountOptionWords(),
  linux: {
    namespaces: sorted(NAMESPACE_TYPES),
    capabilities: facts.capabilities,
    cgroup: facts.cgroup,
    seccomp: {
      enabled: true,
      actions: sorted(SECCOMP_ACTIONS),
      operators: sorted(SECCOMP_OPERATORS),
      archs: sorted(facts.seccomp.archs),
      knownFlags: sorted(SECCOMP_FLAGS),
      supportedFlags: sorted(facts.seccomp.supportedFlags),
    },
    apparmor: { enabled: facts.apparmor },
    selinux: { enabled: facts.selinux },
    intelRdt: { enabled: facts.intelRdt },
    mountExtensions: { idmap: { enabled: facts.idmap } },
    netDevices: { enabled: facts.netDevices },
  },
  annotations: facts.annotations,
  potentiallyUnsafeConfigAnnotations: [],
})

const sorted = (words: readonly string[]): readonly string[] => [...words].sort()
