/** Kernel parameters of a container: only those that belong to one of its namespaces, since any other would change the host. */

import { entriesOf, type Section, stringOf } from '../base/field.ts'
import { type Place, refuse, shown } from '../base/place.ts'

export interface Sysctl {
  /** As the document has it. */
  readonly name: string
  /** Below /proc/sys: `net/ipv4/ip_forward`. No part of it is empty, `.` or `..`. */
  readonly path: string
  readonly value: string
  /** The namespace that it is part of. */
  readonly namespace: 'ipc' | 'network' | 'uts'
}

const IPC_PATHS = [
  'kernel/msgmax',
  'kernel/msgmnb',
  'kernel/msgmni',
  'kernel/sem',
  'kernel/shmall',
  'kernel/shmmax',
  'kernel/shmmni',
  'kernel/shm_rmid_forced',
]

/** Throws `invalid` for a parameter of the host. Source: oci:runtime-spec/config-linux.md#sysctl, and runc's validator for which are allowed. */
export const sysctlsOf = (linux: Section): readonly Sysctl[] => entriesOf(linux, 'sysctl', parseSysctl)

function parseSysctl(name: string, value: unknown, place: Place): Sysctl {
  const path = sysctlPath(name)
  if (!/^(?:(?!\.\.?\/)[^/\0]+\/)+(?!\.\.?$)[^/\0]+$/.test(path)) {
    refuse(place, 'is not the name of a kernel parameter', 'write it like net.ipv4.ip_forward or net/ipv4/ip_forward')
  }
  return { name, path, value: stringOf(value, place), namespace: namespaceOf(path, place) }
}

function namespaceOf(path: string, place: Place): Sysctl['namespace'] {
  if (path.startsWith('net/')) return 'network'
  if (path.startsWith('fs/mqueue/') || IPC_PATHS.includes(path)) return 'ipc'
  if (path === 'kernel/domainname') return 'uts'
  if (path === 'kernel/hostname') refuse(place, 'has a field of its own', 'use hostname')
  refuse(
    place,
    `is of the whole host: ${shown(`/proc/sys/${path}`)} is in no namespace`,
    'set it on the host, if at all',
  )
}

/** sysctl.d(5): whichever of `/` and `.` comes first separates, and the other one stands for it inside of a part. */
function sysctlPath(name: string): string {
  const first = /[./]/.exec(name)
  if (first === null || first[0] === '/') return name
  return name.replace(/[./]/g, (sign) => (sign === '.' ? '/' : '.'))
}
