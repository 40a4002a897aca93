/** What can be enforced, by name: the words of `requires`, `enforced` and `probe()`. */

import { placeFor, placesOf } from '../plan/cgroup-place.ts'
import type { Host } from '../plan/host.ts'
import type { ExactLimits, LimitName } from './limits.ts'
import { allowedHosts, type Network } from './network.ts'

export type Feature =
  | 'namespaces'
  | 'seccomp'
  | 'no-new-privileges'
  | 'no-capabilities'
  | 'user-namespace'
  | 'network'
  | 'hosts'
  | 'devices'
  /** Files, and TCP, as far as Landlock reaches. */
  | 'landlock'
  /** No signal reaches a process outside. */
  | 'signals'
  /** Modes, owners, times and extended attributes of files stay as they are. */
  | 'attributes'
  | LimitName

/** Something that was asked for, or is so by default, and does not hold for all processes together. */
export interface Shortfall {
  readonly feature: Feature
  /** What holds in its place; undefined for nothing. */
  readonly instead: string | undefined
}

/** Limits that are no part of `enforced`. */
export const unenforced = (limits: ExactLimits, enforced: readonly Feature[]): readonly Shortfall[] =>
  (Object.keys(limits) as readonly LimitName[])
    .filter((name) => limits[name] !== undefined && !enforced.includes(name))
    .map((feature) => ({ feature, instead: undefined }))

/** The controller of cgroups by whose files a limit is set. */
export const CONTROLLERS: readonly (readonly [LimitName, string])[] = [
  ['memory', 'memory'],
  ['swap', 'memory'],
  ['pids', 'pids'],
  ['cpus', 'cpu'],
]

/** Whether a cgroup of the caller can have limits of this controller. */
export function hasController(host: Host, controller: string): boolean {
  const { cgroup: layout, isRootless } = host
  return placeFor(controller, placesOf({ id: 'probe', layout, isRootless }), layout) !== undefined
}

export interface Asked {
  readonly limits: ExactLimits
  readonly network: Network
  /** Whether what is written is kept apart: what goes to a directory itself is counted by nobody. */
  readonly hasLayer: boolean
}

/** What a container of this machine has, in the words of the caller. */
export function featuresOf(host: Host, { limits, network, hasLayer }: Asked): readonly Feature[] {
  const unless = (name: LimitName): boolean => limits[name] !== undefined
  const byCgroup = CONTROLLERS.filter(([name, controller]) => unless(name) && hasController(host, controller))
  const others = (['wallClockMs', 'cpuTimeMs', 'outputBytes', 'diskBytes', 'openFiles'] as const)
    .filter(unless)
    .filter((name) => name !== 'diskBytes' || hasLayer)
  return [
    'namespaces',
    'seccomp',
    'no-new-privileges',
    'no-capabilities',
    ...(host.isRootless ? (['user-namespace'] as const) : (['devices'] as const)),
    ...(network === 'host' ? [] : (['network'] as const)),
    ...(allowedHosts(network) !== undefined ? (['hosts'] as const) : []),
    ...byCgroup.map(([name]) => name),
    ...others,
  ]
}
