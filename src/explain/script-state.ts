/** What a shell script stands for in place of descriptors: paths, mounts that are not attached yet, processes. Part of script.ts. */

import type { Argument, Slot } from '../linux/call.ts'
import { AT_FDCWD } from '../linux/files.ts'

/** Shell text as it stands between double quotes: `$`, `"`, `\` and backquotes of the plan are escaped, `$name` is a variable. */
export type Quoted = string

/** A mount that move_mount(2) will attach: a new file system, or, without a type, a bind mount. */
export interface Detached {
  readonly kind: 'tree'
  readonly type?: string
  readonly source: Quoted
  readonly options: readonly Quoted[]
  /** Flags of the mount, as mount(8) names them: `ro`, `nosuid`. */
  readonly flags: readonly string[]
  readonly isRecursive: boolean
  readonly propagation?: string
  /** The number of the step that began it. */
  readonly first: number
}

/** What a slot of the plan is in the script. */
export type Place =
  | { readonly kind: 'path'; readonly path: Quoted; readonly appends: boolean }
  | {
      readonly kind: 'fs'
      readonly type: string
      readonly source: Quoted
      readonly options: readonly Quoted[]
      readonly first: number
    }
  | Detached
  /** One end of a pair of fifos, by the names of two variables: what is read, and where the other end reads. */
  | { readonly kind: 'end'; readonly own: string; readonly peer: string }
  /** `pid` is a number or `$name`; `job` what wait(1) takes. */
  | { readonly kind: 'process'; readonly pid: Quoted; readonly job: Quoted | undefined }

/** What is known at a point of the script. One for each process. */
export interface State {
  readonly places: Map<string, Place>
  cwd: Quoted | undefined
  /** In a new user namespace, without having become a user of it: what comes next needs that at once. */
  isUnmapped: boolean
  /** Programs that run the rest in another environment, outermost first: `unshare --user`, `setpriv --reuid 0`. */
  wrappers: readonly Wrapper[]
}

export interface Wrapper {
  readonly program: string
  readonly options: readonly string[]
  /** True if a builtin of the shell does the same in front of it as behind it. */
  readonly isLate: boolean
}

export const copyOf = (state: State): State => ({ ...state, places: new Map(state.places) })

/** What a step is in the script. */
export type Translation =
  | {
      readonly kind: 'commands'
      readonly commands: readonly string[]
      readonly isBuiltin: boolean
      readonly first?: number
    }
  /** Nothing to do, but its success can be asked. */
  | { readonly kind: 'test'; readonly test: string }
  | { readonly kind: 'wrapper'; readonly wrapper: Wrapper }
  /** Needs no command, or becomes part of a later one. */
  | { readonly kind: 'silent' }
  | { readonly kind: 'none' }

export const SILENT: Translation = { kind: 'silent' }
export const NONE: Translation = { kind: 'none' }

export const commands = (...list: readonly string[]): Translation => ({
  kind: 'commands',
  commands: list,
  isBuiltin: false,
})
export const builtin = (...list: readonly string[]): Translation => ({
  kind: 'commands',
  commands: list,
  isBuiltin: true,
})

export const escaped = (text: string): Quoted => text.replace(/[\\"$`]/g, '\\$&')

/** One word of a command. */
export function word(text: Quoted): string {
  if (text === '') return "''"
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `"${text}"`
}

/** The name of the variable that holds a result. */
export const variable = (name: string): string => name.replace(/\W/g, '_').replace(/^(?=\d)/, '_')

/** Text of an argument; undefined if it is not text, or holds a result that the script has not. */
export function textOf(state: State, value: Argument | undefined): Quoted | undefined {
  if (typeof value === 'string') return escaped(value)
  if (value instanceof Uint8Array) {
    const isText = value.every((byte) => byte === 9 || byte === 10 || (byte >= 32 && byte < 127))
    return isText ? escaped(String.fromCharCode(...value)) : undefined
  }
  if (typeof value !== 'object' || !('text' in value)) return undefined
  let whole = ''
  for (const piece of value.text) {
    const next = typeof piece === 'string' ? escaped(piece) : slotText(state, piece, whole)
    if (next === undefined) return undefined
    // A path by way of a descriptor is the path that the descriptor was opened with.
    const isDescriptor = typeof piece !== 'string' && BY_DESCRIPTOR.test(whole)
    whole = isDescriptor ? next : whole + next
  }
  return whole
}

/** Relative to a procfs, too: coffer keeps one as its current directory while it mounts. */
const BY_DESCRIPTOR = /^(\/proc\/)?self\/fd\/$/

function slotText(state: State, { slot }: Slot, before: string): Quoted | undefined {
  const place = state.places.get(slot)
  if (place?.kind === 'process') return place.pid
  return BY_DESCRIPTOR.test(before) && place !== undefined ? pathOfPlace(place) : undefined
}

/** Where a place can be reached by path. The host has a procfs and a sysfs of its own in place of a detached one. */
export function pathOfPlace(place: Place): Quoted | undefined {
  if (place.kind === 'path') return place.path
  if (place.kind !== 'tree') return undefined
  if (place.type === undefined) return place.source
  return { proc: '/proc', sysfs: '/sys' }[place.type]
}

/** The place of a descriptor that an argument names. */
export function placeOf(state: State, value: Argument | undefined): Place | undefined {
  return typeof value === 'object' && 'slot' in value ? state.places.get(value.slot) : undefined
}

/** The path that a call means by a directory and a path below it; undefined if the script does not know it. */
export function pathOf(state: State, directory: Argument | undefined, path: Argument | undefined): Quoted | undefined {
  const below = textOf(state, path)
  if (below === undefined || directory === AT_FDCWD || isByDescriptor(path)) return below
  const place = placeOf(state, directory)
  const base = place === undefined ? undefined : pathOfPlace(place)
  if (base === undefined) return undefined
  return joined(base, below)
}

/** `self/fd/N` of a procfs, of which textOf makes the whole path. */
const isByDescriptor = (path: Argument | undefined): boolean =>
  typeof path === 'object' && 'text' in path && typeof path.text[0] === 'string' && BY_DESCRIPTOR.test(path.text[0])

export function joined(base: Quoted, below: Quoted): Quoted {
  const rest = below.replace(/^\/+/, '')
  if (rest === '' || rest === '.') return base
  return base.endsWith('/') ? base + rest : `${base}/${rest}`
}

/** An argument that is a plain number; 0 for anything else. */
export const numberOf = (value: Argument | undefined): number => (typeof value === 'number' ? value : 0)

/** The 32-bit word of a structure at an offset. */
export function wordAt(value: Argument | undefined, offset: number): number {
  const bytes =
    value instanceof Uint8Array ? value : typeof value === 'object' && 'struct' in value ? value.struct : undefined
  if (bytes === undefined || offset + 4 > bytes.length) return 0
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(offset, true)
}
