/**
 * What a person or a program asks of a container, with all that was left open decided: config.ts makes an OCI configuration of it.
 *
 * Doors turn their flags and bodies into this and nothing else. It is kept in container.json.
 */

import type { IdMapping } from '../oci/id-mappings.ts'
import type { TimeOffset } from '../oci/namespaces.ts'
import type { DeviceRule, IntentDevice, IntentResources } from './intent-resources.ts'
import type { FileSystem, VolumeOptions } from './volume-options.ts'

/** docker's size of /dev/shm. */
export const SHM_BYTES: number = 64 * 1024 * 1024

export type NamespaceChoice =
  | { readonly kind: 'private' }
  | { readonly kind: 'host' }
  | { readonly kind: 'path'; readonly path: string }

/** All paths are absolute. `at` is an empty directory, at which the root is mounted in the container's own mount namespace. */
export type IntentRoot =
  | { readonly kind: 'directory'; readonly path: string; readonly copyOnWrite?: boolean | undefined }
  /** That of this machine, copy-on-write. */
  | { readonly kind: 'host'; readonly at: string }
  /** The uppermost of the layers comes first; what the container writes is in `upper`. */
  | {
      readonly kind: 'layers'
      readonly at: string
      readonly layers: readonly string[]
      /** A layer below all of them with what others are mounted on: mount-points.ts. */
      readonly below?: string | undefined
      readonly upper: string
      readonly work: string
      /** The container has other ids than the layers: they are shown with its own. */
      readonly translatesIds?: boolean | undefined
    }
  /** The same, but what the container writes is in memory, and gone with it. */
  | { readonly kind: 'ephemeral'; readonly at: string; readonly layers: readonly string[] }

export interface Intent {
  readonly root: IntentRoot
  readonly args: readonly string[]
  /** Of the image and of the request. */
  readonly env: readonly string[]
  /** Of the user. With it the environment has what docker gives every container as well: config.ts. */
  readonly home?: string | undefined
  /** With a terminal: its kind. */
  readonly term?: string | undefined
  readonly cwd: string
  readonly user: { readonly uid: number; readonly gid: number; readonly additionalGids: readonly number[] }
  readonly terminal: boolean
  readonly hostname: string
  readonly domainname?: string | undefined
  /** Run below an init that reaps and passes signals on; this is its file. */
  readonly initPath?: string | undefined
  readonly readonlyRoot: boolean
  readonly privileged: boolean
  readonly noNewPrivileges: boolean
  readonly capabilitiesAdded: readonly string[]
  readonly capabilitiesDropped: readonly string[]
  readonly security: IntentSecurity
  readonly ulimits: readonly Ulimit[]
  readonly sysctls: Readonly<Record<string, string>>
  readonly oomScoreAdj?: number | undefined
  readonly annotations: Readonly<Record<string, string>>
  readonly namespaces: Readonly<Record<IntentNamespace, NamespaceChoice>>
  /** How far the clocks of uptime of a time namespace of its own are ahead. */
  readonly timeOffset?: TimeOffset | undefined
  readonly mounts: readonly IntentMount[]
  /** Of /dev/shm. */
  readonly shmBytes: number
  /** False for `--ipc none`: there is no /dev/shm. */
  readonly hasSharedMemory: boolean
  /** It has a `hosts`, `hostname` and `resolv.conf` of its own: container-files.ts. */
  readonly names?: ContainerNames | undefined
  readonly devices: readonly IntentDevice[]
  readonly deviceRules: readonly DeviceRule[]
  readonly resources: IntentResources
  /** A cgroup, absolute, in which that of the container is made. */
  readonly cgroupParent?: string | undefined
  /** Absolute paths of the container that nobody shall read, beside those of procfs and sysfs. */
  readonly hiddenPaths?: readonly string[] | undefined
  /** With the root of this machine: how much may be written to the copy-on-write layer, and to /tmp and /dev/shm each. */
  readonly layerBytes?: number | undefined
  /** Without privilege over the machine, or where it is asked for: the ids of a user namespace of its own. */
  readonly userMaps?:
    | { readonly uidMappings: readonly IdMapping[]; readonly gidMappings: readonly IdMapping[] }
    | undefined
}

export type IntentNamespace = 'pid' | 'network' | 'ipc' | 'uts' | 'cgroup' | 'mount' | 'time' | 'user'

export interface IntentSecurity {
  /** `profile` is the text of one in docker's form: seccomp/moby-profile.ts. */
  readonly seccomp: 'default' | 'unconfined' | { readonly profile: string }
  /** Hide and protect what docker does below /proc and /sys. */
  readonly hidesSystemPaths: boolean
  /** The cgroups of the container can be changed from inside. */
  readonly writesCgroups: boolean
  readonly apparmorProfile?: string | undefined
}

/** As linux/rlimits.ts names them; -1 is no limit. */
export interface Ulimit {
  readonly type: string
  readonly soft: number
  readonly hard: number
}

/** What the files of a container say of names and addresses. All are as resolv.conf(5) and hosts(5) have them. */
export interface ContainerNames {
  /** Where the files are. */
  readonly directory: string
  /** They are those of the container whose network it joins, which writes them. */
  readonly isBorrowed?: boolean | undefined
  readonly hosts: readonly { readonly address: string; readonly name: string }[]
  readonly servers: readonly string[]
  readonly search: readonly string[]
  readonly options: readonly string[]
  /** Other containers under an alias: links.ts. */
  readonly links?: readonly ContainerLink[] | undefined
}

export interface ContainerLink {
  readonly id: string
  readonly alias: string
}

/** Options are those of oci:runtime-spec/config.md#mounts. Paths are absolute. */
export type IntentMount =
  | {
      readonly kind: 'bind'
      readonly source: string
      readonly destination: string
      readonly options: readonly string[]
      /** Make the source if it is not there, as docker does for --volume. */
      readonly makesSource: boolean
      readonly view?: CopyOnWrite | undefined
    }
  | {
      readonly kind: 'volume'
      readonly name: string
      /** The directory of its files; makeContainer says which, for a volume with options. */
      readonly source: string
      readonly destination: string
      readonly options: readonly string[]
      /** Goes with the container. */
      readonly isAnonymous: boolean
      /** Of the volume, if it is made. */
      readonly labels?: Readonly<Record<string, string>>
      readonly volumeOptions?: VolumeOptions | undefined
      /** What is mounted at `source` while it is used: mounted-volumes.ts. */
      readonly fileSystem?: FileSystem | undefined
      /** An empty volume gets what the image has there. */
      readonly copiesUp: boolean
      readonly view?: CopyOnWrite | undefined
      /** Only this of it is shown: a path below `source`. */
      readonly subpath?: string | undefined
    }
  | { readonly kind: 'tmpfs'; readonly destination: string; readonly options: readonly string[] }

/** What the container writes goes to directories of its own, and with it; what it shows stays as it is. */
export interface CopyOnWrite {
  readonly upper: string
  readonly work: string
}
