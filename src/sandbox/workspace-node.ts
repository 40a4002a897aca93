/** What was written in a box, as something to look at, to keep, or to go on from. */

import { OperationError } from '../base/errors.ts'
import { buffer } from '../linux/call.ts'
import { AT_EMPTY_PATH, STATX_BASIC_STATS, statx } from '../linux/files.ts'
import { applyChanges } from './apply-node.ts'
import type { BoxState } from './box-state.ts'
import { type Change, findChanges } from './changes-node.ts'
import { withContents } from './contents-node.ts'
import type { LayerView } from './layer-view.ts'
import type { Looker } from './listing-node.ts'
import { checkWord, invalid } from './options.ts'
import { LAYER, openReach, type ReachRequest, SEE } from './reach.ts'
import { parseStatus, STATUS_BYTES } from './status.ts'

export interface ChangesOptions {
  /** Files up to this size are compared by their content, and have a diff if they are text. Bytes, default 256 KiB. */
  readonly diffBytes?: number | undefined
  /** Rejects with its reason. */
  readonly signal?: AbortSignal | undefined
}

export interface ApplyOptions {
  /** An absolute path of a directory of this machine; default: what the box started from, unless that is an image. */
  readonly to?: string | undefined
  /** Also over what changed there since the box was made. */
  readonly overwrite?: boolean | undefined
  /** Also files that programs of this machine run by themselves, such as `.git/hooks` and `.bashrc`; default: they are refused. */
  readonly controlFiles?: boolean | undefined
  /** Rejects with its reason, unless it has begun to write: then it goes on to the end. */
  readonly signal?: AbortSignal | undefined
}

export interface Workspace {
  readonly changes: (options?: ChangesOptions) => Promise<readonly Change[]>
  readonly apply: (filter?: (change: Change) => boolean, options?: ApplyOptions) => Promise<readonly Change[]>
  /** Throws `unsupported` for a box without a layer. */
  readonly requireLayer: (operation: string) => void
  /** The layer is a new one. */
  readonly forget: () => void
  /** Brings all that was written to a box that has nothing of its own yet. */
  readonly copyInto: (other: BoxState, signal: AbortSignal | undefined) => Promise<void>
  /** When the box was made, by the clock of its file systems: nanoseconds since 1970. */
  readonly since: () => Promise<bigint>
}

const DIFF_BYTES = 256 * 1024
const MAX_DIFF_BYTES = 4 * 1024 * 1024
const everything = (): boolean => true

/** `inherited`: the box was forked from one that was made at that time. */
export function workspaceOf(box: BoxState, view: LayerView | undefined, inherited?: bigint): Workspace {
  const applied = new Map<string, bigint>()
  const lookerFor = (operation: string, request: ReachRequest, signal: AbortSignal | undefined): Looker => ({
    box,
    signal,
    operation,
    reach: openReach(box, request),
  })
  const viewOf = (operation: string): LayerView => {
    if (view !== undefined) return view
    throw new OperationError({
      kind: 'unsupported',
      operation,
      reason: 'what the box writes is written to its directory itself',
      hint: 'make the box with root: { directory, copyOnWrite: true }',
    })
  }
  let began = inherited
  const since = async (): Promise<bigint> => {
    began ??= await madeAt(box, viewOf(`look at ${box.id}`))
    return began
  }
  return {
    since,
    requireLayer: viewOf,
    forget: () => {
      applied.clear()
      began = undefined
    },
    changes: async ({ diffBytes = DIFF_BYTES, signal } = {}) => {
      if (!Number.isSafeInteger(diffBytes) || diffBytes < 0 || diffBytes > MAX_DIFF_BYTES)
        throw invalid(`diffBytes is ${diffBytes}`, `give a whole number up to ${MAX_DIFF_BYTES}`)
      const operation = `find what was changed in ${box.id}`
      const layers = viewOf(operation)
      return box.during(operation, async () => {
        const looker = lookerFor(operation, layers, signal)
        const found = await withContents(looker, await findChanges(looker, layers), diffBytes)
        return found.map(({ change }) => change)
      })
    },
    apply: async (filter = everything, { to, overwrite = false, controlFiles = false, signal } = {}) => {
      const operation = `apply the changes of ${box.id}`
      const layers = viewOf(operation)
      checkTarget(to)
      if (to === undefined && !layers.takesChanges) throw noTarget()
      return box.during(operation, async () =>
        applyChanges({
          looker: lookerFor(operation, { origin: layers.origin, target: to ?? layers.origin[0] }, signal),
          view: layers,
          filter,
          since: overwrite ? undefined : await since(),
          // What was brought elsewhere says nothing of this place.
          applied: to === undefined ? applied : new Map(),
          isOrigin: to === undefined,
          isBox: false,
          controlFiles,
        }),
      )
    },
    copyInto: async (other, signal) => {
      const operation = `make a box from the files of ${box.id}`
      const layers = viewOf(operation)
      await applyChanges({
        looker: lookerFor(operation, { origin: layers.origin, into: other }, signal),
        view: layers,
        filter: everything,
        since: undefined,
        applied: new Map(),
        isOrigin: false,
        isBox: true,
        controlFiles: true,
      })
    },
  }
}

const noTarget = (): OperationError =>
  invalid('to is not given, and what the box started from is an image', 'name a directory of this machine')

function checkTarget(to: string | undefined): void {
  if (to === undefined) return
  checkWord('to', to)
  if (!to.startsWith('/')) throw invalid(`to is ${JSON.stringify(to)}`, 'begin it with a slash')
}

/** The directories of the layer are the last that was made in its root, just before the box began. */
async function madeAt(box: BoxState, { origin }: LayerView): Promise<bigint> {
  const operation = `look at the layer of ${box.id}`
  const status = buffer('layer-status', STATUS_BYTES)
  const report = await box.machine.executor.run({
    operation,
    steps: [
      ...openReach(box, { origin }),
      { call: statx(LAYER, '', AT_EMPTY_PATH, STATX_BASIC_STATS, status), why: operation, see: SEE },
    ],
    reads: [status],
  })
  const { seconds, nanos } = parseStatus(report.bytes(status))?.modified ?? { seconds: 0n, nanos: 0 }
  return seconds * 1_000_000_000n + BigInt(nanos)
}
