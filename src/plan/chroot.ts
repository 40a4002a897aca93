/** chroot: the process has another directory as root, and becomes a program in it. The order is that of chroot(1). */

import { packU32 } from '../linux/bytes.ts'
import { setgroups, setresgid } from '../linux/process.ts'
import { type Command, planCommand } from './command.ts'
import type { Plan } from './plan.ts'
import { becomeUser, enterRoot, startIn } from './unshare.ts'

export interface ChrootRequest {
  readonly root: string
  /** Ids as the files of the new root have them. */
  readonly uid?: number | undefined
  readonly gid?: number | undefined
  /** Undefined leaves the groups of the caller. */
  readonly groups?: readonly number[] | undefined
  readonly skipsChdir: boolean
  readonly command: Command
}

export function planChroot({ root, uid, gid, groups, skipsChdir, command }: ChrootRequest): Plan {
  return {
    operation: `run ${command.args[0] ?? ''} in ${root}`,
    steps: [
      enterRoot(root),
      // Without it the working directory is outside still, and the way back is open: labs of chroot escapes begin there.
      ...(skipsChdir ? [] : [startIn('/')]),
      ...(groups === undefined
        ? []
        : [
            {
              call: setgroups(groups.length, packU32(groups)),
              why: groups.length === 0 ? 'leave the groups of the caller' : `have the groups ${groups.join(', ')}`,
              see: ['setgroups(2)'],
            },
          ]),
      ...(gid === undefined
        ? []
        : [{ call: setresgid(gid, gid, gid), why: `run with the group ${gid}`, see: ['setresgid(2)'] }]),
      ...(uid === undefined ? [] : [becomeUser(uid)]),
      ...planCommand(command),
    ],
  }
}
