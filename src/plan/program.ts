/**
 * How a process becomes the container's program: the same for init and for a process of exec.
 *
 * `prepare` is everything that can fail for reasons of the configuration, so that `create` says so; behind it nothing of the host is open.
 * `become` is what has to wait for `start`.
 */

import type { Slot } from '../linux/call.ts'
import type { Linux } from '../oci/linux.ts'
import type { Process } from '../oci/process.ts'
import { type DenialsRequest, showPlace, WATCHED_CALLS, watchDenials } from './denials.ts'
import { planBecome, planExecTarget, planHandover } from './exec-target.ts'
import type { Host } from './host.ts'
import { deniesSetgroups } from './idmap.ts'
import { becomeOwnProgram, type OwnProgram, PROGRAM } from './own-program.ts'
import type { Step } from './plan.ts'
import { planProcess } from './process.ts'
import { planIdentity, planNarrow } from './process-identity.ts'
import { planOwnLimits } from './process-outside.ts'
import { compileProfile, planSeccomp } from './seccomp.ts'
import { planConsole, planControllingTerminal } from './terminal.ts'

export interface ProgramRequest {
  readonly id: string
  readonly process: Process
  readonly linux: Linux
  readonly isInit: boolean
  /** Programs of the image run before `become`: startContainer hooks. */
  readonly runsHooks: boolean
  readonly noNewKeyring: boolean
  readonly listenFds: number
  readonly preserveFds: number
  readonly home?: string | undefined
  /** What stays open until execve: the descriptors that the process waits on. */
  readonly keeps: readonly Slot[]
  readonly ownProgram?: OwnProgram | undefined
  /** Who hears what the filter denies. */
  readonly denials?: DenialsRequest | undefined
}

export interface Program {
  readonly prepare: readonly Step[]
  readonly become: readonly Step[]
  /** The executor has to hand the listener of the filter over, while the process is in `prepare`. */
  readonly notifies: boolean
  /** With `denials`, who gets the listener: steps for the executor at that time. */
  readonly watch: readonly Step[]
}

export function planProgram(request: ProgramRequest, host: Host): Program {
  const { id, process, linux, isInit, ownProgram, denials } = request
  const isTold = denials !== undefined
  const filter = compileProfile(linux.seccomp, host, isTold ? WATCHED_CALLS : undefined)
  const hasUser = hasUserNamespace(linux)
  const load = filter === undefined ? [] : [...(isTold ? showPlace(hasUser) : []), ...planSeccomp(filter, host)]
  const notifies = filter?.notifies === true
  // An agent has to get the listener while the executor is there to fetch it, which after `create` it is not.
  const isEarly = notifies || request.runsHooks
  const identity = { process, canSetGroups: canSetGroups(request, host), hasFilter: filter !== undefined }
  const confine = [...load, ...planNarrow(identity, host)]
  return {
    prepare: [
      // The terminal of init is made before the root changes: init.ts.
      ...(process.terminal && !isInit ? planConsole({ size: process.consoleSize, uid: process.user.uid }, host) : []),
      ...planProcess(
        {
          id,
          process,
          linux,
          hasOwnKeyring: !request.noNewKeyring,
          hasUserNamespace: hasUser,
          makesCwd: isInit,
        },
        host,
      ),
      ...(process.terminal ? planControllingTerminal : []),
      ...planIdentity(identity, host),
      ...(ownProgram === undefined ? planExecTarget(process) : []),
      ...planHandover(request, [...(ownProgram === undefined ? [] : [...ownProgram.keeps, PROGRAM]), ...request.keeps]),
      ...planOwnLimits(process, host),
      ...(isEarly ? confine : []),
    ],
    become: planBecome({
      ...process,
      listenFds: request.listenFds,
      home: request.home,
      last: isEarly ? [] : confine,
      ...(ownProgram === undefined ? {} : { become: becomeOwnProgram(ownProgram) }),
    }),
    notifies,
    watch:
      isTold && filter !== undefined
        ? watchDenials({ ...identity, hasUserNamespace: hasUser, passed: filter.passed }, host)
        : [],
  }
}

const hasUserNamespace = ({ namespaces }: Linux): boolean => namespaces.some(({ type }) => type === 'user')

/** Undefined where only the kernel knows: who made a user namespace decided about it, also for those below. */
function canSetGroups({ linux, isInit }: ProgramRequest, host: Host): boolean | undefined {
  const user = linux.namespaces.find(({ type }) => type === 'user')
  const isMadeHere = user === undefined || (isInit && user.path === undefined)
  if (isMadeHere && user !== undefined && deniesSetgroups({ ...host, uid: linux.uidMappings, gid: linux.gidMappings }))
    return false
  return isMadeHere && !host.isRootless ? true : undefined
}
