/**
 * Hooks: programs that the configuration runs at six turns of a container's life, with the state of the container on their standard input.
 *
 * The state is in an anonymous file, not in a pipe: a hook that reads none of it, or only a part, can neither block the one who writes nor
 * send it SIGPIPE (SECURITY-CHECKS S252). Source: oci:runtime-spec/config.md#posix-platform-hooks
 */

import { type Buffer, buffer, type Call, type Slot, slot, strings, type Text, text } from '../linux/call.ts'
import { kill } from '../linux/cgroup.ts'
import { chdir, close, closeRange, dup3, LAST_FD } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { ppollReadable } from '../linux/poll.ts'
import {
  execve,
  fork,
  P_PIDFD,
  pidfdSendGroupSignal,
  pidfdSendSignal,
  SI_STATUS,
  SIGINFO_BYTES,
  setpgid,
  setSignalMask,
  waitid,
} from '../linux/process.ts'
import type { Hook, Hooks } from '../oci/hooks.ts'
import type { Ref, Step } from './plan.ts'

export type HookKind = keyof Hooks

/** The container as hooks are told of it, and how they are run. */
export interface HookState {
  readonly ociVersion: string
  readonly id: string
  readonly status: 'creating' | 'created' | 'running' | 'stopped'
  /** As the hook would see it; 0 where there is no process. */
  readonly pid: Slot | number
  readonly bundle: string
  readonly annotations: Readonly<Record<string, string>>
  /** For startContainer hooks without an `env` of their own: that of the container's process, as in runc. All others get none. */
  readonly env?: readonly string[]
  /** Standard output and error of the hooks, as planHookOutput makes it; without, they write to those of the container. */
  readonly output?: Slot
}

const SEE: readonly Ref[] = ['oci:runtime-spec/config.md#posix-platform-hooks']
const STATE = slot('hook-state')
const POSTSTOP_OUTPUT = slot('poststop-output')
const PIDFD = slot('hook-pidfd')
const PIDFD_BYTES = buffer('hook-pidfd', 4)
const KILL = 9

/**
 * Runs the hooks of one kind, one after another, as children of the current process.
 *
 * A hook that cannot be started, fails, or takes longer than its `timeout` fails the plan. Those of `poststop` do not, as the specification
 * wants a warning for them: poststopWarnings of hook-endings.ts.
 */
export const planHooks = (kind: HookKind, hooks: readonly Hook[], state: HookState): readonly Step[] =>
  hooks.flatMap((hook, index) => {
    if (kind !== 'poststop') return planHook({ kind, hook, index, state })
    return planTolerated({ kind, hook, index, state: { ...state, output: POSTSTOP_OUTPUT } })
  })

/** What a plan with these hooks, and planHookOutput, has to read. */
export const hookReads = (hooks: Partial<Hooks>): readonly Buffer[] => {
  const { poststop = [], ...others } = hooks
  const words = Object.entries(others).flatMap(([kind, list]) =>
    list.map((_, index) => hookExit(kind as HookKind, index)),
  )
  return [
    ...words,
    ...(words.length === 0 ? [] : [HOOK_WORDS]),
    ...poststop.flatMap((_, index) => [hookExit('poststop', index), poststopWords(index)]),
  ]
}

/** struct siginfo of the end of a hook; zeros if it was not started. */
export const hookExit = (kind: HookKind, index: number): Buffer => buffer(`${kind} hook ${index}`, SIGINFO_BYTES)

interface HookRequest {
  readonly kind: HookKind
  readonly hook: Hook
  readonly index: number
  readonly state: HookState
}

function planHook(request: HookRequest): readonly Step[] {
  const { makeState, writeState, run, closeState, forget } = stepsOf(request)
  return [makeState, writeState, run, closeState, ...awaitHook(request), forget]
}

/** The same, but nothing fails the plan; and what the hook prints is kept apart from what others do. */
function planTolerated(request: HookRequest): readonly Step[] {
  const { makeState, writeState, run, closeState, forget } = stepsOf(request)
  const { index, hook } = request
  const why = `keep what the poststop hook ${hook.path} prints`
  const words = poststopWords(index)
  const see: readonly Ref[] = ['pread(2)']
  const started: readonly Step[] = [
    ...awaitHook(request),
    forget,
    {
      call: { name: 'pread64', args: [POSTSTOP_OUTPUT, words, words.sizeBytes, 0] },
      why,
      see,
      tolerate: ['EBADF'],
    },
  ]
  return [
    {
      ...makeState,
      tolerate: NO_ROOM,
      then: [
        { ...makeOutput, why, into: POSTSTOP_OUTPUT, tolerate: NO_ROOM },
        { ...writeState, tolerate: NO_ROOM },
        { ...run, tolerate: NO_ROOM, then: started },
        closeState,
        { call: close(POSTSTOP_OUTPUT), why, see: ['close(2)'], tolerate: ['EBADF'] },
      ],
    },
  ]
}

const NO_ROOM = ['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN'] as const

function stepsOf({ kind, hook, index, state }: HookRequest) {
  const json = stateJson(state)
  const why = `tell the ${kind} hook ${hook.path} of the container`
  return {
    makeState: {
      call: { name: 'memfd_create', args: ['state', MFD_CLOEXEC] },
      why,
      see: ['memfd_create(2)', ...SEE],
      into: STATE,
    },
    writeState: { call: { name: 'pwrite64', args: [STATE, json, { lengthOf: json }, 0] }, why, see: SEE },
    run: {
      call: spawn(kind, PIDFD_BYTES),
      why: `run the ${kind} hook ${hook.path}`,
      see: ['clone(2)', ...SEE],
      into: HOOK_PID,
      keep: [{ slot: PIDFD, in: PIDFD_BYTES, offset: 0, sizeBytes: 4 }],
      child: becomeHook({ kind, hook, index, state }),
    },
    closeState: { call: close(STATE), why, see: ['close(2)'] },
    forget: { call: close(PIDFD), why: `forget the ${kind} hook ${hook.path}`, see: ['close(2)'] },
  } satisfies Record<string, Step>
}

const MFD_CLOEXEC = 1

/** The filter of the container is in force when startContainer hooks run, and the usual ones deny clone3. */
const spawn = (kind: HookKind, pidfd: Buffer): Call =>
  kind === 'startContainer' ? fork(pidfd) : clone3({ flags: 0, pidfd })

function becomeHook({ kind, hook, state }: HookRequest): readonly Step[] {
  const { path, args, env } = hook
  const why = `run the ${kind} hook ${path}`
  const { output } = state
  const environment = env.length === 0 && kind === 'startContainer' ? (state.env ?? []) : env
  return [
    // So that what the hook starts can be ended with it; a filter may deny it.
    { call: setpgid(0, 0), why: 'lead a process group', see: ['setpgid(2)'], tolerate: ['EPERM', 'ENOSYS'] },
    { call: dup3(STATE, 0), why, see: ['dup(2)'] },
    ...(output === undefined ? [] : [1, 2].map((fd) => ({ call: dup3(output, fd), why, see: ['dup(2)'] }))),
    // Inside of the container there is no bundle; a poststop hook may find it removed.
    ...(kind === 'startContainer'
      ? []
      : [{ call: chdir(state.bundle), why, see: ['chdir(2)'], tolerate: ['ENOENT', 'EACCES'] as const }]),
    { call: closeRange(FIRST_OTHER_FD, LAST_FD), why: 'pass nothing else on to it', see: ['close_range(2)'] },
    { call: setSignalMask(new Uint8Array(8)), why: 'let it be interrupted', see: ['rt_sigprocmask(2)'] },
    { call: execve(path, strings(args.length === 0 ? [path] : args), strings(environment)), why, see: ['execve(2)'] },
  ]
}

const FIRST_OTHER_FD = 3

function awaitHook({ kind, hook, index, state }: HookRequest): readonly Step[] {
  const { path, timeout } = hook
  const exit = hookExit(kind, index)
  const name = `the ${kind} hook ${path}`
  const reap: Step = { call: waitid(P_PIDFD, PIDFD, exit), why: `have ${name} succeed`, see: ['waitid(2)', ...SEE] }
  const isTolerant = kind === 'poststop'
  const program = state.output === undefined ? {} : { program: { ending: exit, output: HOOK_WORDS } }
  // A signal's number is not 0 either.
  const succeeds = (errno: 'ECANCELED' | 'ETIMEDOUT'): Pick<Step, 'check' | 'program'> =>
    isTolerant ? {} : { check: { in: exit, offset: SI_STATUS, sizeBytes: 4, equals: 0, errno }, ...program }
  if (timeout === undefined) return [{ ...reap, ...succeeds('ECANCELED') }]
  const why = `have ${name} end within ${timeout} s`
  return [
    {
      call: ppollReadable(PIDFD, timeout),
      why,
      see: ['ppoll(2)', 'pidfd_open(2)'],
      check: { resultAtLeast: 1, errno: 'ETIMEDOUT' },
      tolerate: ['ETIMEDOUT'],
      then: [{ ...reap, ...succeeds('ECANCELED') }],
      otherwise: [
        {
          call: pidfdSendGroupSignal(PIDFD, KILL),
          why: `end ${name} and what it started`,
          see: ['pidfd_send_signal(2)'],
          tolerate: ['ESRCH', 'EINVAL'],
          otherwise: endGroup(kind, `end ${name} and what it started`),
        },
        { call: pidfdSendSignal(PIDFD, KILL), why: `end ${name}`, see: ['pidfd_send_signal(2)'], tolerate: ['ESRCH'] },
        { ...reap, why, ...succeeds('ETIMEDOUT') },
      ],
    },
  ]
}

/**
 * The same before Linux 6.9, which cannot signal the group of a pidfd: a process joins the group, and kills it and so itself. The hook has not
 * been waited for, so its pid is still its own. Where there is no such group, nobody is killed.
 */
function endGroup(kind: HookKind, why: string): readonly Step[] {
  const see: readonly Ref[] = ['setpgid(2)', 'kill(2)']
  return [
    {
      call: spawn(kind, KILLER_BYTES),
      why,
      see,
      keep: [{ slot: KILLER, in: KILLER_BYTES, offset: 0, sizeBytes: 4 }],
      child: [
        {
          call: setpgid(0, HOOK_PID),
          why,
          see,
          tolerate: ['EPERM', 'ESRCH', 'EACCES', 'ENOSYS'],
          then: [{ call: kill(0, KILL), why, see }],
        },
      ],
    },
    { call: waitid(P_PIDFD, KILLER, buffer('hook-killer-exit', SIGINFO_BYTES)), why, see: ['waitid(2)'] },
    { call: close(KILLER), why, see: ['close(2)'] },
  ]
}

const HOOK_PID = slot('hook-pid')
const KILLER = slot('hook-killer-pidfd')
const KILLER_BYTES = buffer('hook-killer-pidfd', 4)

/** Source: oci:runtime-spec/runtime.md#state */
function stateJson({ ociVersion, id, status, pid, bundle, annotations }: HookState): Text {
  const head = JSON.stringify({ ociVersion, id, status }).slice(0, -1)
  const hasAnnotations = Object.keys(annotations).length > 0
  const tail = JSON.stringify({ bundle, ...(hasAnnotations ? { annotations } : {}) }).slice(1)
  return text(`${head},"pid":`, typeof pid === 'number' ? String(pid) : pid, `,${tail}`)
}

/** What hooks print, so that a failed one can say why. */
export const HOOK_OUTPUT: Slot = slot('hook-output')
export const HOOK_WORDS: Buffer = buffer('hook-words', 2048)

/** The same of one poststop hook, whether it failed or not. */
export const poststopWords = (index: number): Buffer => buffer(`poststop words ${index}`, 1024)

const makeOutput: Step = {
  call: { name: 'memfd_create', args: ['hooks', MFD_CLOEXEC] },
  why: 'keep what the hooks print',
  see: ['memfd_create(2)'],
}

/** A file for the output of all hooks, those of init included; if the plan fails, its beginning is in HOOK_WORDS. */
export const planHookOutput: Step = {
  ...makeOutput,
  into: HOOK_OUTPUT,
  undo: [
    {
      call: { name: 'pread64', args: [HOOK_OUTPUT, HOOK_WORDS, HOOK_WORDS.sizeBytes, 0] },
      why: 'tell what the hooks printed',
      see: ['pread(2)'],
    },
  ],
}
