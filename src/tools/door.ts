/** The door to the tools. */

import { describeError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { writeText } from '../executor/embedded-files.ts'
import { groupHelp } from './help.ts'
import { runTool } from './run.ts'
import type { ContainerNames, KeepFailure } from './tool.ts'
import { type Found, findTool } from './tools.ts'

const STDOUT = 1
const STDERR = 2
/** Of a second word that there is not. */
const FAILURE = 1

/** Answers the exit status; undefined if the first word is no tool. */
export function toolsDoor(
  native: Native,
  words: readonly string[],
  names: ContainerNames,
  keep: KeepFailure,
): number | undefined {
  let found: Found | undefined
  try {
    found = findTool(words)
  } catch (error) {
    writeText(native, STDERR, `error: ${describeError(error)}\n`)
    keep(words[0] ?? '', FAILURE, error)
    return FAILURE
  }
  if (found === undefined) return undefined
  if ('tool' in found) return runTool(native, found.tool, found.rest, { names, keep })
  writeText(native, STDOUT, groupHelp(found.group, found.group.tools))
  return 0
}
