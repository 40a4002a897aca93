/**
 * The terminal of a process for a program that cannot be sent a descriptor, as Node and Bun cannot: a monitor has the master, and the program
 * talks with it over a socket (container/attach.ts).
 *
 * The monitor is a child of the executor beside the process, and neither its parent nor that of the executor: it relays, and judges nothing.
 */

import { buffer, type Slot, slot } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { clone3 } from '../linux/namespaces.ts'
import { P_PIDFD, waitid } from '../linux/process.ts'
import { AF_UNIX, SOCK_STREAM, socketpair } from '../linux/sockets.ts'
import { becomeMonitor } from './monitor.ts'
import { openOwnProgram, PROGRAM } from './own-program.ts'
import type { Step } from './plan.ts'
import { CONSOLE_SOCKET } from './slots.ts'
import { endProcess, INIT_EXIT } from './stage.ts'
import { planConnect } from './unix-socket.ts'

export interface Relay {
  /** Of native/monitor.c, as a program. */
  readonly monitor: Uint8Array
  /** The path of a socket on which the program listens for it. */
  readonly socket: string
}

export interface RelayPlan {
  /** For the executor, before it makes the process. */
  readonly open: readonly Step[]
  /** For the executor, when the process has sent its terminal and before it runs. */
  readonly start: readonly Step[]
  /** For the executor, behind the end of the process: what the process printed has been sent. */
  readonly end: readonly Step[]
}

const NONE: RelayPlan = { open: [], start: [], end: [] }
const CLIENT = slot('terminal-client')
const CONSOLE = slot('terminal-console')
const MONITOR_PIDFD = slot('monitor-pidfd')
const MONITOR_PID = slot('monitor-pid')

export function planRelay(id: string, relay: Relay | undefined): RelayPlan {
  if (relay === undefined) return NONE
  const ends = buffer('terminal-ends', 8)
  const pidfd = buffer('monitor-pidfd', 4)
  const why = `relay the terminal of the process in ${id}`
  const leave = (fd: Slot): Step => ({ call: close(fd), why: 'leave the terminal to the monitor', see: ['close(2)'] })
  return {
    open: [
      ...openOwnProgram({ elf: relay.monitor, name: 'coffer-monitor' }),
      ...planConnect({ path: relay.socket, field: 'the socket of the terminal', into: CLIENT, why }),
      {
        call: socketpair(AF_UNIX, SOCK_STREAM, ends),
        why,
        see: ['socketpair(2)'],
        keep: [
          { slot: CONSOLE_SOCKET, in: ends, offset: 0, sizeBytes: 4 },
          { slot: CONSOLE, in: ends, offset: 4, sizeBytes: 4 },
        ],
      },
    ],
    start: [
      {
        call: clone3({ flags: 0, pidfd }),
        why,
        see: ['clone(2)', 'native/monitor.c'],
        into: MONITOR_PID,
        keep: [{ slot: MONITOR_PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
        child: becomeMonitor(id, {
          image: PROGRAM,
          descriptors: [undefined, undefined, undefined, CONSOLE, undefined, CLIENT, undefined],
          words: ['0', '1', '0', '-', '-'],
        }),
        undo: endProcess(MONITOR_PIDFD, 'the monitor'),
      },
      ...[CLIENT, CONSOLE, CONSOLE_SOCKET, PROGRAM].map(leave),
    ],
    end: [
      {
        call: waitid(P_PIDFD, MONITOR_PIDFD, buffer('monitor-exit', INIT_EXIT.sizeBytes)),
        why: 'wait until all that was printed is sent',
        see: ['waitid(2)'],
      },
    ],
  }
}
