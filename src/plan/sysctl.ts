/**
 * Kernel parameters of the container's namespaces.
 *
 * A write to /proc/sys changes the namespaces of the process that opens the file, so init does it, before it gives up its privilege. It goes
 * through the host's procfs, whose files are the kernel's, strictly below its root (SECURITY-CHECKS S45, S46); the container's own may be
 * covered, read-only, or not there.
 *
 * Source: oci:runtime-spec/config-linux.md#sysctl, proc_sys(5)
 */

import { OperationError } from '../base/errors.ts'
import { sizeOf, slot } from '../linux/call.ts'
import { O_WRONLY, openBeneath, write } from '../linux/files.ts'
import type { Sysctl } from '../oci/sysctl.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

const SEE: readonly Ref[] = ['oci:runtime-spec/config-linux.md#sysctl', 'proc_sys(5)']

/** `isHosts` tells whether a namespace that the container joins is the host's own. Throws `invalid` for a parameter of that. */
export function planSysctl(
  sysctls: readonly Sysctl[],
  isHosts: (namespace: Sysctl['namespace']) => boolean = () => false,
): readonly Step[] {
  return sysctls.flatMap((sysctl) => {
    if (isHosts(sysctl.namespace)) throw refusal(sysctl)
    return setOne(sysctl)
  })
}

function setOne({ name, path, value }: Sysctl): readonly Step[] {
  const fd = slot('sysctl')
  const why = `set ${name} to ${value}`
  return [
    { call: openBeneath(HOST_PROC, `sys/${path}`, O_WRONLY), why, see: SEE, into: fd },
    { call: write(fd, value, sizeOf(value)), why, see: SEE },
  ]
}

const refusal = ({ name, namespace }: Sysctl): OperationError =>
  new OperationError({
    kind: 'invalid',
    operation: 'plan the kernel parameters',
    reason: `linux.sysctl[${JSON.stringify(name)}] would change the host: the ${namespace} namespace that the container joins is the host's`,
    hint: `give the container a new ${namespace} namespace, or set it on the host`,
    see: SEE,
  })
