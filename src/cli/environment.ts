/** The caller's environment by name. */

import type { Native } from '../base/native.ts'

export const environment = (native: Native): ReadonlyMap<string, string> =>
  new Map(
    native.env.flatMap((entry): readonly (readonly [string, string])[] => {
      const equals = entry.indexOf('=')
      return equals < 1 ? [] : [[entry.slice(0, equals), entry.slice(equals + 1)]]
    }),
  )
