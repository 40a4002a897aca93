import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import type { Capabilities } from '../oci/process.ts'
import {
  capabilityWarnings,
  hasForGood,
  planBoundingSet,
  planCapabilitySets,
  planLastCapabilities,
} from './capabilities.ts'
import type { Step } from './plan.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const host = { lastCapability: 40 }
const none: Capabilities = { bounding: [], effective: [], permitted: [], inheritable: [], ambient: [] }

test('the bounding set loses all that is not listed, one call each', () => {
  const steps = planBoundingSet({ ...none, bounding: ['CAP_CHOWN', 'CAP_CHECKPOINT_RESTORE'] }, host)
  expect(steps).toHaveLength(39)
  expect(calls(steps.slice(0, 1))).toBe('prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE)')
  expect(steps[0]?.why).toBe('take CAP_DAC_OVERRIDE away for good')
})

test('capabilities that only a newer kernel has are neither dropped nor set, but told of', () => {
  const old = { lastCapability: 37 }
  const wanted = { ...none, bounding: ['CAP_BPF', 'CAP_KILL'], effective: ['CAP_BPF'], permitted: ['CAP_BPF'] }
  expect(planBoundingSet(wanted, old)).toHaveLength(37)
  expect(calls(planCapabilitySets(wanted, old))).toBe(calls(planCapabilitySets(none, old)))
  expect(capabilityWarnings(wanted, old)).toEqual(['CAP_BPF is ignored: this kernel has no such capability'])
})

test('names that no kernel has are ignored with a warning, once', () => {
  const wanted = { ...none, effective: ['CAP_NOPE'], permitted: ['CAP_NOPE'] }
  expect(capabilityWarnings(wanted, host)).toEqual(['CAP_NOPE is ignored: this kernel has no such capability'])
  expect(capabilityWarnings(undefined, host)).toEqual([])
})

test('without a section a process has no capability at all', () => {
  expect(planBoundingSet(undefined, host)).toHaveLength(41)
  const [set] = planCapabilitySets(undefined, host)
  expect(set?.call.args[1]).toEqual(new Uint8Array(24))
})

test('a capability from 32 on is in the second half of the structure', () => {
  const [set] = planCapabilitySets(
    { ...none, effective: ['CAP_KILL', 'CAP_BPF'], permitted: ['CAP_KILL', 'CAP_BPF'] },
    host,
  )
  expect(set?.call.args[1]).toEqual(new Uint8Array(Uint32Array.of(32, 32, 0, 128, 128, 0).buffer))
})

test('the ambient set is raised only where a capability is permitted and inheritable', () => {
  const wanted = {
    ...none,
    permitted: ['CAP_KILL', 'CAP_CHOWN'],
    inheritable: ['CAP_KILL'],
    ambient: ['CAP_KILL', 'CAP_CHOWN'],
  }
  expect(calls(planCapabilitySets(wanted, host).slice(1))).toBe(
    'prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)\nprctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL)',
  )
})

test('where nothing can be ambient, capset alone clears the ambient set', () => {
  expect(planCapabilitySets({ ...none, permitted: ['CAP_KILL'], ambient: ['CAP_KILL'] }, host)).toHaveLength(1)
})

test('what is held for now is in effective and permitted, and gone afterwards', () => {
  const [now] = planCapabilitySets(none, host, ['CAP_SYS_ADMIN'])
  const admin = 1 << 21
  expect(now?.call.args[1]).toEqual(new Uint8Array(Uint32Array.of(admin, admin, 0, 0, 0, 0).buffer))
  const [last] = planLastCapabilities(none, host)
  expect(last?.call.args[1]).toEqual(new Uint8Array(24))
  expect(hasForGood('CAP_SYS_ADMIN', none)).toBe(false)
  expect(hasForGood('CAP_SYS_ADMIN', { ...none, effective: ['CAP_SYS_ADMIN'], permitted: ['CAP_SYS_ADMIN'] })).toBe(
    true,
  )
})
