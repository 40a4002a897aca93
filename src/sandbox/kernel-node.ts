/** Asks the kernel what it lets this caller do, by doing it: a plan in an executor of its own, once. */

import { spawnSync } from 'node:child_process'
import { closeSync, openSync, readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { assemble } from '../executor/assemble.ts'
import { encode } from '../executor/persistent-node.ts'
import { parseReport } from '../executor/report.ts'
import { buffer, slot } from '../linux/call.ts'
import { landlockAbi } from '../linux/landlock.ts'
import {
  CLONE_NEWCGROUP,
  CLONE_NEWIPC,
  CLONE_NEWNET,
  CLONE_NEWNS,
  CLONE_NEWPID,
  CLONE_NEWUSER,
  CLONE_NEWUTS,
  clone3,
} from '../linux/namespaces.ts'
import { getpid, P_PIDFD, pidfdOpen, pidfdSendGroupSignal, SIGINFO_BYTES, waitid } from '../linux/process.ts'
import type { Plan } from '../plan/plan.ts'
import { type Machine, programPath } from './machine-node.ts'

export interface Kernel {
  /** 0 without Landlock. */
  readonly landlockAbi: number
  /** Whether this caller may make a user namespace, and others in it. */
  readonly makesNamespaces: boolean
  /** Whether all of a process group can be killed by a descriptor: Linux 6.9. */
  readonly signalsGroups: boolean
}

const ABI = slot('abi')
const CHILD = slot('child')
const CHILD_FD = slot('child-pidfd')
const OWN_PID = slot('own-pid')
const OWN_FD = slot('own-pidfd')
const SIGNALLED = slot('signalled')

const EINVAL = 22

/** A slot of a call that failed holds its errno, below 0. */
function questions(): Plan {
  const pidfd = buffer('child-pidfd', 4)
  const flags =
    CLONE_NEWUSER + CLONE_NEWNS + CLONE_NEWPID + CLONE_NEWNET + CLONE_NEWIPC + CLONE_NEWUTS + CLONE_NEWCGROUP
  const why = 'know what the kernel lets this caller do'
  return {
    operation: 'ask the kernel',
    steps: [
      {
        call: landlockAbi(),
        why,
        see: ['landlock_create_ruleset(2)'],
        into: ABI,
        tolerate: ['ENOSYS', 'EOPNOTSUPP', 'EPERM'],
      },
      { call: getpid(), why, see: ['getpid(2)'], into: OWN_PID },
      { call: pidfdOpen(OWN_PID), why, see: ['pidfd_open(2)'], into: OWN_FD },
      {
        call: pidfdSendGroupSignal(OWN_FD, 0),
        why,
        see: ['pidfd_send_signal(2)'],
        into: SIGNALLED,
        // It leads no group.
        tolerate: ['EINVAL', 'ESRCH'],
      },
      {
        call: clone3({ flags, pidfd }),
        why,
        see: ['clone(2)', 'user_namespaces(7)'],
        into: CHILD,
        // Denied, none allowed, none in this kernel, no room for one.
        tolerate: ['EPERM', 'ENOSPC', 'EINVAL', 'EUSERS'],
        keep: [{ slot: CHILD_FD, in: pidfd, offset: 0, sizeBytes: 4 }],
        // It ends behind its last step.
        child: [{ call: getpid(), why, see: ['getpid(2)'] }],
        then: [{ call: waitid(P_PIDFD, CHILD_FD, buffer('child-end', SIGINFO_BYTES)), why, see: ['waitid(2)'] }],
      },
    ],
    returns: [ABI, CHILD, SIGNALLED],
  }
}

let asked: Kernel | undefined

/** Rejects nothing that the kernel may refuse; throws if the executor cannot be started. */
export function askKernel({ directory, host }: Pick<Machine, 'directory' | 'host'>): Kernel {
  asked ??= ask(directory, host.architecture)
  return asked
}

function ask(directory: string, architecture: Machine['host']['architecture']): Kernel {
  const paths = ['plan', 'report'].map((name) => join(directory, `kernel.${name}`))
  const [plan = '', report = ''] = paths
  const assembled = assemble(questions(), { architecture, encode })
  writeFileSync(plan, assembled.frame)
  const fds = [openSync(plan, 'r'), openSync(report, 'w')]
  try {
    spawnSync(programPath('coffer-executor'), ['file'], { stdio: ['ignore', 'ignore', 'ignore', ...fds], env: {} })
    const { slot: result, kind } = parseReport(readFileSync(report), assembled)
    const isDone = kind === 'done'
    return {
      landlockAbi: isDone ? Math.max(0, result(ABI)) : 0,
      makesNamespaces: isDone && result(CHILD) > 0,
      signalsGroups: isDone && result(SIGNALLED) !== -EINVAL,
    }
  } finally {
    for (const fd of fds) closeSync(fd)
    for (const path of paths) unlinkSync(path)
  }
}
