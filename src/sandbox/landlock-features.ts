/** What Landlock, a filter and limits of processes enforce of what a container enforces, and what has to be accepted for that. Pure. */

import { OperationError } from '../base/errors.ts'
import type { Feature, Shortfall } from './features.ts'
import type { Kernel } from './kernel-node.ts'
import type { ExactLimits } from './limits.ts'
import { type Acceptable, type BoxOptions, invalid, type RunOptions, type WeakLimit } from './options.ts'

const WEAK: Readonly<Record<WeakLimit, string | undefined>> = {
  memory: 'RLIMIT_DATA: private memory of each process, and not what it shares or keeps in files',
  swap: undefined,
  pids: 'RLIMIT_NPROC: processes of this user, those that run already left out',
  cpus: undefined,
  cpuTimeMs: 'RLIMIT_CPU: that of each process',
  diskBytes: 'RLIMIT_FSIZE: that of each file',
}

const NAMESPACES =
  'Landlock: files that it may not reach are seen by name, and processes of others by their command lines'

const ACCEPTABLE: readonly Acceptable[] = ['landlock', 'signals', 'attributes', ...(Object.keys(WEAK) as WeakLimit[])]

/** Undefined if Landlock alone is not accepted. Throws `invalid` for words that are none. */
export function acceptedOf(accept: BoxOptions['accept']): ReadonlySet<Acceptable> | undefined {
  if (accept === undefined) return undefined
  const words: readonly string[] = typeof accept === 'string' ? [accept] : accept
  const unknown = words.find((word) => !(ACCEPTABLE as readonly string[]).includes(word))
  if (unknown !== undefined)
    throw invalid(`accept has ${JSON.stringify(unknown)} in it`, `it may have: ${ACCEPTABLE.join(', ')}`)
  const accepted = new Set(words as readonly Acceptable[])
  return accepted.has('landlock') ? accepted : undefined
}

/** The least that the rung is built on: TCP, and that all of a session can be killed. Undefined if this kernel has it. */
export function missingForLandlock({ landlockAbi, signalsGroups }: Kernel): string | undefined {
  if (landlockAbi === 0) return 'this kernel has no Landlock, or was started without it'
  if (landlockAbi < 4 || !signalsGroups)
    return `it takes Linux 6.9, and this one has version ${landlockAbi} of Landlock`
  return undefined
}

const FIRST_WITH_SCOPES = 6

export interface Confinement {
  readonly enforced: readonly Feature[]
  readonly shortfalls: readonly Shortfall[]
}

export interface Asked {
  readonly options: RunOptions
  readonly limits: ExactLimits
  readonly accepted: ReadonlySet<Acceptable>
  readonly kernel: Kernel
}

/** Throws `unsupported`, naming the option, for what this rung cannot enforce and nobody accepted. */
export function confinementOf(asked: Asked): Confinement {
  const { options, limits, accepted, kernel } = asked
  refuseOptions(options)
  const shortfalls = shortfallsOf(asked)
  const given = (name: WeakLimit): boolean =>
    options.limits?.[name] !== undefined && options.limits[name] !== 'unlimited'
  for (const { feature, instead } of shortfalls) {
    if (feature === 'signals' && !accepted.has('signals')) throw tooWeak('signals', 'version 6 of Landlock, Linux 6.12')
    if (isWeak(feature) && given(feature) && !accepted.has(feature)) throw tooWeak(feature, 'a cgroup', instead)
  }
  const whole = (['wallClockMs', 'outputBytes', 'openFiles'] as const).filter((name) => limits[name] !== undefined)
  const enforced: readonly Feature[] = [
    'landlock',
    'seccomp',
    'no-new-privileges',
    'no-capabilities',
    ...((options.network ?? 'none') === 'none' ? (['network'] as const) : []),
    ...(kernel.landlockAbi >= FIRST_WITH_SCOPES ? (['signals'] as const) : []),
    ...(accepted.has('attributes') ? [] : (['attributes'] as const)),
    ...whole,
  ]
  const missing = options.requires?.find((feature) => !enforced.includes(feature))
  if (missing !== undefined) throw tooWeak(missing, 'namespaces or a cgroup')
  return { enforced, shortfalls }
}

const isWeak = (feature: Feature): feature is WeakLimit => Object.hasOwn(WEAK, feature)

function shortfallsOf({ limits, accepted, kernel }: Asked): readonly Shortfall[] {
  const weak = (Object.keys(WEAK) as WeakLimit[]).filter((name) => limits[name] !== undefined)
  return [
    { feature: 'namespaces', instead: NAMESPACES },
    ...(kernel.landlockAbi >= FIRST_WITH_SCOPES ? [] : [{ feature: 'signals', instead: undefined } as const]),
    ...(accepted.has('attributes') ? [{ feature: 'attributes', instead: undefined } as const] : []),
    ...weak.map((feature) => ({ feature, instead: WEAK[feature] })),
  ]
}

function tooWeak(feature: Feature, takes: string, instead?: string): OperationError {
  const accepting = instead === undefined ? '' : `; it has instead ${instead}`
  return new OperationError({
    kind: 'unsupported',
    operation: `enforce ${feature} under Landlock`,
    reason: `it takes ${takes}${accepting}`,
    hint: (ACCEPTABLE as readonly string[]).includes(feature)
      ? `accept: ['landlock', '${feature}'] runs it all the same`
      : `leave ${feature} out of requires`,
  })
}

/** Options that are about namespaces. */
function refuseOptions({ root, user, hostname, network, denials }: RunOptions): void {
  const rows: readonly (readonly [name: string, isGiven: boolean, reason: string])[] = [
    ['root', root !== 'host', "without a mount namespace there is only this machine's root"],
    ['user', user !== undefined, 'without privilege nobody becomes another user'],
    ['hostname', hostname !== undefined, 'the name of the machine is that of all'],
    ['network', network !== undefined && network !== 'none' && network !== 'host', 'it takes a network namespace'],
    ['denials', denials === true, 'nobody without privilege may look into the process that asks'],
  ]
  const [name, , reason] = rows.find(([, isGiven]) => isGiven) ?? []
  if (name === undefined || reason === undefined) return
  throw new OperationError({
    kind: 'unsupported',
    operation: `serve the option ${name} under Landlock`,
    reason,
    hint: name === 'root' ? "use 'host'" : `leave ${name} out`,
  })
}
