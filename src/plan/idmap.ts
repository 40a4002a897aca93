/**
 * The id maps of a new user namespace: which ids of the container are which of the host.
 *
 * Written by the process outside, once, before anything in the namespace uses an id. user_namespaces(7)
 */

import { OperationError } from '../base/errors.ts'
import { buffer, type Slot, slot, strings, text } from '../linux/call.ts'
import { O_WRONLY, openBeneath, write } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import {
  execve,
  P_PIDFD,
  PR_SET_DUMPABLE,
  prctl,
  SI_STATUS,
  SIGINFO_BYTES,
  setresgid,
  setresuid,
  setSignalMask,
  waitid,
} from '../linux/process.ts'
import { type IdMapping, isMapped } from '../oci/id-mappings.ts'
import type { Linux } from '../oci/linux.ts'
import type { Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

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

/** A map is written at once, and has to be shorter than a page: kernel/user_namespace.c, map_write. */
const PAGE_BYTES = 4096

/** Throws `invalid` for a map without the root of the container, and for one that is longer than the kernel takes. */
export function mapIds(mapping: MappingRequest): readonly Step[] {
  refuseBadMap('linux.uidMappings', mapping.uid)
  refuseBadMap('linux.gidMappings', mapping.gid)
  if (mapping.canMapIds) return [...writeMap(mapping, 'uid_map'), ...writeMap(mapping, 'gid_map')]
  return [
    ...(isOwn(mapping.gid, mapping.hostGid)
      ? [...denySetgroups(mapping.pid), ...writeMap(mapping, 'gid_map')]
      : runMapper(mapping, 'newgidmap')),
    ...(isOwn(mapping.uid, mapping.hostUid) ? writeMap(mapping, 'uid_map') : runMapper(mapping, 'newuidmap')),
  ]
}

function refuseBadMap(field: string, ranges: readonly IdMapping[]): void {
  const operation = 'map the ids of the user namespace'
  if (!isMapped(ranges, 0))
    throw new OperationError({
      kind: 'invalid',
      operation,
      reason: ranges.length === 0 ? `${field} is empty` : `${field} does not map 0, the root that makes the container`,
      hint: `add a range to ${field} whose containerID is 0`,
      see: SEE,
    })
  const { length } = linesOf(ranges)
  if (length < PAGE_BYTES) return
  throw new OperationError({
    kind: 'invalid',
    operation,
    reason: `${field} has ${ranges.length} ranges, whose text of ${length} bytes is longer than the kernel takes`,
    hint: `use fewer ranges: their text has to be shorter than ${PAGE_BYTES} bytes`,
    see: SEE,
  })
}

const linesOf = (ranges: readonly IdMapping[]): string =>
  ranges.map(({ containerID, hostID, size }) => `${containerID} ${hostID} ${size}\n`).join('')

/** The one map that the kernel lets anybody write. */
function isOwn(ranges: readonly IdMapping[], hostId: number): boolean {
  const [only, ...more] = ranges
  return more.length === 0 && only?.size === 1 && only.hostID === hostId
}

/** Whether setgroups(2) is refused for ever in a namespace with this mapping. */
export const deniesSetgroups = ({ gid, canMapIds, hostGid }: Omit<MappingRequest, 'pid'>): boolean =>
  !canMapIds && isOwn(gid, hostGid)

/** Without it a process could drop a group that a file's mode uses to keep it out: user_namespaces(7), "setgroups". */
export function denySetgroups(pid: Slot): readonly Step[] {
  return writeSetgroups(
    pid,
    'deny',
    'keep processes in it from dropping groups, which the kernel asks of unprivileged callers',
  )
}

export const writeSetgroups = (pid: Slot, word: 'allow' | 'deny', why: string): readonly Step[] =>
  writeProc(pid, 'setgroups', word, why)

export function writeMap(mapping: IdMaps & Pick<MappingRequest, 'pid'>, file: 'uid_map' | 'gid_map'): readonly Step[] {
  const ranges = file === 'uid_map' ? mapping.uid : mapping.gid
  const total = ranges.reduce((sum, { size }) => sum + size, 0)
  const kind = file === 'uid_map' ? 'user' : 'group'
  return writeProc(
    mapping.pid,
    file,
    linesOf(ranges),
    `map ${total} ${kind} ${total === 1 ? 'id' : 'ids'} into the user namespace`,
  )
}

function writeProc(pid: Slot, file: string, content: string, why: string): readonly Step[] {
  const fd = slot(file)
  return [
    { call: openBeneath(HOST_PROC, text(pid, `/${file}`), O_WRONLY), why, see: SEE, into: fd },
    { call: write(fd, content, content.length), why, see: SEE },
  ]
}

/** Never $PATH: they decide which ids the container gets. The first is where NixOS keeps set-uid programs. */
export const mapperPaths = (program: Mapper): readonly string[] =>
  ['/run/wrappers/bin', '/usr/local/bin', '/bin', '/usr/bin'].map((directory) => `${directory}/${program}`)

type Mapper = 'newuidmap' | 'newgidmap'

/** newuidmap(1) and newgidmap(1) are set-uid root and know which ranges /etc/subuid and /etc/subgid give to the caller. */
export function runMapper(mapping: IdMaps & Pick<MappingRequest, 'pid'>, program: Mapper): readonly Step[] {
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
        ...mapperPaths(program).map(
          (path, index, { length }): Step => ({
            call: execve(path, strings(args), strings([])),
            why,
            see,
            ...(index < length - 1 ? { tolerate: ['ENOENT'] } : {}),
          }),
        ),
      ],
    },
    {
      call: waitid(P_PIDFD, pidfd, info),
      why,
      see,
      check: { in: info, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'EPERM' },
    },
  ]
}

/**
 * Without privilege one may write the maps of a process only if its files are one's own, and those of a process that is not dumpable belong to
 * root. newuidmap looks at them as well. proc(5)
 */
export const allowMapping = ({ canMapIds }: Pick<MappingRequest, 'canMapIds'>): readonly Step[] =>
  canMapIds
    ? []
    : [{ call: prctl(PR_SET_DUMPABLE, 1), why: 'be allowed to write its id maps', see: ['proc(5)', ...SEE_DUMPABLE] }]

const SEE_DUMPABLE: readonly Ref[] = ['PR_SET_DUMPABLE(2const)']

export const hide: Step = {
  call: prctl(PR_SET_DUMPABLE, 0),
  why: 'keep others from looking into it',
  see: SEE_DUMPABLE,
}

/** In a user namespace with ids. */
export const becomeRoot: readonly Step[] = [
  { call: setresgid(0, 0, 0), why: 'be the root group of its user namespace', see: SEE },
  { call: setresuid(0, 0, 0), why: 'be the root user of its user namespace', see: SEE },
  hide,
]
