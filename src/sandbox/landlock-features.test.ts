import { describe, expect, test } from 'bun:test'
import type { Kernel } from './kernel-node.ts'
import { acceptedOf, confinementOf, missingForLandlock } from './landlock-features.ts'
import { exactLimits } from './limits.ts'
import type { RunOptions } from './options.ts'

const KERNEL: Kernel = { landlockAbi: 7, makesNamespaces: false, signalsGroups: true }

const confine = (options: Partial<RunOptions>, kernel: Partial<Kernel> = {}) => {
  const all = { root: 'host', accept: 'landlock', ...options } as const
  return confinementOf({
    options: all,
    limits: exactLimits(all.limits),
    accepted: acceptedOf(all.accept) ?? new Set(),
    kernel: { ...KERNEL, ...kernel },
  })
}
const refusal = (options: Partial<RunOptions>, kernel: Partial<Kernel> = {}): string => {
  try {
    confine(options, kernel)
  } catch (error) {
    return String(error)
  }
  return 'not refused'
}

describe('Landlock', () => {
  test('is not used by whom it is not accepted', () => {
    expect([acceptedOf(undefined), acceptedOf('memory'), acceptedOf([])]).toEqual([undefined, undefined, undefined])
    expect(() => acceptedOf('all' as 'landlock')).toThrow('accept has "all" in it')
  })

  test('takes a kernel on which a session can be ended', () => {
    expect(missingForLandlock(KERNEL)).toBeUndefined()
    expect(missingForLandlock({ ...KERNEL, signalsGroups: false })).toContain('6.9')
    expect(missingForLandlock({ ...KERNEL, landlockAbi: 0 })).toContain('no Landlock')
  })

  test('a limit that is given and weaker has to be accepted by its name, a default has not', () => {
    expect(confine({}).shortfalls.map(({ feature }) => feature)).toEqual([
      'namespaces',
      'memory',
      'swap',
      'pids',
      'cpuTimeMs',
      'diskBytes',
    ])
    for (const name of ['memory', 'swap', 'pids', 'cpus', 'cpuTimeMs', 'diskBytes'] as const) {
      const limits = { [name]: 1 << 20 }
      expect(refusal({ limits })).toContain(`cannot enforce ${name} under Landlock`)
      expect(refusal({ limits, accept: ['landlock', name] })).toBe('not refused')
    }
    expect(refusal({ limits: { wallClockMs: 1, outputBytes: 1, openFiles: 3, memory: 'unlimited' } })).toBe(
      'not refused',
    )
  })

  test('what it enforces is told, and nothing else can be required', () => {
    const { enforced } = confine({})
    expect(enforced).toContain('signals')
    expect(enforced).toContain('network')
    expect(enforced).not.toContain('namespaces')
    expect(refusal({ requires: ['network', 'landlock'] })).toBe('not refused')
    expect(refusal({ requires: ['memory'] })).toContain('cannot enforce memory')
    expect(confine({ network: 'host' }).enforced).not.toContain('network')
  })

  test('an older kernel has signals go out, which has to be accepted', () => {
    expect(refusal({}, { landlockAbi: 5 })).toContain('cannot enforce signals')
    const { enforced, shortfalls } = confine({ accept: ['landlock', 'signals'] }, { landlockAbi: 5 })
    expect(enforced).not.toContain('signals')
    expect(shortfalls).toContainEqual({ feature: 'signals', instead: undefined })
  })

  test('options that are about namespaces are refused by name', () => {
    for (const [name, options] of Object.entries({
      root: { root: { directory: '/' } },
      user: { user: 1 },
      hostname: { hostname: 'x' },
      network: { network: { allow: ['example.com:443'] } },
      denials: { denials: true },
    } as const))
      expect(refusal(options)).toContain(`cannot serve the option ${name} under Landlock`)
  })
})
