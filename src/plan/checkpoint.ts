/** checkpoint: criu writes the processes of a container into a directory of images, and ends them unless they are to go on. */

import { sizeOf, slot } from '../linux/call.ts'
import { AT_FDCWD, O_CREAT, O_TRUNC, O_WRONLY, openat, write } from '../linux/files.ts'
import {
  type Criu,
  type CriuOptions,
  commonArguments,
  criuReads,
  DESCRIPTORS_FILE,
  DUMP_LOG,
  makeDirectory,
  makeWorkDirectory,
  planCriu,
} from './criu.ts'
import { planFds } from './exec-target.ts'
import type { Plan, Step } from './plan.ts'

export interface CheckpointOptions extends CriuOptions {
  /** Images of a dump before this one, relative to those of this one; only memory that has changed since is written. */
  readonly parentPath?: string | undefined
  /** Write memory alone, and let the container run. */
  readonly preDump: boolean
  readonly leaveRunning: boolean
  readonly skipInFlight: boolean
  readonly linkRemap: boolean
  readonly pageServer?: { readonly address: string; readonly port: number } | undefined
}

export interface CheckpointRequest {
  readonly id: string
  readonly criu: Criu
  readonly pid: number
  readonly rootfs: string
  /** The cgroup directory whose freezer keeps everything still; none without a cgroup. */
  readonly freezer?: string | undefined
  /** What criu shall not look into, as it belongs to others: the words of `--external`. */
  readonly external: readonly string[]
  /** What to write down about the descriptors of init. */
  readonly descriptors: readonly string[]
  readonly options: CheckpointOptions
  /** The executor's descriptor to which criu writes a byte once its page server is ready. */
  readonly statusFd?: number | undefined
}

/** Why criu is run: the operation of the error if it fails. */
export const checkpointWhy = (id: string): string => `checkpoint ${id}`

export function planCheckpoint(request: CheckpointRequest): Plan {
  const { id, criu, options, statusFd } = request
  const why = checkpointWhy(id)
  return {
    operation: why,
    steps: [
      ...makeDirectory(options.imagesDirectory, 'have a place for the images'),
      ...makeWorkDirectory(options),
      ...(options.preDump ? [] : writeDescriptors(request)),
      ...planCriu({
        criu,
        args: dumpArguments(request),
        why,
        before: statusFd === undefined ? [] : planFds([statusFd]),
        keeps: statusFd === undefined ? 0 : 1,
      }),
    ],
    reads: criuReads,
  }
}

function writeDescriptors({ options, descriptors }: CheckpointRequest): readonly Step[] {
  const file = slot('descriptors')
  const why = 'remember which descriptors init was given'
  const json = JSON.stringify(descriptors)
  const path = `${options.imagesDirectory}/${DESCRIPTORS_FILE}`
  return [
    { call: openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0o600), why, see: ['open(2)'], into: file },
    { call: write(file, json, sizeOf(json)), why, see: ['write(2)'] },
  ]
}

/** The words behind `criu`. */
export function dumpArguments({
  criu,
  pid,
  rootfs,
  freezer,
  external,
  options,
  statusFd,
}: CheckpointRequest): string[] {
  const { parentPath, pageServer, preDump } = options
  return [
    preDump ? 'pre-dump' : 'dump',
    ...['--tree', `${pid}`],
    ...commonArguments(criu, options, DUMP_LOG),
    ...['--root', rootfs],
    ...(freezer === undefined ? [] : ['--freeze-cgroup', freezer]),
    ...(parentPath === undefined ? [] : ['--prev-images-dir', parentPath]),
    // Pages that are written to from now on are the ones of the next dump.
    ...(parentPath !== undefined || preDump ? ['--track-mem'] : []),
    ...(options.leaveRunning && !preDump ? ['--leave-running'] : []),
    ...(options.skipInFlight ? ['--skip-in-flight'] : []),
    ...(options.linkRemap ? ['--link-remap'] : []),
    ...pageArguments(pageServer, options.lazyPages),
    ...(statusFd === undefined ? [] : ['--status-fd', '3']),
    ...external.flatMap((one) => ['--external', one]),
  ]
}

/** With lazy pages criu is itself the server, from which the pages are fetched; otherwise it sends them to one. criu(8) */
function pageArguments(server: CheckpointOptions['pageServer'], isLazy: boolean): readonly string[] {
  if (server === undefined) return []
  return [...(isLazy ? [] : ['--page-server']), '--address', server.address, '--port', `${server.port}`]
}
