/** Patterns of `--filter`. */

import { usage } from '../base/flags.ts'

/** Of Go, where most patterns that people write mean the same. Throws `invalid`. */
export function patternOf(command: string, text: string): RegExp {
  try {
    return new RegExp(text)
  } catch (error) {
    if (error instanceof SyntaxError) throw usage(command, `"${text}" is no regular expression`)
    throw error
  }
}
