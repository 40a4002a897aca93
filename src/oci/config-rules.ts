/** Rules about several fields of a container's configuration at once; those about one are checked where it is parsed. */

import { entryOf, fieldOf, itemOf, type Place, refuse } from '../base/place.ts'
import { type IdMapping, isMapped } from './id-mappings.ts'
import type { Linux } from './linux.ts'
import type { Mount } from './mounts.ts'
import type { NamespaceType } from './namespaces.ts'
import type { Process } from './process.ts'
import type { Cpu, Memory } from './resources.ts'

/** The parts of a configuration that depend on one another. */
export interface ConfigParts {
  readonly hostname?: string | undefined
  readonly domainname?: string | undefined
  readonly process: Process
  readonly mounts: readonly Mount[]
  readonly linux: Linux
}

/** Throws `invalid` for a combination that no host can make true. */
export function checkConfig(config: ConfigParts, place: Place): void {
  const { linux } = config
  const linuxPlace = fieldOf(place, 'linux')
  checkNames(config, place)
  checkUserNamespace(config, place)
  checkTimeOffsets(linux, linuxPlace)
  checkSysctls(linux, linuxPlace)
  checkHiddenPaths(linux, linuxPlace)
  if (linux.netDevices.length > 0) requireNamespace(linux, 'network', fieldOf(linuxPlace, 'netDevices'))
  checkIdmaps(config, place)
  const resourcesPlace = fieldOf(linuxPlace, 'resources')
  if (linux.resources?.memory) checkSwap(linux.resources.memory, fieldOf(resourcesPlace, 'memory'))
  if (linux.resources?.cpu) checkBurst(linux.resources.cpu, fieldOf(resourcesPlace, 'cpu'))
}

const namespaceOf = (linux: Linux, type: NamespaceType) => linux.namespaces.find((namespace) => namespace.type === type)

function requireNamespace(linux: Linux, type: NamespaceType, place: Place): void {
  if (namespaceOf(linux, type) !== undefined) return
  refuse(place, `needs a ${type} namespace, and the container has none`, hintToAdd(type))
}

const hintToAdd = (type: NamespaceType): string => `add {"type": "${type}"} to linux.namespaces, or take the field out`

// uts_namespaces(7); the kernel's __NEW_UTS_LEN.
const NAME_MAX = 64

function checkNames({ hostname, domainname, linux }: ConfigParts, place: Place): void {
  if (hostname !== undefined) checkName(hostname, linux, fieldOf(place, 'hostname'))
  if (domainname !== undefined) checkName(domainname, linux, fieldOf(place, 'domainname'))
}

function checkName(name: string, linux: Linux, place: Place): void {
  requireNamespace(linux, 'uts', place)
  if (name.length > NAME_MAX) refuse(place, `has ${name.length} letters, and the kernel takes ${NAME_MAX}`)
}

/** A new user namespace without mappings is allowed, as crun has it: who knows the host chooses some. user_namespaces(7) */
function checkUserNamespace({ process, linux }: ConfigParts, place: Place): void {
  for (const key of ['uidMappings', 'gidMappings'] as const) {
    if (linux[key].length > 0) requireNamespace(linux, 'user', fieldOf(fieldOf(place, 'linux'), key))
  }
  const namespace = namespaceOf(linux, 'user')
  if (namespace !== undefined && namespace.path === undefined) checkUser(process, linux, fieldOf(place, 'process'))
}

/** The kernel refuses to become an id that the namespace does not have: EINVAL of setresuid(2) and setgroups(2). */
function checkUser({ user }: Process, { uidMappings, gidMappings }: Linux, place: Place): void {
  const userPlace = fieldOf(place, 'user')
  const isMissing = (mappings: readonly IdMapping[], id: number) => mappings.length > 0 && !isMapped(mappings, id)
  if (isMissing(uidMappings, user.uid)) {
    refuse(fieldOf(userPlace, 'uid'), `is ${user.uid}, which linux.uidMappings does not map`)
  }
  if (isMissing(gidMappings, user.gid)) {
    refuse(fieldOf(userPlace, 'gid'), `is ${user.gid}, which linux.gidMappings does not map`)
  }
  const group = user.additionalGids.findIndex((gid) => isMissing(gidMappings, gid))
  if (group >= 0) {
    const groupPlace = itemOf(fieldOf(userPlace, 'additionalGids'), group)
    refuse(groupPlace, `is ${user.additionalGids[group]}, which linux.gidMappings does not map`)
  }
}

/** time_namespaces(7): offsets are set before a process is in the namespace, so one that is joined keeps its own. */
function checkTimeOffsets(linux: Linux, place: Place): void {
  if (linux.timeOffsets === undefined) return
  const offsetsPlace = fieldOf(place, 'timeOffsets')
  requireNamespace(linux, 'time', offsetsPlace)
  if (namespaceOf(linux, 'time')?.path !== undefined) {
    refuse(
      offsetsPlace,
      'cannot be given to a time namespace that exists already',
      'take the path out of the namespace',
    )
  }
}

/** A joined network namespace may still be the one of the host: who knows the host has to look (runc's `isHostNetNS`). */
function checkSysctls(linux: Linux, place: Place): void {
  for (const { name, namespace } of linux.sysctl) {
    requireNamespace(linux, namespace, entryOf(fieldOf(place, 'sysctl'), name))
  }
}

function checkHiddenPaths(linux: Linux, place: Place): void {
  for (const key of ['maskedPaths', 'readonlyPaths'] as const) {
    if (linux[key].length > 0) requireNamespace(linux, 'mount', fieldOf(place, key))
  }
}

/** Source: oci:runtime-spec/config.md "idmap" */
function checkIdmaps({ mounts, linux }: ConfigParts, place: Place): void {
  if (namespaceOf(linux, 'user') !== undefined) return
  mounts.forEach(({ options, uidMappings }, i) => {
    if (uidMappings.length > 0 || !options.some((word) => word === 'idmap' || word === 'ridmap')) return
    const hint = 'give the mount uidMappings and gidMappings, or the container a user namespace'
    refuse(itemOf(fieldOf(place, 'mounts'), i), 'is to be idmapped, and there are no mappings', hint)
  })
}

/** memory.memsw.limit_in_bytes may not be below memory.limit_in_bytes: kernel:admin-guide/cgroup-v1/memory.rst */
function checkSwap({ limit = 0, swap = 0 }: Memory, place: Place): void {
  if (swap <= 0) return
  const hint = 'swap counts memory and swap together; make it at least the limit'
  if (limit <= 0) refuse(fieldOf(place, 'swap'), `is ${swap}, and there is no limit of memory alone`, hint)
  if (swap < limit) refuse(fieldOf(place, 'swap'), `is ${swap}, less than limit, which is ${limit}`, hint)
}

/** Source: oci:runtime-spec/config-linux.md#cpu "burst" */
function checkBurst({ quota = 0, burst = 0 }: Cpu, place: Place): void {
  if (quota > 0 && burst > quota) refuse(fieldOf(place, 'burst'), `is ${burst}, more than quota, which is ${quota}`)
}
