/** What the container's process may do: five sets, of which OCI names each. Source: capabilities(7), oci:runtime-spec/config.md#linux-process */

import {
  allCapabilities,
  type Capability,
  type CapabilityMask,
  capabilityName,
  hasBit,
  intersectMasks,
} from '../linux/capabilities.ts'
import { type CapabilitySets, capset } from '../linux/credentials.ts'
import {
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  prctl,
} from '../linux/process.ts'
import type { Capabilities } from '../oci/process.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'

type CapabilityHost = Pick<Host, 'lastCapability'>

const SEE: readonly Ref[] = ['capabilities(7)']
const SEE_BOUNDING: readonly Ref[] = ['PR_CAPBSET_DROP(2const)', 'capabilities(7)']
const SEE_AMBIENT: readonly Ref[] = ['PR_CAP_AMBIENT(2const)', 'capabilities(7)']

/** Without `process.capabilities` a process has none, as in runc and crun. */
const NONE: Capabilities = { bounding: [], effective: [], inheritable: [], permitted: [], ambient: [] }

const BITS: ReadonlyMap<string, number> = new Map(allCapabilities().map((name, bit) => [name, bit]))

/** As the kernel of this host knows them; others are left out, capabilityWarnings says which. */
function setOf(capabilities: readonly string[], { lastCapability }: CapabilityHost): CapabilityMask {
  let low = 0
  let high = 0
  for (const name of capabilities) {
    const bit = BITS.get(name)
    if (bit === undefined || bit > lastCapability) continue
    if (bit < 32) low |= 1 << bit
    else high |= 1 << (bit - 32)
  }
  return { low: low >>> 0, high: high >>> 0 }
}

/** What is asked for and cannot be, which the specification wants to be a warning and no error. One sentence each. */
export function capabilityWarnings(
  wanted: Capabilities | undefined,
  { lastCapability }: CapabilityHost,
): readonly string[] {
  const names = new Set(Object.values(wanted ?? NONE).flatMap((list: readonly string[]) => list))
  return [...names]
    .filter((name) => (BITS.get(name) ?? Number.POSITIVE_INFINITY) > lastCapability)
    .map((name) => `${name} is ignored: this kernel has no such capability`)
}

/**
 * Takes from the bounding set what `bounding` does not list: a set-user-ID program or a file with capabilities cannot bring it back.
 *
 * It takes CAP_SETPCAP, so it comes before the capabilities of the process itself shrink.
 */
export function planBoundingSet(wanted: Capabilities | undefined, host: CapabilityHost): readonly Step[] {
  const keep = setOf((wanted ?? NONE).bounding, host)
  return DROPS.slice(0, host.lastCapability + 1).filter((_, bit) => !hasBit(keep, bit))
}

const nameOf = (bit: number): string => capabilityName(bit) ?? `capability ${bit}`

/** A step for each bit that a set has room for, made once: a plan has dozens of them. */
const DROPS: readonly Step[] = Array.from({ length: 64 }, (_, bit) => ({
  call: prctl(PR_CAPBSET_DROP, bit),
  why: `take ${nameOf(bit)} away for good`,
  see: SEE_BOUNDING,
}))

/**
 * Sets effective, permitted and inheritable as listed, and `alsoNow` on top of the first two; then the ambient set, which has to be part of
 * permitted and inheritable.
 */
export function planCapabilitySets(
  wanted: Capabilities | undefined,
  host: CapabilityHost,
  alsoNow: readonly Capability[] = [],
): readonly Step[] {
  const capabilities = wanted ?? NONE
  const sets = setsOf(capabilities, host, alsoNow)
  const why =
    alsoNow.length === 0
      ? 'have the capabilities that it is given'
      : `have its capabilities, and ${alsoNow.join(', ')} for now`
  return [
    { call: capset(sets), why, see: ['capset(2)', 'capabilities(7)'] },
    ...planAmbientSet(capabilities, sets, host),
  ]
}

function setsOf(capabilities: Capabilities, host: CapabilityHost, alsoNow: readonly Capability[]): CapabilitySets {
  return {
    effective: setOf([...capabilities.effective, ...alsoNow], host),
    permitted: setOf([...capabilities.permitted, ...alsoNow], host),
    inheritable: setOf(capabilities.inheritable, host),
  }
}

/**
 * Only what is both permitted and inheritable can be ambient, and capset has taken the rest away. What is listed beyond that is passed over, as
 * runc does: its own `spec` lists ambient capabilities and no inheritable ones.
 */
function planAmbientSet(capabilities: Capabilities, sets: CapabilitySets, host: CapabilityHost): readonly Step[] {
  const possible = intersectMasks(sets.permitted, sets.inheritable)
  if (possible.low === 0 && possible.high === 0) return []
  const wanted = intersectMasks(setOf(capabilities.ambient, host), possible)
  return [CLEAR_AMBIENT, ...RAISES.filter((_, bit) => hasBit(wanted, bit))]
}

const CLEAR_AMBIENT: Step = {
  call: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL),
  why: 'drop the ambient capabilities of the caller',
  see: SEE_AMBIENT,
}

const RAISES: readonly Step[] = DROPS.map((_, bit) => ({
  call: prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, bit),
  why: `keep ${nameOf(bit)} across execve`,
  see: SEE_AMBIENT,
}))

/** Whether both sets hold a capability without `alsoNow`, so that taking it away again is no step at all. */
export function hasForGood(capability: Capability, wanted: Capabilities | undefined): boolean {
  const { effective, permitted } = wanted ?? NONE
  return effective.includes(capability) && permitted.includes(capability)
}

/** Takes `alsoNow` of planCapabilitySets away again. Dropping what one has needs no capability, so a filter may be in force by now. */
export const planLastCapabilities = (wanted: Capabilities | undefined, host: CapabilityHost): readonly Step[] => [
  { call: capset(setsOf(wanted ?? NONE, host, [])), why: 'have no more capabilities than it is given', see: SEE },
]
