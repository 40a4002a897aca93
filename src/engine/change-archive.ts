/** What a container has changed, as the archive of a layer. Source: oci:image-spec/layer.md, kernel:filesystems/overlayfs.rst */

import { OperationError } from '../base/errors.ts'
import type { Native } from '../base/native.ts'
import { withFd } from '../executor/embedded-at.ts'
import { attempt } from '../executor/embedded-call.ts'
import { open } from '../executor/embedded-files.ts'
import { O_DIRECTORY, O_PATH } from '../linux/files.ts'
import { isBelow, OURS } from './changes.ts'
import { idsOf } from './container-root.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'
import type { ArchiveWriter } from './tree-archive.ts'
import { type Found, readTree } from './tree-read.ts'

/** Throws `unsupported` for a container that is not of layers, and for what no archive can say. */
export function archiveChanges(engine: Engine, { id, name, intent }: ContainerRecord, archive: ArchiveWriter): void {
  const { native } = engine.machine
  const { root } = intent
  if (root.kind !== 'layers') throw refused(name, 'it is not made of an image')
  const { toContainer } = idsOf(engine, intent)
  const upper = open(native, `${containerPath(engine, id)}/upper`, O_PATH | O_DIRECTORY[native.architecture])
  withFd(native, upper, () =>
    readTree(native, upper, '.', {
      skip: (path) => OURS.includes(path) && !isBelow(engine, root.layers, path),
      visit: (found) => {
        const { entry, content, directory } = found
        if (entry.path === '') return
        if (isGone(found)) {
          archive.add({ ...entry, ...NOTHING, path: besides(entry.path, `.wh.${nameOf(entry.path)}`) }, undefined)
          return
        }
        const fd = content ?? directory
        if (fd !== undefined && REDIRECTS.some((attribute) => has(native, fd, attribute)))
          throw refused(name, `${entry.path} is kept by the kernel as a note of where it was`)
        archive.add({ ...entry, ...toContainer(entry) }, content)
        if (directory !== undefined && OPAQUE.some((attribute) => has(native, directory, attribute)))
          archive.add({ ...entry, ...NOTHING, path: `${entry.path}/.wh..wh..opq` }, undefined)
      },
    }),
  )
}

const refused = (name: string, reason: string): OperationError =>
  new OperationError({
    kind: 'unsupported',
    operation: `commit container ${name}`,
    reason,
    hint: 'coffer export has all its files',
  })

/** A whiteout is a device 0:0; the kernel may give several of them one inode. */
const isGone = ({ status: { kind, device } }: Found): boolean =>
  kind === 'character' && device.major === 0 && device.minor === 0

const NOTHING = { kind: 'file', mode: 0, uid: 0, gid: 0, sizeBytes: 0, target: '', xattrs: new Map() } as const

const nameOf = (path: string): string => path.slice(path.lastIndexOf('/') + 1)
const besides = (path: string, name: string): string => `${path.slice(0, path.lastIndexOf('/') + 1)}${name}`

const OPAQUE = ['trusted.overlay.opaque', 'user.overlay.opaque']
/** Of kernels that rename directories and change owners without a copy. */
const REDIRECTS = ['trusted.overlay.redirect', 'trusted.overlay.metacopy']

const has = (native: Native, fd: number, attribute: string): boolean =>
  attempt(native, 'fgetxattr', fd, attribute, new Uint8Array(4096), 4096) >= 0
