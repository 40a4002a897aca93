/** Commands of docker that coffer does not have, and where what they do is done. Source: reference of docker 28. */

import { OperationError } from '../base/errors.ts'
import { own } from '../base/own.ts'

interface Elsewhere {
  readonly reason: string
  readonly hint?: string
}

const BUILD: Elsewhere = {
  reason: 'coffer makes no images of a Dockerfile',
  hint: 'another builder writes an archive for coffer load: buildah push NAME oci-archive:FILE, or docker buildx build --output type=oci,dest=FILE; or coffer commit',
}
const CLUSTER: Elsewhere = {
  reason: 'coffer is for one machine',
  hint: 'for several, coffer-runc is the runtime of containers under Swarm and Kubernetes: docs/clients.md',
}
const DAEMON: Elsewhere = { reason: 'coffer has no daemon that this would be about' }

const ELSEWHERE: Readonly<Record<string, Elsewhere>> = {
  build: BUILD,
  builder: BUILD,
  buildx: BUILD,
  checkpoint: { reason: 'coffer keeps no states of running processes', hint: 'coffer-runc checkpoint does' },
  compose: { reason: 'coffer reads no compose files', hint: 'each service is a coffer run in a coffer network' },
  config: CLUSTER,
  context: DAEMON,
  manifest: { reason: 'each image here is of one platform' },
  node: CLUSTER,
  plugin: DAEMON,
  search: {
    reason: 'registries have no common way to be searched',
    hint: 'coffer pull takes NAME[:TAG] of any registry',
  },
  secret: CLUSTER,
  service: CLUSTER,
  stack: CLUSTER,
  swarm: CLUSTER,
  trust: { reason: 'coffer checks no signatures of images', hint: 'NAME@sha256:DIGEST pulls that image and no other' },
}

/** The refusal of such a command; undefined for a word that docker has not either. */
export function refusalOf(name: string): OperationError | undefined {
  const found = own(ELSEWHERE, name)
  return found === undefined
    ? undefined
    : new OperationError({ kind: 'unsupported', operation: `run coffer ${name}`, ...found })
}
