/** What a runtime tells about a container: to hooks, to the seccomp agent, and to those who ask. */

import type { Annotations } from './config.ts'
import { OCI_VERSION } from './version.ts'

/** The specification has the first four; `paused` is runc's, and its clients know it. */
export type ContainerStatus = 'creating' | 'created' | 'running' | 'stopped' | 'paused'

/** Source: oci:runtime-spec/runtime.md#state */
export interface State {
  readonly ociVersion: string
  readonly id: string
  readonly status: ContainerStatus
  /** As the host sees it; only of a container that has a process. */
  readonly pid?: number
  /** An absolute path of the host. */
  readonly bundle: string
  readonly annotations?: Annotations
}

export interface StateFacts {
  readonly id: string
  readonly status: ContainerStatus
  readonly pid: number | undefined
  readonly bundle: string
  readonly annotations: Annotations
}

/** The document that hooks read on their standard input. */
export const stateDocument = ({ id, status, pid, bundle, annotations }: StateFacts): State => ({
  ociVersion: OCI_VERSION,
  id,
  status,
  ...(pid === undefined ? {} : { pid }),
  bundle,
  ...annotationsOf(annotations),
})

// Go's omitempty leaves an empty map out, and clients compare these documents with what runc wrote.
const annotationsOf = (annotations: Annotations): { readonly annotations?: Annotations } =>
  Object.keys(annotations).length === 0 ? {} : { annotations }

/** What `state` prints, and `list --format json` a list of: runc's shape, in runc's order. */
export interface ContainerSummary {
  readonly ociVersion: string
  readonly id: string
  /** 0 for a stopped container. */
  readonly pid: number
  readonly status: ContainerStatus
  readonly bundle: string
  readonly rootfs: string
  /** RFC 3339, UTC, with up to nine digits of fraction. */
  readonly created: string
  readonly annotations?: Annotations
  /** The user who made it; `state` leaves it empty. */
  readonly owner: string
}

export interface SummaryFacts extends StateFacts {
  readonly rootfs: string
  readonly created: string
  readonly owner: string
}

export const containerSummary = (facts: SummaryFacts): ContainerSummary => ({
  ociVersion: OCI_VERSION,
  id: facts.id,
  pid: facts.status === 'stopped' ? 0 : (facts.pid ?? 0),
  status: facts.status,
  bundle: facts.bundle,
  rootfs: facts.rootfs,
  created: facts.created,
  ...annotationsOf(facts.annotations),
  owner: facts.owner,
})

/** What the seccomp agent at `listenerPath` gets, with the descriptors that `fds` names. Source: oci:runtime-spec/config-linux.md#containerprocessstate */
export interface ContainerProcessState {
  readonly ociVersion: string
  readonly fds: readonly 'seccompFd'[]
  readonly pid: number
  readonly metadata?: string
  readonly state: State
}

export interface ProcessStateFacts {
  readonly pid: number
  readonly metadata: string | undefined
  readonly state: State
}

export const containerProcessState = ({ pid, metadata, state }: ProcessStateFacts): ContainerProcessState => ({
  ociVersion: OCI_VERSION,
  fds: ['seccompFd'],
  pid,
  ...(metadata === undefined ? {} : { metadata }),
  state,
})
