/** What criu cannot bring back as it was: refused before anything is stopped, as a container must not come back as less, or as more. */

import { OperationError } from '../base/errors.ts'
import type { Config } from '../oci/config.ts'
import { parseMountOptions } from '../oci/mount-options.ts'
import { isBind, type Mount } from '../oci/mounts.ts'
import type { NamespaceType } from '../oci/namespaces.ts'

export interface CheckpointFacts {
  /** Completes "cannot …". */
  readonly operation: string
  readonly isRootless: boolean
  /** Whether a namespace that the container joins is that of the host. */
  readonly isHosts: (type: NamespaceType) => boolean
}

/** Throws `unsupported`, and names the field. */
export function refuseCheckpoint(config: Config, { operation, isRootless, isHosts }: CheckpointFacts): void {
  const reason =
    (isRootless ? 'criu needs root, and the caller has no privilege over the machine' : undefined) ??
    reasonOfProcess(config) ??
    reasonOfNamespaces(config, isHosts) ??
    reasonOfMounts(config)
  if (reason === undefined) return
  throw new OperationError({ kind: 'unsupported', operation, reason, see: ['criu(8)'] })
}

function reasonOfProcess({ process, linux, hooks }: Config): string | undefined {
  if (process.terminal)
    return 'process.terminal is true, and criu as a program hands the master of a restored terminal to nobody'
  if (linux.seccomp?.listenerPath !== undefined)
    return 'linux.seccomp.listenerPath names an agent, and criu does not restore the listener of a filter'
  if (linux.memoryPolicy !== undefined)
    return 'linux.memoryPolicy is set, and criu does not restore the memory policy of processes'
  if (linux.netDevices.length > 0)
    return 'linux.netDevices moves devices of the host into the container, and criu would make others in their place'
  const early = (['prestart', 'createRuntime'] as const).find((kind) => hooks[kind].length > 0)
  return early && `hooks.${early} have to run while the namespaces are made, and criu as a program makes them in one go`
}

/** Those that criu enters rather than makes. */
const ENTERED: readonly NamespaceType[] = ['network', 'pid']

function reasonOfNamespaces({ linux }: Config, isHosts: CheckpointFacts['isHosts']): string | undefined {
  const index = linux.namespaces.findIndex(
    ({ type, path }) => path !== undefined && !ENTERED.includes(type) && !isHosts(type),
  )
  if (index >= 0)
    return `linux.namespaces[${index}] joins the ${linux.namespaces[index]?.type} namespace of others, which criu would make anew`
  const hasMounts = linux.namespaces.some(({ type }) => type === 'mount')
  return hasMounts ? undefined : 'linux.namespaces has no mount namespace, in which criu could make the root'
}

function reasonOfMounts({ mounts, linux }: Config): string | undefined {
  const propagation = linux.rootfsPropagation
  if (propagation === 'shared' || propagation === 'rshared')
    return `linux.rootfsPropagation is ${propagation}, and criu does not connect mounts with those of the host again`
  for (const [index, mount] of mounts.entries()) {
    const reason = reasonOfMount(mount)
    if (reason !== undefined) return `mounts[${index}] ${reason}`
  }
  return undefined
}

function reasonOfMount(mount: Mount): string | undefined {
  const { idmap, propagation } = parseMountOptions(mount)
  if (idmap !== undefined || mount.uidMappings.length > 0) return 'is idmapped, and criu would mount it without'
  if (!isBind(mount)) return undefined
  if (propagation.some(({ type }) => type === 'shared'))
    return 'is shared with the host, and criu does not connect mounts with those of the host again'
  // `--external mnt[PATH]:KEY`: criu/external.c looks for the ends of both.
  return /[[\]:]/.test(mount.destination) ? `is at ${mount.destination}, which criu cannot name` : undefined
}
