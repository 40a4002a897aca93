/**
 * Calls that change the process itself. A shell cannot make them, but programs of util-linux make them and go on with another program:
 * those are collected, and stand in front of the rest of the script or of the container's program. Part of script.ts.
 */

import type { Argument, Call } from '../linux/call.ts'
import { capabilityName } from '../linux/capabilities.ts'
import {
  PR_CAP_AMBIENT,
  PR_CAP_AMBIENT_CLEAR_ALL,
  PR_CAP_AMBIENT_RAISE,
  PR_CAPBSET_DROP,
  PR_SET_NO_NEW_PRIVS,
  PR_SET_PDEATHSIG,
} from '../linux/process.ts'
import { signalName } from '../linux/signals.ts'
import { argumentTexts } from '../linux/signatures-show.ts'
import type { Step } from '../plan/plan.ts'
import {
  builtin,
  commands,
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
  variable,
  type Wrapper,
  word,
  wordAt,
} from './script-state.ts'

/** Undefined if the call is not one that changes the process. */
export function processCommands(step: Step, state: State): Translation | undefined {
  const { call, into } = step
  const { name, args } = call
  switch (name) {
    case 'nothing':
    case 'report':
      return SILENT
    case 'getpid':
      if (into !== undefined)
        state.places.set(into.slot, { kind: 'process', pid: `$${variable(into.slot)}`, job: undefined })
      return into === undefined ? SILENT : builtin(`${variable(into.slot)}=$BASHPID`)
    case 'pidfd_open':
      if (into !== undefined)
        state.places.set(into.slot, { kind: 'process', pid: String(numberOf(args[0])), job: undefined })
      return SILENT
    case 'waitid':
      return wait(args, state)
    case 'exit_group':
      return builtin(`exit ${numberOf(args[0])}`)
    case 'setpriority':
      return commands(`renice -n ${numberOf(args[2])} -p "$BASHPID"`)
    case 'execve':
    case 'execveat':
      return execute(step, state)
    default:
      return namespaceWrapper(call, state) ?? privilegeWrapper(call, state)
  }
}

function wait([, id]: readonly Argument[], state: State): Translation {
  const place = placeOf(state, id)
  return place?.kind === 'process' && place.job !== undefined ? builtin(`wait ${word(place.job)}`) : NONE
}

/** The program that takes over. Its environment is the plan's, so nothing of the script is in it. */
function execute({ call, tolerate = [] }: Step, state: State): Translation {
  const isAt = call.name === 'execveat'
  const [path, list, environment] = isAt ? call.args.slice(1) : call.args
  const program = isAt ? pathOf(state, call.args[0], path) : textOf(state, path)
  const isInherited = typeof environment === 'object' && 'slot' in environment
  const [args, variables] = [texts(state, list), isInherited ? [] : texts(state, environment)]
  if (program === undefined || args === undefined || variables === undefined) return NONE
  // The shell looks for it in the same places, and would end at the first where it is not.
  if (isInherited && tolerate.length > 0) return SILENT
  const [name = program] = args
  const words = [isInherited && !name.startsWith('-') ? name : program, ...args.slice(1)].map(word)
  const empty = isInherited ? [] : ['env', '-i', ...variables.map(word)]
  const exec = ['exec', ...wrapperWords(state.wrappers), ...empty, ...words].join(' ')
  // A shell whose exec finds nothing ends, and would not come to the next place of the path.
  return builtin(tolerate.length === 0 ? exec : `[ -x ${word(program)} ] && ${exec}`)
}

function texts(state: State, value: Argument | undefined): readonly Quoted[] | undefined {
  if (typeof value !== 'object' || !('strings' in value)) return undefined
  const all = value.strings.map((one) => textOf(state, one))
  return all.every((one): one is Quoted => one !== undefined) ? all : undefined
}

/** `unshare --user setpriv --reuid 0`; programs of the same name that follow each other are one. */
export function wrapperWords(wrappers: readonly Wrapper[]): readonly string[] {
  const merged: Wrapper[] = []
  for (const one of wrappers) {
    const last = merged[merged.length - 1]
    if (last?.program !== one.program) merged.push(one)
    else merged[merged.length - 1] = { ...last, options: [...last.options, ...one.options] }
  }
  return merged.flatMap(({ program, options }) => [
    program,
    ...(program === 'setpriv' ? setprivOptions(options) : options),
  ])
}

/** setpriv(1) takes each option once: lists of capabilities are joined, of others the last one counts. */
function setprivOptions(options: readonly string[]): readonly string[] {
  const byName = new Map<string, string>()
  for (const option of options) {
    const equals = option.indexOf('=')
    const [name, value] = equals < 0 ? [option, ''] : [option.slice(0, equals), option.slice(equals + 1)]
    const isList = /^--(bounding-set|ambient-caps)$/.test(name)
    const before = isList ? byName.get(name) : undefined
    byName.set(name, before === undefined ? value : `${before},${value}`)
  }
  if ([...byName.keys()].some((name) => /^--(clear-)?groups$/.test(name))) byName.delete('--keep-groups')
  return [...byName].map(([name, value]) => (value === '' ? name : `${name}=${value}`))
}

const wrapper = (program: string, options: readonly string[], isLate = true): Translation => ({
  kind: 'wrapper',
  wrapper: { program, options, isLate },
})

const NAMESPACE_OPTIONS: Readonly<Record<string, string>> = {
  CLONE_NEWUSER: '--user',
  CLONE_NEWNS: '--mount',
  CLONE_NEWPID: '--pid',
  CLONE_NEWNET: '--net',
  CLONE_NEWUTS: '--uts',
  CLONE_NEWIPC: '--ipc',
  CLONE_NEWCGROUP: '--cgroup',
  CLONE_NEWTIME: '--time',
}

/** The options of unshare(1) and nsenter(1) for the namespaces in the flags of a call. */
export function namespaceOptions(call: Call): readonly string[] {
  const flags = argumentTexts(call)
    .map(({ text }) => text)
    .join(' ')
  return Object.keys(NAMESPACE_OPTIONS).flatMap((flag) =>
    new RegExp(`\\b${flag}\\b`).test(flags) ? (NAMESPACE_OPTIONS[flag] ?? []) : [],
  )
}

/** unshare(1) makes mounts private unless told not to, and the shell it runs would lose the capabilities in a new user namespace. */
export const unshareOptions = (options: readonly string[]): readonly string[] => [
  ...options,
  ...(options.includes('--user') ? ['--keep-caps'] : []),
  ...(options.includes('--mount') ? ['--propagation', 'unchanged'] : []),
]

function namespaceWrapper(call: Call, state: State): Translation | undefined {
  const { name, args } = call
  switch (name) {
    case 'unshare': {
      const options = namespaceOptions(call)
      return options.length === 0 ? NONE : wrapper('unshare', unshareOptions(options), false)
    }
    case 'setns':
      return joinNamespaces(call, state)
    case 'chroot': {
      const path = textOf(state, args[0])
      return path === undefined ? NONE : wrapper('chroot', [word(path)], false)
    }
    case 'setsid':
      return wrapper('setsid', [])
    default:
      return undefined
  }
}

/** nsenter(1) becomes root of a user namespace that it joins, where setns(2) leaves the ids as they are. */
function joinNamespaces(call: Call, state: State): Translation {
  const options = namespaceOptions(call)
  const place = placeOf(state, call.args[0])
  if (place === undefined || options.length === 0) return NONE
  const keep = options.includes('--user') ? ['--preserve-credentials'] : []
  if (place.kind === 'process') return wrapper('nsenter', ['--target', word(place.pid), ...options, ...keep], false)
  const path = pathOfPlace(place)
  return path === undefined
    ? NONE
    : wrapper('nsenter', [...options.map((option) => `${option}=${word(path)}`), ...keep], false)
}

function privilegeWrapper({ name, args }: Call, state: State): Translation | undefined {
  switch (name) {
    case 'setresuid':
      return wrapper('setpriv', [`--reuid=${numberOf(args[0])}`], !state.isUnmapped)
    case 'setresgid':
      return wrapper('setpriv', [`--regid=${numberOf(args[0])}`, '--keep-groups'], !state.isUnmapped)
    case 'setgroups':
      return wrapper('setpriv', [groupsOption(args)])
    case 'prctl':
      return prctl(args)
    case 'prlimit64':
      return limit(args, state)
    case 'ioprio_set':
      return wrapper('ionice', ['-c', String(numberOf(args[2]) >> 13), '-n', String(numberOf(args[2]) & 0x1fff)])
    case 'personality':
      return (numberOf(args[0]) & 0xff) === PER_LINUX32 ? wrapper('setarch', ['linux32']) : NONE
    default:
      return undefined
  }
}

const PER_LINUX32 = 8

function groupsOption([, gids]: readonly Argument[]): string {
  if (!(gids instanceof Uint8Array)) return '--clear-groups'
  return `--groups=${Array.from({ length: gids.length >> 2 }, (_, index) => wordAt(gids, index * 4)).join()}`
}

function prctl([option, value, capability]: readonly Argument[]): Translation {
  switch (option) {
    case PR_SET_NO_NEW_PRIVS:
      return wrapper('setpriv', ['--no-new-privs'])
    case PR_SET_PDEATHSIG:
      return wrapper('setpriv', ['--pdeathsig', signalName(numberOf(value))])
    case PR_CAPBSET_DROP:
      return capabilityOption('--bounding-set', '-', numberOf(value))
    case PR_CAP_AMBIENT:
      if (value === PR_CAP_AMBIENT_CLEAR_ALL) return wrapper('setpriv', ['--ambient-caps=-all'])
      return value === PR_CAP_AMBIENT_RAISE ? capabilityOption('--ambient-caps', '+', numberOf(capability)) : NONE
    default:
      return NONE
  }
}

function capabilityOption(option: string, sign: '+' | '-', bit: number): Translation {
  const name = capabilityName(bit)
  return name === undefined ? NONE : wrapper('setpriv', [`${option}=${sign}${name.slice(4).toLowerCase()}`])
}

/** prlimit(1); the resources are named as in RLIMIT_…, in lower case. */
function limit([pid, resource, limits]: readonly Argument[], state: State): Translation {
  const name = argumentTexts({ name: 'prlimit64', args: [0, numberOf(resource), 0, 0] })[1]?.text ?? ''
  if (!name.startsWith('RLIMIT_') || !(limits instanceof Uint8Array)) return NONE
  const view = new DataView(limits.buffer, limits.byteOffset)
  const value = (offset: number): string => {
    const number = view.getBigUint64(offset, true)
    return number === RLIM_INFINITY ? 'unlimited' : String(number)
  }
  const option = `--${name.slice(7).toLowerCase()}=${value(0)}:${value(8)}`
  const other = placeOf(state, pid)
  if (other?.kind === 'process') return commands(`prlimit --pid ${word(other.pid)} ${option}`)
  return pid === 0 ? wrapper('prlimit', [option]) : NONE
}

const RLIM_INFINITY = 0xffff_ffff_ffff_ffffn
