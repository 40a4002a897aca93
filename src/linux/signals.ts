/** Names of signals. Source: signal(7); kernel:include/uapi/asm-generic/signal.h, which x86_64 and aarch64 share. */

import type { Words } from '../base/words.ts'

/** The name of a signal; real-time ones count from either end, as kill(1) prints them. */
export type Signal = Words<typeof table> | Alias | `SIGRTMIN${'' | `+${number}`}` | `SIGRTMAX${'' | `-${number}`}`

/**
 * The number that someone means by `SIGKILL`, `KILL`, `kill` or `9`; undefined for anything else.
 *
 * Numbers are 1 to 64. 32 and 33, which the C library keeps to itself, can be sent by number only.
 */
export function parseSignal(text: string): number | undefined {
  if (/^\d{1,2}$/.test(text)) {
    const number = Number(text)
    return number >= 1 && number <= lastSignal ? number : undefined
  }
  const upper = text.toUpperCase()
  return numberOf(upper.startsWith('SIG') ? upper : `SIG${upper}`)
}

/** The number of a signal. */
export function signalNumber(name: Signal): number {
  const number = numberOf(name)
  if (number === undefined) throw new RangeError(`no signal is called ${name}`)
  return number
}

/** `SIGKILL` for 9, `SIGRTMIN+3` for 37; `signal 32` for a number without a name. */
export function signalName(number: number): Signal | `signal ${number}` {
  if (number >= firstRealtime && number <= lastSignal) return realtimeName(number)
  return (names[number - 1] as Signal | undefined) ?? `signal ${number}`
}

// glibc and musl use 32 and 33 (and musl 34) inside; SIGRTMIN of both tools and systemd is 34.
const firstRealtime = 34
const lastSignal = 64

type Alias = 'SIGIOT' | 'SIGCLD' | 'SIGPOLL'

function realtimeName(number: number): Signal {
  const above = number - firstRealtime
  const below = lastSignal - number
  if (above === 0) return 'SIGRTMIN'
  if (below === 0) return 'SIGRTMAX'
  return above <= 15 ? `SIGRTMIN+${above}` : `SIGRTMAX-${below}`
}

function numberOf(name: string): number | undefined {
  switch (name) {
    case 'SIGIOT':
      return 6
    case 'SIGCLD':
      return 17
    case 'SIGPOLL':
      return 29
    default:
      return name.startsWith('SIGRT') ? realtimeNumber(name) : positive(names.indexOf(name) + 1)
  }
}

function realtimeNumber(name: string): number | undefined {
  const match = /^SIGRT(?:(MIN)(?:\+(\d{1,2}))?|MAX(?:-(\d{1,2}))?)$/.exec(name)
  if (match === null) return undefined
  const number = match[1] === undefined ? lastSignal - Number(match[3] ?? 0) : firstRealtime + Number(match[2] ?? 0)
  return number >= firstRealtime && number <= lastSignal ? number : undefined
}

function positive(number: number): number | undefined {
  return number > 0 ? number : undefined
}

/**
 * Whether it ends a process that is not prepared for it. Not those that stop one or let it go on, or are ignored: signal(7). Not SIGPIPE either, of
 * which whoever writes hears by EPIPE.
 */
export const endsProcesses = (signal: number): boolean => !HARMLESS.includes(signal)

const HARMLESS: readonly number[] = [13, 17, 18, 19, 20, 21, 22, 23, 28]

// By number from 1 on.
const table =
  'SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS'

const names: readonly string[] = table.split(' ')
