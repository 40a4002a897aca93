/** Links of an image in the place of a file on which something is mounted: what they lead to may be missing, and is made then. */

import type { Files } from '../base/files.ts'
import type { Config } from '../oci/config.ts'
import { layersOf } from '../plan/overlay-idmapped.ts'
import { cleanPath, parentOf } from '../plan/targets.ts'

/** As the kernel follows: path_resolution(7). */
const MAX_LINKS = 40

/** Where the root of a container is read before it is mounted: the directories of an overlay, the uppermost first, or its root. */
export function rootLayers({ mounts }: Config, rootfs: string): readonly string[] {
  const options = mounts.find(({ destination, type }) => destination === '/' && type === 'overlay')?.options ?? []
  const pathsOf = (name: string): readonly string[] =>
    options.flatMap((option) => (option.startsWith(`${name}=`) ? layersOf(option.slice(name.length + 1)) : []))
  const lower = pathsOf('lowerdir')
  return lower.length === 0 ? [rootfs] : [...pathsOf('upperdir'), ...lower]
}

/**
 * The path that `path`, clean, of the container leads to. Only its last part is followed, by text alone: the plan resolves what is answered
 * below the root of the container like any other path.
 */
export function behindLinks(
  files: Pick<Files, 'readLink' | 'status'>,
  layers: readonly string[],
  path: string,
): string {
  let at = path
  for (let count = 0; count < MAX_LINKS; count++) {
    const target = linkAt(files, layers, at)
    if (target === undefined) return at
    at = cleanPath(target.startsWith('/') ? target : `${parentOf(at)}/${target}`)
  }
  return path
}

function linkAt(
  files: Pick<Files, 'readLink' | 'status'>,
  layers: readonly string[],
  path: string,
): string | undefined {
  const found = layers.findIndex((layer) => files.readLink(`${layer}${path}`) !== undefined)
  const layer = layers[found]
  if (layer === undefined) return undefined
  const isHidden = layers.slice(0, found).some((upper) => files.status(`${upper}${path}`) !== undefined)
  // What is read behind a directory that is a link itself is not of the image.
  return isHidden || isBehindLink(files, layer, path) ? undefined : files.readLink(`${layer}${path}`)
}

function isBehindLink(files: Pick<Files, 'readLink'>, layer: string, path: string): boolean {
  for (let at = parentOf(path); at !== '/'; at = parentOf(at))
    if (files.readLink(`${layer}${at}`) !== undefined) return true
  return false
}
