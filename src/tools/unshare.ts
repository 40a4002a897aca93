/** unshare: run a program in new namespaces, with the flags of unshare(1) of util-linux. */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { attempt } from '../executor/embedded-call.ts'
import { effectiveCapabilities, effectiveIds, type Ids } from '../executor/embedded-process.ts'
import { capabilitiesIn } from '../linux/capabilities.ts'
import { MS_PRIVATE, MS_REC, MS_SHARED, MS_SLAVE } from '../linux/mount.ts'
import { parseSignal } from '../linux/signals.ts'
import type { NamespaceType } from '../oci/namespaces.ts'
import { planUnshare, type UnshareRequest } from '../plan/unshare.ts'
import { mapsOf } from './id-maps.ts'
import { type GivenNamespace, givenNamespaces, namespaceFlags } from './namespace-flags.ts'
import type { Caller, Tool } from './tool.ts'
import { commandHere, commandOf, gidOf, uidOf } from './words.ts'

const TOOL = 'coffer unshare'

const FLAGS: readonly Flag[] = [
  ...namespaceFlags('make a new', 'with FILE, keep it there'),
  {
    name: 'fork',
    short: 'f',
    type: 'bool',
    help: 'run the program as a child, the first process of a new pid namespace',
  },
  { name: 'map-root-user', short: 'r', type: 'bool', help: 'be root of the new user namespace' },
  { name: 'map-current-user', short: 'c', type: 'bool', help: 'be the same user in the new user namespace' },
  { name: 'map-user', type: 'string', value: 'UID|NAME', help: 'be this user in the new user namespace' },
  { name: 'map-group', type: 'string', value: 'GID|NAME', help: 'be in this group in the new user namespace' },
  {
    name: 'map-users',
    type: 'list',
    value: 'IN:OUT:COUNT|auto|all',
    help: 'map ranges of users: inside, outside, how many',
  },
  { name: 'map-groups', type: 'list', value: 'IN:OUT:COUNT|auto|all', help: 'map ranges of groups' },
  { name: 'map-auto', type: 'bool', help: 'map the ids of /etc/subuid and /etc/subgid, from 0 on' },
  {
    name: 'setgroups',
    type: 'string',
    value: 'allow|deny',
    help: 'whether groups can be changed in the new user namespace',
  },
  {
    name: 'mount-proc',
    type: 'optional',
    value: 'DIR',
    help: 'mount a procfs of the new pid namespace at /proc or DIR',
  },
  {
    name: 'propagation',
    type: 'string',
    value: 'private|slave|shared|unchanged',
    help: 'of mounts in a new mount namespace; private',
  },
  { name: 'root', short: 'R', type: 'string', value: 'DIR', help: 'have DIR as root directory' },
  { name: 'wd', short: 'w', type: 'string', value: 'DIR', help: 'start in DIR' },
  { name: 'setuid', short: 'S', type: 'string', value: 'UID', help: 'run as this user' },
  { name: 'setgid', short: 'G', type: 'string', value: 'GID', help: 'run with this group, and no others' },
  { name: 'keep-caps', type: 'bool', help: 'keep the capabilities of the new user namespace behind execve' },
  {
    name: 'kill-child',
    type: 'optional',
    value: 'SIGNAL',
    help: 'end the child when its parent ends; KILL; implies --fork',
  },
  { name: 'boottime', type: 'int', value: 'SECONDS', help: 'how far CLOCK_BOOTTIME is ahead in a new time namespace' },
  {
    name: 'monotonic',
    type: 'int',
    value: 'SECONDS',
    help: 'how far CLOCK_MONOTONIC is ahead in a new time namespace',
  },
]

export const unshareTool: Tool = {
  name: 'unshare',
  operands: '[PROGRAM [ARGUMENT...]]',
  summary: 'run a program in new namespaces',
  flags: FLAGS,
  details: `Without a program it runs $SHELL. A flag that maps ids implies --user, --mount-proc implies --mount, a clock implies --time.

  coffer unshare -Urpf --mount-proc        a shell as root, with processes of its own, for any user
  coffer unshare --net=/run/netns/blue true    a network namespace that stays: ip netns exec blue ip addr`,
  failureStatus: 1,
  does: { kind: 'plan', plan: (given, caller) => planUnshare(requestOf(given, caller)) },
}

function requestOf(given: Parsed, caller: Caller): UnshareRequest {
  const namespaces = impliedNamespaces(given)
  const has = (type: NamespaceType): boolean => namespaces.some((one) => one.type === type)
  refuseUseless(given, has)
  const ids = effectiveIds(caller.native)
  const proc = given.string('mount-proc')
  const uid = given.string('setuid')
  const gid = given.string('setgid')
  return {
    namespaces,
    forks: given.bool('fork') || given.isSet('kill-child'),
    parentDeathSignal: deathSignal(given),
    maps: mapsOf(given, caller, { ...ids, canMap: canMap(caller, ids), tool: TOOL }),
    setgroups: setgroupsOf(given),
    propagation: has('mount') ? propagationOf(given.string('propagation') ?? 'private') : undefined,
    root: given.string('root'),
    workdir: given.string('wd'),
    proc: proc === '' ? '/proc' : proc,
    uid: uid === undefined ? undefined : uidOf(caller, uid, { where: '--setuid', tool: TOOL }),
    gid: gid === undefined ? undefined : gidOf(caller, gid, { where: '--setgid', tool: TOOL }),
    boottime: given.int('boottime'),
    monotonic: given.int('monotonic'),
    keptCapabilities: given.bool('keep-caps') && has('user') ? lastCapability(caller) : undefined,
    command: given.isSet('root') ? commandOf(caller, given.rest) : commandHere(caller, given.rest),
  }
}

const MAP_FLAGS = [
  'map-root-user',
  'map-current-user',
  'map-user',
  'map-group',
  'map-users',
  'map-groups',
  'map-auto',
] as const

function impliedNamespaces(given: Parsed): readonly GivenNamespace[] {
  const namespaces = givenNamespaces(given)
  const implied: readonly (readonly [NamespaceType, boolean])[] = [
    ['user', MAP_FLAGS.some((flag) => given.isSet(flag))],
    ['mount', given.isSet('mount-proc')],
    ['time', given.isSet('boottime') || given.isSet('monotonic')],
  ]
  const missing = implied.filter(([type, isAsked]) => isAsked && !namespaces.some((one) => one.type === type))
  return [...namespaces, ...missing.map(([type]) => ({ type, file: undefined }))]
}

/** A flag that would have no effect is a mistake of whoever typed it. */
function refuseUseless(given: Parsed, has: (type: NamespaceType) => boolean): void {
  if (given.isSet('setgroups') && !has('user'))
    throw usage(TOOL, '--setgroups is about a new user namespace, and there is none', 'add --user')
  if (given.isSet('propagation') && !has('mount'))
    throw usage(TOOL, '--propagation is about a new mount namespace, and there is none', 'add --mount')
}

function deathSignal(given: Parsed): number | undefined {
  const word = given.string('kill-child')
  if (word === undefined) return undefined
  const signal = parseSignal(word === '' ? 'KILL' : word)
  if (signal === undefined) throw usage(TOOL, `--kill-child is "${word}", which is no signal`, 'kill -l lists them')
  return signal
}

/** The kernel takes a map of groups from an unprivileged process only once nobody inside can leave groups. */
function setgroupsOf(given: Parsed): 'allow' | 'deny' | undefined {
  const word = given.string('setgroups')
  if (word === undefined || word === 'deny') return word
  if (word !== 'allow') throw usage(TOOL, `--setgroups is "${word}"`, 'use allow or deny')
  const own = ['map-root-user', 'map-current-user', 'map-group'].find((flag) => given.isSet(flag))
  if (own !== undefined && !given.isSet('map-groups') && !given.bool('map-auto'))
    throw usage(
      TOOL,
      `--setgroups=allow and --${own} exclude each other: the kernel takes a map of one's own group only with deny`,
      'map a range of groups instead: --map-auto, or --map-groups',
    )
  return word
}

const PROPAGATIONS: ReadonlyMap<string, number | undefined> = new Map([
  ['private', MS_REC + MS_PRIVATE],
  ['slave', MS_REC + MS_SLAVE],
  ['shared', MS_REC + MS_SHARED],
  ['unchanged', undefined],
])

function propagationOf(word: string): number | undefined {
  if (!PROPAGATIONS.has(word))
    throw usage(TOOL, `--propagation is "${word}"`, `use ${[...PROPAGATIONS.keys()].join(', ')}`)
  return PROPAGATIONS.get(word)
}

function canMap({ native }: Caller, ids: Ids): boolean {
  if (ids.uid !== 0) return false
  const own = capabilitiesIn(effectiveCapabilities(native))
  return own.includes('CAP_SETUID') && own.includes('CAP_SETGID')
}

/** The first capability that the kernel does not know answers EINVAL. PR_CAPBSET_READ(2const) */
function lastCapability({ native }: Caller): number {
  const PR_CAPBSET_READ = 23
  let last = 0
  while (attempt(native, 'prctl', PR_CAPBSET_READ, last + 1, 0, 0, 0) >= 0) last++
  return last
}
