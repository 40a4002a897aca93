/** `coffer run` and `coffer create`: flags become an intent, and the intent a container, in the foreground or not. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { attach, statusOf } from '../engine/attach.ts'
import { withoutSlash } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { holdImages } from '../engine/image-store.ts'
import { initProgramPath } from '../engine/init-program.ts'
import type { Intent } from '../engine/intent.ts'
import { connect } from '../engine/listening.ts'
import { makeContainer, type NewContainer } from '../engine/make.ts'
import { containerPath } from '../engine/place.ts'
import { newId } from '../engine/random.ts'
import type { ContainerRecord } from '../engine/record.ts'
import { destroyContainer } from '../engine/remove.ts'
import { startContainer } from '../engine/start.ts'
import { close, remove, writeNewFile, writeText } from '../executor/embedded-files.ts'
import { kernelName } from '../executor/embedded-process.ts'
import type { StoredImage } from '../image/layout.ts'
import type { ResolvedUser } from '../observe/users.ts'
import { checkChoices, healthOf, logOf, restartOf, streamsOf } from './life.ts'
import { mountsOf } from './mounts.ts'
import { joinedContainer, namesOf } from './names.ts'
import { isNamespaceWord, namespacesOf } from './namespaces.ts'
import { networkOf, whyNone } from './network-flags.ts'
import type { Session } from './open.ts'
import { exposedPorts } from './port-words.ts'
import { detachKeysOf, environmentOf, labelsOf, privilegeOf, stopSignalOf } from './process.ts'
import { resourcesOf } from './resources.ts'
import { CREATE_FLAGS, RUN_FLAGS } from './run-flags.ts'
import { type Source, sourceOf } from './source.ts'
import { startFailure } from './start-failure.ts'
import { typedWords } from './typed-words.ts'
import { type Asked, absolute, wrong } from './values.ts'

/** Answers the exit status of the program, or 0 for one in the background, whose id is printed. */
export function runCommand(session: Session, words: readonly string[]): number {
  const { native, engine } = session
  const asked: Asked = { command: 'coffer run', given: parseFlags(words, RUN_FLAGS, 'coffer run'), session }
  const { given } = asked
  const isDetached = given.bool('detach')
  if (isDetached && given.isSet('attach')) throw usage(asked.command, 'Conflicting options: -a and -d')
  const streams = streamsOf(asked)
  const detachKeys = detachKeysOf(asked)
  const record = makeWanted(asked)
  let socket: number | undefined
  try {
    startContainer(engine, record, {
      warn: (text) => writeText(native, 2, `warning: ${text}\n`),
      before: () => {
        if (isDetached) return
        socket = connect(engine, record.id)
        tellContainer(engine, record, 'attach')
      },
    })
  } catch (error) {
    if (record.removesItself) destroyContainer(engine, record, { volumes: true })
    throw startFailure(error, record.intent.args)
  }
  if (socket === undefined) {
    writeText(native, 1, `${record.id}\n`)
    return 0
  }
  const end = attach(engine, record, socket, {
    hasInput: record.hasInput && streams.stdin,
    streams,
    detachKeys,
    proxiesSignals: !record.intent.terminal && (!given.isSet('sig-proxy') || given.bool('sig-proxy')),
  })
  return statusOf(end)
}

/** Prints the id. */
export function createCommand(session: Session, words: readonly string[]): number {
  const asked: Asked = { command: 'coffer create', given: parseFlags(words, CREATE_FLAGS, 'coffer create'), session }
  streamsOf(asked)
  writeText(session.native, 1, `${makeWanted(asked).id}\n`)
  return 0
}

function makeWanted(asked: Asked): ContainerRecord {
  const { native, engine } = asked.session
  // From when the image is found until the container says that it uses it, nobody may remove it.
  const held = holdImages(engine)
  try {
    const wanted = wantedContainerOf(asked)
    const { pid } = wanted.container.intent.namespaces
    const lack = whyNone(asked, { isRootless: engine.host().isRootless, pid })
    if (lack !== undefined) writeText(native, 2, `warning: ${lack}\n`)
    return makeHeld(asked, wanted)
  } finally {
    close(native, held)
  }
}

function makeHeld(asked: Asked, wanted: Wanted): ContainerRecord {
  const { native, engine, cwd } = asked.session
  const file = asked.given.string('cidfile') || undefined
  const path = file === undefined ? undefined : absolute(file, cwd)
  if (path !== undefined && engine.machine.files.status(path) !== undefined)
    throw new OperationError({
      kind: 'conflict',
      operation: `write the id to ${path}`,
      reason: `container ID file found, make sure the other container isn't running or delete ${path}`,
      path,
    })
  if (path !== undefined) writeNewFile(native, path, wanted.id, 0o644)
  try {
    return makeContainer(engine, wanted.container, wanted)
  } catch (error) {
    if (path !== undefined) remove(native, path)
    throw error
  }
}

export interface Wanted {
  readonly id: string
  readonly image: StoredImage | undefined
  readonly container: NewContainer
}

/** What the words of `coffer run` ask for; nothing is made yet. */
export const wantedContainer = (session: Session, words: readonly string[]): Wanted =>
  wantedContainerOf({ command: 'coffer run', given: parseFlags(words, RUN_FLAGS, 'coffer run'), session })

function wantedContainerOf(asked: Asked): Wanted {
  const { given, session } = asked
  const id = newId(session.native)
  const source = sourceOf(asked, containerPath(session.engine, id))
  checkChoices(asked)
  const process = source.image?.config.process
  const exposed = exposedOf(asked, process?.exposedPorts ?? [])
  const intent = intentOf(asked, source, id)
  return {
    id,
    image: source.image,
    container: {
      // As with docker, an empty one is none.
      name: withoutSlash(given.string('name') ?? '') || undefined,
      image: {
        name: source.name,
        id: source.image?.id,
        layers: source.root.kind === 'layers' ? source.root.layers : [],
      },
      intent,
      typed: typedWords(asked, process),
      entrypointWords: source.program.entrypointWords,
      labels: labelsOf(asked, process?.labels ?? {}),
      hasInput: given.bool('interactive'),
      removesItself: given.bool('rm'),
      restart: restartOf(asked),
      stopSignal: stopSignalOf(asked, process?.stopSignal),
      stopSeconds: given.int('stop-timeout') ?? 10,
      log: logOf(asked),
      network: networkOf(asked, { isRootless: session.engine.host().isRootless, exposed, pid: intent.namespaces.pid }),
      exposed,
      health: healthOf(asked, process?.healthcheck),
    },
  }
}

/** That of whose network it is in, as with docker: programs look their own name up. */
function usualHostname(asked: Asked, { namespaces }: Pick<Intent, 'namespaces'>, id: string): string {
  const isMachines = namespaces.network.kind === 'host' || namespaces.uts.kind === 'host'
  if (isMachines) return kernelName(asked.session.native).hostname
  return joinedContainer(asked)?.intent.hostname ?? id.slice(0, 12)
}

/** What the image says, and --expose adds. */
const exposedOf = ({ given, command }: Asked, ofImage: readonly string[]): readonly string[] => [
  ...new Set([...ofImage, ...given.list('expose')].flatMap((text) => exposedPorts(text, { command, flag: 'expose' }))),
]

function intentOf(asked: Asked, source: Source, id: string): Intent {
  const { given, session } = asked
  const host = session.engine.host()
  const process = source.image?.config.process
  const user = source.user(given.string('user') ?? process?.user ?? '')
  const spaces = namespacesOf(asked, host)
  checkTree(asked, source, spaces)
  const translatesIds = translates(source, spaces, host)
  if (given.isSet('hostname') && spaces.namespaces.uts.kind !== 'private')
    throw usage(asked.command, 'conflicting options: hostname and the UTS mode', 'leave --hostname or --uts away')
  const workdir = given.string('workdir') || (process?.workingDir ?? '/')
  if (!workdir.startsWith('/'))
    throw wrong(
      asked,
      'workdir',
      workdir,
      `the working directory '${workdir}' is invalid, it needs to be an absolute path`,
    )
  return {
    root:
      translatesIds && source.root.kind === 'layers'
        ? { ...source.root, below: undefined, translatesIds }
        : source.root,
    args: source.program.args,
    env: environmentOf(asked, process?.env ?? []),
    home: user.home,
    term: given.bool('tty') ? (session.env.get('TERM') ?? 'xterm') : undefined,
    cwd: workdir,
    user: {
      uid: user.uid,
      gid: user.gid,
      additionalGids: groupsOf(user, source.groups(given.list('group-add')), host),
    },
    terminal: given.bool('tty'),
    hostname: given.string('hostname') ?? usualHostname(asked, spaces, id),
    domainname: given.string('domainname'),
    initPath: given.bool('init') ? initProgramPath(session.engine) : undefined,
    readonlyRoot: given.bool('read-only'),
    ...privilegeOf(asked),
    annotations: annotationsOf(asked),
    ...spaces,
    mounts: mountsOf(
      asked,
      spaces.namespaces.mount.kind === 'private' ? (process?.volumes ?? []) : [],
      containerPath(session.engine, id),
    ),
    names: namesOf(asked, { directory: containerPath(session.engine, id), source, namespaces: spaces.namespaces }),
    ...resourcesOf(asked, host),
  }
}

/** Its own group is among them, so that a file which a group may not touch is closed to it. Without root, groups cannot be set. */
function groupsOf(
  { gid, additionalGids }: ResolvedUser,
  added: readonly number[],
  { isRootless }: { readonly isRootless: boolean },
): readonly number[] {
  return [...new Set([...(isRootless ? [] : [gid]), ...additionalGids, ...added])]
}

function annotationsOf(asked: Asked): Readonly<Record<string, string>> {
  return Object.fromEntries(
    asked.given.list('annotation').map((word): readonly [string, string] => {
      const equals = word.indexOf('=')
      if (equals < 1) throw wrong(asked, 'annotation', word, 'give NAME=VALUE')
      return [word.slice(0, equals), word.slice(equals + 1)]
    }),
  )
}

type Spaces = Pick<Intent, 'namespaces' | 'userMaps'>

/** Of a mount namespace that is joined, or the host's, nothing is changed: plan/init.ts. */
const NEEDS_TREE = [
  'volume',
  'volumes-from',
  'tmpfs',
  'read-only',
  'device',
  'init',
  'add-host',
  'dns',
  'link',
  'egress',
  'shm-size',
]

function checkTree(asked: Asked, { root }: Source, { namespaces }: Spaces): void {
  const { given, command } = asked
  if (namespaces.mount.kind === 'private') return
  const flag = given.list('mount').some((word) => !isNamespaceWord(word))
    ? 'mount'
    : NEEDS_TREE.find((name) => given.isSet(name))
  if (flag !== undefined)
    throw usage(
      command,
      `--${flag} needs mounts of its own, and the container has those of another`,
      `leave --${flag} or the mount namespace away`,
    )
  if (namespaces.mount.kind === 'host' && root.kind === 'layers')
    throw usage(
      command,
      'an image has to be mounted, and --mount-ns host mounts nothing',
      'use the image host, or --rootfs DIR',
    )
}

/** Whether the layers of the image, which have ids of the host on the disk, have to be shown with others. */
function translates(
  { root, name }: Source,
  { namespaces, userMaps }: Spaces,
  { isRootless, kernel }: Pick<ReturnType<Session['engine']['host']>, 'isRootless' | 'kernel'>,
): boolean {
  if (isRootless || root.kind !== 'layers' || namespaces.user.kind === 'host') return false
  if (namespaces.user.kind === 'private') {
    if (userMaps?.uidMappings.every(({ containerID, hostID }) => containerID === hostID)) return false
    if (kernel.major > 6 || (kernel.major === 6 && kernel.minor >= 15)) return true
  }
  throw new OperationError({
    kind: 'unsupported',
    operation: `run the image ${name} with --userns`,
    reason:
      namespaces.user.kind === 'private'
        ? 'its files belong to other ids than the container has, which overlayfs can translate since Linux 6.15'
        : 'its files belong to ids of the host, and those that the user namespace has are not known',
    hint: 'use --userns keep-id, or --rootfs with a directory whose files belong to the mapped ids',
    see: ['kernel:filesystems/overlayfs.rst'],
  })
}
