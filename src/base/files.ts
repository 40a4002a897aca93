/** How coffer reads the machine. Two implementations: observe/files-embedded.ts and observe/files-node.ts. All paths are absolute. */

export type FileKind = 'file' | 'directory' | 'symlink' | 'character' | 'block' | 'fifo' | 'socket'

export interface FileStatus {
  readonly kind: FileKind
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** How many names it has; of most directories two more than directories in it. */
  readonly links: number
  readonly device: { readonly major: number; readonly minor: number }
  /** Identity of the file: `st_dev` as major:minor and inode, e.g. `0:4:4026531836`. */
  readonly identity: string
}

/** An absent path answers undefined; anything else that goes wrong throws OperationError. */
export interface Files {
  /** With `limitBytes` so much of its beginning; all of it else. */
  readonly readText: (path: string, limitBytes?: number) => string | undefined
  readonly readBytes: (path: string) => Uint8Array | undefined
  readonly list: (path: string) => readonly string[] | undefined
  /** Undefined as well for what is no symbolic link. */
  readonly readLink: (path: string) => string | undefined
  /** Follows symbolic links. */
  readonly status: (path: string) => FileStatus | undefined
}
