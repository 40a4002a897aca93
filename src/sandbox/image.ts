/** An image of coffer's store as the root of a box: what `coffer pull`, `load` and `import` brought. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { userIn } from '../engine/image-process.ts'
import { findImage, imagesDirectory, layerDirectory } from '../image/layout.ts'
import type { ResolvedUser } from '../observe/users.ts'
import { invalid } from './options.ts'

/** An image, and what it says of the processes that run on it. */
export interface BoxImage {
  readonly id: string
  /** Directories, the uppermost first. */
  readonly layers: readonly string[]
  /** What has to be held for the layers to stay. */
  readonly store: string
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: ResolvedUser
}

/** `name` as for `coffer run`. Throws `missing`: nothing is pulled. */
export function imageOf(
  name: string,
  { files, dataRoot }: { readonly files: Files; readonly dataRoot: string },
): BoxImage {
  if (typeof name !== 'string' || name === '') throw invalid(`root.image is ${JSON.stringify(name)}`, 'give its name')
  const image = findImage(files, dataRoot, name)
  if (image === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: 'find the root of the box',
      reason: `there is no image ${name} in ${dataRoot}`,
      hint: `coffer pull ${name}; coffer images lists those that are there`,
    })
  const { process, diffIds } = image.config
  const layers = diffIds.map((diffId) => layerDirectory(dataRoot, diffId)).reverse()
  if (layers.length === 0) throw invalid(`root.image is ${name}, which has no files`, 'use an image with a layer')
  return {
    id: image.id,
    layers,
    store: imagesDirectory(dataRoot),
    env: process.env,
    cwd: process.workingDir ?? '/',
    user: userIn(files, layers, process.user ?? ''),
  }
}
