/**
 * Which devices a container may use: the rules of the configuration, then those that every container has.
 *
 * Rules apply in order, and the last one that covers a device and an access decides. cgroup v2 runs them as a program
 * (cgroup-device-program.ts). cgroup v1 keeps a default and a set of exceptions, into which most lists of rules can be turned.
 *
 * Sources: oci:runtime-spec/config-linux.md#allowed-device-list, kernel:admin-guide/cgroup-v1/devices.rst
 */

import type { DeviceRule } from '../oci/devices.ts'
import { refuseLimit } from './cgroup-files.ts'

export interface DevicePolicy {
  /** What holds for a device that no rule covers. */
  readonly allowsByDefault: boolean
  /** Those of the configuration, as far as they matter; later ones win. */
  readonly rules: readonly DeviceException[]
  /** Behind the rules come those of every container, which `withUsual` adds. */
  readonly hasUsual: boolean
}

/** A rule for one type of device; an undefined number is every one. `access` is made of `r`, `w` and `m`. */
export interface DeviceException {
  readonly allow: boolean
  readonly type: 'b' | 'c'
  readonly major?: number | undefined
  readonly minor?: number | undefined
  readonly access: string
}

/**
 * Allowed in every container, as runc 1.1 to 1.4 do; a device node that a container makes is of no use by itself.
 *
 * 10:200 is /dev/net/tun. runc 1.2.0 took it out and 1.2.4 put it back, as engines have no good way to allow it
 * (opencontainers/runc#3468, #4555). Who does not need it shall deny it, says runc: so a rule that names one of these devices, and nothing
 * wider, decides about it. `coffer run` has such a rule for tun (SECURITY-CHECKS S92).
 */
const USUAL =
  'c *:* m,b *:* m,c 1:3 rwm,c 1:5 rwm,c 1:7 rwm,c 1:8 rwm,c 1:9 rwm,c 5:0 rwm,c 5:2 rwm,c 10:200 rwm,c 136:* rwm'
const EVERYTHING = 'rwm'

/** Devices are denied unless a rule allows them. */
export function devicePolicy(rules: readonly DeviceRule[]): DevicePolicy {
  let allowsByDefault = false
  let kept: DeviceException[] = []
  for (const { allow, type, major, minor, access } of rules) {
    if (type !== 'a') kept.push({ allow, type, major, minor, access })
    else if (access.length < EVERYTHING.length) kept.push({ allow, type: 'c', access }, { allow, type: 'b', access })
    else {
      // Covers all that there is, so what stood before it does not matter.
      allowsByDefault = allow
      kept = []
    }
  }
  return { allowsByDefault, rules: kept, hasUsual: !allowsByDefault || kept.length > 0 }
}

/** All rules of the policy. */
export const withUsual = (policy: DevicePolicy): readonly DeviceException[] => [
  ...policy.rules,
  ...usualOf(policy).map(usualRule),
]

function usualOf({ rules, hasUsual }: DevicePolicy): readonly string[] {
  if (!hasUsual) return []
  const denied = rules.filter(({ allow, access }) => !allow && access.length === EVERYTHING.length).map(keyOf)
  return USUAL.split(',').filter((line) => !denied.some((key) => line.startsWith(`${key} `) && !key.includes('*')))
}

function usualRule(line: string): DeviceException {
  const [type, numbers = '', access = ''] = line.split(' ')
  const [major, minor] = numbers.split(':')
  return { allow: true, type: type === 'b' ? 'b' : 'c', major: numberOf(major), minor: numberOf(minor), access }
}

const numberOf = (text: string | undefined): number | undefined => (text === '*' ? undefined : Number(text))

/**
 * The lines that make v1 follow the policy, starting from its default: for devices.allow if devices are denied by default, else for
 * devices.deny. `a` is not among them.
 *
 * An exception covers all its devices: v1 cannot take one of them out again. Such a policy throws `unsupported`.
 */
export function exceptionsInV1(policy: DevicePolicy): readonly string[] {
  const { allowsByDefault, rules } = policy
  // Most containers: there is nothing to merge.
  if (!allowsByDefault && rules.every(({ allow }) => !allow)) return usualOf(policy)
  const exceptions = new Map<string, DeviceException>()
  for (const rule of withUsual(policy)) {
    if (rule.allow === allowsByDefault) takeBack(rule, exceptions)
    else {
      const key = keyOf(rule)
      const access = union(exceptions.get(key)?.access ?? '', rule.access)
      exceptions.set(key, { ...rule, access })
    }
  }
  return [...exceptions].map(([key, { access }]) => `${key} ${access}`)
}

function takeBack(rule: DeviceException, exceptions: Map<string, DeviceException>): void {
  for (const [key, exception] of exceptions) {
    if (covers(rule, exception)) {
      const access = [...exception.access].filter((letter) => !rule.access.includes(letter)).join('')
      if (access === '') exceptions.delete(key)
      else exceptions.set(key, { ...exception, access })
    } else if (overlaps(rule, exception)) {
      refuseLimit(
        'unsupported',
        'devices',
        `cgroup v1 cannot ${rule.allow ? 'allow' : 'deny'} ${keyOf(rule)} ${rule.access} within ${key} ${exception.access}`,
        'list the devices one by one, or use cgroup v2',
      )
    }
  }
}

const keyOf = ({ type, major, minor }: DeviceException): string => `${type} ${major ?? '*'}:${minor ?? '*'}`

const union = (one: string, other: string): string =>
  [...EVERYTHING].filter((letter) => one.includes(letter) || other.includes(letter)).join('')

const covers = (rule: DeviceException, other: DeviceException): boolean =>
  rule.type === other.type &&
  (rule.major === undefined || rule.major === other.major) &&
  (rule.minor === undefined || rule.minor === other.minor)

const overlaps = (rule: DeviceException, other: DeviceException): boolean =>
  rule.type === other.type &&
  (rule.major === undefined || other.major === undefined || rule.major === other.major) &&
  (rule.minor === undefined || other.minor === undefined || rule.minor === other.minor) &&
  [...rule.access].some((letter) => other.access.includes(letter))
