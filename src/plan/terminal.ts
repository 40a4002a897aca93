/**
 * The terminal of the container: a pair of its own, whose master goes to whoever asked for it over a socket.
 *
 * No path of the container's /dev is trusted: the multiplexer is opened only after it was seen to be of devpts, and the slave comes from the
 * master itself, not from a number in /dev/pts (SECURITY-CHECKS S23, S95). Source: pty(7), ioctl_tty(2), oci:runtime-spec/config.md#process
 */

import { utf8 } from '../linux/bytes.ts'
import { buffer, type Slot, slot, text } from '../linux/call.ts'
import { fchownUser } from '../linux/credentials.ts'
import {
  AT_FDCWD,
  close,
  dup3,
  F_DUPFD_CLOEXEC,
  fcntl,
  fstatfs,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOCTTY,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  openat,
  openat2,
  openInRoot,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  read,
} from '../linux/files.ts'
import { attach, cloneTree } from '../linux/mount.ts'
import { sendDescriptor } from '../linux/sockets.ts'
import { DEVPTS_SUPER_MAGIC, openSlave, setWindowSize, takeTerminal, unlockSlave } from '../linux/terminal.ts'
import type { ConsoleSize } from '../oci/process.ts'
import type { Host } from './host.ts'
import type { Ref, Step } from './plan.ts'
import { CONSOLE_SOCKET, HOST_PROC } from './slots.ts'
import { planConnect } from './unix-socket.ts'

const SEE: readonly Ref[] = ['pty(7)']
const MULTIPLEXER = slot('ptmx')
const MASTER = slot('terminal-master')
const SLAVE = slot('terminal-slave')
/** What runc calls the master in its message. */
const MASTER_NAME = '/dev/ptmx'

/** In the executor: where the master will go, a path of the host or a descriptor that the executor was given. Throws `invalid`. */
export function planConsoleSocket(socket: string | number | undefined): readonly Step[] {
  if (socket === undefined) return []
  const why = 'reach whoever gets the terminal'
  if (typeof socket === 'string')
    return planConnect({ path: socket, field: '--console-socket', into: CONSOLE_SOCKET, why })
  return [{ call: fcntl(socket, F_DUPFD_CLOEXEC, 0), why, see: ['fcntl(2)'], into: CONSOLE_SOCKET }]
}

/**
 * In the executor, before the program begins: a caller who gets the terminal by a descriptor, and stays, gives it its own size and settings and
 * closes its end. What is printed before would have other line ends.
 */
export const awaitCaller = (socket: string | number | undefined): readonly Step[] =>
  typeof socket !== 'number'
    ? []
    : [
        {
          call: read(CONSOLE_SOCKET, buffer('console-end', 1)),
          why: 'have the terminal made like that of the caller',
          see: ['unix(7)'],
        },
      ]

export interface ConsoleRequest {
  /**
   * For init, before pivot_root: the root of the container. The terminal is mounted at its /dev/console, and a container without a devpts of
   * its own gets a terminal of the host. Undefined for a process of exec, which is inside.
   */
  readonly root?: Slot | undefined
  readonly size?: ConsoleSize | undefined
  /** Who owns the terminal. */
  readonly uid: number
}

/** Makes the terminal, and sends its master to CONSOLE_SOCKET. */
export function planConsole(request: ConsoleRequest, host: Pick<Host, 'architecture'>): readonly Step[] {
  const { root, size, uid } = request
  return [
    ...openMaster(request),
    { call: unlockSlave(MASTER), why: 'have a terminal that can be opened', see: ['TIOCSPTLCK(2const)'] },
    { call: openSlave(MASTER), why: 'have the terminal of the container', see: ['TIOCGPTPEER(2const)'], into: SLAVE },
    ...(uid === 0
      ? []
      : [{ call: fchownUser(SLAVE, uid), why: `let user ${uid} use the terminal`, see: ['fchown(2)'] }]),
    ...(size === undefined || (size.height === 0 && size.width === 0)
      ? []
      : [
          {
            call: setWindowSize(SLAVE, size),
            why: `make the terminal ${size.width} by ${size.height} characters`,
            see: ['TIOCSWINSZ(2const)'],
          },
        ]),
    ...(root === undefined ? [] : mountConsole(root, host)),
    {
      call: sendDescriptor(CONSOLE_SOCKET, MASTER, utf8(MASTER_NAME)),
      why: 'hand the terminal over to whoever asked for it',
      see: ['unix(7)', 'cmsg(3)'],
    },
    { call: close(CONSOLE_SOCKET), why: 'keep nothing of the host', see: ['close(2)'] },
    { call: close(MASTER), why: 'keep the container from its own master', see: ['close(2)'] },
  ]
}

const STATFS = buffer('devpts-statfs', 120)

/** O_PATH first: to open a fifo or a device that an image put there could block, or do something. */
function openMaster({ root }: ConsoleRequest): readonly Step[] {
  const why = 'make a terminal in the devpts of the container'
  const reopen: readonly Step[] = [
    {
      call: fstatfs(MULTIPLEXER, STATFS),
      why: 'be sure that dev/pts/ptmx is of devpts',
      see: ['statfs(2)', 'kernel:filesystems/devpts.rst'],
      check: { in: STATFS, offset: 0, sizeBytes: 4, equals: DEVPTS_SUPER_MAGIC, errno: 'ENOTTY' },
    },
    {
      call: openat(HOST_PROC, text('self/fd/', MULTIPLEXER), O_RDWR | O_NOCTTY),
      why,
      see: ['proc_pid_fd(5)', ...SEE],
      into: MASTER,
    },
    { call: close(MULTIPLEXER), why, see: ['close(2)'] },
  ]
  const find: Step = {
    call:
      root === undefined
        ? openat2(AT_FDCWD, '/dev/pts/ptmx', O_PATH, RESOLVE_NO_MAGICLINKS)
        : openInRoot(root, 'dev/pts/ptmx', O_PATH),
    why,
    see: ['openat2(2)', ...SEE],
    into: MULTIPLEXER,
  }
  if (root === undefined) return [find, ...reopen]
  return [
    {
      ...find,
      tolerate: ['ENOENT'],
      then: reopen,
      otherwise: [
        {
          call: openat(AT_FDCWD, '/dev/ptmx', O_RDWR | O_NOCTTY),
          why: 'make a terminal in the devpts of the host, as the container has none',
          see: SEE,
          into: MASTER,
        },
      ],
    },
  ]
}

const DEV = slot('console-dev')
const TARGET = slot('console-target')
const TREE = slot('console-tree')
const WHY_CONSOLE = 'show the terminal as /dev/console'
const SEE_CONSOLE: readonly Ref[] = ['open_tree(2)', 'oci:runtime-spec/config-linux.md#default-devices']

/** The mount is of the open slave, onto the open target: neither is looked up by a path that could lead elsewhere by now. */
function mountConsole(root: Slot, { architecture }: Pick<Host, 'architecture'>): readonly Step[] {
  const at = { why: WHY_CONSOLE, see: SEE_CONSOLE }
  const within = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS
  return [
    { call: openInRoot(root, 'dev', O_PATH | O_DIRECTORY[architecture]), ...at, into: DEV },
    {
      call: openat2(DEV, 'console', O_PATH, within),
      ...at,
      into: TARGET,
      tolerate: ['ENOENT'],
      otherwise: [
        { call: openat2(DEV, 'console', O_CREAT | O_EXCL | O_RDONLY | O_NOCTTY, within, 0o600), ...at, into: TARGET },
      ],
    },
    { call: cloneTree(SLAVE, '', { recursive: false }), ...at, into: TREE },
    { call: attach(TREE, TARGET), ...at },
    ...[TREE, TARGET, DEV].map((fd: Slot) => ({ call: close(fd), ...at })),
  ]
}

/** Behind setsid(2): the terminal becomes the one of the session, and standard input, output and error. */
export const planControllingTerminal: readonly Step[] = [
  {
    call: takeTerminal(SLAVE),
    why: 'be interrupted by the keys of its terminal',
    see: ['TIOCSCTTY(2const)', 'credentials(7)'],
  },
  ...[0, 1, 2].map((fd) => ({ call: dup3(SLAVE, fd), why: 'read from and write to its terminal', see: ['dup(2)'] })),
  { call: close(SLAVE), why: 'have its terminal in no other place', see: ['close(2)'] },
]
