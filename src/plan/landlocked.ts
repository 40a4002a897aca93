/**
 * A command without namespaces: Landlock, a filter of system calls and limits of each process keep it, and nothing else. docs/decisions/0021
 *
 * For machines that give neither root nor a user namespace. The command is in a session of its own, which its filter keeps it in, and all of
 * that is killed at its end. Whatever else of a container there is not is told by the caller: sandbox/landlock-features.ts.
 */

import { buffer, slot } from '../linux/call.ts'
import { AT_FDCWD, chdir, close, O_NOFOLLOW, O_PATH, openat, read } from '../linux/files.ts'
import {
  LANDLOCK_ACCESS_FS_EXECUTE,
  LANDLOCK_ACCESS_FS_IOCTL_DEV,
  LANDLOCK_ACCESS_FS_MAKE_BLOCK,
  LANDLOCK_ACCESS_FS_MAKE_CHAR,
  LANDLOCK_ACCESS_FS_READ_DIR,
  LANDLOCK_ACCESS_FS_READ_FILE,
  LANDLOCK_ACCESS_FS_TRUNCATE,
  LANDLOCK_ACCESS_FS_WRITE_FILE,
  LANDLOCK_ACCESS_NET_BIND_TCP,
  LANDLOCK_ACCESS_NET_CONNECT_TCP,
  LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET,
  LANDLOCK_SCOPE_SIGNAL,
  landlockAllowBeneath,
  landlockCreateRuleset,
  landlockRestrictSelf,
  type Ruleset,
} from '../linux/landlock.ts'
import { clone3 } from '../linux/namespaces.ts'
import { PR_SET_NO_NEW_PRIVS, prctl, setsid, umask } from '../linux/process.ts'
import type { Rlimit } from '../oci/process.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import { planCapabilitySets } from './capabilities.ts'
import { planBecome, planExecTarget, planHandover } from './exec-target.ts'
import type { Host } from './host.ts'
import { dieWithParent } from './init.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { planRlimits } from './rlimits.ts'
import { compileProfile, planSeccomp } from './seccomp.ts'
import { CHILD_END, INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { endProcess } from './stage.ts'
import { planStdio, type Stdio } from './stdio.ts'
import { openControl, type Supervised, WATCH_READS, WATCHED, watchGroup } from './supervised.ts'
import { beStarted, hear, keepChildEnd, keepParentEnd, planTurns, tell } from './turns.ts'

/** `read` has executing in it, `write` all but devices, `data` reading and writing of what is there already. */
export type FileAccess = 'read' | 'write' | 'data'

export interface FileRule {
  readonly path: string
  readonly isDirectory: boolean
  readonly access: FileAccess
  /** Whether there is no command without it. */
  readonly isNeeded: boolean
}

export interface LandlockedRequest {
  readonly id: string
  readonly args: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly stdio: Stdio
  readonly supervised: Pick<Supervised, 'control' | 'deadlineMs'>
  readonly rlimits: readonly Rlimit[]
  readonly seccomp: Seccomp
  /** Of landlockAbi(); at least 4. */
  readonly abi: number
  readonly network: 'none' | 'host'
  readonly rules: readonly FileRule[]
}

const SEE: readonly Ref[] = ['landlock(7)']
const RULESET = slot('ruleset')
const BENEATH = slot('beneath')

export function planLandlocked(request: LandlockedRequest, host: Host): Plan {
  const { id, args, supervised } = request
  const stdio = planStdio(request.stdio)
  const pidfd = buffer('init-pidfd', 4)
  return {
    operation: `run ${args[0] ?? ''} under Landlock`,
    steps: [
      ...openControl(supervised),
      ...stdio.open,
      planTurns(),
      {
        call: clone3({ flags: 0, pidfd }),
        why: `have a process for ${id}`,
        see: ['clone(2)'],
        into: INIT_PID,
        keep: [{ slot: INIT_PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
        child: [keepChildEnd, ...stdio.take, ...planConfined(request, host)],
        undo: endProcess(INIT_PIDFD, id),
      },
      keepParentEnd,
      ...stdio.leave,
      hear('executor', 'c', `have ${id} made up to its program`),
      tell('executor', 's', `start ${id}`),
      {
        call: read(PARENT_END, buffer('turn', 1)),
        why: `see the program of ${id} take over`,
        see: ['execve(2)'],
        check: { result: 0, errno: 'ENOEXEC' },
      },
      { call: { name: 'report', args: [] }, why: 'tell that it runs', see: [] },
      ...watchGroup(supervised, id),
    ],
    returns: [INIT_PID, WATCHED],
    reads: WATCH_READS,
  }
}

function planConfined(request: LandlockedRequest, host: Host): readonly Step[] {
  const { args, env, cwd, rlimits, seccomp } = request
  const filter = compileProfile(seccomp, host)
  return [
    { call: setsid(), why: 'be ended together, with all that it starts', see: ['setsid(2)'] },
    { call: chdir(cwd), why: `start in ${cwd}`, see: ['chdir(2)'] },
    { call: umask(0o022), why: 'begin with the usual umask', see: ['umask(2)'] },
    ...planCapabilitySets(undefined, host),
    {
      call: prctl(PR_SET_NO_NEW_PRIVS, 1),
      why: 'gain nothing from set-user-ID programs and file capabilities',
      see: ['PR_SET_NO_NEW_PRIVS(2const)'],
    },
    ...planRuleset(request, host),
    ...planExecTarget({ args, env }),
    ...planHandover({ listenFds: 0, preserveFds: 0 }, [CHILD_END]),
    ...planRlimits(rlimits, 0),
    tell('child', 'c', 'tell that only the program is missing'),
    beStarted,
    dieWithParent,
    ...planBecome({ args, env, listenFds: 0, last: filter === undefined ? [] : planSeccomp(filter, host) }),
  ]
}

/** All rights that the ABI knows are handled, so what no rule allows is denied. */
export const rulesetOf = ({ abi, network }: Pick<LandlockedRequest, 'abi' | 'network'>): Ruleset => ({
  handledFs: ALL_FS & (abi < 5 ? ~LANDLOCK_ACCESS_FS_IOCTL_DEV : ALL_FS),
  handledNet: network === 'none' ? LANDLOCK_ACCESS_NET_BIND_TCP | LANDLOCK_ACCESS_NET_CONNECT_TCP : 0,
  scoped: abi < 6 ? 0 : LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | LANDLOCK_SCOPE_SIGNAL,
})

const ALL_FS = 0xffff
const NEVER = LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_IOCTL_DEV
/** What a rule about a file may have; more is EINVAL. landlock_add_rule(2) */
const OF_FILES =
  LANDLOCK_ACCESS_FS_EXECUTE |
  LANDLOCK_ACCESS_FS_WRITE_FILE |
  LANDLOCK_ACCESS_FS_READ_FILE |
  LANDLOCK_ACCESS_FS_TRUNCATE

const ACCESS: Readonly<Record<FileAccess, number>> = {
  read: LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
  write: ALL_FS & ~NEVER,
  data: LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
}

function planRuleset(request: LandlockedRequest, host: Host): readonly Step[] {
  return [
    {
      call: landlockCreateRuleset(rulesetOf(request)),
      why: 'have rules for what it may reach',
      see: SEE,
      into: RULESET,
    },
    ...request.rules.flatMap((rule) => planRule(rule, host)),
    { call: landlockRestrictSelf(RULESET), why: 'reach nothing else', see: SEE },
    { call: close(RULESET), why: 'hold the rules no longer', see: ['close(2)'] },
  ]
}

/** What has gone, or is out of reach anyway, needs no rule. Not through a link: what it leads to has a rule of its own, or none. */
function planRule({ path, isDirectory, access, isNeeded }: FileRule, { architecture }: Host): readonly Step[] {
  const why = `${access === 'read' ? 'read' : 'write'} ${path}`
  const rights = isDirectory ? ACCESS[access] : ACCESS[access] & OF_FILES
  const open: Step = {
    call: openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW[architecture]),
    why,
    see: SEE,
    into: BENEATH,
  }
  const allow: readonly Step[] = [
    { call: landlockAllowBeneath(RULESET, BENEATH, rights), why, see: SEE },
    { call: close(BENEATH), why, see: ['close(2)'] },
  ]
  return isNeeded ? [open, ...allow] : [{ ...open, tolerate: ['ENOENT', 'EACCES', 'ENOTDIR'], then: allow }]
}
