/** start: wake the init of a created container. */

import { slot } from '../linux/call.ts'
import { AT_FDCWD, O_NONBLOCK, O_WRONLY, openat, renameat2, unlinkat, write } from '../linux/files.ts'
import type { Config } from '../oci/config.ts'
import { planHooks } from './hooks.ts'
import type { Plan, Ref } from './plan.ts'
import { FIFO_FILE, type StatePlace, stateDirectory, TAKEN_FIFO_FILE } from './state.ts'

export interface StartRequest {
  readonly place: StatePlace
  readonly bundle: string
  readonly config: Config
  readonly pid: number
}

const SEE: readonly Ref[] = ['oci:runtime-spec/runtime.md#start', 'fifo(7)']

/** The fifo is renamed first: of two starts at once, one finds it gone. */
export function planStart({ place, bundle, config, pid }: StartRequest): Plan {
  const fifo = `${stateDirectory(place)}/${FIFO_FILE}`
  const taken = `${stateDirectory(place)}/${TAKEN_FIFO_FILE}`
  const fd = slot('fifo')
  return {
    operation: `start ${place.id}`,
    steps: [
      {
        call: renameat2(fifo, taken),
        why: `be the one who starts ${place.id}`,
        see: SEE,
        undo: [{ call: renameat2(taken, fifo), why: 'let it be started again', see: SEE }],
      },
      {
        call: openat(AT_FDCWD, taken, O_WRONLY | O_NONBLOCK),
        why: `reach the init of ${place.id}`,
        see: SEE,
        into: fd,
      },
      { call: write(fd, 's', 1), why: `start the program of ${place.id}`, see: SEE },
      { call: unlinkat(AT_FDCWD, taken), why: 'remove what it waited on', see: SEE },
      ...planHooks('poststart', config.hooks.poststart, {
        id: place.id,
        bundle,
        annotations: config.annotations,
        ociVersion: config.ociVersion,
        status: 'running',
        pid,
      }),
    ],
  }
}
