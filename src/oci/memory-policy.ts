/** Which memory nodes a container's process allocates from: set_mempolicy(2). */

import { optionalSection, requiredWord, type Section, wordsOf } from '../base/field.ts'
import { fieldOf, refuse } from '../base/place.ts'
import { type NumberRange, numberRangesOf } from './list-format.ts'

const MODES = [
  'MPOL_DEFAULT',
  'MPOL_BIND',
  'MPOL_INTERLEAVE',
  'MPOL_WEIGHTED_INTERLEAVE',
  'MPOL_PREFERRED',
  'MPOL_PREFERRED_MANY',
  'MPOL_LOCAL',
] as const
export type MemoryPolicyMode = (typeof MODES)[number]

const FLAGS = ['MPOL_F_NUMA_BALANCING', 'MPOL_F_RELATIVE_NODES', 'MPOL_F_STATIC_NODES'] as const
export type MemoryPolicyFlag = (typeof FLAGS)[number]

export interface MemoryPolicy {
  readonly mode: MemoryPolicyMode
  readonly nodes: readonly NumberRange[]
  readonly flags: readonly MemoryPolicyFlag[]
}

/** Throws `invalid` for what mm/mempolicy.c of any kernel refuses. Source: oci:runtime-spec/config-linux.md#memory-policy */
export function memoryPolicyOf(linux: Section): MemoryPolicy | undefined {
  const section = optionalSection(linux, 'memoryPolicy')
  if (section === undefined) return undefined
  const mode = requiredWord(section, 'mode', MODES)
  const nodes = numberRangesOf(section, 'nodes') ?? []
  const flags = wordsOf(section, 'flags', FLAGS)
  checkNodes(section, mode, nodes.length > 0)
  if (flags.includes('MPOL_F_STATIC_NODES') && flags.includes('MPOL_F_RELATIVE_NODES')) {
    refuse(fieldOf(section.place, 'flags'), 'has both MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES', 'choose one')
  }
  return { mode, nodes, flags }
}

function checkNodes(section: Section, mode: MemoryPolicyMode, hasNodes: boolean): void {
  const place = fieldOf(section.place, 'nodes')
  switch (mode) {
    case 'MPOL_DEFAULT':
    case 'MPOL_LOCAL':
      if (hasNodes) refuse(place, `is not empty, and ${mode} has no nodes`, 'leave it out')
      return
    case 'MPOL_PREFERRED':
      return
    case 'MPOL_BIND':
    case 'MPOL_INTERLEAVE':
    case 'MPOL_WEIGHTED_INTERLEAVE':
    case 'MPOL_PREFERRED_MANY':
      if (!hasNodes) refuse(place, `is missing, and ${mode} needs a node`, 'write it like 0-1')
  }
}
