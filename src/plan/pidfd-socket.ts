/** --pidfd-socket: the caller gets a descriptor of the process, which names it beyond its pid. */

import { type Slot, slot } from '../linux/call.ts'
import { sendDescriptor } from '../linux/sockets.ts'
import type { Step } from './plan.ts'
import { planConnect } from './unix-socket.ts'

export function planPidfdSocket(path: string, pidfd: Slot): readonly Step[] {
  const fd = slot('pidfd-socket')
  const why = `send a pidfd to ${path}`
  return [
    ...planConnect({ path, field: '--pidfd-socket', into: fd, why }),
    { call: sendDescriptor(fd, pidfd, Uint8Array.of(0)), why, see: ['pidfd_open(2)', 'unix(7)'] },
  ]
}
