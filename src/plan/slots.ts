/** The results that more than one noun uses; a slot is set by the noun in whose name it is documented here. */

import { type Slot, slot } from '../linux/call.ts'

/** The root directory of the container: the root of its mount once rootfs.ts has attached it. O_PATH. */
export const ROOT: Slot = slot('root')
/** The host's procfs, opened and verified before anything of the container exists; writes to /proc go through it. O_PATH. */
export const HOST_PROC: Slot = slot('host-proc')
/** The parent's and the child's end of the socket by which executor and init take turns. */
export const PARENT_END: Slot = slot('parent-end')
export const CHILD_END: Slot = slot('child-end')
/** The init process of the container, as its parent sees it. */
export const INIT_PID: Slot = slot('init-pid')
export const INIT_PIDFD: Slot = slot('init-pidfd')
/** Connected to whoever receives the master of the container's terminal. */
export const CONSOLE_SOCKET: Slot = slot('console-socket')
/** The file that `start` writes to. */
export const START_FIFO: Slot = slot('start-fifo')
