/**
 * logs: what a container has printed, as its monitor kept it.
 *
 * A record has 16 bytes in front (native/monitor.c, struct record, native byte order): how many bytes follow, the stream (1 or 2), three of
 * nothing, and when they came, in nanoseconds since 1970.
 */

import { LOG_FILE } from '../container/watched.ts'
import { attempt } from '../executor/embedded-call.ts'
import { close, open, writeAll } from '../executor/embedded-files.ts'
import { O_RDONLY } from '../linux/files.ts'
import { containerPath, type Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

const HEAD_BYTES = 16
const CHUNK_BYTES = 65536

export function printLog(engine: Engine, { id }: ContainerRecord): void {
  const { native, files } = engine.machine
  const path = `${containerPath(engine, id)}/${LOG_FILE}`
  if (files.status(path) === undefined) return
  const fd = open(native, path, O_RDONLY)
  const [head, chunk] = [new Uint8Array(HEAD_BYTES), new Uint8Array(CHUNK_BYTES)]
  const view = new DataView(head.buffer)
  try {
    while (attempt(native, 'read', fd, head, HEAD_BYTES) === HEAD_BYTES) {
      const stream = view.getUint8(4)
      for (let left = view.getUint32(0, true); left > 0; ) {
        const got = attempt(native, 'read', fd, chunk, Math.min(left, CHUNK_BYTES))
        if (got <= 0) return
        writeAll(native, stream, chunk.subarray(0, got))
        left -= got
      }
    }
  } finally {
    close(native, fd)
  }
}
