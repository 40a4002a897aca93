/**
 * The program: found when the container is made, executed when it is started.
 *
 * It is executed by its path, not by a descriptor: a script's interpreter has to open it again, and /proc/self/comm shall be its name.
 * execve(2) refuses a fifo, a device or a directory without opening it, so none of them can block (SECURITY-CHECKS S11).
 */

import { bug, OperationError } from '../base/errors.ts'
import { buffer, type Slot, slot, strings, type Text, text } from '../linux/call.ts'
import {
  AT_EACCESS,
  AT_FDCWD,
  closeRange,
  dup3,
  F_SETFD,
  faccessat2,
  fcntl,
  LAST_FD,
  O_CLOEXEC,
  S_IFMT,
  S_IFREG,
  STATX_TYPE,
  statx,
  X_OK,
} from '../linux/files.ts'
import { execve, getpid, setSignalMask } from '../linux/process.ts'
import type { Ref, Step } from './plan.ts'

export interface Program {
  /** argv; its first item is a path, or a name to look for in PATH. */
  readonly args: readonly string[]
  /** `NAME=value` each. */
  readonly env: readonly string[]
}

const SEE_PATH: readonly Ref[] = ['environ(7)', 'execve(2)']
/** What a place that is not the program's answers; the search goes on behind it. */
const NOT_HERE = ['ENOENT', 'ENOTDIR', 'EACCES', 'ELOOP'] as const

/**
 * The paths at which the program may be, in order: its own if it has a slash, else one for each directory of PATH.
 *
 * Directories that are not absolute are left out, as Go and so runc refuse to run what they find there. Throws `missing` without PATH.
 */
export function candidatesOf({ args, env }: Program): readonly string[] {
  const [name = ''] = args
  if (name.includes('/')) return [name]
  const directories = (lastValue(env, 'PATH') ?? '').split(':').filter((directory) => directory.startsWith('/'))
  if (directories.length === 0)
    throw new OperationError({
      kind: 'missing',
      operation: `find ${name}`,
      code: 'ENOENT',
      reason: `executable file not found in $PATH: process.env has no PATH with an absolute directory`,
      hint: 'set PATH in process.env, or give the whole path of the program in process.args',
      see: SEE_PATH,
    })
  return [...new Set(directories.map((directory) => `${directory.replace(/\/+$/, '')}/${name}`))]
}

/** The last one counts, as in what runc makes of an environment. */
function lastValue(env: readonly string[], name: string): string | undefined {
  for (let index = env.length - 1; index >= 0; index--) {
    const entry = env[index] ?? ''
    if (entry.startsWith(`${name}=`)) return entry.slice(name.length + 1)
  }
  return undefined
}

const STATUS = buffer('program', 256)
const STATX_MODE = 28

/**
 * As the user, in the working directory, before a filter holds: fails if there is nothing that this user may execute, so that `create` can
 * say so. Throws `missing` without PATH.
 */
export function planExecTarget(program: Program): readonly Step[] {
  const [name = ''] = program.args
  return findFrom(candidatesOf(program), 0, name.includes('/') ? `find ${name}` : `find ${name} in $PATH`)
}

/** Looks in the rest of the places if it is not in the first one. */
function findFrom(paths: readonly string[], index: number, why: string): readonly Step[] {
  const path = paths[index] ?? ''
  const may: Step = { call: faccessat2(AT_FDCWD, path, X_OK, AT_EACCESS), why, see: ['access(2)'] }
  if (index < paths.length - 1) return [{ ...may, tolerate: NOT_HERE, otherwise: findFrom(paths, index + 1, why) }]
  return [
    may,
    {
      call: statx(AT_FDCWD, path, 0, STATX_TYPE, STATUS),
      why,
      see: ['statx(2)'],
      check: { in: STATUS, offset: STATX_MODE, sizeBytes: 2, mask: S_IFMT, equals: S_IFREG, errno: 'EACCES' },
    },
  ]
}

export interface Passed {
  /** How many descriptors of LISTEN_FDS, and then of --preserve-fds, the executor was given: its descriptors from 5 on. */
  readonly listenFds: number
  readonly preserveFds: number
}

export interface BecomeRequest extends Program, Pick<Passed, 'listenFds'> {
  /** The home of the user in the container's own passwd file, for a program without HOME. */
  readonly home?: string | undefined
  /** Steps that shall be the last before execve: the filter, and what narrows the process behind it. */
  readonly last: readonly Step[]
  /** What takes the place of execve. */
  readonly become?: readonly Step[] | undefined
}

/** Where the executor was given what it passes on: behind stdio, plan and report. */
const FIRST_GIVEN = 5
const FIRST_PASSED = 3

/**
 * Closes everything but what the program gets, and `keeps`: what the process waits on, which execve closes. Their slots hold the new numbers.
 *
 * Descriptors are closed before execve(2), not by it: a path like /proc/self/fd/7/../bin/sh would lead through one of the host otherwise
 * (CVE-2024-21626, SECURITY-CHECKS S4, S5).
 */
export function planHandover({ listenFds, preserveFds }: Passed, keeps: readonly Slot[]): readonly Step[] {
  const count = listenFds + preserveFds
  const first = FIRST_PASSED + count
  return [
    ...planFds(Array.from({ length: count }, (_, index) => FIRST_GIVEN + index)),
    // What the executor was given lies at 5 and up, so the two places behind what is passed on are free by now.
    ...keeps.map((kept, index) => keepAt(kept, first + index)),
    {
      call: closeRange(first + keeps.length, LAST_FD),
      why: 'pass nothing else on to the program',
      see: ['close_range(2)'],
    },
  ]
}

const keepAt = (kept: Slot, at: number): Step => ({
  call: dup3(kept, at, O_CLOEXEC),
  why: 'keep what it waits on',
  see: ['dup(2)'],
  into: kept,
})

/** The end of the process's own plan: no signal is blocked, and then it is the program. Throws `missing` without PATH. */
export function planBecome(request: BecomeRequest): readonly Step[] {
  return [
    ...(request.listenFds === 0 ? [] : [learnPid]),
    {
      call: setSignalMask(new Uint8Array(8)),
      why: 'let the program get signals',
      see: ['rt_sigprocmask(2)', 'signal(7)'],
    },
    ...request.last,
    ...(request.become ?? planExecve(request)),
  ]
}

/**
 * Moves descriptors to 3, 4, … in the order given, and lets execve pass them on.
 *
 * They ascend and none is below its new place, so that no move hits one that has still to be moved; throws `bug` otherwise.
 */
export function planFds(sources: readonly number[]): readonly Step[] {
  return sources.map((source, index) => {
    const target = FIRST_PASSED + index
    if (source < target || source <= (sources[index - 1] ?? -1))
      throw bug(`descriptor ${source} cannot be moved to ${target}`)
    const why = `pass descriptor ${target} on to the program`
    // dup3(2) refuses to copy a descriptor onto itself.
    if (source === target) return { call: fcntl(target, F_SETFD, 0), why, see: ['fcntl(2)'] }
    return { call: dup3(source, target), why, see: ['dup(2)'] }
  })
}

const OWN_PID = slot('own-pid')

const learnPid: Step = {
  call: getpid(),
  why: 'know the pid by which the program knows itself',
  see: ['getpid(2)', 'sd_listen_fds(3)'],
  into: OWN_PID,
}

/** Places where there is nothing to execute are passed over; what the last one answers is the error. */
function planExecve(request: BecomeRequest): readonly Step[] {
  const [name = ''] = request.args
  const paths = candidatesOf(request)
  const args = strings(request.args)
  const env = strings(environmentOf(request))
  return paths.map((path, index) => ({
    call: execve(path, args, env),
    why: `run ${name}`,
    see: ['execve(2)'],
    ...(index < paths.length - 1 ? { tolerate: NOT_HERE } : {}),
  }))
}

/**
 * What the program gets: of a name that comes twice the last value, HOME if it has none, and what sd_listen_fds(3) looks for.
 *
 * The pid is that in the container, where the program compares it with its own.
 */
export function environmentOf({
  env,
  home,
  listenFds,
}: Pick<BecomeRequest, 'env' | 'home' | 'listenFds'>): readonly (string | Text)[] {
  const byName = new Map<string, string>()
  for (const entry of env) {
    const name = entry.slice(0, entry.indexOf('='))
    byName.delete(name)
    byName.set(name, entry)
  }
  const own = byName.get('HOME')
  if ((own === undefined || own === 'HOME=') && home !== undefined) byName.set('HOME', `HOME=${home}`)
  if (listenFds === 0) return [...byName.values()]
  for (const name of ['LISTEN_FDS', 'LISTEN_PID']) byName.delete(name)
  return [...byName.values(), `LISTEN_FDS=${listenFds}`, text('LISTEN_PID=', OWN_PID)]
}
