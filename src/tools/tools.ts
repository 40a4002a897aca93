/** All tools, by the words behind `coffer`. */

import { usage } from '../base/flags.ts'
import { nearest } from '../base/nearest.ts'
import { cgroupGroup } from './cgroup.ts'
import { chrootTool } from './chroot.ts'
import { lsnsTool } from './lsns.ts'
import { netnsGroup } from './netns.ts'
import { nsenterTool } from './nsenter.ts'
import { pivotRootTool } from './pivot-root.ts'
import type { Group, Tool } from './tool.ts'
import { unshareTool } from './unshare.ts'

export const TOOLS: readonly Tool[] = [unshareTool, nsenterTool, chrootTool, pivotRootTool, lsnsTool]
export const GROUPS: readonly Group[] = [netnsGroup, cgroupGroup]

export type Found = { readonly tool: Tool; readonly rest: readonly string[] } | { readonly group: Group }

/** Undefined if the first word names no tool; a group if it is to tell what it has. Throws `invalid` for a second word that it has not. */
export function findTool(words: readonly string[]): Found | undefined {
  const [first = '', second, ...rest] = words
  const tool = TOOLS.find(({ name }) => name === first)
  if (tool !== undefined) return { tool, rest: words.slice(1) }
  const group = GROUPS.find(({ name }) => name === first)
  if (group === undefined) return undefined
  const word = second ?? group.fallback
  if (word === undefined || word === 'help' || word === '--help' || word === '-h') return { group }
  const wanted = `${first} ${group.aliases?.[word] ?? word}`
  const found = group.tools.find(({ name }) => name === wanted)
  if (found !== undefined) return { tool: found, rest }
  const near = nearest(
    word,
    group.tools.map(({ name }) => name.slice(first.length + 1)),
  )
  throw usage(`coffer ${first}`, `it has no command ${word}`, near === undefined ? undefined : `did you mean ${near}?`)
}
