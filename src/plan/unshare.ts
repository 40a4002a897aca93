/**
 * unshare: the process leaves namespaces, and becomes a program in new ones. The order is that of unshare(1) of util-linux.
 *
 * | step                         | by                                                                               |
 * |------------------------------|----------------------------------------------------------------------------------|
 * | new namespaces               | unshare(2); pid and time take effect on children, time also on execve(2)         |
 * | a map of the caller's own id | the process itself: the kernel lets it                                           |
 * | other maps, files that keep  | a child that stays outside: outside.ts                                           |
 * | everything behind            | the process, or its child with --fork                                            |
 */

import { OperationError } from '../base/errors.ts'
import { packU32 } from '../linux/bytes.ts'
import { buffer, type Slot, slot, text } from '../linux/call.ts'
import { LINUX_CAPABILITY_VERSION_3 } from '../linux/credentials.ts'
import {
  AT_FDCWD,
  chdir,
  chroot,
  close,
  O_CREAT,
  O_RDONLY,
  O_WRONLY,
  openat,
  pipe2,
  read,
  write,
} from '../linux/files.ts'
import {
  bindMount,
  MNT_DETACH,
  MS_NODEV,
  MS_NOEXEC,
  MS_NOSUID,
  MS_PRIVATE,
  MS_REC,
  newMount,
  setPropagation,
  umount2,
} from '../linux/mount.ts'
import { unshare } from '../linux/namespaces.ts'
import {
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_RAISE,
  PR_SET_PDEATHSIG,
  prctl,
  setgroups,
  setresgid,
  setresuid,
} from '../linux/process.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { planAttended } from './attended.ts'
import { type Command, planCommand } from './command.ts'
import { openHostProc } from './host-proc.ts'
import { denySetgroups, type IdMaps, runMapper, writeMap, writeSetgroups } from './idmap.ts'
import { NAMESPACE_FILES, NAMESPACE_FLAGS } from './namespaces.ts'
import { INSIDE_PID, learnPid, planOutsideChild } from './outside.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { HOST_PROC } from './slots.ts'

export interface UnshareRequest {
  /** `file` keeps the namespace when its last process has ended. */
  readonly namespaces: readonly { readonly type: NamespaceType; readonly file?: string | undefined }[]
  readonly forks: boolean
  /** What the child gets when its parent dies. */
  readonly parentDeathSignal?: number | undefined
  readonly maps?: UnshareMaps | undefined
  readonly setgroups?: 'allow' | 'deny' | undefined
  /** MS_…; undefined leaves mounts as they are. */
  readonly propagation?: number | undefined
  readonly root?: string | undefined
  readonly workdir?: string | undefined
  /** Where a procfs is to be mounted. */
  readonly proc?: string | undefined
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Seconds. */
  readonly boottime?: number | undefined
  readonly monotonic?: number | undefined
  /** The highest capability that the kernel knows, if all shall stay behind execve. */
  readonly keptCapabilities?: number | undefined
  readonly command: Command
}

/** `own`: one range of the caller's own id; `direct`: by a privileged child; `mapper`: by newuidmap(1). */
export interface UnshareMaps extends IdMaps {
  readonly by: { readonly uid: 'own' | 'direct' | 'mapper'; readonly gid: 'own' | 'direct' | 'mapper' }
}

export function planUnshare(request: UnshareRequest): Plan {
  const { namespaces, maps, forks, command } = request
  refusePidFileWithoutFork(request)
  const kept = namespaces.flatMap(({ type, file }) => (file === undefined ? [] : [{ type, file }]))
  const early = planOutside(
    maps,
    kept.filter(({ type }) => type !== 'pid'),
  )
  const late = planKeptPid(kept.find(({ type }) => type === 'pid')?.file)
  const usesProc = maps !== undefined || request.setgroups !== undefined || hasClock(request)
  const inside = [...planInside(request), ...planCommand(command)]
  return {
    operation: `run ${command.args[0] ?? ''} in new namespaces`,
    steps: [
      ...(usesProc ? openHostProc : []),
      ...(usesProc || kept.length > 0 ? [learnPid] : []),
      ...early.make,
      ...late.make,
      ...planNewNamespaces(namespaces),
      ...early.run,
      ...planOwnMaps(request),
      ...planClocks(request),
      ...(forks
        ? planAttended(
            'make the process that is the first in the new namespaces',
            [...planDeath(request), ...late.wait, ...inside],
            late.run,
          )
        : inside),
    ],
  }
}

export function planNewNamespaces(namespaces: UnshareRequest['namespaces']): readonly Step[] {
  if (namespaces.length === 0) return []
  const flags = namespaces.reduce((sum, { type }) => sum + NAMESPACE_FLAGS[type], 0)
  const names = namespaces.map(({ type }) => type).join(', ')
  return [{ call: unshare(flags), why: `have new namespaces: ${names}`, see: ['unshare(2)', 'namespaces(7)'] }]
}

/** A pid namespace has no file before it has a first process, which only a child can be. pid_namespaces(7) */
function refusePidFileWithoutFork({ namespaces, forks }: UnshareRequest): void {
  if (forks || !namespaces.some(({ type, file }) => type === 'pid' && file !== undefined)) return
  throw new OperationError({
    kind: 'invalid',
    operation: 'keep the pid namespace in a file',
    reason: 'a pid namespace has no file before it has a first process, and only a child can be that',
    hint: 'add --fork',
    see: ['pid_namespaces(7)'],
  })
}

export function planOutside(
  maps: UnshareMaps | undefined,
  kept: readonly { readonly type: NamespaceType; readonly file: string }[],
): { readonly make: readonly Step[]; readonly run: readonly Step[] } {
  const mapping = maps === undefined ? [] : planForeignMaps(maps)
  const keeping = kept.flatMap(({ type, file }) =>
    keepIn(file, text('/proc/', INSIDE_PID, `/ns/${NAMESPACE_FILES[type]}`), type),
  )
  if (mapping.length + keeping.length === 0) return { make: [], run: [] }
  const purposes = [
    ...(mapping.length > 0 ? ['map ids'] : []),
    ...(keeping.length > 0 ? ['keep namespaces in files'] : []),
  ]
  return planOutsideChild({ name: 'outside', purpose: purposes.join(' and '), steps: [...mapping, ...keeping] })
}

const planForeignMaps = (maps: UnshareMaps): readonly Step[] => {
  const mapping = { ...maps, pid: INSIDE_PID }
  return [
    ...(maps.by.uid === 'direct' ? writeMap(mapping, 'uid_map') : []),
    ...(maps.by.uid === 'mapper' ? runMapper(mapping, 'newuidmap') : []),
    ...(maps.by.gid === 'direct' ? writeMap(mapping, 'gid_map') : []),
    ...(maps.by.gid === 'mapper' ? runMapper(mapping, 'newgidmap') : []),
  ]
}

/** Before the map of groups, the kernel wants to know that nobody can leave groups; afterwards it is too late to say so. */
export function planOwnMaps({ maps, setgroups }: Pick<UnshareRequest, 'maps' | 'setgroups'>): readonly Step[] {
  const mapping = maps === undefined ? undefined : { ...maps, pid: INSIDE_PID }
  const denies = maps?.by.gid === 'own' && maps.gid.length > 0
  return [
    ...(mapping !== undefined && maps?.by.uid === 'own' && maps.uid.length > 0 ? writeMap(mapping, 'uid_map') : []),
    ...(denies ? denySetgroups(INSIDE_PID) : []),
    ...(denies && mapping !== undefined ? writeMap(mapping, 'gid_map') : []),
    ...(setgroups === undefined || (denies && setgroups === 'deny')
      ? []
      : writeSetgroups(INSIDE_PID, setgroups, `${setgroups} changes of groups in the user namespace`)),
  ]
}

/** A bind mount on a file that is there, or made: what is mounted keeps the namespace. namespaces(7) "The /proc/pid/ns/ directory" */
export function keepIn(
  file: string,
  namespace: string | ReturnType<typeof text>,
  type: NamespaceType,
): readonly Step[] {
  const fd = slot(`file of the ${type} namespace`)
  const why = `keep the ${type} namespace in ${file}`
  const see: readonly Ref[] = ['namespaces(7)', 'mount(2)']
  return [
    {
      call: openat(AT_FDCWD, file, O_RDONLY | O_CREAT, 0o444),
      why,
      see,
      into: fd,
    },
    { call: close(fd), why, see },
    { call: bindMount(namespace, file, { recursive: false }), why, see, undo: [dropFile(file, type)] },
  ]
}

const dropFile = (file: string, type: NamespaceType): Step => ({
  call: umount2(file, MNT_DETACH),
  why: `let go of the ${type} namespace in ${file}`,
  see: ['umount(2)'],
})

interface KeptPid {
  readonly make: readonly Step[]
  readonly run: readonly Step[]
  /** In the child, which begins its program only when its namespace is in the file. */
  readonly wait: readonly Step[]
}

function planKeptPid(file: string | undefined): KeptPid {
  if (file === undefined) return { make: [], run: [], wait: [] }
  const outside = planOutsideChild({
    name: 'outside-pid',
    purpose: 'keep the pid namespace in a file',
    steps: keepIn(file, text('/proc/', INSIDE_PID, '/ns/pid_for_children'), 'pid'),
  })
  const go = planTurn('kept')
  return { make: [...outside.make, ...go.make], run: [...outside.run, ...go.tell], wait: go.wait }
}

function planTurn(name: string): { make: readonly Step[]; tell: readonly Step[]; wait: readonly Step[] } {
  const [readEnd, writeEnd]: [Slot, Slot] = [slot(`${name}-read`), slot(`${name}-write`)]
  const ends = buffer(`${name} pipe`, 8)
  const see: readonly Ref[] = ['pipe(7)']
  return {
    make: [
      {
        call: pipe2(ends),
        why: 'let the program wait until its namespace is kept',
        see: ['pipe(2)'],
        keep: [
          { slot: readEnd, in: ends, offset: 0, sizeBytes: 4 },
          { slot: writeEnd, in: ends, offset: 4, sizeBytes: 4 },
        ],
      },
    ],
    tell: [{ call: write(writeEnd, 'g', 1), why: 'let the program begin', see }],
    wait: [
      { call: close(writeEnd), why: 'notice if the parent fails', see },
      {
        call: read(readEnd, buffer(`${name} turn`, 1)),
        why: 'wait until the namespace is kept',
        see,
        check: { result: 1, errno: 'ECHILD' },
      },
    ],
  }
}

const hasClock = ({ boottime, monotonic }: UnshareRequest): boolean => boottime !== undefined || monotonic !== undefined

/** Only while nobody is in the time namespace. time_namespaces(7) */
function planClocks(request: UnshareRequest): readonly Step[] {
  if (!hasClock(request)) return []
  const lines = (['monotonic', 'boottime'] as const)
    .flatMap((clock) => (request[clock] === undefined ? [] : [`${clock} ${request[clock]} 0\n`]))
    .join('')
  const fd = slot('timens_offsets')
  const see: readonly Ref[] = ['time_namespaces(7)']
  const why = 'set the clocks of the time namespace'
  return [
    { call: openat(HOST_PROC, 'self/timens_offsets', O_WRONLY), why, see, into: fd },
    { call: write(fd, lines, lines.length), why, see },
    { call: close(fd), why, see },
  ]
}

const planDeath = ({ parentDeathSignal }: UnshareRequest): readonly Step[] =>
  parentDeathSignal === undefined
    ? []
    : [
        {
          call: prctl(PR_SET_PDEATHSIG, parentDeathSignal),
          why: 'end with its parent',
          see: ['PR_SET_PDEATHSIG(2const)'],
        },
      ]

/** In the new namespaces. */
function planInside(request: UnshareRequest): readonly Step[] {
  const { propagation, root, workdir, proc, uid, gid, keptCapabilities } = request
  const directory = workdir ?? (root === undefined ? undefined : '/')
  return [
    ...(propagation === undefined ? [] : [propagate('/', propagation)]),
    ...(root === undefined ? [] : [enterRoot(root)]),
    ...(directory === undefined ? [] : [startIn(directory)]),
    ...(proc === undefined ? [] : planProc(proc, propagation)),
    ...(gid === undefined ? [] : planGroup(gid)),
    ...(uid === undefined ? [] : [becomeUser(uid)]),
    ...(keptCapabilities === undefined ? [] : planKeptCapabilities(keptCapabilities)),
  ]
}

const propagate = (path: string, flags: number): Step => ({
  call: setPropagation(path, flags),
  why: `decide whether mounts of the new namespace and the old one are told to each other`,
  see: ['mount_namespaces(7) "SHARED SUBTREES"'],
})

export const enterRoot = (root: string): Step => ({
  call: chroot(root),
  why: `have ${root} as its root`,
  see: ['chroot(2)'],
})
export const startIn = (path: string): Step => ({ call: chdir(path), why: `start in ${path}`, see: ['chdir(2)'] })

/** A procfs shows the pid namespace of who mounts it. What is mounted there stays private, as a peer would see it otherwise. */
function planProc(proc: string, propagation: number | undefined): readonly Step[] {
  const isPrivate = propagation === MS_PRIVATE + MS_REC
  return [
    ...(isPrivate ? [] : [propagate(proc, MS_PRIVATE | MS_REC)]),
    {
      call: newMount({ type: 'proc', source: 'proc', target: proc, flags: MS_NOSUID | MS_NOEXEC | MS_NODEV, data: 0 }),
      why: 'show the processes of the new pid namespace',
      see: ['proc(5)', 'pid_namespaces(7) "/proc and PID namespaces"'],
    },
  ]
}

export const planGroup = (gid: number): readonly Step[] => [
  { call: setgroups(0, new Uint8Array()), why: 'leave the groups of the caller', see: ['setgroups(2)'] },
  { call: setresgid(gid, gid, gid), why: `run with the group ${gid}`, see: ['setresgid(2)'] },
]

export const becomeUser = (uid: number): Step => ({
  call: setresuid(uid, uid, uid),
  why: `run as the user ${uid}`,
  see: ['setresuid(2)'],
})

/** Ambient capabilities outlive execve(2) without file capabilities; they have to be inheritable first. capabilities(7) */
function planKeptCapabilities(last: number): readonly Step[] {
  const sets = buffer('capabilities', 24)
  const header = packU32([LINUX_CAPABILITY_VERSION_3, 0])
  const [low, high] = [slot('permitted-low'), slot('permitted-high')]
  const see: readonly Ref[] = ['capabilities(7)']
  const why = 'keep its capabilities when it becomes the program'
  const words = [low, low, low, high, high, high]
  return [
    {
      call: { name: 'capget', args: [header, sets] },
      why,
      see,
      keep: [
        { slot: low, in: sets, offset: 4, sizeBytes: 4 },
        { slot: high, in: sets, offset: 16, sizeBytes: 4 },
      ],
    },
    {
      call: {
        name: 'capset',
        args: [
          header,
          {
            struct: new Uint8Array(24),
            fields: words.map((value, index) => ({ offset: index * 4, sizeBytes: 4, value })),
          },
        ],
      },
      why,
      see,
    },
    ...Array.from(
      { length: last + 1 },
      (_, capability): Step => ({
        call: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability),
        why,
        see,
        // It is not permitted to the caller.
        tolerate: ['EPERM'],
      }),
    ),
  ]
}
