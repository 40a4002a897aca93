/**
 * Numbers of system calls by name, for every architecture of the OCI specification.
 *
 * The tables are two signs a number in strings of equal order (syscall-tables.ts), so that loading costs nothing and one look-up of a
 * name serves all architectures. Source: the kernel's `asm/unistd*.h`; syscalls(2).
 */

import { syscallNames, syscallNumbers, type TabledArchitecture } from './syscall-tables.ts'

/** An instruction set and its calling convention, in libseccomp's word: `SCMP_ARCH_X86_64` is `x86_64`. */
export type Architecture = TabledArchitecture | 'mipsel' | 'mipsel64' | 'mipsel64n32' | 'ppc64le' | 'sheb'

/** The number of `name`, or undefined where `architecture` does not have that call. */
export function syscallNumber(architecture: Architecture, name: string): number | undefined {
  const row = syscallRow(name)
  const slot = row === undefined ? -1 : slotInRow(numbersOf(architecture), row)
  return slot < 0 ? undefined : numberBase(architecture) + slotNumber(slot)
}

/** The name of the call with this number, or undefined for a number that `architecture` does not use. */
export function syscallName(architecture: Architecture, number: number): string | undefined {
  let names = namesByNumber.get(architecture)
  if (names === undefined) {
    names = new Map()
    const numbers = numbersOf(architecture)
    const base = numberBase(architecture)
    for (const [name, row] of rows()) {
      const slot = slotInRow(numbers, row)
      if (slot >= 0) names.set(base + slotNumber(slot), name)
    }
    namesByNumber.set(architecture, names)
  }
  return names.get(number)
}

/** Whether Linux has a call of this name on any architecture. */
export function hasSyscall(name: string): boolean {
  return rows().has(name)
}

/** All names, sorted; for suggestions. */
export function allSyscallNames(): readonly string[] {
  return [...rows().keys()]
}

/** Where `name` stands in every table; with `slotInRow` for code that resolves hundreds of names at once. */
export function syscallRow(name: string): number | undefined {
  return rows().get(name)
}

/** How many rows there are. */
export function syscallRowCount(): number {
  return rows().size
}

/** The table of an architecture, for `slotInRow`. */
export function numbersOf(architecture: Architecture): string {
  switch (architecture) {
    case 'mipsel':
      return syscallNumbers.mips
    case 'mipsel64':
      return syscallNumbers.mips64
    case 'mipsel64n32':
      return syscallNumbers.mips64n32
    case 'ppc64le':
      return syscallNumbers.ppc64
    case 'sheb':
      return syscallNumbers.sh
    default:
      return syscallNumbers[architecture]
  }
}

/**
 * The slot in one row of a table; -1 where the architecture lacks the call.
 *
 * A slot is dense, 0 to 1599, and grows with the number; `slotNumber` and `numberBase` make the number of it.
 */
export function slotInRow(numbers: string, row: number): number {
  const high = numbers.charCodeAt(row * 2) - zero
  return high < 0 ? -1 : high * 40 + numbers.charCodeAt(row * 2 + 1) - zero
}

/** How many slots there are. */
export const slotCount = 1600

/** The number of a slot, without `numberBase`. */
export function slotNumber(slot: number): number {
  return slot < firstPrivate ? slot : armPrivateBase + slot - firstPrivate
}

/** What is added to every number of an architecture: `__X32_SYSCALL_BIT`, and `__NR_Linux` of MIPS, which tells its conventions apart. */
export function numberBase(architecture: Architecture): number {
  switch (architecture) {
    case 'x32':
      return 0x4000_0000
    case 'mips':
    case 'mipsel':
      return 4000
    case 'mips64':
    case 'mipsel64':
      return 5000
    case 'mips64n32':
    case 'mipsel64n32':
      return 6000
    default:
      return 0
  }
}

const zero = 48
// The calls that ARM keeps to itself, `__ARM_NR_breakpoint` and up (arch/arm/include/uapi/asm/unistd.h), stand above all others in the table.
const firstPrivate = 1590
const armPrivateBase = 0x0f_0001

// Made at the first question and never changed after that.
let rowsByName: ReadonlyMap<string, number> | undefined
const namesByNumber = new Map<Architecture, Map<number, string>>()

function rows(): ReadonlyMap<string, number> {
  if (rowsByName !== undefined) return rowsByName
  const byName = new Map<string, number>()
  const names = syscallNames.split(' ')
  for (let row = 0; row < names.length; row++) byName.set(names[row] as string, row)
  rowsByName = byName
  return byName
}
