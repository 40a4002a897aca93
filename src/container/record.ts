/** `state.json`: what coffer remembers of a container; everything that taking it back needs, written before anything is made. */

import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import type { CgroupDirectories } from '../plan/cgroup-place.ts'

export interface StateRecord {
  readonly version: 1
  readonly ociVersion: string
  readonly id: string
  /** Absolute. */
  readonly bundle: string
  readonly rootfs: string
  /** RFC 3339. */
  readonly created: string
  /** The name of the user who made it, or the uid in decimal. */
  readonly owner: string
  readonly annotations: Readonly<Record<string, string>>
  /** In a pid namespace of its own, in which all end with the first process. */
  readonly hasOwnPids: boolean
  /** The kinds of hooks that its configuration has. Undefined where an earlier coffer wrote it: then the configuration tells. */
  readonly hooks?: readonly string[]
  /** Removed with the container. */
  readonly cgroup: CgroupDirectories
  /** The configuration as it was given. */
  readonly config: unknown
}

/** What is known when the plan is made. */
export type RecordFacts = Omit<StateRecord, 'config' | 'created'>

/** Of all that is planned for a cgroup, what is remembered. */
export const recordedDirectories = ({ paths, unmounted, parents }: CgroupDirectories): CgroupDirectories => ({
  paths,
  ...(unmounted === undefined ? {} : { unmounted }),
  ...(parents === undefined ? {} : { parents }),
})

/** The configuration goes in as the text it came as: parsing and printing it again would cost time and could lose digits. */
export function printRecord(record: Omit<StateRecord, 'config'>, configText: string): string {
  const head = JSON.stringify(record)
  return `${head.slice(0, -1)},"config":${configText}}`
}

/**
 * Throws `bug`-like `invalid` if the file is not what printRecord wrote: a half-written one after a full disk, or a foreign one.
 *
 * The configuration, which is most of the text, is parsed when somebody asks for it: 0.2 ms for each container of a list otherwise.
 */
export const parseRecord = (text: string, path: string): StateRecord =>
  parseBeginning(text.endsWith('}}') ? text : '', () => text, path)

/** The same of a file that is known to be whole, from its beginning: `readWhole` is asked if that is not enough. */
export function parseBeginning(text: string, readWhole: () => string | undefined, path: string): StateRecord {
  const head = headOf(text)
  const parse = (): StateRecord => parseWhole(readWhole() ?? '', path)
  if (head === undefined) return parse()
  let whole: StateRecord | undefined
  return {
    ...head,
    get config() {
      whole ??= parse()
      return whole.config
    },
  }
}

const CONFIG_KEY = ',"config":'

/** What stands before the configuration; undefined where it cannot be told apart, as with an annotation of that name. */
function headOf(text: string): StateRecord | undefined {
  const end = text.indexOf(CONFIG_KEY)
  if (end < 0) return undefined
  try {
    const value: unknown = JSON.parse(`${text.slice(0, end)}}`)
    return isRecord(value) ? value : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

function parseWhole(text: string, path: string): StateRecord {
  let value: unknown
  try {
    value = parseJson(text, path)
  } catch (cause) {
    throw unreadable(path, cause)
  }
  if (!isRecord(value)) throw unreadable(path)
  return value
}

/** What is looked at without another look; whoever can write here can also write what is worse, so that this is no defence. */
function isRecord(value: unknown): value is StateRecord {
  if (typeof value !== 'object' || value === null) return false
  const { version, id, bundle, cgroup } = value as Partial<StateRecord>
  return version === 1 && typeof id === 'string' && typeof bundle === 'string' && typeof cgroup?.paths === 'object'
}

/** The operation of the error for a state that is not whole. */
export const READ_RECORD = 'read the state of the container'

const unreadable = (path: string, cause?: unknown): OperationError =>
  new OperationError({
    kind: 'conflict',
    operation: READ_RECORD,
    reason: `${path} is not a state that coffer wrote whole`,
    path,
    hint: 'delete --force ID removes it',
    cause,
  })
