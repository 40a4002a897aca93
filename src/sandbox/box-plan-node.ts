/** The plan of a box: its first process is coffer's own, and stays. */

import { planContainer } from '../plan/container.ts'
import { layersOf } from '../plan/overlay.ts'
import type { Plan } from '../plan/plan.ts'
import type { Channel } from './channel-node.ts'
import { type Machine, readProgram } from './machine-node.ts'
import type { InstanceRequest, Shape } from './request.ts'

const INIT = 'coffer-init'

export function planBox(
  { request, cgroup }: InstanceRequest,
  { machine, shape }: { readonly machine: Machine; readonly shape: Shape },
  { paths }: Channel,
): Plan {
  const { freezer } = cgroup.paths
  const { config } = request
  return planContainer(
    {
      ...request,
      config: { ...config, process: { ...config.process, args: [INIT], rlimits: [] } },
      // It holds the layer, where changes are looked for: reach.ts.
      ownProgram: { elf: initProgram(), name: INIT, keeps: shape.hasLayer ? [layersOf(0)] : [] },
      supervised: {
        control: paths.control,
        release: paths.release,
        holds: shape.holds,
        accounts: [],
        ...(freezer === undefined ? {} : { freezer: `${freezer}/freezer.state` }),
      },
    },
    machine.host,
  )
}

let program: Uint8Array | undefined

function initProgram(): Uint8Array {
  program ??= readProgram(INIT)
  return program
}
