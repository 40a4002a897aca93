/**
 * What the options of a mount ask, as the kernel takes it: MS_ flags and a text for mount(2), MOUNT_ATTR_ flags for mount_setattr(2).
 *
 * Source: mount(2), mount_setattr(2), oci:runtime-spec/config.md "Linux mount options"
 */

import {
  type Attributes,
  MOUNT_ATTR__ATIME,
  MOUNT_ATTR_NOATIME,
  MOUNT_ATTR_NODEV,
  MOUNT_ATTR_NODIRATIME,
  MOUNT_ATTR_NOEXEC,
  MOUNT_ATTR_NOSUID,
  MOUNT_ATTR_NOSYMFOLLOW,
  MOUNT_ATTR_RDONLY,
  MOUNT_ATTR_STRICTATIME,
  MS_DIRSYNC,
  MS_I_VERSION,
  MS_LAZYTIME,
  MS_MANDLOCK,
  MS_NOATIME,
  MS_NODEV,
  MS_NODIRATIME,
  MS_NOEXEC,
  MS_NOSUID,
  MS_NOSYMFOLLOW,
  MS_PRIVATE,
  MS_RDONLY,
  MS_RELATIME,
  MS_SHARED,
  MS_SILENT,
  MS_SLAVE,
  MS_STRICTATIME,
  MS_SYNCHRONOUS,
  MS_UNBINDABLE,
} from '../linux/mount.ts'
import {
  type AccessTime,
  type AttributeChange,
  type FilesystemFlag,
  type FilesystemOption,
  type MountAttribute,
  type MountOptions,
  type PropagationType,
  parseMountOptions,
} from '../oci/mount-options.ts'
import type { Mount } from '../oci/mounts.ts'

/** Word → flag of mount(2), flag of mount_setattr(2). */
const ATTRIBUTES: Readonly<Record<MountAttribute, readonly [number, number]>> = {
  rdonly: [MS_RDONLY, MOUNT_ATTR_RDONLY],
  nosuid: [MS_NOSUID, MOUNT_ATTR_NOSUID],
  nodev: [MS_NODEV, MOUNT_ATTR_NODEV],
  noexec: [MS_NOEXEC, MOUNT_ATTR_NOEXEC],
  nodiratime: [MS_NODIRATIME, MOUNT_ATTR_NODIRATIME],
  nosymfollow: [MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW],
}

/** The same; the second number is a value of three bits, and `relatime` is its zero. */
const ACCESS_TIMES: Readonly<Record<AccessTime, readonly [number, number]>> = {
  relatime: [MS_RELATIME, 0],
  noatime: [MS_NOATIME, MOUNT_ATTR_NOATIME],
  strictatime: [MS_STRICTATIME, MOUNT_ATTR_STRICTATIME],
}

const FILESYSTEM_FLAGS: Readonly<Record<FilesystemFlag, number>> = {
  sync: MS_SYNCHRONOUS,
  dirsync: MS_DIRSYNC,
  lazytime: MS_LAZYTIME,
  mand: MS_MANDLOCK,
  iversion: MS_I_VERSION,
  silent: MS_SILENT,
}

const PROPAGATION_FLAGS: Readonly<Record<PropagationType, number>> = {
  private: MS_PRIVATE,
  shared: MS_SHARED,
  slave: MS_SLAVE,
  unbindable: MS_UNBINDABLE,
}

/** Flags of a new mount. It has nothing below it, so what is asked recursively is asked of itself. */
export function newMountFlags({ attributes, recursiveAttributes, flags }: MountOptions): number {
  let all = attributeFlags(attributes)
  if (recursiveAttributes !== undefined) all |= attributeFlags(recursiveAttributes)
  for (const word of flags.set) all |= FILESYSTEM_FLAGS[word]
  return all
}

function attributeFlags({ set, accessTime }: AttributeChange): number {
  let all = accessTime === undefined ? 0 : ACCESS_TIMES[accessTime][0]
  for (const word of set) all |= ATTRIBUTES[word][0]
  return all
}

/** The kernel labels the files of these itself, and refuses a label for all of them: security/selinux/hooks.c. */
const UNLABELLED = ' proc sysfs cgroup cgroup2 '

/** The text of the file system's own options. `label` is an SELinux context, whose commas need the quotes. */
export function dataOf(options: readonly FilesystemOption[], type: string, label: string | undefined): string {
  let data = ''
  for (const { key, value } of options) data += `,${value === undefined ? key : `${key}=${value}`}`
  if (label !== undefined && label !== '' && !UNLABELLED.includes(` ${type} `)) data += `,context="${label}"`
  return data.slice(1)
}

/** What a mount that exists is asked to change; undefined for nothing. */
function attributeChange({ set, clear, accessTime }: AttributeChange): Attributes | undefined {
  if (set.length === 0 && clear.length === 0 && accessTime === undefined) return undefined
  // The access time is a number: mount_setattr(2) wants all its bits cleared by whoever sets it.
  let clearBits = accessTime === undefined ? 0 : MOUNT_ATTR__ATIME
  let setBits = accessTime === undefined ? 0 : ACCESS_TIMES[accessTime][1]
  for (const word of set) setBits |= ATTRIBUTES[word][1]
  for (const word of clear) clearBits |= ATTRIBUTES[word][1]
  return { set: setBits, clear: clearBits }
}

/**
 * Options of bind mounts that have no effect, one sentence each. mount(2) ignores them too, and so runc, which passes them on, and engines
 * give words of mount(8) along; so they are no error, but nobody shall believe in a limit that is not there (SECURITY-CHECKS S39).
 */
export const mountWarnings = (mounts: readonly Mount[]): readonly string[] =>
  mounts.flatMap((mount, index) => {
    const { bind, remount, flags, data } = parseMountOptions(mount)
    if (bind === undefined || remount) return []
    const words = [...flags.set, ...data.map(({ key, value }) => (value === undefined ? key : `${key}=${value}`))]
    return words
      .filter((word) => word !== 'silent' && !COMMENT.test(word))
      .map((word) => `mounts[${index}].options has ${JSON.stringify(word)}, which a bind mount ignores`)
  })

/** What mount(8) keeps to itself. */
const COMMENT = /^(?:[xX]-|_netdev$|(?:no)?auto$|nofail$|(?:no)?user$)/

/** What options ask of the attributes of a mount that exists, in the order in which it has to happen. */
export function attributeChanges({ attributes, recursiveAttributes }: MountOptions): readonly Attributes[] {
  const changes: Attributes[] = []
  const own = attributeChange(attributes)
  if (own !== undefined) changes.push(own)
  const all = recursiveAttributes === undefined ? undefined : attributeChange(recursiveAttributes)
  if (all !== undefined) changes.push({ ...all, recursive: true })
  return changes
}

export const propagationChanges = ({ propagation }: MountOptions): readonly Attributes[] =>
  propagation.map(({ type, recursive }) => ({ set: 0, propagation: PROPAGATION_FLAGS[type], recursive }))

/** The same with fewer calls: neighbours that are about the same mounts become one. A later one wins over an earlier one. */
export function mergeChanges(changes: readonly Attributes[]): readonly Attributes[] {
  const merged: Attributes[] = []
  for (const change of changes) {
    const last = merged[merged.length - 1]
    if (last !== undefined && canMerge(last, change)) merged[merged.length - 1] = mergeTwo(last, change)
    else merged.push(change)
  }
  return merged
}

const canMerge = (first: Attributes, second: Attributes): boolean =>
  (first.recursive ?? false) === (second.recursive ?? false) &&
  (first.propagation === undefined || second.propagation === undefined) &&
  (first.userNamespace === undefined || second.userNamespace === undefined)

function mergeTwo(first: Attributes, second: Attributes): Attributes {
  const secondClear = second.clear ?? 0
  return {
    ...first,
    ...second,
    set: (first.set & ~secondClear) | second.set,
    clear: ((first.clear ?? 0) & ~second.set) | secondClear,
  }
}
