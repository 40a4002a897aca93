/** What the steps about one network share. */

import { type Slot, slot } from '../linux/call.ts'

/** Network namespaces: that of this machine, and that of the container. */
export const HOSTS: Slot = slot('host-network')
export const NAMESPACE: Slot = slot('own-network')
/** Sockets of rtnetlink in the two. */
export const ROUTE: Slot = slot('route')
export const INSIDE: Slot = slot('inner-route')
export const INDEX: Slot = slot('device')
