/** The facts of the machine for a plan, and of the user who asks. */

import { architectureOf } from '../executor/embedded-call.ts'
import { effectiveCapabilities, effectiveIds, kernelName } from '../executor/embedded-process.ts'
import { type Capability, capabilityBit, hasBit } from '../linux/capabilities.ts'
import { readHost } from '../observe/host.ts'
import { readSecurityModules } from '../observe/security-modules.ts'
import { parsePasswd } from '../observe/users.ts'
import type { Process } from '../oci/process.ts'
import type { Host } from '../plan/host.ts'
import type { Machine } from './machine.ts'

export function hostOf({ native, files }: Machine): Host {
  const { uid, gid } = effectiveIds(native)
  const capabilities = effectiveCapabilities(native)
  const host = readHost(files, {
    architecture: architectureOf(native),
    kernelRelease: kernelName(native).release,
    uid,
    gid,
    effectiveCapabilities: capabilities,
  })
  const has = (capability: Capability): boolean => hasBit(capabilities, capabilityBit(capability))
  return {
    ...host,
    canMapIds: has('CAP_SETUID') && has('CAP_SETGID'),
    canRaiseLimits: has('CAP_SYS_RESOURCE'),
  }
}

/** All that a plan knows of the caller and the machine without reading a file. */
export function callerOf({ native }: Machine): readonly unknown[] {
  const { uid, gid } = effectiveIds(native)
  const { low, high } = effectiveCapabilities(native)
  return [native.architecture, kernelName(native).release, uid, gid, low, high]
}

/** With what only a process with labels needs to know: few have one, and each file that is read costs time. */
export function hostFor(machine: Machine, process: Process, mountLabel = ''): Host {
  const host = hostOf(machine)
  const hasLabel = [process.apparmorProfile, process.selinuxLabel, mountLabel].some((label = '') => label !== '')
  return hasLabel ? { ...host, securityModules: readSecurityModules(machine.files) } : host
}

/** The name of a user, or the uid where /etc/passwd has none. */
export function ownerName({ files }: Pick<Machine, 'files'>, uid: number): string {
  if (uid === 0) return 'root'
  return parsePasswd(files.readText('/etc/passwd') ?? '').find((entry) => entry.uid === uid)?.name ?? `${uid}`
}
