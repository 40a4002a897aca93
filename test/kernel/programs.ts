/** C programs that several files of tests need. They stay in build/test-programs, where the next run finds them. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { cProgram, sourceOf } from '../c-program.ts'
import type { Site } from './site.ts'

const KEPT = join(import.meta.dir, '..', '..', 'build', 'test-programs')

/** Of several that build it at once, each puts a whole one there. */
function program(name: string): string {
  const kept = join(KEPT, `${name}-${Bun.hash(readFileSync(sourceOf(name))).toString(16)}`)
  if (existsSync(kept)) return kept
  mkdirSync(KEPT, { recursive: true })
  using made = cProgram(name, ['-static'])
  const aside = `${kept}.${process.pid}`
  copyFileSync(made.path, aside)
  renameSync(aside, kept)
  return kept
}

/** test/programs/receive.c, for the host. */
export const receiver = (): string => program('receive')

/** test/programs/inside.c, for the host. */
export const insideProgram = (): string => program('inside')

/** test/programs/swap.c, for the host. */
export const swapper = (): string => program('swap')

/** test/programs/inject.c, for the host. */
export const injector = (): string => program('inject')

/** Puts test/programs/inside.c into the root file system, as `inside`. */
export function installInside({ rootfs }: Pick<Site, 'rootfs'>): void {
  const path = join(rootfs, 'bin', 'inside')
  copyFileSync(insideProgram(), path)
  chmodSync(path, 0o755)
}
