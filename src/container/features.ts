/** What this runtime implements, for `features`. */

import { VERSION } from '../base/version.ts'
import { allCapabilities } from '../linux/capabilities.ts'
import { readCgroupLayout } from '../observe/cgroup.ts'
import { type Features, features } from '../oci/features.ts'
import { SUPPORTED_SECCOMP } from '../plan/seccomp.ts'
import type { Machine } from './machine.ts'

export const describeFeatures = (): Features =>
  features({
    capabilities: allCapabilities(),
    cgroup: { v1: true, v2: true, systemd: false, systemdUser: false, rdma: true },
    seccomp: SUPPORTED_SECCOMP,
    apparmor: true,
    selinux: true,
    intelRdt: false,
    idmap: true,
    netDevices: true,
    annotations: { 'org.coffer.version': VERSION },
  })

/** On such a host a container gets a cgroup namespace by default, as the v2 tree would show it all others. */
export const hasCgroupV2Only = ({ files }: Machine): boolean => readCgroupLayout(files).mode === 'v2'
