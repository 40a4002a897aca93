/** The seccomp profile of a container: which system calls it may make. Source: oci:runtime-spec/config-linux.md#seccomp */

import {
  listOf,
  optionalString,
  optionalWord,
  requiredWord,
  type Section,
  sectionOf,
  stringsOf,
  wordsOf,
} from '../base/field.ts'
import {
  type Integer64,
  optionalInteger,
  optionalInteger64,
  requiredInteger,
  requiredInteger64,
  UINT32,
  UINT64,
} from '../base/integer.ts'
import { fieldOf, type Place, refuse } from '../base/place.ts'

export interface Seccomp {
  readonly defaultAction: SeccompAction
  /** For actions that return an errno; without it 1, EPERM. */
  readonly defaultErrnoRet?: number | undefined
  /** Besides that of the machine, which every filter has. */
  readonly architectures: readonly SeccompArchitecture[]
  /** Absent is not empty: `compileSeccomp` says what it chooses then. */
  readonly flags?: readonly SeccompFlag[] | undefined
  /** A socket on which someone waits for the listener of SCMP_ACT_NOTIFY. */
  readonly listenerPath?: string | undefined
  readonly listenerMetadata?: string | undefined
  readonly syscalls: readonly SeccompRule[]
}

/** What happens to these calls where all `args` hold; several rules for one call are alternatives. */
export interface SeccompRule {
  /** At least one. Names that Linux does not have are allowed: profiles are older and newer than kernels. */
  readonly names: readonly string[]
  readonly action: SeccompAction
  readonly errnoRet?: number | undefined
  readonly args: readonly SeccompArgument[]
}

/** A comparison of an argument with an unsigned value of 64 bits. */
export interface SeccompArgument {
  /** 0 to 5. */
  readonly index: number
  /** For SCMP_CMP_MASKED_EQ the mask. */
  readonly value: Integer64
  /** For SCMP_CMP_MASKED_EQ what the masked argument has to be, otherwise without meaning. */
  readonly valueTwo: Integer64
  readonly op: SeccompOperator
}

export const SECCOMP_ACTIONS = [
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
] as const
export type SeccompAction = (typeof SECCOMP_ACTIONS)[number]

export const SECCOMP_OPERATORS = [
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
] as const
export type SeccompOperator = (typeof SECCOMP_OPERATORS)[number]

export const SECCOMP_FLAGS = [
  'SECCOMP_FILTER_FLAG_TSYNC',
  'SECCOMP_FILTER_FLAG_LOG',
  'SECCOMP_FILTER_FLAG_SPEC_ALLOW',
  'SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV',
] as const
export type SeccompFlag = (typeof SECCOMP_FLAGS)[number]

export const SECCOMP_ARCHITECTURES = [
  'SCMP_ARCH_X86',
  'SCMP_ARCH_X86_64',
  'SCMP_ARCH_X32',
  'SCMP_ARCH_ARM',
  'SCMP_ARCH_AARCH64',
  'SCMP_ARCH_LOONGARCH64',
  'SCMP_ARCH_M68K',
  'SCMP_ARCH_MIPS',
  'SCMP_ARCH_MIPS64',
  'SCMP_ARCH_MIPS64N32',
  'SCMP_ARCH_MIPSEL',
  'SCMP_ARCH_MIPSEL64',
  'SCMP_ARCH_MIPSEL64N32',
  'SCMP_ARCH_PPC',
  'SCMP_ARCH_PPC64',
  'SCMP_ARCH_PPC64LE',
  'SCMP_ARCH_RISCV64',
  'SCMP_ARCH_S390',
  'SCMP_ARCH_S390X',
  'SCMP_ARCH_SH',
  'SCMP_ARCH_SHEB',
  'SCMP_ARCH_PARISC',
  'SCMP_ARCH_PARISC64',
] as const
export type SeccompArchitecture = (typeof SECCOMP_ARCHITECTURES)[number]

/**
 * Reads a profile; undefined for one without rules and default action, which runc takes for no profile (specconv `SetupSeccomp`).
 *
 * Throws `invalid` for a word, a type or a range that the specification does not have. What it says about several fields together,
 * `compileSeccomp` checks.
 */
export function seccompOf(seccomp: Section): Seccomp | undefined {
  const syscalls = listOf(seccomp, 'syscalls', ruleOf)
  const defaultAction = optionalWord(seccomp, 'defaultAction', SECCOMP_ACTIONS)
  if (defaultAction === undefined && syscalls.length === 0) return undefined
  const { flags } = seccomp.json
  return {
    defaultAction: defaultAction ?? requiredWord(seccomp, 'defaultAction', SECCOMP_ACTIONS),
    defaultErrnoRet: optionalInteger(seccomp, 'defaultErrnoRet', UINT32),
    architectures: wordsOf(seccomp, 'architectures', SECCOMP_ARCHITECTURES),
    flags: flags === undefined || flags === null ? undefined : wordsOf(seccomp, 'flags', SECCOMP_FLAGS),
    listenerPath: optionalString(seccomp, 'listenerPath'),
    listenerMetadata: optionalString(seccomp, 'listenerMetadata'),
    syscalls,
  }
}

function ruleOf(value: unknown, place: Place): SeccompRule {
  const rule = sectionOf(value, place)
  const names = stringsOf(rule, 'names')
  if (names.length === 0) refuse(fieldOf(place, 'names'), 'is empty', 'name at least one system call')
  return {
    names,
    action: requiredWord(rule, 'action', SECCOMP_ACTIONS),
    errnoRet: optionalInteger(rule, 'errnoRet', UINT32),
    args: listOf(rule, 'args', argumentOf),
  }
}

// A system call has six arguments (seccomp(2) `struct seccomp_data`).
const INDEX = { min: 0, max: 5 }

function argumentOf(value: unknown, place: Place): SeccompArgument {
  const argument = sectionOf(value, place)
  return {
    index: requiredInteger(argument, 'index', INDEX),
    value: requiredInteger64(argument, 'value', UINT64),
    valueTwo: optionalInteger64(argument, 'valueTwo', UINT64) ?? 0,
    op: requiredWord(argument, 'op', SECCOMP_OPERATORS),
  }
}
