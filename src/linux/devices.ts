/** The device nodes and links that every container has in /dev. */

/** A character device: its name in /dev, and the two halves of its number. */
export interface CharacterDevice {
  readonly name: string
  readonly major: number
  readonly minor: number
}

/** Readable and writable for all. Source: oci:runtime-spec/config-linux.md#default-devices, kernel:admin-guide/devices.txt */
export const DEFAULT_DEVICES: readonly CharacterDevice[] = [
  { name: 'null', major: 1, minor: 3 },
  { name: 'zero', major: 1, minor: 5 },
  { name: 'full', major: 1, minor: 7 },
  { name: 'random', major: 1, minor: 8 },
  { name: 'urandom', major: 1, minor: 9 },
  { name: 'tty', major: 5, minor: 0 },
]

/** Name in /dev → what it leads to. Source: oci:runtime-spec/runtime-linux.md#dev-symbolic-links, #default-devices for ptmx */
export const DEFAULT_LINKS: readonly (readonly [string, string])[] = [
  ['fd', '/proc/self/fd'],
  ['stdin', '/proc/self/fd/0'],
  ['stdout', '/proc/self/fd/1'],
  ['stderr', '/proc/self/fd/2'],
  ['ptmx', 'pts/ptmx'],
]
