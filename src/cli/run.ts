/** `coffer run`: flags become an intent, and the intent a container, in the foreground or not. */

import { OperationError } from '../base/errors.ts'
import { type Parsed, parseFlags, usage } from '../base/flags.ts'
import { hostOf } from '../container/host.ts'
import { ownIds } from '../container/own-ids.ts'
import { attach, connect } from '../engine/attach.ts'
import { findContainer, UNSEEN_STATUS } from '../engine/containers.ts'
import { argsOf, userIn } from '../engine/image-process.ts'
import { holdImages } from '../engine/image-store.ts'
import type { Intent, IntentNamespace, IntentRoot, NamespaceChoice } from '../engine/intent.ts'
import { makeContainer, type NewContainer, newId } from '../engine/make.ts'
import { containerPath, type Engine } from '../engine/place.ts'
import { removeFiles } from '../engine/remove.ts'
import { startContainer } from '../engine/start.ts'
import { close, writeText } from '../executor/embedded-files.ts'
import { findImage, layerDirectory, type StoredImage } from '../image/layout.ts'
import { familiarName, parseReference } from '../image/reference.ts'
import type { ResolvedUser } from '../observe/users.ts'
import { networkOf, networkWord } from './network-flags.ts'
import type { Session } from './open.ts'
import { RUN_FLAGS } from './run-flags.ts'
import { pullFirst } from './transfer.ts'

const COMMAND = 'coffer run'

/** Answers the exit status of the program, or 0 for one in the background, whose id is printed. */
export function runCommand({ native, engine, cwd, env }: Session, words: readonly string[]): number {
  // From when the image is found until the container says that it uses it, nobody may remove it.
  const held = holdImages(engine)
  const wanted = wantedContainer({ native, engine, cwd, env }, words)
  const record = makeContainer(engine, wanted.container, wanted.id)
  close(native, held)
  const warn = (text: string): void => writeText(native, 2, `warning: ${text}\n`)
  let socket: number | undefined
  try {
    startContainer(engine, record, {
      warn,
      before: () => {
        if (!wanted.isDetached) socket = connect(engine, record.id)
      },
    })
  } catch (error) {
    removeFiles(engine, record)
    throw error
  }
  if (socket === undefined) {
    writeText(native, 1, `${record.id}\n`)
    return 0
  }
  const end = attach(engine, record, socket, {
    hasInput: record.hasInput,
    detachKeys: DETACH_KEYS,
    proxiesSignals: !record.intent.terminal,
  })
  return end.kind === 'exited' ? end.status : end.kind === 'detached' ? 0 : UNSEEN_STATUS
}

/** docker's: Ctrl-P, Ctrl-Q. */
const DETACH_KEYS = [16, 17]

export interface Wanted {
  readonly id: string
  readonly isDetached: boolean
  readonly container: NewContainer
}

/** What the words of a command line ask for; nothing is made yet. */
export function wantedContainer({ native, engine, cwd, env }: Session, words: readonly string[]): Wanted {
  const given = parseFlags(words, RUN_FLAGS, COMMAND)
  const id = newId(native)
  const directory = containerPath(engine, id)
  const source = sourceOf({ native, engine, cwd, env }, given, directory)
  const { image } = source
  const user = source.user(given.string('user') ?? image?.config.process.user ?? '')
  const host = hostOf(engine.machine)
  const intent: Intent = {
    root: source.root,
    args: source.args,
    env: environmentOf(given, env, image?.config.process.env ?? [], user.home),
    cwd: given.string('workdir') ?? image?.config.process.workingDir ?? '/',
    user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
    terminal: given.bool('tty'),
    hostname: given.string('hostname') ?? id.slice(0, 12),
    readonlyRoot: given.bool('read-only'),
    privileged: given.bool('privileged'),
    noNewPrivileges: false,
    capabilitiesAdded: given.list('cap-add'),
    capabilitiesDropped: given.list('cap-drop'),
    namespaces: namespacesOf(engine, given, host.isRootless),
    binds: given.list('volume').map((word) => volumeOf(word, cwd)),
    tmpfs: given.list('tmpfs').map(tmpfsOf),
    resources: resourcesOf(given),
    rootless: host.isRootless ? ownIds(engine.machine, host) : undefined,
  }
  return {
    id,
    isDetached: given.bool('detach'),
    container: {
      name: given.string('name'),
      image: { name: source.name, id: image?.id, layers: source.root.kind === 'layers' ? source.root.layers : [] },
      intent,
      labels: image?.config.process.labels ?? {},
      hasInput: given.bool('interactive'),
      removesItself: given.bool('rm'),
      restart: { when: 'no', maxRetries: 0 },
      stopSignal: image?.config.process.stopSignal ?? 'SIGTERM',
      stopSeconds: 10,
      log: { driver: 'local', limitBytes: 0, files: 1 },
      network: networkOf(given, COMMAND, host.isRootless),
    },
  }
}

interface Source {
  readonly name: string
  readonly root: IntentRoot
  readonly args: readonly string[]
  readonly image?: StoredImage | undefined
  readonly user: (request: string) => ResolvedUser
}

function sourceOf(session: Session, given: Parsed, directory: string): Source {
  const { cwd, engine } = session
  const { dataRoot, machine } = engine
  const { files } = machine
  const at = `${directory}/rootfs`
  const rootfs = given.string('rootfs')
  const entrypoint = given.string('entrypoint')
  const plain = (command: readonly string[]): readonly string[] =>
    argsOf({ entrypoint: [], cmd: ['sh'] }, { entrypoint, command })
  if (rootfs !== undefined) {
    const path = rootfs.startsWith('/') ? rootfs : `${cwd}/${rootfs}`
    return {
      name: path,
      root: { kind: 'directory', path },
      args: plain(given.rest),
      user: (text) => userIn(files, [path], text),
    }
  }
  const [name, ...command] = given.rest
  if (name === undefined) throw usage(COMMAND, 'it takes an image and a command', 'coffer run --rm -it host bash')
  if (name === 'host')
    return { name, root: { kind: 'host', at }, args: plain(command), user: (text) => userIn(files, [''], text) }
  const image = imageFor(session, given, name)
  const layers = image.config.diffIds.map((diffId) => layerDirectory(dataRoot, diffId)).reverse()
  return {
    name,
    image,
    root: { kind: 'layers', at, layers, upper: `${directory}/upper`, work: `${directory}/work` },
    args: argsOf(image.config.process, { entrypoint, command }),
    user: (text) => userIn(files, layers, text),
  }
}

/** As docker does: what is not there is pulled, unless --pull says otherwise. */
function imageFor(session: Session, given: Parsed, name: string): StoredImage {
  const { dataRoot, machine } = session.engine
  const policy = given.string('pull') ?? 'missing'
  if (!['always', 'missing', 'never'].includes(policy))
    throw usage(COMMAND, `--pull is "${policy}"`, 'use always, missing or never')
  const platform = given.string('platform')
  const platformWords = platform === undefined ? [] : ['--platform', platform]
  const found = findImage(machine.files, dataRoot, name)
  if (found !== undefined && policy !== 'always') return found
  if (policy !== 'never') {
    const reference = parseReference(name)
    if (found === undefined) writeText(session.native, 2, `Unable to find image '${familiarName(reference)}' locally\n`)
    pullFirst(session, [...platformWords, familiarName(reference)])
    const pulled = findImage(machine.files, dataRoot, name)
    if (pulled !== undefined) return pulled
  }
  throw new OperationError({
    kind: 'missing',
    operation: `run the image ${name}`,
    reason: `Unable to find image '${name}' locally`,
    hint: 'coffer pull, load or import it; or use host, a copy-on-write view of this machine, or --rootfs DIR',
  })
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Of the image, then what every container has, then what was asked for; the last word counts. */
function environmentOf(
  given: Parsed,
  own: ReadonlyMap<string, string>,
  image: readonly string[],
  home: string,
): readonly string[] {
  const env = new Map([['PATH', DEFAULT_PATH]])
  for (const word of image) env.set(word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1))
  env.set('HOME', env.get('HOME') ?? home)
  if (given.bool('tty')) env.set('TERM', own.get('TERM') ?? 'xterm')
  for (const word of given.list('env')) {
    const equals = word.indexOf('=')
    const value = equals < 0 ? own.get(word) : word.slice(equals + 1)
    if (value !== undefined) env.set(equals < 0 ? word : word.slice(0, equals), value)
  }
  return [...env].map(([name, value]) => `${name}=${value}`)
}

function namespacesOf(engine: Engine, given: Parsed, isRootless: boolean): Intent['namespaces'] {
  const choice = (flag: string, type: string): NamespaceChoice => {
    const word = given.string(flag) ?? 'private'
    if (word === 'private') return { kind: 'private' }
    if (word === 'host') return { kind: 'host' }
    if (word.startsWith('ns:/')) return { kind: 'path', path: word.slice(3) }
    if (word.startsWith('container:')) return { kind: 'path', path: namespaceOf(engine, word.slice(10), type) }
    throw usage(COMMAND, `--${flag} is "${word}"`, 'use private, host, container:NAME or ns:PATH')
  }
  const namespaces: Record<IntentNamespace, NamespaceChoice> = {
    pid: choice('pid', 'pid'),
    network: /^(?:host$|container:|ns:)/.test(networkWord(given, isRootless))
      ? choice(given.isSet('network') ? 'network' : 'net', 'network')
      : { kind: 'private' },
    ipc: choice('ipc', 'ipc'),
    uts: choice('uts', 'uts'),
    cgroup: choice('cgroupns', 'cgroup'),
    mount: { kind: 'private' },
    time: given.isSet('time') ? choice('time', 'time') : { kind: 'host' },
  }
  return namespaces
}

/** Of a container that runs. Throws `conflict` for one that does not. */
function namespaceOf(engine: Engine, text: string, type: string): string {
  const container = findContainer(engine, text)
  if (container.status === 'running' || container.status === 'paused')
    return `/proc/${container.pid}/ns/${NAMESPACE_FILES[type] ?? type}`
  throw new OperationError({
    kind: 'conflict',
    operation: `join the ${type} namespace of ${text}`,
    reason: `container ${text} is ${container.status}`,
    hint: `coffer start ${text}`,
  })
}

const NAMESPACE_FILES: Readonly<Record<string, string>> = { network: 'net', mount: 'mnt' }

function volumeOf(word: string, cwd: string): Intent['binds'][number] {
  const [source = '', destination = '', mode = 'rw', ...rest] = word.split(':')
  if (!destination.startsWith('/') || rest.length > 0 || (mode !== 'ro' && mode !== 'rw') || !/^[./]/.test(source))
    throw usage(COMMAND, `--volume is "${word}"`, 'give SOURCE:DIR or SOURCE:DIR:ro, with paths that begin with / or .')
  return { source: source.startsWith('/') ? source : `${cwd}/${source}`, destination, readonly: mode === 'ro' }
}

function tmpfsOf(word: string): Intent['tmpfs'][number] {
  const colon = word.indexOf(':')
  return colon < 0
    ? { destination: word, options: [] }
    : { destination: word.slice(0, colon), options: word.slice(colon + 1).split(',') }
}

function resourcesOf(given: Parsed): Intent['resources'] {
  const cpus = given.string('cpus')
  if (cpus !== undefined && !(Number(cpus) > 0))
    throw usage(COMMAND, `--cpus is "${cpus}"`, 'give a number above 0, e.g. --cpus 0.5')
  if (cpus !== undefined && (given.isSet('cpu-quota') || given.isSet('cpu-period')))
    throw usage(COMMAND, '--cpus and --cpu-quota or --cpu-period exclude each other', 'leave one of them away')
  return {
    memoryBytes: bytesOf(given, 'memory'),
    memorySwapBytes: given.string('memory-swap') === '-1' ? -1 : bytesOf(given, 'memory-swap'),
    memoryReservationBytes: bytesOf(given, 'memory-reservation'),
    cpus: cpus === undefined ? undefined : Number(cpus),
    cpuShares: given.int('cpu-shares'),
    cpuQuotaMicros: given.int('cpu-quota'),
    cpuPeriodMicros: given.int('cpu-period'),
    cpusetCpus: given.string('cpuset-cpus'),
    cpusetMems: given.string('cpuset-mems'),
    pids: given.int('pids-limit'),
  }
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

function bytesOf(given: Parsed, flag: string): number | undefined {
  const word = given.string(flag)
  if (word === undefined) return undefined
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([bkmgt]?)(?:i?b)?$/i.exec(word) ?? []
  const factor = UNITS[unit.toLowerCase()]
  if (digits === undefined || factor === undefined)
    throw usage(COMMAND, `--${flag} is "${word}"`, 'give bytes, or a number with b, k, m, g or t')
  return Math.floor(Number(digits) * factor)
}
