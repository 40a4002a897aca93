/**
 * The end of a plan for a container in the background: the executor, which is the parent of init, becomes the monitor.
 *
 * native/monitor.c says what the monitor does and what its arguments are. Nothing is left to do for the executor then, and the one process
 * that stays beside the container is the smaller of the two.
 */

import { type Slot, type Text, text } from '../linux/call.ts'
import { AT_EMPTY_PATH, F_SETFD, fcntl } from '../linux/files.ts'
import { execveat } from '../linux/process.ts'
import type { Step } from './plan.ts'
import { INIT_PIDFD } from './slots.ts'

export interface Watch<Descriptor = number> {
  /** Of native/monitor.c, as a program. */
  readonly image: Descriptor
  /** The other ends of the container's pipes, or the socket over which the master of its terminal comes. */
  readonly stdin?: Descriptor | undefined
  readonly stdout?: Descriptor | undefined
  readonly stderr?: Descriptor | undefined
  readonly console?: Descriptor | undefined
  /** Open for appending; none if nothing is kept. */
  readonly log?: Descriptor | undefined
  /** A listening socket. */
  readonly attach: Descriptor
  /** Where the end is written down. */
  readonly directory: Descriptor
  /** 0 is no limit. */
  readonly logLimitBytes: number
  /** How many files of that size are kept. */
  readonly logFiles: number
  /** In how many milliseconds it is checked whether the container is well, and the word that the cleaner gets for it instead of its first. */
  readonly check?: { readonly firstMs: number; readonly word: string } | undefined
  /** The program that cleans up behind the container with this id: a path, and arguments. */
  readonly cleaner: (id: string) => readonly string[]
}

export function planMonitor(id: string, watch: Watch): readonly Step[] {
  const { stdin, stdout, stderr, console, log, attach, directory } = watch
  return becomeMonitor(id, {
    image: watch.image,
    descriptors: [stdin, stdout, stderr, console, log, attach, directory],
    words: [
      `${watch.logLimitBytes}`,
      `${watch.logFiles}`,
      `${watch.check?.firstMs ?? 0}`,
      watch.check?.word ?? '-',
      ...watch.cleaner(id),
    ],
  })
}

interface Monitor {
  readonly image: number | Slot
  /** In the order of its arguments. */
  readonly descriptors: readonly (number | Slot | undefined)[]
  /** What follows. */
  readonly words: readonly string[]
}

/** For a process that has nothing else to do. */
export function becomeMonitor(id: string, { image, descriptors, words }: Monitor): readonly Step[] {
  const passed = [INIT_PIDFD, ...descriptors.filter((fd) => fd !== undefined)]
  const argument = (fd: number | Slot | undefined): string | Text =>
    fd === undefined ? '-' : typeof fd === 'number' ? `${fd}` : text(fd)
  return [
    ...passed.map((fd) => ({
      call: fcntl(fd, F_SETFD, 0),
      why: 'hand a descriptor over to the monitor',
      see: ['fcntl(2)'],
    })),
    {
      call: execveat(
        image,
        '',
        { strings: ['coffer-monitor', id, ...[INIT_PIDFD, ...descriptors].map(argument), ...words] },
        { strings: [] },
        AT_EMPTY_PATH,
      ),
      why: `watch over ${id}`,
      see: ['execveat(2)', 'native/monitor.c'],
    },
  ]
}
