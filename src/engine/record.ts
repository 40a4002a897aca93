/** container.json: what was asked for. It is written once, and again only by `rename` and `update`; how the container fares is seen elsewhere. */

import { OperationError } from '../base/errors.ts'
import type { Connector } from '../observe/connectors.ts'
import type { Intent } from './intent.ts'

export interface ContainerRecord {
  readonly version: 1
  readonly id: string
  readonly name: string
  /** RFC 3339, UTC. */
  readonly created: string
  readonly image: {
    /** As it was asked for. */
    readonly name: string
    /** The digest of its configuration; absent for `host` and a directory. */
    readonly id?: string | undefined
    /** Directories, the uppermost first. */
    readonly layers: readonly string[]
  }
  readonly intent: Intent
  /** For inspect; absent for what programs of the library made. */
  readonly typed?: TypedWords | undefined
  /** How many of the words of its program are the entrypoint, that of the image or --entrypoint. */
  readonly entrypointWords?: number | undefined
  readonly labels: Readonly<Record<string, string>>
  /** Keep standard input open. */
  readonly hasInput: boolean
  readonly removesItself: boolean
  readonly restart: RestartPolicy
  /** The signal of `stop`, and how many seconds it waits before it kills. */
  readonly stopSignal: string
  readonly stopSeconds: number
  readonly log: LogPolicy
  readonly network: NetworkWish
  /** `80/tcp`: ports that the image names or --expose did; nothing follows but for --publish-all. */
  readonly exposed?: readonly string[] | undefined
  /** Undefined for none. */
  readonly health?: HealthPolicy | undefined
}

/** What was typed, or is in the image, where what was made of it does not tell. */
export interface TypedWords {
  readonly user: string
  readonly workdir: string
  readonly stopSignal?: string | undefined
  readonly stopSeconds?: number | undefined
  readonly idFile: string
  readonly binds: readonly string[]
  /** Where --mount has mounted something. */
  readonly mountPlaces: readonly string[]
  readonly volumesFrom: readonly string[]
  readonly groups: readonly string[]
  readonly devices: readonly string[]
  readonly links: readonly string[]
  readonly logOptions: Readonly<Record<string, string>>
  readonly hardwareAddress?: string | undefined
  readonly publishesAll: boolean
  readonly attaches: Readonly<Record<'stdin' | 'stdout' | 'stderr', boolean>>
  readonly hasNoHealthcheck: boolean
}

/** Where a container's packets go. With `none` and `joined` the intent's namespace says all. */
export type NetworkWish =
  | { readonly kind: 'none' | 'joined' }
  /** `NAME:PORT`, as network/egress-rules.ts has them: these and nothing else. */
  | { readonly kind: 'egress'; readonly hosts: readonly string[] }
  /** Without root: user-network.ts. */
  | {
      readonly kind: Connector
      readonly ports: readonly PortWish[]
      /** Nobody asked for it: the container starts without it as well. */
      readonly isDefault?: true | undefined
    }
  | {
      readonly kind: 'networks'
      /** The first leads out, and ports lead to it; none is left when it was disconnected of all. */
      readonly networks: readonly EndpointWish[]
      readonly ports: readonly PortWish[]
    }

export interface EndpointWish {
  /** The name of the network. */
  readonly network: string
  readonly address?: string | undefined
  readonly address6?: string | undefined
  /** `02:42:ac:1f:00:02`; one that follows from the address if absent. */
  readonly hardwareAddress?: string | undefined
  /** Names beside its own, by which others in the network find it. */
  readonly aliases: readonly string[]
}

export interface PortWish {
  /** An address of this machine; all of them if absent, `0.0.0.0` those of IPv4, `::` those of IPv6. */
  readonly hostAddress?: string | undefined
  /** 0 is any that is free. */
  readonly hostPort: number
  /** With it the first that is free up to this one. */
  readonly hostPortLast?: number | undefined
  readonly port: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
}

/** Durations are nanoseconds. */
export interface HealthPolicy {
  /** `CMD` with arguments, or `CMD-SHELL` with one. */
  readonly test: readonly string[]
  readonly intervalNanos: number
  readonly timeoutNanos: number
  readonly startPeriodNanos: number
  readonly startIntervalNanos: number
  readonly retries: number
}

export interface RestartPolicy {
  readonly when: 'no' | 'always' | 'on-failure' | 'unless-stopped'
  /** 0 is no limit. */
  readonly maxRetries: number
}

export interface LogPolicy {
  readonly driver: 'local' | 'none'
  /** 0 is no limit. */
  readonly limitBytes: number
  readonly files: number
}

export const RECORD_FILE = 'container.json'
/**
 * The record of a container that is not there yet, with the volumes that are made for it, or that is there no more: where there is no other,
 * whoever mends removes its anonymous volumes, and then the directory.
 */
export const LEAVING_FILE = 'leaving.json'

/** Throws `conflict` for a file that coffer did not write whole. */
export function parseRecord(text: string, path: string): ContainerRecord {
  try {
    const value = JSON.parse(text) as Partial<ContainerRecord> | null
    if (value?.version === 1 && typeof value.id === 'string' && typeof value.name === 'string')
      return value as ContainerRecord
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause
  }
  throw new OperationError({
    kind: 'conflict',
    operation: READ_RECORD,
    reason: `${path} is not what coffer wrote`,
    path,
    hint: 'coffer rm --force with its id removes it',
  })
}

const READ_RECORD = 'read the container'

/** Whether an error is that of a record which is not whole. */
export const isTorn = (error: unknown): error is OperationError =>
  error instanceof OperationError && error.operation === READ_RECORD
