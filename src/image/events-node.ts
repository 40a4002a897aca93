/** As engine/events.ts, from Node: what is told of images there. Who has become Node has seen to it that the file is not too large (src/cli/transfer.ts). */

import { appendFileSync } from 'node:fs'
import { EVENTS_FILE, messageOf } from '../base/event.ts'
import { bytesOf } from '../observe/files-node.ts'

/** Never an error: what happened has happened, whether there is room to tell of it or not. */
export function tellImage(root: string, action: string, id: string, name: string): void {
  const path = bytesOf(`${root}/${EVENTS_FILE}`)
  const message = messageOf({ type: 'image', action, id, attributes: { name } }, Date.now())
  try {
    appendFileSync(path, `${JSON.stringify(message)}\n`, { mode: 0o600 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
  }
}
