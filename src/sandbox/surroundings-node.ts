/** Shapes of containers for this machine, each made once: reading and checking a configuration takes longer than running a command. */

import { homedir } from 'node:os'
import { imageOf } from './image.ts'
import type { ExactLimits } from './limits.ts'
import type { Machine } from './machine-node.ts'
import { nameFiles, nameFilesIn } from './name-files-node.ts'
import { engineNetwork } from './network.ts'
import type { BoxOptions } from './options.ts'
import { JOINED, type Shape, shapeOf } from './request.ts'
import { secretPaths } from './secrets.ts'
import { type ExistingPaths, existingPaths } from './secrets-node.ts'

const MAX_SHAPES = 64
const shapes = new Map<string, Shape>()
const secrets = new Map<string, ExistingPaths>()

/** Throws `invalid` and `unsupported`. */
export function shapeFor(machine: Machine, options: BoxOptions, defaults?: ExactLimits): Shape {
  const { root, limits, network, mounts, env, user, hostname, grant = [], denials, requires } = options
  const cwd = options.cwd ?? process.cwd()
  const image =
    typeof root === 'object' && root !== null && 'image' in root ? imageOf(root.image, seen(machine)) : undefined
  const hiddenPaths = root === 'host' ? secretsOf(machine, grant).now() : []
  const asked = [root, limits, network, mounts, env, user, hostname, denials, requires, cwd, image]
  const key = JSON.stringify([...asked, hiddenPaths, defaults])
  const kept = shapes.get(key)
  if (kept !== undefined) return kept
  const around = {
    host: machine.host,
    ids: machine.ids,
    hiddenPaths,
    cwd,
    home: homedir(),
    image,
    nameFiles: (roots: readonly string[], hostname: string) =>
      engineNetwork(network ?? 'none') === undefined
        ? nameFiles(machine, roots, hostname)
        : nameFilesIn(JOINED.directory, roots),
  }
  const shape = shapeOf(options, around, defaults)
  if (shapes.size >= MAX_SHAPES) shapes.clear()
  shapes.set(key, shape)
  return shape
}

const seen = ({ files, dataRoot }: Machine) => ({ files, dataRoot: dataRoot() })

function secretsOf({ homes }: Machine, grant: readonly string[]): ExistingPaths {
  const key = grant.join('\0')
  const kept = secrets.get(key)
  if (kept !== undefined) return kept
  const made = existingPaths(secretPaths(homes, grant))
  if (secrets.size >= MAX_SHAPES) secrets.clear()
  secrets.set(key, made)
  return made
}
