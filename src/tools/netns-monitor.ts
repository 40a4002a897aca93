/** Prints what happens to the names of network namespaces. */

import { must } from '../executor/embedded-call.ts'
import { makeDirectories } from '../executor/embedded-files.ts'
import type { Caller } from './tool.ts'

const IN_CREATE = 0x100
const IN_DELETE = 0x200
const EVENTS_BYTES = 4096
const EVENT_BYTES = 16

/** Never returns but by an error. struct inotify_event: wd, mask, cookie, length of the name (4 bytes each), the name. inotify(7) */
export function monitorNames({ native, print }: Caller, directory: string): number {
  const operation = `watch ${directory}`
  makeDirectories(native, directory, 0o755)
  const fd = must(native, operation, 'inotify_init1', 0o2000000)
  must(native, operation, 'inotify_add_watch', fd, directory, IN_CREATE | IN_DELETE)
  for (;;) {
    const bytes = new Uint8Array(EVENTS_BYTES)
    const length = must(native, operation, 'read', fd, bytes, bytes.length)
    const view = new DataView(bytes.buffer)
    for (let at = 0; at + EVENT_BYTES <= length; at += EVENT_BYTES + view.getUint32(at + 12, true)) {
      const end = bytes.indexOf(0, at + EVENT_BYTES)
      const name = native.decode(bytes, at + EVENT_BYTES, end - at - EVENT_BYTES)
      print(`${(view.getUint32(at + 4, true) & IN_CREATE) === 0 ? 'delete' : 'add'} ${name}\n`)
    }
  }
}
