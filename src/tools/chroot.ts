/** chroot: run a program with another root directory, with the flags of chroot(1). */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { type PasswdEntry, parseGroup, parsePasswd } from '../observe/users.ts'
import { type ChrootRequest, planChroot } from '../plan/chroot.ts'
import type { Caller, Tool } from './tool.ts'
import { commandOf } from './words.ts'

const TOOL = 'coffer chroot'

const FLAGS: readonly Flag[] = [
  { name: 'userspec', type: 'string', value: 'USER[:GROUP]', help: 'run as this user and group, by number or name' },
  { name: 'groups', type: 'string', value: 'GROUP,...', help: 'have these groups beside; none for an empty list' },
  { name: 'skip-chdir', type: 'bool', help: 'stay in the working directory, which may be outside' },
]

export const chrootTool: Tool = {
  name: 'chroot',
  operands: 'DIR [PROGRAM [ARGUMENT...]]',
  summary: 'run a program with another root directory',
  flags: FLAGS,
  details: `Names of users and groups are those of DIR/etc/passwd and DIR/etc/group. Without a program it runs $SHELL -i.
A root directory is no wall: a process that is root in it can leave it. pivot-root in a mount namespace is one.`,
  failureStatus: 125,
  does: { kind: 'plan', plan: (given, caller) => planChroot(requestOf(given, caller)) },
}

function requestOf(given: Parsed, caller: Caller): ChrootRequest {
  const [root, ...words] = given.rest
  if (root === undefined) throw usage(TOOL, 'it takes a directory', 'coffer chroot DIR PROGRAM')
  if (given.bool('skip-chdir') && root !== '/')
    throw usage(
      TOOL,
      `--skip-chdir would leave the working directory outside of ${root}, and with it the way out`,
      'chroot(1) takes it with / alone, too; leave it away',
    )
  const ids = userOf(given.string('userspec'), caller, root)
  const groups = given.string('groups')
  return {
    root,
    uid: ids.uid,
    gid: ids.gid,
    groups:
      groups === undefined
        ? ids.groups
        : groups
            .split(',')
            .filter(Boolean)
            .map((word) => groupOf(word, '--groups', caller, root)),
    skipsChdir: given.bool('skip-chdir'),
    command: commandOf(caller, words, 'interactive'),
  }
}

interface Ids {
  readonly uid: number | undefined
  readonly gid: number | undefined
  readonly groups: readonly number[] | undefined
}

/** As chroot(1): a user without a group has its own from passwd, and those that list it; `:GROUP` changes the group alone. */
function userOf(spec: string | undefined, caller: Caller, root: string): Ids {
  if (spec === undefined) return { uid: undefined, gid: undefined, groups: undefined }
  const colon = spec.indexOf(':')
  const [user, group] = colon < 0 ? [spec, undefined] : [spec.slice(0, colon), spec.slice(colon + 1)]
  const entry = user === '' ? undefined : userEntry(user, caller, root)
  const gid = group === undefined || group === '' ? entry?.gid : groupOf(group, '--userspec', caller, root)
  const text = caller.files.readText(`${root}/etc/group`) ?? ''
  const name = entry?.name
  const listed = name === undefined ? [] : parseGroup(text).filter(({ members }) => members.includes(name))
  if (user !== '' && gid === undefined)
    throw usage(
      TOOL,
      `--userspec is "${spec}", and ${root}/etc/passwd has no line for it to say the group`,
      `--userspec=${user}:GROUP`,
    )
  const groups = [...new Set([...(gid === undefined ? [] : [gid]), ...listed.map((one) => one.gid)])]
  return { uid: entry?.uid, gid, groups: user === '' ? undefined : groups }
}

function userEntry(word: string, { files }: Caller, root: string): Partial<PasswdEntry> & { readonly uid: number } {
  const entries = parsePasswd(files.readText(`${root}/etc/passwd`) ?? '')
  const number = /^\+?\d+$/.test(word) ? Number(word) : undefined
  const entry = entries.find(({ name, uid }) => (number === undefined ? name === word : uid === number))
  if (entry !== undefined) return entry
  if (number !== undefined) return { uid: number }
  throw usage(TOOL, `--userspec is "${word}", and ${root}/etc/passwd has no such user`, 'give a number')
}

function groupOf(word: string, where: string, { files }: Caller, root: string): number {
  if (/^\+?\d+$/.test(word)) return Number(word)
  const entry = parseGroup(files.readText(`${root}/etc/group`) ?? '').find(({ name }) => name === word)
  if (entry === undefined)
    throw usage(TOOL, `${where} has "${word}", and ${root}/etc/group has no such group`, 'give a number')
  return entry.gid
}
