/**
 * criu, which the executor runs as a program.
 *
 * It is an exception to "no host tools": the kernel has no call that freezes a process into files or makes one of them. criu does it with
 * hundreds of calls, many of them made from inside the process by code that it puts there, and for each version of the kernel a little
 * differently. That is a project of its own, and every runtime uses this one. It in turn runs `tar` for the files of a tmpfs, and `ip` and
 * `iptables-restore` for a network namespace.
 *
 * Source: criu(8)
 */

import { buffer, type Slot, slot, strings } from '../linux/call.ts'
import { AT_FDCWD, closeRange, LAST_FD, mkdirat } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { execve, P_PIDFD, SI_STATUS, SIGINFO_BYTES, setSignalMask, waitid } from '../linux/process.ts'
import type { Plan, Step } from './plan.ts'
import { endProcess } from './stage.ts'

export interface Criu {
  /** Absolute. */
  readonly path: string
  /** $PATH, for the programs that criu runs, and what else it looks for: `NAME=value`. */
  readonly environment: readonly string[]
  /** A file of options of the user's, beside those that criu reads anyway. */
  readonly configFile?: string | undefined
}

/** How criu deals with cgroups: criu(8) "--manage-cgroups". */
export const CGROUP_MODES = ['soft', 'full', 'strict', 'ignore'] as const
export type CgroupMode = (typeof CGROUP_MODES)[number]

/** What is asked for in the same words when a container is dumped and when it is restored. */
export interface CriuOptions {
  /** Absolute. */
  readonly imagesDirectory: string
  /** Absolute; where the log is. */
  readonly workDirectory: string
  readonly tcpEstablished: boolean
  readonly extUnixSockets: boolean
  readonly shellJob: boolean
  readonly fileLocks: boolean
  readonly lazyPages: boolean
  readonly autoDedup: boolean
  readonly cgroupMode: CgroupMode
  /** The network namespace is made, but nothing of it is kept. */
  readonly emptyNetwork: boolean
}

/** As runc names them, whose clients copy them. */
export const DUMP_LOG = 'dump.log'
export const RESTORE_LOG = 'restore.log'

/** The descriptors that init was given, by number: a list of keys by which `criu restore` finds what to put in their place. As runc's. */
export const DESCRIPTORS_FILE = 'descriptors.json'

/** What runc calls the namespaces of others, so that its images and ours are alike. */
export const EXTERNAL_NAMESPACES = { network: ['net', 'extRootNetNS'], pid: ['pid', 'extRootPidNS'] } as const

/** Bind mounts of this source cover masked files. */
export const MASK_SOURCE = '/dev/null'

export function commonArguments({ configFile }: Criu, options: CriuOptions, log: string): readonly string[] {
  const flags: readonly (readonly [boolean, string])[] = [
    [options.tcpEstablished, '--tcp-established'],
    [options.extUnixSockets, '--ext-unix-sk'],
    [options.shellJob, '--shell-job'],
    [options.fileLocks, '--file-locks'],
    [options.lazyPages, '--lazy-pages'],
    [options.autoDedup, '--auto-dedup'],
  ]
  return [
    ...(configFile === undefined ? [] : ['--config', configFile]),
    ...['--images-dir', options.imagesDirectory, '--work-dir', options.workDirectory, '--log-file', log, '-v4'],
    ...flags.flatMap(([isSet, flag]) => (isSet ? [flag] : [])),
    `--manage-cgroups=${options.cgroupMode}`,
    ...(options.emptyNetwork ? ['--empty-ns', 'net'] : []),
  ]
}

/**
 * With those above it. What is there stays as it is: a container is checkpointed into the same place many times. Images, and a log in all its
 * words, are what the processes had in memory, and for nobody else to read.
 */
export function makeDirectory(path: string, why: string): readonly Step[] {
  const names = path.split('/').filter((name) => name !== '')
  return names.map((_, index) => ({
    call: mkdirat(AT_FDCWD, `/${names.slice(0, index + 1).join('/')}`, 0o700),
    why,
    see: ['mkdir(2)'],
    tolerate: ['EEXIST'],
  }))
}

/** Where there is one beside that of the images. */
export const makeWorkDirectory = ({ imagesDirectory, workDirectory }: CriuOptions): readonly Step[] =>
  workDirectory === imagesDirectory ? [] : makeDirectory(workDirectory, 'have a place for the log of criu')

export interface CriuRun {
  readonly criu: Criu
  readonly args: readonly string[]
  /** Completes "in order to …". */
  readonly why: string
  /** The v2 cgroup in which it runs. */
  readonly cgroup?: Slot | undefined
  /** What the process does before it is criu. */
  readonly before: readonly Step[]
  /** How many descriptors from 3 on it keeps. */
  readonly keeps: number
}

const END = buffer('criu-end', SIGINFO_BYTES)
/** criu writes into its log, so there is nothing in here. */
const WORDS = buffer('criu-words', 8)
const PIDFD = slot('criu-pidfd')

export const criuReads: NonNullable<Plan['reads']> = [END, WORDS]

const FIRST_KEPT = 3

/** Runs it to its end; the plan fails with ECANCELED if criu does. */
export function planCriu({ criu, args, why, cgroup, before, keeps }: CriuRun): readonly Step[] {
  const pidfd = buffer('criu-pidfd', 4)
  return [
    {
      call: clone3({ flags: 0, pidfd, ...(cgroup === undefined ? {} : { cgroup }) }),
      why,
      see: ['criu(8)', 'clone(2)'],
      keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [
        ...before,
        { call: closeRange(FIRST_KEPT + keeps, LAST_FD), why: 'pass nothing else on to criu', see: ['close_range(2)'] },
        { call: setSignalMask(new Uint8Array(8)), why: 'let criu be interrupted', see: ['rt_sigprocmask(2)'] },
        {
          call: execve(criu.path, strings([criu.path, ...args]), strings(criu.environment)),
          why,
          see: ['criu(8)', 'execve(2)'],
        },
      ],
      undo: endProcess(PIDFD, 'criu'),
    },
    {
      call: waitid(P_PIDFD, PIDFD, END),
      why,
      see: ['criu(8)', 'waitid(2)'],
      // The number of a signal is not 0 either.
      check: { in: END, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno: 'ECANCELED' },
      program: { ending: END, output: WORDS },
    },
  ]
}
