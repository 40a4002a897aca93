/**
 * A program of coffer as the first process of a container: an ELF file that nobody can change, and that no path leads to (SECURITY-CHECKS S1).
 *
 * memfd_create(2), execveat(2)
 */

import { type Slot, slot, strings } from '../linux/call.ts'
import { AT_EMPTY_PATH, F_SETFD, fcntl, write } from '../linux/files.ts'
import { memfdCreate, sealAll } from '../linux/memory.ts'
import { execveat } from '../linux/process.ts'
import type { Ref, Step } from './plan.ts'

export interface OwnProgram {
  /** Static, and without use for an environment. */
  readonly elf: Uint8Array
  readonly name: string
  /** What it keeps open, as descriptors 3 and up. */
  readonly keeps: readonly Slot[]
}

export const PROGRAM: Slot = slot('own-program')
const SEE: readonly Ref[] = ['memfd_create(2)', 'execveat(2)']

/** For the executor, before it makes the process: opens PROGRAM. */
export const openOwnProgram = (own: Pick<OwnProgram, 'elf' | 'name'>): readonly Step[] =>
  openProgram({ ...own, into: PROGRAM })

export function openProgram({ elf, name, into }: Omit<OwnProgram, 'keeps'> & { readonly into: Slot }): readonly Step[] {
  const why = `have the program ${name}`
  return [
    { call: memfdCreate(name), why, see: SEE, into },
    { call: write(into, elf, elf.length), why, see: SEE, check: { result: elf.length, errno: 'ENOSPC' } },
    { call: sealAll(into), why: 'let nobody change it', see: SEE },
  ]
}

/** For the process, at its end. */
export const becomeOwnProgram = ({ name, keeps }: OwnProgram): readonly Step[] => [
  ...keeps.map((fd): Step => ({ call: fcntl(fd, F_SETFD, 0), why: `pass it on to ${name}`, see: ['fcntl(2)'] })),
  { call: execveat(PROGRAM, '', strings([name]), strings([]), AT_EMPTY_PATH), why: `run ${name}`, see: SEE },
]
