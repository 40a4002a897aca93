/** What a container is made of: an image, this machine, or a directory; and what that says of the process. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import { argsOf, groupsIn, userIn } from '../engine/image-process.ts'
import type { IntentRoot } from '../engine/intent.ts'
import { mountPointsDirectory } from '../engine/mount-points.ts'
import { writeText } from '../executor/embedded-files.ts'
import { findImage, layerDirectory, type StoredImage } from '../image/layout.ts'
import { familiarName, parseReference } from '../image/reference.ts'
import type { ResolvedUser } from '../observe/users.ts'
import { pullFirst } from './transfer.ts'
import { type Asked, absolute } from './values.ts'

export interface Source {
  readonly name: string
  readonly root: IntentRoot
  readonly args: readonly string[]
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
  const plain = (command: readonly string[]): readonly string[] =>
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
      args: plain(given.rest),
      ...idsOf([path]),
    }
  }
  const [name, ...command] = given.rest
  if (name === undefined) throw usage(door, 'it takes an image and a command', `${door} --rm -it host bash`)
  if (name === 'host') return { name, root: { kind: 'host', at }, args: plain(command), ...idsOf(['']) }
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
    args: argsOf(image.config.process, { entrypoint, command }),
    ...idsOf(layers),
  }
}

/** As docker does: what is not there is pulled, unless --pull says otherwise. */
function imageFor({ command, given, session }: Asked, name: string): StoredImage {
  const { dataRoot, machine } = session.engine
  const policy = given.string('pull') ?? 'missing'
  if (!['always', 'missing', 'never'].includes(policy))
    throw usage(command, `--pull is "${policy}"`, 'use always, missing or never')
  const platform = given.string('platform')
  const words = [
    ...(platform === undefined ? [] : ['--platform', platform]),
    ...(given.bool('quiet') ? ['--quiet'] : []),
  ]
  const found = findImage(machine.files, dataRoot, name)
  if (found !== undefined && policy !== 'always') return found
  if (policy !== 'never') {
    const reference = parseReference(name)
    if (found === undefined) writeText(session.native, 2, `Unable to find image '${familiarName(reference)}' locally\n`)
    pullFirst(session, [...words, familiarName(reference)])
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
