/**
 * The filter of system calls, which holds from the moment that it is loaded, for the process that loads it as well.
 *
 * So it is loaded as late as possible. What the process still has to call behind it, and the filter has to allow:
 *
 * | case                     | calls                                                                                    |
 * |--------------------------|------------------------------------------------------------------------------------------|
 * | always                   | execve                                                                                   |
 * | without no_new_privs     | capset, unless the program keeps CAP_SYS_ADMIN                                           |
 * | with SCMP_ACT_NOTIFY     | read, and sendmsg without privilege over the machine, to hand the listener over; then as |
 * |                          | for startContainer hooks                                                                 |
 * | with startContainer hooks| what waits for `start`, makes processes and closes descriptors                           |
 *
 * runc asks for more. Source: seccomp(2), seccomp_unotify(2), oci:runtime-spec/config-linux.md#seccomp
 */

import { SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV } from '../linux/bpf.ts'
import { utf8Length } from '../linux/bytes.ts'
import { buffer, type Slot, slot, type Text, text } from '../linux/call.ts'
import { close, F_DUPFD_CLOEXEC, fcntl, read } from '../linux/files.ts'
import { pidfdGetfd, seccompFilter } from '../linux/process.ts'
import {
  RIGHTS_BYTES,
  RIGHTS_FD,
  RIGHTS_LENGTH,
  receiveDescriptor,
  sendDescriptor,
  sendDescriptorWith,
  sendto,
} from '../linux/sockets.ts'
import type { FeatureFacts } from '../oci/features.ts'
import { SECCOMP_ARCHITECTURES, SECCOMP_FLAGS, type Seccomp } from '../oci/seccomp.ts'
import { type CompiledSeccomp, compileSeccomp } from '../seccomp/compile.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { CHILD_END, INIT_PID, INIT_PIDFD, PARENT_END } from './slots.ts'
import { hear, tell } from './turns.ts'
import { planConnect } from './unix-socket.ts'

type Filter = Pick<CompiledSeccomp, 'filter' | 'flags' | 'notifies' | 'passed'>
type ListenerHost = Pick<Host, 'isRootless'>

const SEE: readonly Ref[] = ['seccomp(2)', 'oci:runtime-spec/config-linux.md#seccomp']
const SEE_NOTIFY: readonly Ref[] = ['seccomp_unotify(2)', ...SEE]
/** In the executor, behind getListener. */
export const LISTENER: Slot = slot('seccomp-listener')

/** What `features` tells of filters. */
export const SUPPORTED_SECCOMP: FeatureFacts['seccomp'] = {
  archs: SECCOMP_ARCHITECTURES,
  supportedFlags: SECCOMP_FLAGS,
}

/** The filter of a profile for this machine; undefined without a profile. Throws what compileSeccomp throws. */
export const compileProfile = (
  seccomp: Seccomp | undefined,
  { architecture }: Pick<Host, 'architecture'>,
  watched?: readonly string[],
): CompiledSeccomp | undefined =>
  seccomp === undefined
    ? undefined
    : compileSeccomp(seccomp, {
        nativeArchitecture: architecture === 'x86_64' ? 'SCMP_ARCH_X86_64' : 'SCMP_ARCH_AARCH64',
        watched,
      })

/** In the process that the filter is for. With a listener, planSeccompListener has to run in the executor meanwhile. */
export function planSeccomp(compiled: Filter, host: ListenerHost): readonly Step[] {
  const load: Step = {
    call: seccompFilter(compiled.filter, compiled.flags),
    why: 'make only the system calls that its profile allows',
    see: SEE,
  }
  if (!compiled.notifies) return [load]
  const wait = hear('child', 'n', 'know that the agent has the listener')
  const loadWithListener: Step = { ...load, into: LISTENER, ...withoutWaiting(compiled, load) }
  const behind = compiled.passed.length > 0 ? [wait, leaveListener] : [wait]
  if (host.isRootless) return [loadWithListener, sendListener, ...behind]
  return [...announceListener, loadWithListener, ...behind]
}

/**
 * The kernel opens it close-on-exec, and an agent's filter may deny closing it. Coffer's own does not, and asks about execve(2): with the last
 * listener closed that fails, and otherwise it would wait for a supervisor that did not come up.
 */
const leaveListener: Step = {
  call: close(LISTENER),
  why: 'have nobody but the supervisor keep the listener',
  see: SEE_NOTIFY,
}

/** A kernel before 5.19 does not know the flag that a watched filter has of ours, and can do without. */
function withoutWaiting({ filter, flags, passed }: Filter, load: Step): Pick<Step, 'tolerate' | 'otherwise'> {
  if (passed.length === 0) return {}
  const call = seccompFilter(filter, flags & ~SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV)
  return { tolerate: ['EINVAL'], otherwise: [{ ...load, call, into: LISTENER }] }
}

/** Another process may be entered only by whoever could trace it, and that is not an unprivileged one: ptrace(2) "Ptrace access mode". */
const sendListener: Step = {
  call: sendDescriptor(CHILD_END, LISTENER, Uint8Array.of('l'.charCodeAt(0))),
  why: 'hand the listener to the executor',
  see: SEE_NOTIFY,
}

const NEXT = slot('next-descriptor')

/**
 * Which descriptor the listener will be is told before there is a filter, so that the filter need not allow to tell it: a new descriptor is
 * the lowest free one, so that of a copy which is closed again.
 */
const announceListener: readonly Step[] = [
  { call: fcntl(CHILD_END, F_DUPFD_CLOEXEC, 0), why: 'know which descriptor is free', see: ['fcntl(2)'], into: NEXT },
  { call: close(NEXT), why: 'leave it to the listener', see: ['close(2)'] },
  {
    call: sendto(CHILD_END, { struct: new Uint8Array(4), fields: [{ offset: 0, sizeBytes: 4, value: NEXT }] }, 4),
    why: 'tell the executor which descriptor the listener will be',
    see: SEE_NOTIFY,
  },
]

export interface ListenerRequest {
  readonly listenerPath: string
  readonly listenerMetadata?: string | undefined
  readonly state: {
    readonly ociVersion: string
    readonly id: string
    readonly bundle: string
    readonly annotations: Readonly<Record<string, string>>
  }
  /** `creating` with the init process itself; `running` for a process of exec, where `containerPid` is that of init. */
  readonly status: 'creating' | 'running'
  readonly containerPid?: number
}

const AGENT = slot('seccomp-agent')

/**
 * In the executor, while the process INIT_PID loads its filter: the listener goes to the agent, with who asks. The agent gets it before the
 * process goes on, so it can answer for each call behind the filter. Throws `invalid` for a path that no address can hold.
 */
export function planSeccompListener(request: ListenerRequest, host: ListenerHost): readonly Step[] {
  const why = 'hand the seccomp listener to the agent'
  const { payload, sizeBytes } = processState(request)
  return [
    ...getListener(host),
    ...planConnect({ path: request.listenerPath, field: 'linux.seccomp.listenerPath', into: AGENT, why }),
    { call: sendDescriptorWith(AGENT, LISTENER, { payload, sizeBytes }), why, see: [...SEE_NOTIFY, 'cmsg(3)'] },
    { call: close(AGENT), why, see: ['close(2)'] },
    { call: close(LISTENER), why: 'have only the agent answer', see: ['close(2)'] },
    tell('executor', 'n', 'tell the process that the agent has its listener'),
  ]
}

/** In the executor, while the process INIT_PID loads its filter. */
export const getListener = ({ isRootless }: ListenerHost): readonly Step[] =>
  isRootless ? receiveListener : fetchListener

const NUMBER = buffer('seccomp-listener', 4)

const fetchListener: readonly Step[] = [
  {
    call: read(PARENT_END, NUMBER),
    why: 'learn which descriptor the seccomp listener will be',
    see: SEE_NOTIFY,
    check: { result: 4, errno: 'ECONNRESET' },
    keep: [{ slot: NEXT, in: NUMBER, offset: 0, sizeBytes: 4 }],
  },
  {
    call: pidfdGetfd(INIT_PIDFD, NEXT),
    why: 'get the seccomp listener',
    see: ['pidfd_getfd(2)', ...SEE_NOTIFY],
    into: LISTENER,
    // Until the filter is loaded.
    retry: ['EBADF'],
  },
]

const BYTE = buffer('seccomp-turn', 1)
const RIGHTS = buffer('seccomp-rights', RIGHTS_BYTES)

const receiveListener: readonly Step[] = [
  {
    call: receiveDescriptor(PARENT_END, BYTE, RIGHTS),
    why: 'get the seccomp listener',
    see: SEE_NOTIFY,
    check: { in: RIGHTS, offset: 0, sizeBytes: 4, equals: RIGHTS_LENGTH, errno: 'ECONNRESET' },
    keep: [{ slot: LISTENER, in: RIGHTS, offset: RIGHTS_FD, sizeBytes: 4 }],
  },
]

interface Payload {
  readonly payload: Text
  readonly sizeBytes: number
}

/** A pid has seven digits at most: kernel:include/linux/threads.h, PID_MAX_LIMIT. */
const PID_DIGITS = 7

/**
 * The container process state of oci:runtime-spec/config-linux.md#seccomp.
 *
 * How many digits a pid has is not known when the size of the message is written down. So the text ends in blanks, of which a longer pid
 * leaves fewer within the size: JSON does not mind them.
 */
function processState({ listenerMetadata, state, status, containerPid }: ListenerRequest): Payload {
  const { ociVersion, id, bundle, annotations } = state
  const hasAnnotations = Object.keys(annotations).length > 0
  const metadata = listenerMetadata === undefined ? {} : { metadata: listenerMetadata }
  const head = `${open({ ociVersion, fds: ['seccompFd'], ...metadata })},"pid":`
  const middle = `,"state":${open({ ociVersion, id, status, bundle, ...(hasAnnotations ? { annotations } : {}) })},"pid":`
  const pieces: readonly (string | Slot)[] = [
    head,
    INIT_PID,
    middle,
    containerPid === undefined ? INIT_PID : String(containerPid),
    '}}',
  ]
  const pids = pieces.filter((piece) => typeof piece !== 'string').length
  const fixed = pieces.reduce((sum, piece) => sum + (typeof piece === 'string' ? utf8Length(piece) : 0), 0)
  const blanks = ' '.repeat(pids * (PID_DIGITS - 1))
  return { payload: text(...pieces, blanks), sizeBytes: fixed + pids * PID_DIGITS }
}

/** An object in JSON that goes on. */
const open = (value: object): string => JSON.stringify(value).slice(0, -1)
