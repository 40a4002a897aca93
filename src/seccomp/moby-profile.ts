/**
 * A profile in the form that docker's `--security-opt seccomp=FILE` takes: that of linux.seccomp, with rules that hold only on some machines
 * and with some capabilities. What it is beyond that, oci/seccomp.ts reads and refuses.
 *
 * Source: github.com/moby/profiles seccomp/seccomp.go
 */

import type { MobyDefault } from './moby-default.ts'

type Section = Readonly<Record<string, unknown>>

/** `document` is JSON. Answers what linux.seccomp may be. */
export function mobyProfile(document: object, target: MobyDefault): object {
  const { archMap, syscalls, ...rest } = document as Section
  return {
    ...rest,
    ...(archMap === undefined ? {} : { architectures: architecturesOf(listOf(archMap), target) }),
    syscalls: listOf(syscalls).flatMap((rule) => ruleOf(rule, target)),
  }
}

const isSection = (value: unknown): value is Section =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const listOf = (value: unknown): readonly Section[] => (Array.isArray(value) ? value.filter(isSection) : [])
const wordsOf = (value: unknown): readonly string[] =>
  Array.isArray(value) ? value.filter((one): one is string => typeof one === 'string') : []

function architecturesOf(map: readonly Section[], { nativeArchitecture }: MobyDefault): readonly string[] {
  const own = map.find(({ architecture }) => architecture === nativeArchitecture)
  return own === undefined ? [nativeArchitecture] : [nativeArchitecture, ...wordsOf(own.subArchitectures)]
}

/** `name` is what the names of old profiles were. */
function ruleOf({ includes, excludes, comment: _, name, ...rule }: Section, target: MobyDefault): readonly object[] {
  if (isSection(includes) && !holds(includes, target, 'all')) return []
  if (isSection(excludes) && holds(excludes, target, 'any')) return []
  return [{ ...rule, names: [...wordsOf(rule.names), ...(typeof name === 'string' ? [name] : [])] }]
}

/** `includes` wants all of what it names, `excludes` one of it. */
function holds(
  condition: Section,
  { kernel, capabilities, nativeArchitecture }: MobyDefault,
  mode: 'all' | 'any',
): boolean {
  const arches = wordsOf(condition.arches)
  const caps = wordsOf(condition.caps)
  const has = (cap: string): boolean => (capabilities as readonly string[]).includes(cap)
  const [, major, minor] =
    typeof condition.minKernel === 'string' ? (/^(\d+)\.(\d+)$/.exec(condition.minKernel) ?? []) : []
  const answers = [
    ...(arches.length === 0 ? [] : [arches.includes(GO_NAMES[nativeArchitecture] ?? '')]),
    ...caps.map(has),
    ...(major === undefined
      ? []
      : [kernel.major > Number(major) || (kernel.major === Number(major) && kernel.minor >= Number(minor))]),
  ]
  return mode === 'all' ? answers.every(Boolean) : answers.some(Boolean)
}

/** What Go calls the machines. */
const GO_NAMES: Readonly<Record<string, string>> = { SCMP_ARCH_X86_64: 'amd64', SCMP_ARCH_AARCH64: 'arm64' }
