/** `--pid`, `--network` and their like: one grammar for the eight namespaces. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import type { hostOf } from '../container/host.ts'
import { ownIds } from '../container/own-ids.ts'
import { findContainer } from '../engine/containers.ts'
import type { Intent, IntentNamespace, NamespaceChoice } from '../engine/intent.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import { isJoined, networkWords } from './network-flags.ts'
import { type Asked, wrong } from './values.ts'

type Host = ReturnType<typeof hostOf>

type Namespaces = Pick<Intent, 'namespaces' | 'timeOffset' | 'userMaps' | 'hasSharedMemory'>

const PRIVATE: NamespaceChoice = { kind: 'private' }
const HOST: NamespaceChoice = { kind: 'host' }

/** Throws `missing` and `conflict` for a container that is not there or does not run. */
export function namespacesOf(asked: Asked, host: Host): Namespaces {
  const timeOffset = timeOffsetOf(asked)
  const time = asked.given.string('time')
  const own = userOf(asked, host)
  const ipc = asked.given.string('ipc')
  const others: Omit<Intent['namespaces'], 'user'> = {
    pid: choiceOf(asked, 'pid', 'pid', PRIVATE),
    network: networkOf(asked, host),
    // Another container can join any that is private: there is nothing to prepare.
    ipc: ipc === 'shareable' || ipc === 'none' ? PRIVATE : choiceOf(asked, 'ipc', 'ipc', PRIVATE),
    uts: choiceOf(asked, 'uts', 'uts', PRIVATE),
    cgroup: choiceOf(asked, 'cgroupns', 'cgroup', PRIVATE),
    mount: mountOf(asked),
    time: time === undefined && timeOffset !== undefined ? PRIVATE : choiceOf(asked, 'time', 'time', HOST),
  }
  const user = host.isRootless ? ownerOf(others) : undefined
  return {
    namespaces: { ...others, user: user ?? own.choice },
    timeOffset,
    userMaps: own.maps,
    hasSharedMemory: ipc !== 'none',
  }
}

/** Without privilege a namespace of another container is joined from the user namespace that owns it, which has the same ids. */
function ownerOf(others: Omit<Intent['namespaces'], 'user'>): NamespaceChoice | undefined {
  for (const choice of Object.values(others)) {
    const [process] = (choice.kind === 'path' && /^\/proc\/\d+\/ns\//.exec(choice.path)) || []
    if (process !== undefined) return { kind: 'path', path: `${process}user` }
  }
  return undefined
}

/** One of a network by name is made anew at each start: engine/start.ts. */
function networkOf(asked: Asked, host: Host): NamespaceChoice {
  const [word = ''] = networkWords(asked, host.isRootless)
  return isJoined(word) ? (parseChoice(asked, { flag: 'network', type: 'network', word }) ?? PRIVATE) : PRIVATE
}

/** docker's `--mount` is about mounts; that of the notes about their namespace. */
function mountOf(asked: Asked): NamespaceChoice {
  const [word, ...others] = asked.given.list('mount').filter(isNamespaceWord)
  if (word === undefined) return choiceOf(asked, 'mount-ns', 'mount', PRIVATE)
  if (others.length > 0 || asked.given.isSet('mount-ns'))
    throw usage(asked.command, 'it has several mount namespaces', 'give one of --mount-ns and --mount=container:NAME')
  return parseChoice(asked, { flag: 'mount', type: 'mount', word }) ?? PRIVATE
}

/** A value of `--mount` that names a namespace, and not a mount. */
export const isNamespaceWord = (word: string): boolean => /^(private|host|container:.*|ns:.*)$/.test(word)

function choiceOf(asked: Asked, flag: string, type: IntentNamespace, otherwise: NamespaceChoice): NamespaceChoice {
  const word = asked.given.string(flag)
  return word === undefined || word === '' ? otherwise : (parseChoice(asked, { flag, type, word }) ?? otherwise)
}

interface Word {
  readonly flag: string
  readonly type: IntentNamespace
  readonly word: string
}

function parseChoice(asked: Asked, { flag, type, word }: Word): NamespaceChoice | undefined {
  if (word === 'private') return PRIVATE
  if (word === 'host') return HOST
  if (word.startsWith('ns:/')) return { kind: 'path', path: word.slice(3) }
  if (word.startsWith('container:')) return { kind: 'path', path: namespaceOf(asked, word.slice(10), type) }
  throw wrong(asked, flag, word, 'use private, host, container:NAME or ns:PATH')
}

const NAMESPACE_FILES: Readonly<Record<string, string>> = { network: 'net', mount: 'mnt' }

/** Of a container that runs. */
function namespaceOf({ session: { engine } }: Asked, text: string, type: IntentNamespace): string {
  const container = findContainer(engine, text)
  if (container.status === 'running' || container.status === 'paused')
    return `/proc/${container.pid}/ns/${NAMESPACE_FILES[type] ?? type}`
  throw new OperationError({
    kind: 'conflict',
    operation: `join the ${type} namespace of ${text}`,
    reason: `container ${text} is not running: it is ${container.status}`,
    hint: `coffer start ${text}`,
  })
}

/** `1.5`, `-3600`: seconds, to the nanosecond. The kernel wants nanoseconds that add. time_namespaces(7) */
function timeOffsetOf(asked: Asked): Intent['timeOffset'] {
  const word = asked.given.string('time-offset')
  if (word === undefined) return undefined
  const [, sign, whole = '', fraction = ''] = /^([+-]?)(\d{1,10})(?:\.(\d{1,9}))?s?$/.exec(word) ?? []
  if (sign === undefined) throw wrong(asked, 'time-offset', word, 'give seconds, e.g. 3600 or -1.5')
  const nanos = Number(fraction.padEnd(9, '0'))
  if (sign !== '-') return { secs: Number(whole), nanosecs: nanos }
  return nanos === 0 ? { secs: -Number(whole), nanosecs: 0 } : { secs: -Number(whole) - 1, nanosecs: 1e9 - nanos }
}

interface UserChoice {
  readonly choice: NamespaceChoice
  readonly maps?: Intent['userMaps']
}

/** Where docker's daemon and podman put the ids of containers when nobody says otherwise: beyond those of people. */
const FIRST_HOST_ID = 100_000
const ID_COUNT = 65_536

function userOf(asked: Asked, host: Host): UserChoice {
  const word = asked.given.string('userns') ?? ''
  if (host.isRootless) {
    if (word !== '' && word !== 'private' && word !== 'auto')
      throw wrong(asked, 'userns', word, 'without root a container has a user namespace of its own: leave it out')
    return { choice: PRIVATE, maps: ownIds(asked.session.engine.machine, host) }
  }
  const same = (mappings: readonly IdMapping[]): UserChoice => ({
    choice: PRIVATE,
    maps: { uidMappings: mappings, gidMappings: mappings },
  })
  if (word === '') return { choice: HOST }
  if (word === 'auto' || word === 'private') return same([{ containerID: 0, hostID: FIRST_HOST_ID, size: ID_COUNT }])
  if (word === 'keep-id') return same([{ containerID: 0, hostID: 0, size: ID_COUNT }])
  if (word.startsWith('map:'))
    return same(
      word
        .slice(4)
        .split(',')
        .map((range) => mappingOf(asked, range)),
    )
  return { choice: choiceOf(asked, 'userns', 'user', HOST) }
}

function mappingOf(asked: Asked, range: string): IdMapping {
  const [, inside, outside, count] = /^(\d{1,10}):(\d{1,10}):(\d{1,10})$/.exec(range) ?? []
  if (inside === undefined)
    throw wrong(asked, 'userns', range, 'write it like map:0:100000:65536, with commas between several')
  return { containerID: Number(inside), hostID: Number(outside), size: Number(count) }
}
