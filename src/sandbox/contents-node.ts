/** The contents of files that changed: whether they did, and how. */

import { buffer, slot } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  close,
  O_NONBLOCK,
  O_RDONLY,
  openBeneath,
  readAt,
  S_IFMT,
  S_IFREG,
  STATX_TYPE,
  statx,
} from '../linux/files.ts'
import type { Step } from '../plan/plan.ts'
import { type Change, type Found, placeOf } from './changes-node.ts'
import { unifiedDiff } from './diff.ts'
import type { Looker, Place } from './listing-node.ts'
import { ORIGIN, SEE } from './reach.ts'

/** A report brings back so much at once. */
const BYTES_AT_ONCE = 4 * 1024 * 1024

/** With diffs; a file whose content, mode and owner are as before is no change. `maxBytes`: larger files are not looked into. */
export async function withContents(
  looker: Looker,
  found: readonly Found[],
  maxBytes: number,
): Promise<readonly Found[]> {
  const sides = found.flatMap((one) => sidesOf(one, maxBytes))
  const contents = await readAll(looker, sides)
  return found.flatMap((one): readonly Found[] => {
    const after = contents.get(keyOf(one, 'after'))
    const before = contents.get(keyOf(one, 'before'))
    if (isUntouched(one) && after !== undefined && before !== undefined && Buffer.compare(after, before) === 0)
      return []
    const diff = diffOf(one, before, after, maxBytes)
    return [diff === undefined ? one : { ...one, change: { ...one.change, diff } }]
  })
}

type SideName = 'before' | 'after'

interface Side {
  readonly key: string
  readonly place: Place
  readonly sizeBytes: number
}

const keyOf = ({ change }: Found, side: SideName): string => `${side} ${change.change} ${change.path}`

function sidesOf(found: Found, maxBytes: number): readonly Side[] {
  const { change, from, name, status, original } = found
  const after = { key: keyOf(found, 'after'), place: below(from, name), sizeBytes: status.sizeBytes }
  const before = {
    key: keyOf(found, 'before'),
    place: placeOf(ORIGIN, change.path),
    sizeBytes: original?.sizeBytes ?? 0,
  }
  if (change.kind !== 'file') return []
  const sides = [...(change.change === 'deleted' ? [] : [after]), ...(original === undefined ? [] : [before])]
  return sides.every(({ sizeBytes }) => sizeBytes <= maxBytes) ? sides : []
}

export const below = ({ base, path, crossesMounts }: Place, name: string): Place => ({
  base,
  crossesMounts,
  path: path === '.' ? name : `${path}/${name}`,
})

/** Whether all that statx tells is as before, but for times. */
const isUntouched = ({ change, status, original }: Found): boolean =>
  change.change === 'modified' &&
  original !== undefined &&
  status.mode === original.mode &&
  status.uid === original.uid &&
  status.gid === original.gid &&
  status.sizeBytes === original.sizeBytes

function diffOf(
  { change }: Found,
  before: Uint8Array | undefined,
  after: Uint8Array | undefined,
  maxBytes: number,
): Change['diff'] {
  if (change.kind !== 'file' || maxBytes === 0) return undefined
  const [from, to] = [textIn(before), textIn(after)]
  const hasBefore = change.change !== 'added'
  const hasAfter = change.change !== 'deleted'
  if ((hasBefore && from === undefined) || (hasAfter && to === undefined)) return undefined
  return unifiedDiff({ path: change.path, before: from, after: to })
}

/** Undefined for bytes that are no text: with a NUL, or not UTF-8. */
function textIn(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined || bytes.includes(0)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

async function readAll(looker: Looker, sides: readonly Side[]): Promise<ReadonlyMap<string, Uint8Array>> {
  const contents = new Map<string, Uint8Array>()
  let batch: Side[] = []
  let bytes = 0
  const flush = async (): Promise<void> => {
    for (const [key, content] of await readSome(looker, batch)) contents.set(key, content)
    batch = []
    bytes = 0
  }
  for (const side of sides) {
    if (batch.length > 0 && (bytes + side.sizeBytes > BYTES_AT_ONCE || batch.length >= 128)) await flush()
    batch.push(side)
    bytes += side.sizeBytes
  }
  if (batch.length > 0) await flush()
  return contents
}

const FILE = slot('file')

async function readSome(
  { box, operation, reach, signal }: Looker,
  sides: readonly Side[],
): Promise<readonly (readonly [string, Uint8Array])[]> {
  const rows = sides.map((side, index) => ({
    side,
    content: buffer(`content#${index}`, Math.max(1, side.sizeBytes)),
    length: slot(`content-length#${index}`),
  }))
  signal?.throwIfAborted()
  const why = operation
  const status = buffer('file-status', 256)
  const steps = rows.flatMap(({ side, content, length }): readonly Step[] => [
    {
      call: openBeneath(side.place.base, side.place.path, O_RDONLY | O_NONBLOCK),
      why,
      see: SEE,
      into: FILE,
      tolerate: ['ENOENT', 'ELOOP', 'EACCES', 'ENXIO'],
      then: [
        {
          call: statx(FILE, '', AT_EMPTY_PATH, STATX_TYPE, status),
          why: `be sure that ${side.place.path} is a regular file`,
          see: ['statx(2)'],
          check: { in: status, offset: 28, sizeBytes: 2, mask: S_IFMT, equals: S_IFREG, errno: 'ESTALE' },
        },
        { call: readAt(FILE, content, 0), why, see: ['pread(2)'], into: length },
        { call: close(FILE), why, see: ['close(2)'] },
      ],
    },
  ])
  const report = await box.machine.executor.run({
    operation,
    steps: [...reach, ...steps],
    returns: rows.map(({ length }) => length),
    reads: rows.map(({ content }) => content),
  })
  return rows.flatMap(({ side, content, length }) => {
    const read = report.slot(length)
    // One that could not be opened: nothing was read, and it was not empty.
    if (read <= 0 && side.sizeBytes > 0) return []
    return [[side.key, report.bytes(content).subarray(0, Math.min(read, side.sizeBytes))] as const]
  })
}
