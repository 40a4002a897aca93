/**
 * Network namespaces by name, as iproute2 has them: files in /run/netns on which a namespace is mounted. ip-netns(8)
 *
 * The directory is a shared mount, so that names are seen in other mount namespaces as well; who makes or removes one holds its lock.
 */

import { type Slot, slot } from '../linux/call.ts'
import {
  AT_FDCWD,
  close,
  flock,
  LOCK_EX,
  mkdirat,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_RDONLY,
  openat,
  unlinkat,
  write,
} from '../linux/files.ts'
import {
  bindMount,
  MNT_DETACH,
  MS_REC,
  MS_SHARED,
  MS_SLAVE,
  newMount,
  setPropagation,
  umount2,
} from '../linux/mount.ts'
import { CLONE_NEWNET, CLONE_NEWNS, setns, unshare } from '../linux/namespaces.ts'
import {
  AF_NETLINK,
  NETLINK_ROUTE,
  NETNSA_FD,
  NETNSA_NSID,
  numberAttribute,
  RTGENMSG_BYTES,
  RTM_NEWNSID,
  SOCK_RAW,
} from '../linux/netlink.ts'
import { socket } from '../linux/sockets.ts'
import { planAttended } from './attended.ts'
import { type Command, planCommand } from './command.ts'
import type { Host } from './host.ts'
import { planLoopback } from './network-lo.ts'
import type { Plan, Ref, Step } from './plan.ts'
import { ask } from './rtnetlink.ts'

export const NETNS_DIRECTORY = '/run/netns'
export const netnsFile = (name: string): string => `${NETNS_DIRECTORY}/${name}`

const SEE: readonly Ref[] = ['ip-netns(8)', 'network_namespaces(7)']
const DIRECTORY: Slot = slot('netns-directory')
const NAMESPACE: Slot = slot('network namespace')

type Machine = Pick<Host, 'architecture'>

function planDirectory({ architecture }: Machine): readonly Step[] {
  const why = 'have names of network namespaces in all mount namespaces'
  return [
    { call: mkdirat(AT_FDCWD, NETNS_DIRECTORY, 0o755), why, see: SEE, tolerate: ['EEXIST'] },
    ...lock(architecture),
    {
      call: setPropagation(NETNS_DIRECTORY, MS_SHARED | MS_REC),
      why,
      see: ['mount_namespaces(7) "SHARED SUBTREES"'],
      // It is no mount point yet.
      tolerate: ['EINVAL'],
      otherwise: [
        { call: bindMount(NETNS_DIRECTORY, NETNS_DIRECTORY, { recursive: true }), why, see: ['mount(2)'] },
        { call: setPropagation(NETNS_DIRECTORY, MS_SHARED | MS_REC), why, see: ['mount_namespaces(7)'] },
      ],
    },
  ]
}

const lock = (architecture: Host['architecture']): readonly Step[] => [
  {
    call: openat(AT_FDCWD, NETNS_DIRECTORY, O_RDONLY | O_DIRECTORY[architecture]),
    why: 'have the lock of the names',
    see: SEE,
    into: DIRECTORY,
  },
  { call: flock(DIRECTORY, LOCK_EX), why: 'be the only one who changes names', see: ['flock(2)'] },
]

/** A new namespace, with lo on if `up`; or with `pid` that of a process. */
export interface NetnsAddRequest {
  readonly name: string
  readonly up: boolean
  readonly pid?: number | undefined
}

export function planNetnsAdd({ name, up, pid }: NetnsAddRequest, host: Machine): Plan {
  const file = netnsFile(name)
  const why = `give the network namespace the name ${name}`
  const taken = slot('name')
  return {
    operation: `add the network namespace ${name}`,
    steps: [
      ...planDirectory(host),
      {
        call: openat(AT_FDCWD, file, O_RDONLY | O_CREAT | O_EXCL, 0),
        why,
        see: SEE,
        into: taken,
        undo: [{ call: unlinkat(AT_FDCWD, file), why: 'give the name back', see: ['unlink(2)'] }],
      },
      { call: close(taken), why, see: SEE },
      ...(pid === undefined
        ? [{ call: unshare(CLONE_NEWNET), why: 'have a new network namespace', see: ['unshare(2)', ...SEE] }]
        : []),
      ...(up ? planLoopback : []),
      { call: bindMount(`/proc/${pid ?? 'self'}/ns/net`, file, { recursive: false }), why, see: ['namespaces(7)'] },
    ],
  }
}

export const planNetnsDelete = (names: readonly string[], { architecture }: Machine): Plan => ({
  operation: `delete the network namespace ${names.join(', ')}`,
  steps: [
    // Without a name there may be no directory either.
    ...(names.length === 0 ? [] : lock(architecture)),
    ...names.flatMap((name): readonly Step[] => [
      {
        call: umount2(netnsFile(name), MNT_DETACH),
        why: `let go of the network namespace ${name}`,
        see: ['umount(2)'],
        // A name that was left behind, without a namespace.
        tolerate: ['EINVAL'],
      },
      { call: unlinkat(AT_FDCWD, netnsFile(name)), why: `remove the name ${name}`, see: SEE },
    ]),
  ],
})

export interface NetnsExecRequest {
  readonly name: string
  /** What is in /etc/netns/NAME: files and directories that the program shall see in /etc. */
  readonly etc: readonly string[]
  readonly isSysReadonly: boolean
  readonly command: Command
}

/** The program sees /sys of the namespace, and files in /etc of its own, in a mount namespace that hears of later mounts of the host. */
export const planNetnsExec = (request: NetnsExecRequest): Plan => ({
  operation: `run ${request.command.args[0] ?? ''} in the network namespace ${request.name}`,
  steps: planExecSteps(request),
})

/** One after the other, each as a child; the name is printed in front. */
export const planNetnsExecAll = (requests: readonly NetnsExecRequest[]): Plan => ({
  operation: `run ${requests[0]?.command.args[0] ?? ''} in all network namespaces`,
  steps: requests.flatMap((request): readonly Step[] => {
    const title = `\nnetns: ${request.name}\n`
    return [
      { call: write(1, title, title.length), why: 'say which one it is', see: [] },
      ...planAttended(`run it in ${request.name}`, planExecSteps(request)),
    ]
  }),
})

function planExecSteps({ name, etc, isSysReadonly, command }: NetnsExecRequest): readonly Step[] {
  return [
    {
      call: openat(AT_FDCWD, netnsFile(name), O_RDONLY),
      why: `find the network namespace ${name}`,
      see: SEE,
      into: NAMESPACE,
    },
    { call: setns(NAMESPACE, CLONE_NEWNET), why: `enter the network namespace ${name}`, see: ['setns(2)', ...SEE] },
    { call: unshare(CLONE_NEWNS), why: 'have mounts of its own', see: ['mount_namespaces(7)'] },
    {
      call: setPropagation('/', MS_SLAVE | MS_REC),
      why: 'tell nobody of them, and still hear of those of the host',
      see: ['mount_namespaces(7) "SHARED SUBTREES"'],
    },
    {
      call: umount2('/sys', MNT_DETACH),
      why: 'take the sysfs of the other network away',
      see: ['sysfs(5)'],
      // There is none.
      tolerate: ['EINVAL', 'ENOENT'],
    },
    {
      call: newMount({ type: 'sysfs', source: name, target: '/sys', flags: isSysReadonly ? 1 : 0, data: 0 }),
      why: 'show the devices of this network in /sys/class/net',
      see: ['sysfs(5)'],
    },
    ...etc.map(
      (file): Step => ({
        call: bindMount(`/etc/netns/${name}/${file}`, `/etc/${file}`, { recursive: false }),
        why: `have /etc/${file} for this network`,
        see: SEE,
      }),
    ),
    ...planCommand(command),
  ]
}

/** The number by which this network namespace knows another one, that of a peer of veth for instance. */
export function planNetnsSet(name: string, nsid: number): Plan {
  const route = slot('route')
  return {
    operation: `give the network namespace ${name} the number ${nsid}`,
    steps: [
      {
        call: openat(AT_FDCWD, netnsFile(name), O_RDONLY),
        why: `find the network namespace ${name}`,
        see: SEE,
        into: NAMESPACE,
      },
      {
        call: socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE),
        why: 'talk to the kernel',
        see: ['netlink(7)'],
        into: route,
      },
      ...ask(
        route,
        {
          type: RTM_NEWNSID,
          body: { bytes: new Uint8Array(RTGENMSG_BYTES) },
          attributes: [{ type: NETNSA_FD, value: NAMESPACE }, numberAttribute(NETNSA_NSID, nsid)],
        },
        `give the network namespace ${name} the number ${nsid < 0 ? 'that is next' : nsid}`,
        { see: ['rtnetlink(7)', ...SEE] },
      ),
    ],
  }
}
