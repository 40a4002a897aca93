/**
 * Reads the options of a mount: which attributes, propagation and data they ask for, in words; the kernel's numbers are in linux/mount.ts.
 *
 * Source: oci:runtime-spec/config.md "Linux mount options", mount(8), mount_setattr(2)
 */

import { isBind, type Mount } from './mounts.ts'

/** Of one mount, not of its file system: a MOUNT_ATTR_ each. */
export type MountAttribute = 'rdonly' | 'nosuid' | 'nodev' | 'noexec' | 'nodiratime' | 'nosymfollow'

/** When reading a file updates its access time. The three exclude one another; a new mount has `relatime`. */
export type AccessTime = 'relatime' | 'noatime' | 'strictatime'

/** Of the whole file system, and so without effect on a bind mount. `silent` only keeps the kernel's log short. */
export type FilesystemFlag = 'sync' | 'dirsync' | 'lazytime' | 'mand' | 'iversion' | 'silent'

export type PropagationType = 'private' | 'shared' | 'slave' | 'unbindable'

export interface Propagation {
  readonly type: PropagationType
  readonly recursive: boolean
}

/** No word is in both lists: of contradicting options the last one counts. */
export interface Change<Word extends string> {
  readonly set: readonly Word[]
  readonly clear: readonly Word[]
}

export interface AttributeChange extends Change<MountAttribute> {
  /** Undefined leaves it as it is. */
  readonly accessTime?: AccessTime | undefined
}

/** A parameter of the file system, `size=64k`, or a word without a value. */
export interface FilesystemOption {
  readonly key: string
  readonly value?: string | undefined
}

export interface MountOptions {
  /** Show an existing directory or file; with the mounts below it if `recursive`. */
  readonly bind?: { readonly recursive: boolean } | undefined
  readonly remount: boolean
  /** Of the mount itself. */
  readonly attributes: AttributeChange
  /** Of the mount and of all below it; undefined if no option asks. */
  readonly recursiveAttributes?: AttributeChange | undefined
  readonly flags: Change<FilesystemFlag>
  /** In this order: a slave that is then made shared is both. */
  readonly propagation: readonly Propagation[]
  /** Translate owners by the mappings of the mount, or else of the container's user namespace. */
  readonly idmap?: { readonly recursive: boolean } | undefined
  /** Fill a new tmpfs with what it covers. */
  readonly tmpcopyup: boolean
  readonly data: readonly FilesystemOption[]
}

/** Of a bind mount: what it shows is this path below its source, and no link leads out. Of no other runtime: `x-` is for such. mount(8) */
export const SUBPATH = 'x-coffer.subpath'

/**
 * Each word and what it does. With an `r` before it, `set`, `clear`, `time`, `untime` are recursive, and so are `propagate` and `idmap`.
 * One string, since an object literal of this size is slow to load.
 */
const WORDS =
  'ro set.rdonly rw clear.rdonly nosuid set.nosuid suid clear.nosuid nodev set.nodev dev clear.nodev ' +
  'noexec set.noexec exec clear.noexec nodiratime set.nodiratime diratime clear.nodiratime ' +
  'nosymfollow set.nosymfollow symfollow clear.nosymfollow ' +
  'noatime time.noatime atime untime.noatime relatime time.relatime norelatime untime.relatime ' +
  'strictatime time.strictatime nostrictatime untime.strictatime ' +
  'sync flag.sync async unflag.sync dirsync flag.dirsync lazytime flag.lazytime nolazytime unflag.lazytime ' +
  'mand flag.mand nomand unflag.mand iversion flag.iversion noiversion unflag.iversion ' +
  'silent flag.silent loud unflag.silent ' +
  'private propagate.private shared propagate.shared slave propagate.slave unbindable propagate.unbindable ' +
  'bind bind. rbind bind.r remount remount. idmap idmap. tmpcopyup tmpcopyup. defaults defaults.'

const RECURSIVE = ['set', 'clear', 'time', 'untime', 'propagate', 'idmap']

const isRecursive = (meaning: string): boolean => RECURSIVE.includes(meaning.slice(0, meaning.indexOf('.')))

let table: ReadonlyMap<string, string> | undefined

function meanings(): ReadonlyMap<string, string> {
  if (table !== undefined) return table
  const words = WORDS.split(' ')
  const made = new Map<string, string>()
  for (let i = 0; i < words.length; i += 2) made.set(words[i] ?? '', words[i + 1] ?? '')
  table = made
  return made
}

/** Every word that is not passed to the file system, sorted: what `features` reports. */
export function mountOptionWords(): readonly string[] {
  const words: string[] = []
  for (const [word, meaning] of meanings()) {
    words.push(word)
    if (isRecursive(meaning)) words.push(`r${word}`)
  }
  return words.sort()
}

/** A word that is not known belongs to the file system, which is the one to refuse it. */
export function parseMountOptions(mount: Pick<Mount, 'type' | 'options'>): MountOptions {
  const draft: Draft = {
    bind: undefined,
    remount: false,
    attributes: { set: [], clear: [], accessTime: undefined },
    recursiveAttributes: undefined,
    flags: { set: [], clear: [] },
    propagation: [],
    idmap: undefined,
    tmpcopyup: false,
    data: [],
  }
  for (const option of mount.options) readOption(option, draft)
  if (draft.bind === undefined && isBind(mount)) draft.bind = { recursive: false }
  return draft
}

interface ChangeDraft<Word extends string> {
  set: Word[]
  clear: Word[]
}

interface AttributeDraft extends ChangeDraft<MountAttribute> {
  accessTime: AccessTime | undefined
}

/** What MountOptions is while it is put together. */
interface Draft {
  bind: { readonly recursive: boolean } | undefined
  remount: boolean
  readonly attributes: AttributeDraft
  recursiveAttributes: AttributeDraft | undefined
  readonly flags: ChangeDraft<FilesystemFlag>
  readonly propagation: Propagation[]
  idmap: { readonly recursive: boolean } | undefined
  tmpcopyup: boolean
  readonly data: FilesystemOption[]
}

function readOption(option: string, draft: Draft): void {
  const meaning = meanings().get(option)
  const below = meaning === undefined ? recursiveMeaning(option) : undefined
  if (meaning !== undefined) apply(meaning, false, draft)
  else if (below !== undefined) apply(below, true, draft)
  else addData(option, draft.data)
}

function recursiveMeaning(option: string): string | undefined {
  const meaning = option.startsWith('r') ? meanings().get(option.slice(1)) : undefined
  return meaning !== undefined && isRecursive(meaning) ? meaning : undefined
}

function apply(meaning: string, recursive: boolean, draft: Draft): void {
  const dot = meaning.indexOf('.')
  const kind = meaning.slice(0, dot)
  const name = meaning.slice(dot + 1)
  switch (kind) {
    case 'set':
    case 'clear':
      put(attributesOf(draft, recursive), kind, name as MountAttribute)
      break
    case 'time':
    case 'untime':
      setAccessTime(attributesOf(draft, recursive), kind, name as AccessTime)
      break
    case 'flag':
    case 'unflag':
      put(draft.flags, kind === 'flag' ? 'set' : 'clear', name as FilesystemFlag)
      break
    case 'propagate':
      draft.propagation.push({ type: name as PropagationType, recursive })
      break
    case 'bind':
      draft.bind = { recursive: name === 'r' }
      break
    case 'idmap':
      draft.idmap = { recursive }
      break
    case 'remount':
      draft.remount = true
      break
    case 'tmpcopyup':
      draft.tmpcopyup = true
      break
  }
}

function attributesOf(draft: Draft, recursive: boolean): AttributeDraft {
  if (!recursive) return draft.attributes
  draft.recursiveAttributes ??= { set: [], clear: [], accessTime: undefined }
  return draft.recursiveAttributes
}

function put<Word extends string>(change: ChangeDraft<Word>, list: 'set' | 'clear', word: Word): void {
  const other = list === 'set' ? 'clear' : 'set'
  if (change[other].includes(word)) change[other] = change[other].filter((each) => each !== word)
  if (!change[list].includes(word)) change[list].push(word)
}

/**
 * `atime`, `norelatime` and `nostrictatime` leave an access time rather than ask for one.
 *
 * The kernel keeps one value of three, so leaving `noatime` or `strictatime` can only mean `relatime`, and leaving `relatime`, which it has
 * for zero, means nothing. mount_setattr(2) refuses to clear a single one of them, which is what runc asks for.
 */
function setAccessTime(attributes: AttributeDraft, kind: 'time' | 'untime', name: AccessTime): void {
  const { accessTime } = attributes
  if (kind === 'time') attributes.accessTime = name
  else if (name === 'relatime') attributes.accessTime = accessTime === 'relatime' ? undefined : accessTime
  else if (accessTime === undefined || accessTime === name) attributes.accessTime = 'relatime'
}

/** Commas separate, as in mount(2), but for those in quotes (SELinux contexts) and after a backslash (overlay directories). */
function addData(option: string, data: FilesystemOption[]): void {
  if (!option.includes(',')) data.push(parseData(option))
  else for (const [item] of option.matchAll(/(?:[^,"\\]|\\.|"[^"]*"|["\\])+/g)) data.push(parseData(item))
}

function parseData(item: string): FilesystemOption {
  const equals = item.indexOf('=')
  return equals < 0 ? { key: item } : { key: item.slice(0, equals), value: item.slice(equals + 1) }
}
