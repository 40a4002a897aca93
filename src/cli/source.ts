/** What a container is made of: an image, this machine, or a directory; and what that says of the process. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { argsOf, groupsIn, type ProgramWords, userIn } from '../engine/image-process.ts'
import type { IntentRoot } from '../engine/intent.ts'
import { mountPointsDirectory } from '../engine/mount-points.ts'
import { writeText } from '../executor/embedded-files.ts'
import { findImage, layerDirectory, type StoredImage } from '../image/layout.ts'
import { fitsPlatform, parsePlatform, platformText } from '../image/platform.ts'
import { familiarName, parseReference } from '../image/reference.ts'
import type { ResolvedUser } from '../observe/users.ts'
import type { Platform } from '../oci/image.ts'
import { pullFirst } from './transfer.ts'
import { type Asked, absolute } from './values.ts'

export interface Source {
  readonly name: string
  readonly root: IntentRoot
  readonly program: ProgramWords
  readonly image?: StoredImage | undefined
  readonly user: (request: string) => ResolvedUser
  readonly groups: (words: readonly string[]) => readonly number[]
}

/** `directory` is that of the container. Throws `missing` for an image that is not there. */
export function sourceOf(asked: Asked, directory: string): Source {
  const { command: door, given, session } = asked
  const { engine, cwd } = session
  const { dataRoot, machine } = engine
  const { files } = machine
  const at = `${directory}/rootfs`
  const rootfs = given.string('rootfs')
  const entrypoint = given.string('entrypoint')
  const plain = (command: readonly string[]): ProgramWords =>
    argsOf({ entrypoint: [], cmd: ['sh'] }, { entrypoint, command })
  const idsOf = (layers: readonly string[]): Pick<Source, 'user' | 'groups'> => ({
    user: (text) => userIn(files, layers, text),
    groups: (words) => groupsIn(files, layers, words),
  })
  if (rootfs !== undefined) {
    const path = absolute(rootfs, cwd)
    return {
      name: path,
      root: { kind: 'directory', path },
      program: plain(given.rest),
      ...idsOf([path]),
    }
  }
  const [name, ...command] = given.rest
  if (name === undefined) throw usage(door, 'it takes an image and a command', `${door} --rm -it host bash`)
  if (name === 'host') return { name, root: { kind: 'host', at }, program: plain(command), ...idsOf(['']) }
  const image = imageFor(asked, name)
  const layers = image.config.diffIds.map((diffId) => layerDirectory(dataRoot, diffId)).reverse()
  return {
    name,
    image,
    root: {
      kind: 'layers',
      at,
      layers,
      // Its files belong to root of this machine.
      below: engine.host().isRootless ? undefined : mountPointsDirectory(engine),
      upper: `${directory}/upper`,
      work: `${directory}/work`,
    },
    program: argsOf(image.config.process, { entrypoint, command }),
    ...idsOf(layers),
  }
}

/** As docker does: what is not there, or not of the platform that is asked for, is pulled, unless --pull says otherwise. */
function imageFor(asked: Asked, name: string): StoredImage {
  const { command, given, session } = asked
  const { dataRoot, machine } = session.engine
  const policy = given.string('pull') ?? 'missing'
  if (!['always', 'missing', 'never'].includes(policy))
    throw usage(command, `--pull is "${policy}"`, 'use always, missing or never')
  const platform = given.string('platform') || undefined
  const wanted = platform === undefined ? undefined : parsePlatform(platform)
  const find = (): StoredImage | undefined => {
    const found = findImage(machine.files, dataRoot, name)
    return found === undefined || wanted === undefined || fitsPlatform(found.config.platform, wanted)
      ? found
      : undefined
  }
  const found = find()
  if (found !== undefined && policy !== 'always') return found
  if (policy !== 'never') {
    pullImage(asked, name, found === undefined)
    const pulled = find()
    if (pulled !== undefined) return pulled
  }
  throw lacking(name, findImage(machine.files, dataRoot, name), wanted)
}

function pullImage({ given, session }: Asked, name: string, isMissing: boolean): void {
  const platform = given.string('platform') || undefined
  const words = [
    ...(platform === undefined ? [] : ['--platform', platform]),
    ...(given.bool('quiet') ? ['--quiet'] : []),
  ]
  const reference = parseReference(name)
  if (isMissing) writeText(session.native, 2, `Unable to find image '${familiarName(reference)}' locally\n`)
  pullFirst(session, [...words, familiarName(reference)])
}

/** `other` is the image of that name, of another platform than the one that is wanted. */
function lacking(name: string, other: StoredImage | undefined, wanted: Platform | undefined): OperationError {
  const operation = `run the image ${name}`
  if (other !== undefined && wanted !== undefined) {
    const [asked, actual] = [wanted, other.config.platform].map(platformText)
    const words = `was found but does not match the specified platform: wanted ${asked}, actual: ${actual}`
    return new OperationError({ kind: 'missing', operation, reason: `image with reference ${name} ${words}` })
  }
  return new OperationError({
    kind: 'missing',
    operation,
    reason: `Unable to find image '${name}' locally`,
    hint: 'coffer pull, load or import it; or use host, a copy-on-write view of this machine, or --rootfs DIR',
  })
}
