/** Mounts as mount(8) commands: several calls on descriptors become one line. Part of script.ts. */

import type { Argument, Call, Slot } from '../linux/call.ts'
import { AT_RECURSIVE } from '../linux/files.ts'
import { MNT_DETACH } from '../linux/mount.ts'
import type { Step } from '../plan/plan.ts'
import { flagNames } from './script-files.ts'
import {
  commands,
  type Detached,
  joined,
  NONE,
  numberOf,
  pathOf,
  pathOfPlace,
  placeOf,
  type Quoted,
  SILENT,
  type State,
  type Translation,
  textOf,
  word,
  wordAt,
} from './script-state.ts'

/** Undefined if the call is not about mounts. `number` is that of the step. */
export function mountCommands(step: Step, state: State, number: number): Translation | undefined {
  const { call } = step
  switch (call.name) {
    case 'fsopen':
      return keepPlace(step, state, {
        kind: 'fs',
        type: textOf(state, call.args[0]) ?? '',
        source: '',
        options: [],
        first: number,
      })
    case 'fsconfig':
      return configure(call, state)
    case 'fsmount':
      return newTree(step, state)
    case 'open_tree':
      return cloneTree(step, state, number)
    case 'mount_setattr':
      return setAttributes(call, state)
    case 'move_mount':
      return attach(call, state)
    case 'mount':
      return mount(call, state)
    case 'umount2':
      // One that has to fail only asks whether something is left, and answers by errno; here it would take the new root away.
      return step.check === undefined ? umount(call, state) : SILENT
    case 'pivot_root':
      return pivotRoot(call, state)
    default:
      return undefined
  }
}

function keepPlace({ into }: Step, state: State, place: Parameters<State['places']['set']>[1]): Translation {
  if (into !== undefined) state.places.set(into.slot, place)
  return SILENT
}

function configure({ args }: Call, state: State): Translation {
  const [target, command] = args
  const place = placeOf(state, target)
  if (place?.kind !== 'fs' || target === undefined) return NONE
  const key = textOf(state, args[2]) ?? ''
  const value = configuredValue(args, state)
  if (command === FSCONFIG_CMD_CREATE) return SILENT
  if (value === undefined) return NONE
  const changed =
    key === 'source' ? { ...place, source: value } : { ...place, options: [...place.options, option(key, value)] }
  state.places.set((target as Slot).slot, changed)
  return SILENT
}

const FSCONFIG_SET_FLAG = 0
const FSCONFIG_SET_STRING = 1
const FSCONFIG_SET_FD = 5
const FSCONFIG_CMD_CREATE = 6

const option = (key: Quoted, value: Quoted): Quoted => (value === '' ? key : `${key}=${value}`)

function configuredValue([, command, , value, aux]: readonly Argument[], state: State): Quoted | undefined {
  if (command === FSCONFIG_SET_FLAG || command === FSCONFIG_CMD_CREATE) return ''
  if (command === FSCONFIG_SET_STRING) return textOf(state, value)
  const place = command === FSCONFIG_SET_FD ? placeOf(state, aux) : undefined
  return place === undefined ? undefined : pathOfPlace(place)
}

function newTree(step: Step, state: State): Translation {
  const place = placeOf(state, step.call.args[0])
  if (place?.kind !== 'fs') return NONE
  const { type, source, options, first } = place
  const flags = mountFlags(numberOf(step.call.args[2]), 0)
  return keepPlace(step, state, {
    kind: 'tree',
    type,
    source: source || type,
    options,
    flags,
    isRecursive: false,
    first,
  })
}

function cloneTree(step: Step, state: State, first: number): Translation {
  const { args } = step.call
  const source = pathOf(state, args[0], args[1])
  if (source === undefined) return NONE
  const flags = numberOf(args[2])
  // Without OPEN_TREE_CLONE it is only a handle.
  if ((flags & 1) === 0) return keepPlace(step, state, { kind: 'path', path: source, appends: false })
  const isRecursive = (flags & AT_RECURSIVE) !== 0
  return keepPlace(step, state, { kind: 'tree', source, options: [], flags: [], isRecursive, first })
}

function setAttributes({ args }: Call, state: State): Translation {
  const [target, path, at, attributes] = args
  const flags = mountFlags(wordAt(attributes, 0), wordAt(attributes, 8))
  const isRecursive = (numberOf(at) & AT_RECURSIVE) !== 0
  const propagation = propagationOption(wordAt(attributes, 16), isRecursive)
  const place = placeOf(state, target)
  if (place?.kind === 'tree') {
    const changed: Detached = {
      ...place,
      options: [...place.options, ...idmapOption(attributes, state)],
      flags: [...place.flags, ...flags],
      ...(propagation === undefined ? {} : { propagation }),
    }
    state.places.set((target as Slot).slot, changed)
    return SILENT
  }
  const at2 = pathOf(state, target, path)
  if (at2 === undefined) return NONE
  return commands(
    ...(flags.length === 0 ? [] : [`mount -o remount,bind,${flags.join()} ${word(at2)}`]),
    ...(propagation === undefined ? [] : [`mount ${propagation} ${word(at2)}`]),
  )
}

/** struct mount_attr ends with the descriptor of the user namespace whose maps apply: mount_setattr(2). mount(8) 2.39 takes its path. */
function idmapOption(attributes: Argument | undefined, state: State): readonly Quoted[] {
  if (typeof attributes !== 'object' || !('struct' in attributes)) return []
  const field = attributes.fields.find(({ offset }) => offset === 24)
  const place = field === undefined ? undefined : placeOf(state, field.value)
  const path = place === undefined ? undefined : pathOfPlace(place)
  return path === undefined ? [] : [`X-mount.idmap=${path}`]
}

const OPPOSITES: Readonly<Record<string, string>> = {
  ro: 'rw',
  nosuid: 'suid',
  nodev: 'dev',
  noexec: 'exec',
  nosymfollow: 'symfollow',
}

/** Words of mount(8) for MOUNT_ATTR_ flags to set and to clear. */
function mountFlags(set: number, clear: number): readonly string[] {
  const words = (value: number): readonly string[] =>
    flagNames('mount_attr', value)
      .filter((name) => name.startsWith('MOUNT_ATTR_') && !/_ATIME|IDMAP/.test(name))
      .map((name) => name.slice(11).toLowerCase().replace('rdonly', 'ro'))
  const chosen = words(set)
  const cleared = words(clear).flatMap((flag) => (chosen.includes(flag) ? [] : (OPPOSITES[flag] ?? [])))
  return [...chosen, ...cleared]
}

/** `--make-rprivate`, undefined if the propagation stays. */
function propagationOption(flags: number, isRecursive: boolean): string | undefined {
  const name = flagNames('mount', flags).find((flag) => /^MS_(UNBINDABLE|PRIVATE|SLAVE|SHARED)$/.test(flag))
  return name === undefined ? undefined : `--make-${isRecursive ? 'r' : ''}${name.slice(3).toLowerCase()}`
}

function attach({ args }: Call, state: State): Translation {
  const tree = placeOf(state, args[0])
  const place = pathOf(state, args[2], args[3])
  if (tree?.kind !== 'tree' || place === undefined) return NONE
  // What is mounted on top of the root of all is reached by its descriptor only; on its own directory it is reached by that.
  const target = place === '/' ? tree.source : place
  state.places.set((args[0] as Slot).slot, { kind: 'path', path: target, appends: false })
  const list = tree.type === undefined ? bindCommands(tree, target) : [newMountCommand(tree, tree.type, target)]
  const propagation = tree.propagation === undefined ? [] : [`mount ${tree.propagation} ${word(target)}`]
  return { kind: 'commands', commands: [...list, ...propagation], isBuiltin: false, first: tree.first }
}

function newMountCommand({ source, options, flags }: Detached, type: string, target: Quoted): string {
  return `mount -t ${word(type)}${optionsText([...flags, ...options])} ${word(source)} ${word(target)}`
}

/** mount(8) sets the flags of a bind mount by a second call as well. */
function bindCommands({ source, options, flags, isRecursive }: Detached, target: Quoted): readonly string[] {
  const bind = `mount ${isRecursive ? '--rbind' : '--bind'}${optionsText(options)} ${word(source)} ${word(target)}`
  return flags.length === 0 ? [bind] : [bind, `mount -o remount,bind,${flags.join()} ${word(target)}`]
}

const optionsText = (options: readonly Quoted[]): string => (options.length === 0 ? '' : ` -o ${word(options.join())}`)

/** mount(2), the one call with many meanings. */
function mount({ args }: Call, state: State): Translation {
  const text = (index: number): Quoted => textOf(state, args[index]) ?? ''
  const target = text(1)
  if (target === '') return NONE
  const names = flagNames('mount', numberOf(args[3]))
  const isRecursive = names.includes('MS_REC')
  const propagation = propagationOption(numberOf(args[3]), isRecursive)
  if (propagation !== undefined) return commands(`mount ${propagation} ${word(target)}`)
  const what = mountWords(names, { source: text(0), type: text(2), options: text(4) })
  return commands(`mount ${what} ${word(target)}`)
}

interface MountTexts {
  readonly source: Quoted
  readonly type: Quoted
  readonly options: Quoted
}

/** The words of mount(8) between the program and the target. */
function mountWords(names: readonly string[], { source, type, options }: MountTexts): string {
  const flags = names
    .filter((name) => !/^MS_(REC|SILENT|BIND|REMOUNT|MOVE)$/.test(name))
    .map((name) => name.slice(3).toLowerCase().replace('rdonly', 'ro'))
  const all = options === '' ? flags : [...flags, options]
  const isBind = names.includes('MS_BIND')
  if (names.includes('MS_MOVE')) return `--move ${word(source)}`
  if (names.includes('MS_REMOUNT')) return `-o ${word(['remount', ...(isBind ? ['bind'] : []), ...all].join())}`
  if (isBind) return `${names.includes('MS_REC') ? '--rbind' : '--bind'} ${word(source)}`
  return `-t ${word(type)}${optionsText(all)} ${word(source || type || 'none')}`
}

function umount({ args }: Call, state: State): Translation {
  const target = textOf(state, args[0])
  return target === undefined ? NONE : commands(`umount ${numberOf(args[1]) & MNT_DETACH ? '-l ' : ''}${word(target)}`)
}

/** Behind it the paths below the new root begin there. The shell forgets where it found programs. */
function pivotRoot({ args }: Call, state: State): Translation {
  const [newRoot, putOld] = args.map((value) => textOf(state, value))
  if (newRoot === undefined || putOld === undefined) return NONE
  const root = newRoot === '.' ? state.cwd : newRoot
  for (const [slot, place] of state.places) {
    const path = place.kind === 'path' ? place.path : undefined
    if (path === undefined || root === undefined || (path !== root && !path.startsWith(`${root}/`))) continue
    state.places.set(slot, { kind: 'path', path: joined('/', path.slice(root.length)), appends: false })
  }
  return commands(`pivot_root ${word(newRoot)} ${word(putOld)}`, 'hash -r')
}
