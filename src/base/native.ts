/**
 * What the embedded engine front (native/front.c) gives to JavaScript: system calls, strings as bytes, and the executor.
 *
 * It exists only in the binaries `coffer` and `coffer-runc`. Under Node and Bun this file imports all the same, and `native()` throws.
 */

import { OperationError } from './errors.ts'

/**
 * An argument of a system call, passed as a 64-bit register.
 *
 * | value                          | register                                                             |
 * |--------------------------------|----------------------------------------------------------------------|
 * | number                         | the integer; -1 is all ones; a fraction or beyond 2^53 throws        |
 * | bigint                         | its low 64 bits                                                      |
 * | string                         | the address of its UTF-8 bytes and a NUL; a NUL inside throws        |
 * | ArrayBuffer, typed array, view | the address of its first byte                                        |
 * | null, undefined                | 0                                                                    |
 */
export type NativeArgument = number | bigint | string | ArrayBuffer | ArrayBufferView | null | undefined

export interface Native {
  /** argv, the program's name first. */
  readonly args: readonly string[]
  /** The environment, `NAME=value` each. */
  readonly env: readonly string[]

  /** Of this program, and so of the numbers that `syscall` takes. */
  readonly architecture: 'x86_64' | 'aarch64'

  /** Makes one system call; answers what the kernel did: a result, or `-errno`. */
  readonly syscall: (number: number, ...args: readonly NativeArgument[]) => number

  /** The address of the first byte of `view`, for structures with pointers in them; valid as long as `view` is reachable. */
  readonly address: (view: ArrayBuffer | ArrayBufferView) => number

  /** UTF-8 without a NUL. Takes back what `decode` made of other bytes: U+DC80 to U+DCFF become the bytes 0x80 to 0xff. */
  readonly encode: (text: string) => Uint8Array

  /**
   * Text of UTF-8 bytes, `length` of them from `start` on.
   *
   * File names and arguments are bytes, not text: a byte that is no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which `encode` and
   * system calls turn back into the byte (as Python does, PEP 383).
   */
  readonly decode: (view: ArrayBuffer | ArrayBufferView, start?: number, length?: number) => string

  /**
   * Starts the executor with `fds[i]` as its descriptor `i` and no other, an empty environment and nothing inherited but the signal mask.
   *
   * It is executed from a sealed, anonymous copy that no other process can write or name. Answers a pid, or `-errno`.
   */
  readonly spawnExecutor: (fds: readonly number[]) => number

  /** The executor's ELF file, for a copy elsewhere. Not to be written to. */
  readonly executorImage: () => ArrayBuffer

  /** The ELF file of native/monitor.c. Not to be written to. */
  readonly monitorImage: () => ArrayBuffer

  /** The ELF file of native/reaper.c. Not to be written to. */
  readonly reaperImage: () => ArrayBuffer

  /** The ELF file of native/resolver.c. Not to be written to. */
  readonly resolverImage: () => ArrayBuffer

  /** The ELF file of native/relay.c. Not to be written to. */
  readonly relayImage: () => ArrayBuffer
}

/** The embedded engine's front; throws `unsupported` in any other engine. */
export function native(): Native {
  const found = (globalThis as { readonly native?: Native }).native
  if (found === undefined) {
    throw new OperationError({
      kind: 'unsupported',
      operation: 'make a system call',
      reason: 'this code runs only in the coffer binary',
    })
  }
  return found
}
