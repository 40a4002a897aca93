/** The one interface that a new network namespace has. */

import { slot } from '../linux/call.ts'
import { close } from '../linux/files.ts'
import { IFF_RUNNING, IFF_UP, setInterfaceFlags } from '../linux/interfaces.ts'
import { AF_INET, SOCK_DGRAM, socket } from '../linux/sockets.ts'
import type { Ref, Step } from './plan.ts'

const SOCKET = slot('interface-socket')
const SEE: readonly Ref[] = ['netdevice(7)', 'network_namespaces(7)']
const WHY = 'switch lo on, which is off in a new network namespace'

/** In the new network namespace, with CAP_NET_ADMIN over it. */
export const planLoopback: readonly Step[] = [
  { call: socket(AF_INET, SOCK_DGRAM), why: WHY, see: SEE, into: SOCKET },
  { call: setInterfaceFlags(SOCKET, 'lo', IFF_UP | IFF_RUNNING), why: WHY, see: SEE },
  { call: close(SOCKET), why: WHY, see: SEE },
]
