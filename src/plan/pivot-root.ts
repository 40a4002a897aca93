/**
 * pivot-root: the root of the mount namespace becomes another mount, and the old one a directory of it, or nothing at all.
 *
 * The kernel asks for five things, and each has its step, so that a learner sees which one is missing (pivot_root(2)):
 *
 * | rule                                                       | here                                                       |
 * |------------------------------------------------------------|------------------------------------------------------------|
 * | NEW is a mount point, and another one than the root        | checked; `--bind` makes it one                             |
 * | neither the mount of NEW, nor its parent, nor the root is shared | `--private` makes mounts private; unshare -m has done so |
 * | PUT_OLD is NEW or below it                                 | checked before the call                                    |
 * | CAP_SYS_ADMIN in the user namespace of the mount namespace | the kernel says so                                         |
 * | the root is no initramfs                                   | the kernel says so                                         |
 *
 * In the mount namespace of the whole machine it would take the root from all processes, so a new one is made unless told not to.
 */

import { AT_FDCWD, chdir, chroot, mkdirat } from '../linux/files.ts'
import { bindMount, MNT_DETACH, MS_PRIVATE, MS_REC, pivotRoot, setPropagation, umount2 } from '../linux/mount.ts'
import { CLONE_NEWNS, unshare } from '../linux/namespaces.ts'
import { type Command, planCommand } from './command.ts'
import type { Plan, Ref, Step } from './plan.ts'

export interface PivotRootRequest {
  /** The directory that becomes the root. */
  readonly newRoot: string
  /** Where the old root is found then, below `newRoot`; undefined takes it away at once. */
  readonly putOld: string | undefined
  /** Make a mount namespace first. */
  readonly isolates: boolean
  /** Bind `newRoot` on itself, so that it is a mount point. */
  readonly binds: boolean
  /** Make PUT_OLD. */
  readonly makesPutOld: boolean
  /** Take the old root away behind the call. */
  readonly detaches: boolean
  /** Without a program pivot-root is for a caller that stays: only in a mount namespace of its own, which it cannot be in then. */
  readonly command: Command | undefined
}

const SEE: readonly Ref[] = ['pivot_root(2)']

export function planPivotRoot(request: PivotRootRequest): Plan {
  const { newRoot, putOld, command } = request
  return {
    operation: `have ${newRoot} as the root`,
    steps: [
      ...(request.isolates ? isolate : []),
      ...(request.binds
        ? [
            {
              call: bindMount(newRoot, newRoot, { recursive: true }),
              why: `make ${newRoot} a mount point, which the new root has to be`,
              see: SEE,
            },
          ]
        : []),
      { call: chdir(newRoot), why: `be in ${newRoot}, whatever the paths mean afterwards`, see: SEE },
      ...(putOld === undefined ? planAtOnce(newRoot) : planPutOld(request, putOld)),
      ...(command === undefined ? [] : planCommand(command)),
    ],
  }
}

const isolate: readonly Step[] = [
  {
    call: unshare(CLONE_NEWNS),
    why: 'change the root of this process and its children, and of no other',
    see: ['unshare(2)', 'mount_namespaces(7)'],
  },
  {
    call: setPropagation('/', MS_REC | MS_PRIVATE),
    why: 'keep mounts from being told to the old namespace, which the kernel asks for',
    see: ['pivot_root(2)', 'mount_namespaces(7) "SHARED SUBTREES"'],
  },
]

/** The old root lies on top of the new one, and is taken away from there: no directory is needed. pivot_root(2) "pivot_root(".", ".")" */
const planAtOnce = (newRoot: string): readonly Step[] => [
  { call: pivotRoot('.', '.'), why: `make ${newRoot} the root`, see: SEE },
  { call: umount2('.', MNT_DETACH), why: 'take the old root away', see: ['umount(2)'] },
  { call: chdir('/'), why: 'start in the new root', see: ['chdir(2)'] },
]

function planPutOld({ newRoot, makesPutOld, detaches }: PivotRootRequest, putOld: string): readonly Step[] {
  // Relative to the new root, in which the process is: the same words are right before and behind the call.
  const below = putOld === newRoot ? '.' : putOld.slice(newRoot === '/' ? 1 : newRoot.length + 1)
  return [
    ...(makesPutOld
      ? [
          {
            call: mkdirat(AT_FDCWD, below, 0o755),
            why: `have ${putOld} for the old root`,
            see: SEE,
            // It is there.
            tolerate: ['EEXIST'] as const,
          },
        ]
      : []),
    { call: pivotRoot('.', below), why: `make ${newRoot} the root, and put the old one on ${putOld}`, see: SEE },
    { call: chroot('.'), why: 'have the new root as its own, too', see: ['pivot_root(8)', 'chroot(2)'] },
    { call: chdir('/'), why: 'start in the new root', see: ['chdir(2)'] },
    ...(detaches ? [{ call: umount2(below, MNT_DETACH), why: 'take the old root away', see: ['umount(2)'] }] : []),
  ]
}
