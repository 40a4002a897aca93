/** What the root of this machine is made of, for a view of it: plan/overlay-parts.ts. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import { readMountPoints } from '../observe/mounts.ts'
import type { HostPart } from '../plan/overlay-parts.ts'

export function listHostParts(files: Files): readonly HostPart[] {
  return partsIn(files, '', readMountPoints(files))
}

/** `directory` has no slash at its end. */
function partsIn(files: Files, directory: string, mountPoints: readonly string[]): readonly HostPart[] {
  return (files.list(directory === '' ? '/' : directory) ?? []).flatMap((name) => {
    const part = partOf(files, `${directory}/${name}`, mountPoints)
    return part === undefined ? [] : [{ name, ...part }]
  })
}

type Part = HostPart extends infer One ? (One extends HostPart ? Omit<One, 'name'> : never) : never

/** Undefined for what is not in a view: devices, sockets and fifos. */
function partOf(files: Files, path: string, mountPoints: readonly string[]): Part | undefined {
  const target = files.readLink(path)
  if (target !== undefined) return { kind: 'symlink', target }
  const kind = files.status(path)?.kind
  if (kind === 'file') return { kind: 'file' }
  if (kind !== 'directory') return undefined
  if (mountPoints.includes(path) || !isReadable(files, path)) return { kind: 'empty' }
  const isAlone = !mountPoints.some((point) => point.startsWith(`${path}/`))
  return isAlone ? { kind: 'overlay' } : { kind: 'parts', parts: partsIn(files, path, mountPoints) }
}

/** An overlay of a directory that its owner keeps to itself would answer EACCES to everything, even to what is written to it. */
function isReadable(files: Files, path: string): boolean {
  try {
    return files.list(path) !== undefined
  } catch (error) {
    if (error instanceof OperationError && error.code === 'EACCES') return false
    throw error
  }
}
