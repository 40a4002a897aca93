/**
 * Meddling with a command of coffer-runc at a chosen system call.
 *
 * The program is the one that is shipped, and what stops it is a tracer (test/programs/inject.c): nothing in coffer knows of being tested.
 * Changing a plan before it runs would have been the other way. It would miss the front, the order in which processes really run, and all
 * calls of the executor that are no steps, such as its reports.
 */

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { injector } from '../kernel/programs.ts'
import type { CallOptions, Outcome, Site } from '../kernel/site.ts'

/** One system call of a command. */
export interface Point {
  /** `0` is the front, `1` its first executor, `1.1` the first child of that: test/programs/inject.c. */
  readonly role: string
  /** The how manieth call of that role, from 0 on. */
  readonly index: number
  /** The number of the call in the table of the kernel. */
  readonly call: number
}

export interface Command {
  readonly args: readonly string[]
  /** In front of the program, e.g. setpriv. */
  readonly as?: readonly string[]
  /** A process that is there already, whose role is `also`. */
  readonly also?: number | undefined
  readonly options?: CallOptions
}

export interface Injected extends Outcome {
  /** Whether the call was met. */
  readonly hit: boolean
}

/** Their numbers on x86_64. */
export const FLOCK = 73
export const OPENAT = 257
export const RENAMEAT2 = 316
export const VFORK = 58
export const PPOLL = 271

/** `errno=28`, `kill=ROLE`, `do=COMMAND`. */
export type Action = string

/** All calls of a command and of the processes of its plans, in the order in which they were made; it has to end with that status. */
export function pointsOf(site: Site, command: Command, expected = 0): readonly Point[] {
  const { exitCode, stderr } = trace(site, command, ['list'])
  if (exitCode !== expected) throw new Error(`${command.args.join(' ')}: exit status ${exitCode}: ${stderr}`)
  return logOf(site).map((line) => {
    const [role = '', index, call] = line.split(' ')
    return { role, index: Number(index), call: Number(call) }
  })
}

export function inject(site: Site, command: Command, { role, index }: Point, ...actions: readonly Action[]): Injected {
  const outcome = trace(site, command, ['at', role, `${index}`, ...actions])
  return { ...outcome, hit: logOf(site).some((line) => line.startsWith('hit ')) }
}

const logPath = ({ directory }: Site): string => join(directory, 'injection')

const logOf = (site: Site): readonly string[] =>
  existsSync(logPath(site))
    ? readFileSync(logPath(site), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
    : []

function trace(site: Site, { args, as = [], also, options }: Command, words: readonly string[]): Outcome {
  const follows = also === undefined ? [] : ['--also', `${also}`]
  return site.call(args, { ...options, through: [injector(), logPath(site), ...follows, ...words, '--', ...as] })
}

/** Whether all of it is to be visited: `make crash`. */
export const LONG: boolean = process.env.COFFER_CRASH === 'all'

/** All of them, or `few` in equal steps, of which `turn` says where they begin: so that several turns visit different ones. */
export function sample<One>(all: readonly One[], few: number, turn = 0): readonly One[] {
  if (LONG || all.length <= few) return all
  const step = all.length / few
  return Array.from({ length: few }, (_, index) => all[Math.floor((index + ((turn * 0.618) % 1)) * step)]).filter(
    (one) => one !== undefined,
  )
}
