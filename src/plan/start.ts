/** start: wake the init of a created container. */

import { slot } from '../linux/call.ts'
import { AT_FDCWD, O_NONBLOCK, O_WRONLY, openat, renameat2, unlinkat, write } from '../linux/files.ts'
import { ppollReadable } from '../linux/poll.ts'
import { pidfdSendSignal } from '../linux/process.ts'
import type { Hook } from '../oci/hooks.ts'
import { HOOK_OUTPUT, type HookState, hookReads, planHookOutput, planHooks } from './hooks.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { FIFO_FILE, type StatePlace, stateDirectory, TAKEN_FIFO_FILE } from './state.ts'

export interface StartRequest {
  readonly place: StatePlace
  readonly poststart: readonly Hook[]
  /** For the hooks. */
  readonly state: Pick<HookState, 'ociVersion' | 'bundle' | 'annotations'>
  readonly pid: number
  /** The executor's descriptor of a pidfd of init; only looked at where there are hooks. */
  readonly initPidfd: number
}

const SEE: readonly Ref[] = ['oci:runtime-spec/runtime.md#start', 'fifo(7)']

const KILL = 9
const END_SECONDS = 10

/**
 * The fifo is renamed first: of two starts at once, one finds it gone.
 *
 * A poststart hook that fails ends the container, as in runc: whoever waits for what the hook should have done must not find a container that
 * runs without it.
 */
export function planStart({ place, poststart, state, pid, initPidfd }: StartRequest): Plan {
  const fifo = `${stateDirectory(place)}/${FIFO_FILE}`
  const taken = `${stateDirectory(place)}/${TAKEN_FIFO_FILE}`
  const fd = slot('fifo')
  return {
    operation: `start ${place.id}`,
    steps: [
      ...(poststart.length === 0 ? [] : [planHookOutput]),
      {
        call: renameat2(fifo, taken),
        why: `be the one who starts ${place.id}`,
        see: SEE,
        // It is gone once init has read from it.
        undo: [{ call: renameat2(taken, fifo), why: 'let it be started again', see: SEE, tolerate: ['ENOENT'] }],
      },
      {
        call: openat(AT_FDCWD, taken, O_WRONLY | O_NONBLOCK),
        why: `reach the init of ${place.id}`,
        see: SEE,
        into: fd,
      },
      {
        call: write(fd, 's', 1),
        why: `start the program of ${place.id}`,
        see: SEE,
        ...(poststart.length === 0 ? {} : { undo: end(place.id, initPidfd) }),
      },
      { call: unlinkat(AT_FDCWD, taken), why: 'remove what it waited on', see: SEE },
      ...planHooks('poststart', poststart, { ...state, id: place.id, status: 'running', pid, output: HOOK_OUTPUT }),
    ],
    reads: hookReads({ poststart }),
  }
}

const end = (id: string, pidfd: number): readonly Step[] => [
  { call: pidfdSendSignal(pidfd, KILL), why: `end ${id}`, see: ['pidfd_send_signal(2)'], tolerate: ['ESRCH'] },
  { call: ppollReadable(pidfd, END_SECONDS), why: `wait until ${id} has ended`, see: ['pidfd_open(2)'] },
]
