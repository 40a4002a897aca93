/**
 * From the seccomp profile of a configuration to a filter for the kernel, as runc with libseccomp makes it.
 *
 *     load the architecture
 *     jump to its part, or kill the thread        an architecture that the profile does not have
 *     load the number of the call
 *     search its interval                         a verdict for most, a block of comparisons for some
 *
 * Sources: oci:runtime-spec/config-linux.md#seccomp; seccomp(2); runc libcontainer/seccomp; libseccomp src/{db,gen_bpf,arch}.c.
 */

import { fieldOf, itemOf, type Place, refuse } from '../base/place.ts'
import {
  BPF_INSTRUCTION_BYTES,
  SECCOMP_FILTER_FLAG_LOG,
  SECCOMP_FILTER_FLAG_NEW_LISTENER,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV,
  SECCOMP_RET_ACTION_FULL,
  SECCOMP_RET_ALLOW,
  SECCOMP_RET_ERRNO,
  SECCOMP_RET_KILL_THREAD,
  SECCOMP_RET_LOG,
  SECCOMP_RET_TRACE,
  SECCOMP_RET_USER_NOTIF,
} from '../linux/bpf.ts'
import { type Architecture, numbersOf, slotInRow, slotNumber, syscallRow } from '../linux/syscalls.ts'
import type { Seccomp, SeccompArchitecture } from '../oci/seccomp.ts'
import { architectureOf, auditArch, byteOrder } from './architectures.ts'
import { finishAssembly, newAssembly, returning, type Target } from './assembler.ts'
import { prependBlock, prependDispatch, prependSearch } from './generate.ts'
import { type ArchitecturePart, type Defaults, type Intervals, intervalsOf, intervalsOfX86 } from './intervals.ts'
import { gatherRules, type Rules } from './rules.ts'
import { type ArchitectureTable, type Block, tableOf } from './tables.ts'

export interface CompiledSeccomp {
  /** `struct sock_filter[]` in the byte order of the machine. */
  readonly filter: Uint8Array
  readonly instructionCount: number
  /** For seccomp(2): `SECCOMP_FILTER_FLAG_*`. */
  readonly flags: number
  /** Whether seccomp(2) answers a descriptor, the listener of SCMP_ACT_NOTIFY, which goes to `listenerPath`. */
  readonly notifies: boolean
  /** Names that Linux does not have on any architecture; their rules have no effect. */
  readonly unknownNames: readonly string[]
  /** With `watched`: the numbers of those calls, for which the listener has to answer that they go on. All others it has to refuse with EPERM. */
  readonly passed: readonly number[]
}

export interface CompileSeccomp {
  /** What the machine runs; it is part of every filter. */
  readonly nativeArchitecture: SeccompArchitecture
  /** Where the profile stands, for messages. */
  readonly place?: Place
  /**
   * Has a listener hear of all calls that the profile refuses with EPERM, and of these calls of the machine's own architecture as far as it lets
   * them pass. Whatever else the profile says of a call stays as it is.
   */
  readonly watched?: readonly string[] | undefined
}

/**
 * Compiles a profile.
 *
 * - A rule without `args` decides about its calls alone; of several the first counts. Of rules with `args` the most specific counts
 *   (conditions.ts). All `args` of a rule have to hold, unless it compares one argument twice: then any.
 * - A call that is newer than all names of the profile fails with ENOSYS, so that libraries fall back to an older one, unless the default
 *   action lets it pass. This holds for the architectures that the profile lists (runc libcontainer/seccomp/patchbpf).
 * - An architecture that the profile does not list, and is not the machine's, kills the thread; so does x32 on x86_64.
 * - Without `flags`, SECCOMP_FILTER_FLAG_SPEC_ALLOW is set, as runc does; SECCOMP_FILTER_FLAG_TSYNC has no effect, since the filter is
 *   loaded by a process of one thread.
 *
 * Throws `invalid`, naming the field, and `unsupported` for a filter longer than the kernel takes.
 */
export function compileSeccomp(
  seccomp: Seccomp,
  { nativeArchitecture, place = 'config.json: linux.seccomp', watched }: CompileSeccomp,
): CompiledSeccomp {
  const listed = seccomp.architectures.map(architectureOf)
  const native = architectureOf(nativeArchitecture)
  checkByteOrders(seccomp, native, place)
  const rules = gatherRules(seccomp, place)
  const flags = flagsOf(seccomp, rules.notifies, place)
  const passed: number[] = []
  const watch = watched === undefined ? undefined : { names: watched, passed }
  const filter = generate(rules, { native, listed: new Set(listed) }, watch)
  return {
    filter,
    instructionCount: filter.byteLength / BPF_INSTRUCTION_BYTES,
    flags: watched === undefined ? flags : flags | WATCH_FLAGS,
    notifies: rules.notifies || watched !== undefined,
    unknownNames: rules.unknownNames,
    passed,
  }
}

interface Architectures {
  readonly native: Architecture
  readonly listed: ReadonlySet<Architecture>
}

/** A signal does not make a call begin again whose listener has it already: seccomp(2), Linux 5.19. */
const WATCH_FLAGS = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
const EPERM = 1
const ENOSYS = 38

interface Watch {
  readonly names: readonly string[]
  /** Gets the numbers of those that pass. */
  readonly passed: number[]
}

function generate(rules: Rules, architectures: Architectures, watch: Watch | undefined): Uint8Array {
  const hides = !letsPass(rules.verdicts[0] as number)
  const defaults: Defaults = {
    unruled: 0,
    newer: hides ? verdictIndex(rules, SECCOMP_RET_ERRNO | ENOSYS) : 0,
    badArchitecture: verdictIndex(rules, SECCOMP_RET_KILL_THREAD),
  }
  const groups = groupsOf(rules, architectures, hides)
  if (watch !== undefined) {
    for (const { parts } of groups) watchPassed(parts.get(architectures.native)?.table, rules, watch)
    const { verdicts } = rules
    for (const [index, verdict] of verdicts.entries())
      if (verdict === (SECCOMP_RET_ERRNO | EPERM)) verdicts[index] = SECCOMP_RET_USER_NOTIF
  }
  const assembly = newAssembly(rules.verdicts)
  const bigEndian = byteOrder(architectures.native) === 'big'
  const parts: { auditArch: number; target: Target }[] = []
  for (const { arch, parts: byArchitecture, blocks } of groups.reverse()) {
    const targets = blocks.map((block) => prependBlock(assembly, block, { otherwise: returning(0), bigEndian }))
    const target = prependSearch(assembly, intervalsOfGroup(byArchitecture, defaults), targets)
    parts.unshift({ auditArch: arch, target })
  }
  prependDispatch(assembly, parts, returning(defaults.badArchitecture))
  return finishAssembly(assembly, byteOrder(architectures.native))
}

function watchPassed(table: ArchitectureTable | undefined, rules: Rules, { names, passed }: Watch): void {
  if (table === undefined) return
  const numbers = numbersOf(table.architecture)
  const notify = verdictIndex(rules, SECCOMP_RET_USER_NOTIF)
  for (const name of names) {
    const row = syscallRow(name)
    const slot = row === undefined ? -1 : slotInRow(numbers, row)
    const outcome = slot < 0 ? -1 : (table.outcomes[slot] ?? -1)
    // One that depends on its arguments is left to the filter.
    if (outcome < 0 || rules.verdicts[outcome] !== SECCOMP_RET_ALLOW) continue
    table.outcomes[slot] = notify
    passed.push(slotNumber(slot))
  }
}

/** Architectures that the kernel does not tell apart by `AUDIT_ARCH_*`: x86_64 and x32, otherwise one. */
interface Group {
  readonly arch: number
  readonly parts: Map<Architecture, ArchitecturePart>
  readonly blocks: Block[]
}

function groupsOf(rules: Rules, { native, listed }: Architectures, hides: boolean): Group[] {
  const groups: Group[] = []
  for (const architecture of new Set([native, ...listed])) {
    const arch = auditArch(architecture)
    let group = groups.find((known) => known.arch === arch)
    if (group === undefined) {
      group = { arch, parts: new Map(), blocks: [] }
      groups.push(group)
    }
    const table = tableOf(architecture, rules, group.blocks)
    group.parts.set(architecture, { table, hidesNewer: hides && listed.has(architecture) && table.highestNumber > 0 })
  }
  return groups
}

function intervalsOfGroup(parts: ReadonlyMap<Architecture, ArchitecturePart>, defaults: Defaults): Intervals {
  const x86_64 = parts.get('x86_64')
  const x32 = parts.get('x32')
  if (x86_64 !== undefined || x32 !== undefined) return intervalsOfX86({ x86_64, x32 }, defaults)
  const [part] = parts.values()
  return intervalsOf(part as ArchitecturePart, defaults)
}

/** Under a default action that lets calls pass, or asks a tracer, newer calls are not hidden (runc `isAllowAction`). */
function letsPass(verdict: number): boolean {
  const action = (verdict & SECCOMP_RET_ACTION_FULL) >>> 0
  return action === SECCOMP_RET_ALLOW || action === SECCOMP_RET_LOG || action === SECCOMP_RET_TRACE
}

function verdictIndex({ verdicts }: Rules, value: number): number {
  const index = verdicts.indexOf(value)
  return index >= 0 ? index : verdicts.push(value) - 1
}

function checkByteOrders({ architectures }: Seccomp, native: Architecture, place: Place): void {
  const order = byteOrder(native)
  for (const [index, name] of architectures.entries()) {
    const other = byteOrder(architectureOf(name))
    if (other === order) continue
    refuse(
      itemOf(fieldOf(place, 'architectures'), index),
      `is ${name}, which is ${other}-endian, and this machine is ${order}-endian`,
      'remove it: its programs cannot run here',
    )
  }
}

function flagsOf({ flags, listenerPath, listenerMetadata }: Seccomp, notifies: boolean, place: Place): number {
  if (notifies && listenerPath === undefined) {
    refuse(fieldOf(place, 'listenerPath'), 'is missing, but a rule has SCMP_ACT_NOTIFY', 'name the socket of the agent')
  }
  if (listenerMetadata !== undefined && listenerPath === undefined) {
    refuse(
      fieldOf(place, 'listenerMetadata'),
      'is given without listenerPath',
      'remove it, or name the socket of the agent',
    )
  }
  let bits = notifies ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0
  if (flags === undefined) return bits | SECCOMP_FILTER_FLAG_SPEC_ALLOW
  for (const [index, flag] of flags.entries()) {
    switch (flag) {
      case 'SECCOMP_FILTER_FLAG_TSYNC':
        break
      case 'SECCOMP_FILTER_FLAG_LOG':
        bits |= SECCOMP_FILTER_FLAG_LOG
        break
      case 'SECCOMP_FILTER_FLAG_SPEC_ALLOW':
        bits |= SECCOMP_FILTER_FLAG_SPEC_ALLOW
        break
      case 'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV':
        // kernel/seccomp.c `seccomp_set_mode_filter`: EINVAL without NEW_LISTENER.
        if (!notifies) {
          refuse(itemOf(fieldOf(place, 'flags'), index), `is ${flag}, but no rule has SCMP_ACT_NOTIFY`, 'remove it')
        }
        bits |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
        break
    }
  }
  return bits
}
