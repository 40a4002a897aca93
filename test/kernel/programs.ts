/** C programs that several files of tests need, built once. */

import { chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CProgram, cProgram } from '../c-program.ts'
import type { Site } from './site.ts'

const built = new Map<string, CProgram>()

function program(name: string): string {
  let made = built.get(name)
  if (made === undefined) {
    if (built.size === 0)
      process.on('exit', () => {
        for (const one of built.values()) one[Symbol.dispose]()
      })
    made = cProgram(name, ['-static'])
    built.set(name, made)
  }
  return made.path
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
