/** The session keyring, which every process has, and which is no namespace. Source: keyrings(7), keyctl(2) */

import type { Call, Slot } from './call.ts'

const KEYCTL_JOIN_SESSION_KEYRING = 1
const KEYCTL_SETPERM = 5

/** Joins the session keyring of this name, or makes it. KEYCTL_JOIN_SESSION_KEYRING(2const) */
export const joinSessionKeyring = (name: string): Call => ({
  name: 'keyctl',
  args: [KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0],
})

/** KEYCTL_SETPERM(2const) */
export const setKeyPermissions = (key: Slot, permissions: number): Call => ({
  name: 'keyctl',
  args: [KEYCTL_SETPERM, key, permissions, 0, 0],
})

/** What the kernel gives a session keyring: all for its possessor; view, read and link for its user. security/keys/process_keys.c */
export const SESSION_KEYRING_PERMISSIONS = 0x3f13_0000
/** Without it a process of the user, or of another, cannot join by name: security/keys/keyring.c, find_keyring_by_name. */
export const KEY_USR_SEARCH = 0x0008_0000
export const KEY_OTH_SEARCH = 0x0000_0008
