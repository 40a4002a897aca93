/**
 * The files of a box from outside: its layer, what it shows, and what it started from, each held by a descriptor.
 *
 * Behind that every path is opened strictly below one of them, through no symbolic link and no other mount (SECURITY-CHECKS S17, S18), so a
 * box that moves its files about meanwhile leads nowhere else. Without privilege the steps are made as root of the box's user namespace,
 * which may read what belongs to the box's other users, and is nobody else to the machine than the caller.
 */

import { type Slot, slot } from '../linux/call.ts'
import { AT_FDCWD, O_DIRECTORY, O_PATH, O_RDONLY, openat } from '../linux/files.ts'
import { MS_PRIVATE, MS_RDONLY, MS_REC, newMount, setPropagation } from '../linux/mount.ts'
import { CLONE_NEWNS, CLONE_NEWUSER, setns, unshare } from '../linux/namespaces.ts'
import { openHostProc } from '../plan/host-proc.ts'
import type { Ref, Step } from '../plan/plan.ts'
import { HOST_PROC } from '../plan/slots.ts'
import type { BoxState } from './box-state.ts'

/** The file system that keeps what was written. */
export const LAYER: Slot = slot('layer')
/** What the box sees as its root. */
export const VIEW: Slot = slot('view')
/** What the box started from. */
export const ORIGIN: Slot = slot('origin')
/** Where changes go to: ORIGIN, another directory, or the view of another box. */
export const TARGET: Slot = slot('target')

export const SEE: readonly Ref[] = ['openat2(2)', 'proc_pid_fd(5)']

/** Init has the layer as descriptor 3: box-node.ts. */
const LAYER_FD = 3
const USER = slot('box-user')

export interface ReachRequest {
  /** The uppermost first. */
  readonly origin: readonly string[]
  /** Absolute. */
  readonly target?: string | undefined
  /** Instead: the box whose view it is. */
  readonly into?: BoxState | undefined
}

/** The pids are not used again while these run: BoxState.during. */
export const openLayer = ({ id, initPid }: BoxState): readonly Step[] => [
  ...openHostProc,
  {
    call: openat(HOST_PROC, `${initPid}/fd/${LAYER_FD}`, O_PATH),
    why: `reach what was written in ${id}`,
    see: SEE,
    into: LAYER,
  },
]

export function openReach(box: BoxState, { origin, target, into }: ReachRequest): readonly Step[] {
  const { id, initPid, machine } = box
  const [uppermost = '/'] = origin
  const directory = O_PATH | O_DIRECTORY[machine.host.architecture]
  const reach = (path: string, why: string, slotInto: Slot): Step => ({
    call: openat(HOST_PROC, path, O_PATH),
    why,
    see: SEE,
    into: slotInto,
  })
  const open = (path: string, slotInto: Slot): Step => ({
    call: openat(AT_FDCWD, path, directory),
    why: `reach ${path}`,
    see: SEE,
    into: slotInto,
  })
  return [
    ...openLayer(box),
    reach(`${initPid}/root`, `reach the root of ${id}`, VIEW),
    ...(origin.length === 1 ? [open(uppermost, ORIGIN)] : []),
    ...(target === undefined ? [] : [open(target, TARGET)]),
    ...(into === undefined ? [] : [reach(`${into.initPid}/root`, `reach the root of ${into.id}`, TARGET)]),
    ...(machine.host.isRootless ? enterUser(box) : []),
    ...(origin.length === 1 ? [] : [...showLayers(origin, machine.host.isRootless), open(uppermost, ORIGIN)]),
  ]
}

/** Over the uppermost of them, in a mount namespace that ends with this plan. */
function showLayers(layers: readonly string[], isRootless: boolean): readonly Step[] {
  const [target = '/'] = layers
  const at = { why: 'see what the box started from', see: ['kernel:filesystems/overlayfs.rst'] as const }
  const data = `lowerdir=${layers.join(':')}${isRootless ? ',userxattr' : ''}`
  return [
    { call: unshare(CLONE_NEWNS), ...at },
    { call: setPropagation('/', MS_REC | MS_PRIVATE), ...at },
    { call: newMount({ type: 'overlay', source: 'overlay', target, flags: MS_RDONLY, data }), ...at },
  ]
}

const enterUser = ({ initPid, id }: BoxState): readonly Step[] => {
  const at = { why: `be root of the user namespace of ${id}`, see: ['setns(2)', 'user_namespaces(7)'] }
  return [
    { call: openat(HOST_PROC, `${initPid}/ns/user`, O_RDONLY), ...at, into: USER },
    { call: setns(USER, CLONE_NEWUSER), ...at },
  ]
}
