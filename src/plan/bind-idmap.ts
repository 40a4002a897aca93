/**
 * User namespaces that exist only for their id maps: the kernel takes the translation of an idmapped mount from one.
 *
 * Source: mount_setattr(2) "ID-mapped mounts", kernel:filesystems/idmappings.rst
 */

import { buffer, type Slot, slot, text } from '../linux/call.ts'
import { O_RDONLY, O_WRONLY, openat, openBeneath, write } from '../linux/files.ts'
import { CLONE_NEWUSER, clone3 } from '../linux/namespaces.ts'
import { getpid, P_PIDFD, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import type { IdMaps } from './idmap.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

const SEE: readonly Ref[] = ['mount_setattr(2)', 'user_namespaces(7)']

/**
 * Keeps in `into` a user namespace with these maps. For a privileged executor.
 *
 * A process makes it and ends at once. Until it is waited for its entry in /proc stays, with the maps, which can still be written, and the
 * namespace, which can still be opened: fs/proc/base.c. So nobody waits for anybody, and nothing is left if the executor is killed.
 */
export function planIdmapNamespace(maps: IdMaps, into: Slot): readonly Step[] {
  const pid = slot('idmap-pid')
  const pidfd = slot('idmap-pidfd')
  const pidfdBytes = buffer('idmap-pidfd', 4)
  const wait: Step = {
    call: waitid(P_PIDFD, pidfd, buffer('idmap-exit', SIGINFO_BYTES)),
    why: 'let go of the process behind the id maps',
    see: ['waitid(2)'],
    tolerate: ['ECHILD'],
  }
  return [
    {
      call: clone3({ flags: CLONE_NEWUSER, pidfd: pidfdBytes }),
      why: 'have a user namespace to take the ids of a mount from',
      see: SEE,
      into: pid,
      keep: [{ slot: pidfd, in: pidfdBytes, offset: 0, sizeBytes: 4 }],
      child: [{ call: getpid(), why: 'end, as the namespace is all that is wanted', see: SEE }],
      undo: [wait],
    },
    ...writeMap(pid, 'uid_map', maps.uid),
    ...writeMap(pid, 'gid_map', maps.gid),
    {
      call: openat(HOST_PROC, text(pid, '/ns/user'), O_RDONLY),
      why: 'hold on to that namespace',
      see: SEE,
      into,
    },
    wait,
  ]
}

function writeMap(pid: Slot, file: 'uid_map' | 'gid_map', mappings: readonly IdMapping[]): readonly Step[] {
  const fd = slot('idmap-file')
  const lines = linesOf(mappings)
  const why = `translate the ${file === 'uid_map' ? 'user' : 'group'} ids of a mount`
  return [
    { call: openBeneath(HOST_PROC, text(pid, `/${file}`), O_WRONLY), why, see: SEE, into: fd },
    { call: write(fd, lines, lines.length), why, see: SEE, check: { result: lines.length, errno: 'EIO' } },
  ]
}

const linesOf = (mappings: readonly IdMapping[]): string =>
  mappings.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('')

/** Equal for equal maps, so that mounts can share a namespace. */
export const mapsKey = ({ uid, gid }: IdMaps): string => `${linesOf(uid)}/${linesOf(gid)}`
