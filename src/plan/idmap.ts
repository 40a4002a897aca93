/**
 * The id maps of a new user namespace: which ids of the container are which of the host.
 *
 * Written by the process outside, once, before anything in the namespace uses an id. user_namespaces(7)
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Slot, slot, strings, text } from '../linux/call.ts'
import { AT_FDCWD, O_WRONLY, openat, write } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { execve, P_PIDFD, SIGINFO_BYTES, setSignalMask, waitid } from '../linux/process.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import type { Linux } from '../oci/linux.ts'
import type { Ref, Step } from './plan.ts'

export interface IdMaps {
  readonly uid: readonly IdMapping[]
  readonly gid: readonly IdMapping[]
}

export interface MappingRequest extends IdMaps {
  /** The process in the new namespace. */
  readonly pid: Slot
  /** Without CAP_SETUID the kernel takes one range, of the caller itself; for more the set-uid programs of shadow-utils have to write. */
  readonly canMapIds: boolean
  readonly hostUid: number
  readonly hostGid: number
}

export const idMapsOf = ({ uidMappings, gidMappings }: Pick<Linux, 'uidMappings' | 'gidMappings'>): IdMaps => ({
  uid: uidMappings,
  gid: gidMappings,
})

const SEE: readonly Ref[] = ['user_namespaces(7)']

/** The kernel's limit: fs/user_namespace.c, UID_GID_MAP_MAX_EXTENTS. */
const MAX_RANGES = 340

/** Throws `invalid` for no range and for more than the kernel takes. */
export function mapIds(mapping: MappingRequest): readonly Step[] {
  refuseBadCount('linux.uidMappings', mapping.uid)
  refuseBadCount('linux.gidMappings', mapping.gid)
  if (mapping.canMapIds) return [...writeMap(mapping, 'uid_map'), ...writeMap(mapping, 'gid_map')]
  return [
    ...(isOwn(mapping.gid, mapping.hostGid)
      ? [...denySetgroups(mapping.pid), ...writeMap(mapping, 'gid_map')]
      : runMapper(mapping, 'newgidmap')),
    ...(isOwn(mapping.uid, mapping.hostUid) ? writeMap(mapping, 'uid_map') : runMapper(mapping, 'newuidmap')),
  ]
}

function refuseBadCount(field: string, ranges: readonly IdMapping[]): void {
  if (ranges.length > 0 && ranges.length <= MAX_RANGES) return
  throw new OperationError({
    kind: 'invalid',
    operation: 'map the ids of the user namespace',
    reason: `${field} has ${ranges.length} ranges`,
    hint: `give between 1 and ${MAX_RANGES}`,
    see: SEE,
  })
}

/** The one map that the kernel lets anybody write. */
function isOwn(ranges: readonly IdMapping[], hostId: number): boolean {
  const [only, ...more] = ranges
  return more.length === 0 && only?.size === 1 && only.hostID === hostId
}

/** Whether setgroups(2) is refused for ever in a namespace with this mapping. */
export const deniesSetgroups = ({ gid, canMapIds, hostGid }: Omit<MappingRequest, 'pid'>): boolean =>
  !canMapIds && isOwn(gid, hostGid)

/** Without it a process could drop a group that a file's mode uses to keep it out: user_namespaces(7), "setgroups". */
function denySetgroups(pid: Slot): readonly Step[] {
  return writeProc(
    pid,
    'setgroups',
    'deny',
    'keep the container from dropping groups, which the kernel asks of unprivileged callers',
  )
}

function writeMap(mapping: MappingRequest, file: 'uid_map' | 'gid_map'): readonly Step[] {
  const ranges = file === 'uid_map' ? mapping.uid : mapping.gid
  const total = ranges.reduce((sum, { size }) => sum + size, 0)
  const lines = ranges.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('')
  return writeProc(
    mapping.pid,
    file,
    lines,
    `map ${total} ${file === 'uid_map' ? 'user' : 'group'} ids into the container`,
  )
}

function writeProc(pid: Slot, file: string, content: string, why: string): readonly Step[] {
  const fd = slot(file)
  return [
    { call: openat(AT_FDCWD, text('/proc/', pid, `/${file}`), O_WRONLY), why, see: SEE, into: fd },
    { call: write(fd, content, content.length), why, see: SEE },
  ]
}

/** newuidmap(1) and newgidmap(1) are set-uid root and know which ranges /etc/subuid and /etc/subgid give to the caller. */
function runMapper(mapping: MappingRequest, program: 'newuidmap' | 'newgidmap'): readonly Step[] {
  const ranges = program === 'newuidmap' ? mapping.uid : mapping.gid
  const see: readonly Ref[] = [`${program}(1)`, program === 'newuidmap' ? 'subuid(5)' : 'subgid(5)']
  const why = `have ${program} map the ids that this user was given`
  const args = [
    program,
    text(mapping.pid),
    ...ranges.flatMap(({ containerID, hostID, size }) => [`${containerID}`, `${hostID}`, `${size}`]),
  ]
  const pidfdBuffer = buffer(`${program} pidfd`, 4)
  const pidfd = slot(`${program}-pidfd`)
  const info = buffer(`${program} exit`, SIGINFO_BYTES)
  return [
    {
      call: clone3({ flags: 0, pidfd: pidfdBuffer }),
      why,
      see,
      keep: [{ slot: pidfd, in: pidfdBuffer, offset: 0, sizeBytes: 4 }],
      child: [
        { call: setSignalMask(new Uint8Array(8)), why: `let ${program} be interrupted`, see: ['sigprocmask(2)'] },
        { call: execve(`/usr/bin/${program}`, strings(args), strings([])), why, see },
      ],
    },
    {
      call: waitid(P_PIDFD, pidfd, info),
      why,
      see,
      check: { in: info, offset: 24, sizeBytes: 4, equals: 0, errno: 'EPERM' },
    },
  ]
}
