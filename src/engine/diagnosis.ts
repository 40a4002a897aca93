/**
 * Why a container ended, as far as anybody can know.
 *
 * A status says little: 137 is the limit of its memory, `coffer kill`, a stop that waited in vain, somebody else's SIGKILL, or a program
 * that passes on how its child ended. What the monitor, the kernel and coffer's own commands have kept tells them apart.
 */

import type { MemoryEnd, MemoryVictim } from '../container/memory-end.ts'
import { signalName, signalNumber } from '../linux/signals.ts'
import type { ContainerEnd } from './end.ts'
import type { SentSignal } from './sent.ts'

/**
 * | cause             | what ended it                                                     |
 * |-------------------|-------------------------------------------------------------------|
 * | `ended`           | it itself, with status 0                                          |
 * | `status`          | it itself, with another status                                    |
 * | `not-found`       | 127: a shell in it did not find a command                         |
 * | `not-runnable`    | 126: a shell in it could not run a command                        |
 * | `passed-on`       | it itself, with what shells make of a child that a signal ended   |
 * | `out-of-memory`   | the kernel, as the memory of its cgroup or of the machine was used up |
 * | `stopped`         | the signal of `coffer stop`                                       |
 * | `stop-timed-out`  | SIGKILL, as it went on after the signal of `coffer stop`          |
 * | `killed`          | `coffer kill` or `rm`, or SIGKILL from somebody                   |
 * | `seccomp`         | SIGSYS: a filter forbids a call that it made                      |
 * | `signal`          | any other signal                                                  |
 * | `unseen`          | nobody knows                                                      |
 */
export type Cause =
  | 'ended'
  | 'status'
  | 'not-found'
  | 'not-runnable'
  | 'passed-on'
  | 'out-of-memory'
  | 'stopped'
  | 'stop-timed-out'
  | 'killed'
  | 'seccomp'
  | 'signal'
  | 'unseen'

export interface Diagnosis {
  readonly cause: Cause
  /** Completes "it ended with status 137: …". */
  readonly summary: string
  /** What is known beside it, each with a word in front: `memory`, `peak 64 MiB`. */
  readonly facts: readonly (readonly [string, string])[]
  readonly hint?: string
  readonly see: readonly string[]
}

export interface Ended extends Pick<ContainerEnd, 'exit' | 'sent' | 'memory'> {
  /** In a pid namespace of its own: nobody in it can send its first process a signal that it does not handle. */
  readonly hasOwnPids: boolean
}

export function diagnose(ended: Ended): Diagnosis {
  const { exit, sent, memory } = ended
  const told =
    exit === undefined ? UNSEEN : exit.signal === 0 ? byItself(exit.status, memory) : bySignal(exit.signal, ended)
  const facts = [...told.facts, ...(memory === undefined ? [] : memoryFacts(memory))]
  // A stop whose signal it handled, and ended.
  if (exit?.signal === 0 && sent !== undefined)
    facts.push(['signal', `${sentText(sent)} before; it handled that, and ended by itself`])
  return { ...told, facts }
}

const UNSEEN: Diagnosis = {
  cause: 'unseen',
  summary: 'nobody saw how it ended',
  facts: [],
  hint: 'its monitor was killed, or the machine went down; start it again with: coffer start',
  see: ['native/monitor.c'],
}

function byItself(status: number, memory: MemoryEnd | undefined): Diagnosis {
  const signal = status - 128
  if (status === 0) return { cause: 'ended', summary: 'its program ended well', facts: [], see: [] }
  if (status === 128 + signalNumber('SIGKILL') && memory !== undefined)
    return {
      cause: 'out-of-memory',
      summary: 'a child of its first process was killed as there was no memory left, and that passed its status on',
      facts: [],
      ...memoryAdvice(memory),
    }
  if (status === 127)
    return {
      cause: 'not-found',
      summary: 'its program says that it did not find a command, as shells do',
      facts: [],
      hint: 'what it printed names the command; look for it in $PATH of the image',
      see: ['sh(1)'],
    }
  if (status === 126)
    return {
      cause: 'not-runnable',
      summary: 'its program says that it found a command and could not run it, as shells do',
      facts: [],
      hint: 'what it printed names the command; is it executable, for this architecture, and not on a noexec mount?',
      see: ['sh(1)', 'execve(2)'],
    }
  if (signal >= 1 && signal <= 64)
    return {
      cause: 'passed-on',
      summary: `its program ended by itself with 128 + ${signal}, as shells do when ${signalName(signal)} has ended a child`,
      facts: meaningFacts(signal),
      see: ['sh(1)', 'signal(7)'],
    }
  return {
    cause: 'status',
    summary: 'its program ended by itself, with a status of its own choice',
    facts: [],
    see: [],
  }
}

function bySignal(signal: number, { sent, memory, hasOwnPids }: Ended): Diagnosis {
  if (memory !== undefined && signal === signalNumber('SIGKILL') && isVictim(memory, sent))
    return {
      cause: 'out-of-memory',
      summary: 'the kernel killed it, as there was no memory left',
      facts: [],
      ...memoryAdvice(memory),
    }
  if (sent?.signal === signal) return bySent(sent)
  if (signal === signalNumber('SIGSYS'))
    return {
      cause: 'seccomp',
      summary: 'SIGSYS: it made a system call that a seccomp filter forbids on pain of death',
      facts: [],
      hint: 'the filter is its own, or that of its configuration, as the one that coffer gives by default answers EPERM; strace -f in it shows the call',
      see: ['seccomp(2)', 'signal(7)'],
    }
  const [, meaning] = MEANINGS[signal] ?? []
  if (meaning !== undefined)
    return { cause: 'signal', summary: `${signalName(signal)}: ${meaning}`, facts: [], see: ['signal(7)'] }
  const outside = hasOwnPids ? ', from outside the container' : ''
  return {
    cause: signal === signalNumber('SIGKILL') ? 'killed' : 'signal',
    summary: `${signalName(signal)} was sent by somebody with the right to, who was not coffer${outside}`,
    facts: [],
    see: ['kill(2)', ...(hasOwnPids ? ['pid_namespaces(7)'] : [])],
  }
}

function bySent(sent: SentSignal): Diagnosis {
  const see = ['kill(2)']
  if (sent.waitedSeconds !== undefined)
    return {
      cause: 'stop-timed-out',
      summary: `${sent.by} stopped it, it went on for ${sent.waitedSeconds} s after the signal that asks, and was killed`,
      facts: [['killed', sentText(sent)]],
      hint: 'a first process gets no signal that it does not handle: handle it (in a shell: trap), or wait longer: coffer stop --time',
      see: [...see, 'pid_namespaces(7)'],
    }
  return {
    cause: sent.command === 'stop' ? 'stopped' : 'killed',
    summary: `${sent.by} ${sent.command === 'stop' ? 'stopped' : 'killed'} it with coffer ${sent.command}`,
    facts: [['signal', sentText(sent)]],
    see,
  }
}

const sentText = ({ command, signal, by, at }: SentSignal): string =>
  `${signalName(signal)} by ${by}, with coffer ${command}, at ${at}`

/** Whether the first process was one of those that were killed. Where nobody knows their pids, a SIGKILL of ours is the better reason. */
function isVictim({ victims }: MemoryEnd, sent: SentSignal | undefined): boolean {
  if (victims.some(({ isInit }) => isInit === true)) return true
  if (victims.length > 0 && victims.every(({ isInit }) => isInit === false)) return false
  return sent?.signal !== signalNumber('SIGKILL')
}

export function memoryFacts({
  kills,
  peakBytes,
  limitBytes,
  victims,
}: MemoryEnd): readonly (readonly [string, string])[] {
  const amounts = [
    ...(peakBytes === undefined ? [] : [`peak ${bytesText(peakBytes)}`]),
    limitBytes === undefined ? 'no limit of its own' : `limit ${bytesText(limitBytes)}`,
  ]
  const count = `${kills} ${kills === 1 ? 'process' : 'processes'} for want of memory`
  const names = victims.length === 0 ? '' : `: ${victims.map(victimText).join(', ')}`
  return [
    ['killed', `${count}${names}`],
    ['memory', amounts.join(', ')],
  ]
}

const victimText = ({ name, pid, isInit, limitedBy }: MemoryVictim): string =>
  `${name} (pid ${pid}${isInit === true ? ', its first' : ''}${limitedBy === undefined ? '' : `, by the limit of ${limitedBy}`})`

function memoryAdvice({ limitBytes, victims }: MemoryEnd): { readonly hint: string; readonly see: readonly string[] } {
  const see = ['kernel:admin-guide/cgroup-v2.rst "memory.max"', 'kernel:admin-guide/cgroup-v1/memory.rst']
  const above = victims.map(({ limitedBy }) => limitedBy).find((limit) => limit !== undefined)
  if (above === 'machine')
    return {
      hint: 'the machine had no memory left, whatever the limits: run less on it, and limit each with --memory',
      see,
    }
  if (above !== undefined) return { hint: `raise the limit of ${above}, a cgroup above the container`, see }
  if (limitBytes === undefined)
    return { hint: 'a cgroup above the container has a limit, or the machine had no memory left', see }
  return { hint: `give it more than ${bytesText(limitBytes)} (coffer run --memory), or have it use less`, see }
}

export function bytesText(bytes: number): string {
  const power = bytes < 1024 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10))
  const value = bytes / 1024 ** power
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`
}

const meaningFacts = (signal: number): Diagnosis['facts'] => {
  const [name, meaning] = MEANINGS[signal] ?? []
  return name === undefined || meaning === undefined ? [] : [[name, meaning]]
}

/** Of signals that a process gets for what it does itself. signal(7) */
const MEANINGS: Readonly<Record<number, readonly [string, string]>> = Object.fromEntries(
  (
    [
      ['SIGILL', 'it came upon an instruction that this processor does not have'],
      ['SIGTRAP', 'it came upon a breakpoint, and nobody debugs it'],
      ['SIGABRT', 'it gave up by itself: abort(3), as behind a failed assertion'],
      ['SIGBUS', 'it used memory behind which there is nothing, as of a mapped file that was cut off'],
      ['SIGFPE', 'it divided by zero, or the like'],
      ['SIGSEGV', 'it used memory that it does not have: a fault of the program'],
      ['SIGPIPE', 'it wrote to a pipe or socket that nobody reads any more'],
      ['SIGALRM', 'a time that it had set itself was over: alarm(2)'],
      ['SIGXCPU', 'it used up the CPU time of its RLIMIT_CPU'],
      ['SIGXFSZ', 'it wrote a file beyond its RLIMIT_FSIZE'],
    ] as const
  ).map(([name, meaning]) => [signalNumber(name), [name, meaning]] as const),
)
