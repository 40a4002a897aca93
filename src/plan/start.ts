/** start: wake the init of a created container. */

import { buffer, slot } from '../linux/call.ts'
import { O_NONBLOCK, O_RDONLY, O_WRONLY, openat, read, renameIn, unlinkat, write } from '../linux/files.ts'
import { ppollReadable } from '../linux/poll.ts'
import { pidfdSendSignal } from '../linux/process.ts'
import type { Hooks } from '../oci/hooks.ts'
import { HOOK_OUTPUT, type HookState, hookReads, planHookOutput, planHooks } from './hooks.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { FIFO_FILE, TAKEN_FIFO_FILE } from './state.ts'

export interface StartRequest {
  readonly id: string
  /** A descriptor of the directory of the container: another one may have its name by now. */
  readonly directory: number
  readonly hooks: Pick<Hooks, 'startContainer' | 'poststart'>
  /** For the hooks. */
  readonly state: Pick<HookState, 'ociVersion' | 'bundle' | 'annotations'>
  readonly pid: number
  /** A pidfd of init, where there are hooks. */
  readonly initPidfd?: number
  /** Answer only when init has become its program: before, whoever may not trace it cannot enter its namespaces. ptrace(2), PR_SET_DUMPABLE */
  readonly awaitsProgram: boolean
}

const SEE: readonly Ref[] = ['oci:runtime-spec/runtime.md#start', 'fifo(7)']

const FIFO = slot('fifo')
const KILL = 9
const END_SECONDS = 10

/**
 * The fifo is renamed first: of two starts at once, one finds it gone.
 *
 * Where there are hooks, start is over when they are: those of startContainer come before the program, those of poststart behind it. A poststart hook that fails ends the container, as in runc: whoever waits for what the hook should have done must not find a container that
 * runs without it.
 */
export function planStart({ id, directory, hooks, state, pid, initPidfd, awaitsProgram }: StartRequest): Plan {
  const { startContainer, poststart } = hooks
  const hasHooks = startContainer.length + poststart.length > 0
  return {
    operation: `start ${id}`,
    steps: [
      ...(poststart.length === 0 ? [] : [planHookOutput]),
      {
        call: renameIn(directory, FIFO_FILE, TAKEN_FIFO_FILE),
        why: `be the one who starts ${id}`,
        see: SEE,
        // It is gone once init has read from it.
        undo: [
          {
            call: renameIn(directory, TAKEN_FIFO_FILE, FIFO_FILE),
            why: 'let it be started again',
            see: SEE,
            tolerate: ['ENOENT'],
          },
        ],
      },
      {
        call: openat(directory, TAKEN_FIFO_FILE, O_WRONLY | O_NONBLOCK),
        why: `reach the init of ${id}`,
        see: SEE,
        into: FIFO,
      },
      {
        call: write(FIFO, 's', 1),
        why: `start the program of ${id}`,
        see: SEE,
        ...(initPidfd === undefined ? {} : { undo: end(id, initPidfd) }),
      },
      ...(hasHooks || awaitsProgram ? awaitProgram(id, directory, hasHooks) : []),
      { call: unlinkat(directory, TAKEN_FIFO_FILE), why: 'remove what it waited on', see: SEE },
      ...planHooks('poststart', poststart, { ...state, id, status: 'running', pid, output: HOOK_OUTPUT }),
    ],
    reads: hookReads({ poststart }),
  }
}

/**
 * Init has the fifo open until execve closes it, and nobody else can read from it. If it does not come to that, there is an `x` in it.
 *
 * A pipe that nobody can read from has an error: fs/pipe.c, pipe_poll. What was written stays in it while it is open at one end.
 */
function awaitProgram(id: string, directory: number, hasHooks: boolean): readonly Step[] {
  const answer = slot('fifo-answer')
  const why = hasHooks
    ? `have the startContainer hooks of ${id} succeed, and its program run`
    : `see the program of ${id} run`
  return [
    { call: ppollReadable(FIFO), why: `see ${id} become its program, or end`, see: ['ppoll(2)', 'fifo(7)'] },
    { call: openat(directory, TAKEN_FIFO_FILE, O_RDONLY | O_NONBLOCK), why, see: SEE, into: answer },
    {
      call: read(answer, buffer('answer', 1)),
      why,
      see: SEE,
      check: { result: 0, errno: 'ECANCELED' },
      tolerate: ['EAGAIN'],
    },
  ]
}

const end = (id: string, pidfd: number): readonly Step[] => [
  { call: pidfdSendSignal(pidfd, KILL), why: `end ${id}`, see: ['pidfd_send_signal(2)'], tolerate: ['ESRCH'] },
  { call: ppollReadable(pidfd, END_SECONDS), why: `wait until ${id} has ended`, see: ['pidfd_open(2)'] },
]
