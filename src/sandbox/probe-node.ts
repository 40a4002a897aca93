/** What this machine can enforce for this caller, and how to mend what it cannot. Nothing is run. */

import { readObstacles } from '../observe/obstacles.ts'
import { CONTROLLERS, type Feature, featuresOf, hasController } from './features.ts'
import { askKernel, type Kernel } from './kernel-node.ts'
import { missingForLandlock } from './landlock-features.ts'
import { DEFAULT_LIMITS } from './limits.ts'
import { programPath, theMachine } from './machine-node.ts'

export interface Probe {
  /** Whether a container can be made at all. */
  readonly isUsable: boolean
  /** `root`, or `rootless` where a user namespace has to give what is needed. */
  readonly privilege: 'root' | 'rootless'
  readonly cgroups: 'v1' | 'v2' | 'hybrid' | 'none'
  /** What a container with all options would have enforced. */
  readonly enforces: readonly Feature[]
  readonly problems: readonly Problem[]
  /** The last step down, where there are no namespaces and the caller accepts it: `accept: 'landlock'`. */
  readonly landlock: {
    /** The version of its interface; 0 without Landlock. */
    readonly abi: number
    readonly isUsable: boolean
    /** Why it is not. */
    readonly reason?: string | undefined
  }
}

export interface Problem {
  /** What is missing for it. */
  readonly feature: Feature
  readonly reason: string
  /** An action; absent where none is known. */
  readonly hint?: string | undefined
}

/** Throws `unsupported` where there is no Linux. */
export function probe(): Probe {
  const machine = theMachine()
  const { host } = machine
  programPath('coffer-executor')
  const kernel = askKernel(machine)
  const reason = missingForLandlock(kernel)
  const limits = { ...DEFAULT_LIMITS, cpus: 1 }
  const problems = [...limitProblems(), ...kernelProblems(host.isRootless, kernel)]
  const missing = new Set(problems.map(({ feature }) => feature))
  return {
    isUsable: !missing.has('namespaces') && !missing.has('seccomp'),
    privilege: host.isRootless ? 'rootless' : 'root',
    cgroups: host.cgroup.mode,
    enforces: featuresOf(host, { limits, network: { allow: [] }, hasLayer: true }).filter(
      (feature) => !missing.has(feature),
    ),
    problems,
    landlock: { abi: kernel.landlockAbi, isUsable: reason === undefined, reason },
  }
}

function limitProblems(): readonly Problem[] {
  const { host } = theMachine()
  return CONTROLLERS.filter(([, controller]) => !hasController(host, controller)).map(([feature, controller]) => ({
    feature,
    reason: host.isRootless
      ? `the cgroup of this process is not its user's to divide, so there is none with the ${controller} controller`
      : `no cgroup hierarchy with the ${controller} controller is mounted and writable`,
    hint: host.isRootless
      ? 'systemd-run --user --scope -p Delegate=yes PROGRAM, on a machine with cgroup v2'
      : 'mount -t cgroup2 none /sys/fs/cgroup',
  }))
}

function kernelProblems(isRootless: boolean, { makesNamespaces }: Kernel): readonly Problem[] {
  const obstacles = readObstacles(theMachine().files, isRootless)
  if (!isRootless || makesNamespaces || obstacles.some(({ feature }) => feature === 'namespaces')) return obstacles
  return [...obstacles, { feature: 'namespaces', reason: 'the kernel refuses this process a user namespace' }]
}
