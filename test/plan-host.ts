/** A machine for tests of planners: nothing is on it but what a test says. */

import type { Host } from '../src/plan/host.ts'

export const planHost = (change: Partial<Host> = {}): Host => ({
  architecture: 'x86_64',
  kernel: { major: 6, minor: 1 },
  hostUid: 0,
  hostGid: 0,
  isRootless: false,
  canMapIds: true,
  canRaiseLimits: true,
  lastCapability: 40,
  cgroup: { mode: 'none', hierarchies: [], unmounted: [], available: [], enabled: [] },
  kindOf: () => 'absent',
  ...change,
})
