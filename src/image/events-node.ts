/** As engine/events.ts, from Node: what is told of images there. */

import { appendFileSync, renameSync, statSync } from 'node:fs'
import { EVENTS_BYTES, EVENTS_FILE, messageOf } from '../base/event.ts'
import { bytesOf } from '../observe/files-node.ts'

/** Never an error: what happened has happened, whether there is room to tell of it or not. */
export function tellImage(root: string, action: string, id: string, name: string): void {
  const path = bytesOf(`${root}/${EVENTS_FILE}`)
  const message = messageOf({ type: 'image', action, id, attributes: { name } }, Date.now())
  try {
    appendFileSync(path, `${JSON.stringify(message)}\n`, { mode: 0o600 })
    if (statSync(path).size > EVENTS_BYTES) renameSync(path, bytesOf(`${root}/${EVENTS_FILE}.1`))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
}
