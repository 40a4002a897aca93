/** A container as documents show it: the OCI state, and the longer form that runc prints. */

import { OCI_VERSION } from '../oci/version.ts'
import type { Container } from './store.ts'

/** What `state` prints: the state of the runtime specification and the fields that runc adds. */
export interface ListedState {
  readonly ociVersion: string
  readonly id: string
  /** 0 where there is no process. */
  readonly pid: number
  readonly status: Container['status']
  readonly bundle: string
  readonly rootfs: string
  readonly created: string
  readonly annotations?: Readonly<Record<string, string>>
  readonly owner: string
}

export function stateOf(container: Container): ListedState {
  const { record } = container
  const annotations = record?.annotations
  return {
    ociVersion: record?.ociVersion ?? OCI_VERSION,
    id: container.id,
    pid: 'init' in container ? container.init.pid : 0,
    status: container.status,
    bundle: record?.bundle ?? '',
    rootfs: record?.rootfs ?? '',
    created: record?.created ?? '0001-01-01T00:00:00Z',
    ...(annotations === undefined || Object.keys(annotations).length === 0 ? {} : { annotations }),
    owner: record?.owner ?? '',
  }
}
