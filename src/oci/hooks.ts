/** Programs of the host, or of the container, that run at the six turns of a container's life. */

import { listOf, optionalSection, requiredPath, type Section, sectionOf, stringsOf } from '../base/field.ts'
import { optionalInteger, type Range } from '../base/integer.ts'
import type { Place } from '../base/place.ts'

export interface Hook {
  readonly path: string
  /** The whole argv, its first item included; empty means `path` alone. */
  readonly args: readonly string[]
  readonly env: readonly string[]
  /** Seconds; undefined waits for ever. */
  readonly timeout?: number | undefined
}

/**
 * | hook              | runs in namespaces of | when                                                  |
 * |-------------------|-----------------------|-------------------------------------------------------|
 * | `prestart`        | runtime               | create, namespaces made; deprecated for the next one  |
 * | `createRuntime`   | runtime               | create, namespaces made, before pivot_root            |
 * | `createContainer` | container             | create, before pivot_root                             |
 * | `startContainer`  | container             | start, before the process of the user                 |
 * | `poststart`       | runtime               | start, after it                                       |
 * | `poststop`        | runtime               | delete                                                |
 */
export interface Hooks {
  readonly prestart: readonly Hook[]
  readonly createRuntime: readonly Hook[]
  readonly createContainer: readonly Hook[]
  readonly startContainer: readonly Hook[]
  readonly poststart: readonly Hook[]
  readonly poststop: readonly Hook[]
}

export const HOOK_NAMES = [
  'prestart',
  'createRuntime',
  'createContainer',
  'startContainer',
  'poststart',
  'poststop',
] as const

/** Source: oci:runtime-spec/config.md#posix-platform-hooks */
export function hooksOf(config: Section): Hooks {
  const section = optionalSection(config, 'hooks') ?? { json: {}, place: config.place }
  return {
    prestart: listOf(section, 'prestart', parseHook),
    createRuntime: listOf(section, 'createRuntime', parseHook),
    createContainer: listOf(section, 'createContainer', parseHook),
    startContainer: listOf(section, 'startContainer', parseHook),
    poststart: listOf(section, 'poststart', parseHook),
    poststop: listOf(section, 'poststop', parseHook),
  }
}

// A day and more is no time-out; the bound keeps it in 31 bits of milliseconds.
const TIMEOUT_SECONDS: Range = { min: 1, max: 2_000_000 }

function parseHook(value: unknown, place: Place): Hook {
  const section = sectionOf(value, place)
  return {
    path: requiredPath(section, 'path'),
    args: stringsOf(section, 'args'),
    env: stringsOf(section, 'env'),
    timeout: optionalInteger(section, 'timeout', TIMEOUT_SECONDS),
  }
}
