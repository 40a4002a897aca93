/**
 * Landlock: what a process gives up for itself and its children, without privilege. Constants and calls. landlock(7)
 *
 * | ABI | Linux | has, beside what those before it have                      |
 * |-----|-------|------------------------------------------------------------|
 * | 1   | 5.13  | reading, executing, writing, making and removing files     |
 * | 2   | 5.19  | REFER: moving files between directories                    |
 * | 3   | 6.2   | TRUNCATE                                                   |
 * | 4   | 6.7   | binding and connecting TCP                                 |
 * | 5   | 6.10  | IOCTL_DEV                                                  |
 * | 6   | 6.12  | signals and abstract unix sockets to others                |
 */

import { packU64 } from './bytes.ts'
import type { Call, Slot } from './call.ts'

export const LANDLOCK_ACCESS_FS_EXECUTE = 0x1
export const LANDLOCK_ACCESS_FS_WRITE_FILE = 0x2
export const LANDLOCK_ACCESS_FS_READ_FILE = 0x4
export const LANDLOCK_ACCESS_FS_READ_DIR = 0x8
export const LANDLOCK_ACCESS_FS_REMOVE_DIR = 0x10
export const LANDLOCK_ACCESS_FS_REMOVE_FILE = 0x20
export const LANDLOCK_ACCESS_FS_MAKE_CHAR = 0x40
export const LANDLOCK_ACCESS_FS_MAKE_DIR = 0x80
export const LANDLOCK_ACCESS_FS_MAKE_REG = 0x100
export const LANDLOCK_ACCESS_FS_MAKE_SOCK = 0x200
export const LANDLOCK_ACCESS_FS_MAKE_FIFO = 0x400
export const LANDLOCK_ACCESS_FS_MAKE_BLOCK = 0x800
export const LANDLOCK_ACCESS_FS_MAKE_SYM = 0x1000
export const LANDLOCK_ACCESS_FS_REFER = 0x2000
export const LANDLOCK_ACCESS_FS_TRUNCATE = 0x4000
export const LANDLOCK_ACCESS_FS_IOCTL_DEV = 0x8000

export const LANDLOCK_ACCESS_NET_BIND_TCP = 1
export const LANDLOCK_ACCESS_NET_CONNECT_TCP = 2

export const LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET = 1
export const LANDLOCK_SCOPE_SIGNAL = 2

const LANDLOCK_CREATE_RULESET_VERSION = 1
const LANDLOCK_RULE_PATH_BENEATH = 1

/** Answers the ABI; ENOSYS or EOPNOTSUPP where there is no Landlock. */
export const landlockAbi = (): Call => ({
  name: 'landlock_create_ruleset',
  args: [0, 0, LANDLOCK_CREATE_RULESET_VERSION],
})

/** All that rules have to allow; the rest is as without Landlock. */
export interface Ruleset {
  readonly handledFs: number
  readonly handledNet: number
  readonly scoped: number
}

/** struct landlock_ruleset_attr: handled_access_fs, handled_access_net, scoped; 8 bytes each. A kernel that does not know one wants it 0. */
export const landlockCreateRuleset = ({ handledFs, handledNet, scoped }: Ruleset): Call => ({
  name: 'landlock_create_ruleset',
  args: [packU64([handledFs, handledNet, scoped]), 24, 0],
})

/** Allows `access` to what `beneath` is open on and all below it. struct landlock_path_beneath_attr: 8 and 4 bytes, packed. */
export function landlockAllowBeneath(ruleset: Slot, beneath: Slot, access: number): Call {
  const attribute = new Uint8Array(12)
  new DataView(attribute.buffer).setUint32(0, access, true)
  return {
    name: 'landlock_add_rule',
    args: [
      ruleset,
      LANDLOCK_RULE_PATH_BENEATH,
      { struct: attribute, fields: [{ offset: 8, sizeBytes: 4, value: beneath }] },
      0,
    ],
  }
}

/** For this process and all its children, for good. It takes no_new_privs. */
export const landlockRestrictSelf = (ruleset: Slot): Call => ({ name: 'landlock_restrict_self', args: [ruleset, 0] })
