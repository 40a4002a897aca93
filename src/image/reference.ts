/**
 * Names of images: `busybox`, `ghcr.io/owner/name:tag`, `localhost:5000/name@sha256:…`.
 *
 * Source: oci:distribution-spec#pulling-manifests for the characters; docker for what a short name stands for.
 */

import { OperationError } from '../base/errors.ts'

export interface Reference {
  /** `docker.io`, `localhost:5000`. */
  readonly registry: string
  /** `library/busybox`. */
  readonly repository: string
  /** At least one of the two; a digest alone says which. */
  readonly tag?: string | undefined
  /** `sha256:…`. */
  readonly digest?: string | undefined
}

const DEFAULT_REGISTRY = 'docker.io'
const DEFAULT_TAG = 'latest'
/** Names of images that docker itself keeps have this in front. */
const OFFICIAL = 'library/'

const COMPONENT = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/
const TAG = /^\w[\w.-]{0,127}$/
const REGISTRY =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/
const MAX_NAME = 255
/** A name, a tag and the longest digest are shorter. */
const MAX_TEXT = 1024

export const isDigest = (text: string): boolean => DIGEST.test(text)
export const isTag = (text: string): boolean => TAG.test(text)

/** Without tag and digest the tag is `latest`. Throws `invalid`. */
export function parseReference(text: string): Reference {
  if (text.length > MAX_TEXT) refuse(`${text.slice(0, 80)}…`, `it is longer than ${MAX_TEXT} characters`)
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !DIGEST.test(digest))
    refuse(text, 'what follows the "@" is no digest', 'write sha256: and 64 hexadecimal digits')
  const named = at < 0 ? text : text.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? undefined : named.slice(colon + 1)
  if (tag !== undefined && !TAG.test(tag))
    refuse(
      text,
      `invalid reference format: ${JSON.stringify(tag)} is no tag`,
      'a tag has letters, digits, "_", "." and "-", at most 128',
    )
  const { registry, repository } = nameOf(colon < 0 ? named : named.slice(0, colon), text)
  return { registry, repository, tag: tag ?? (digest === undefined ? DEFAULT_TAG : undefined), digest }
}

/** The first part is a registry if it could not be the name of a user: it has a dot, a port, or is localhost. */
function nameOf(name: string, text: string): Pick<Reference, 'registry' | 'repository'> {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const hasRegistry = /[.:]/.test(first) || first === 'localhost' || first !== first.toLowerCase()
  const registry = hasRegistry ? first : DEFAULT_REGISTRY
  const rest = hasRegistry ? name.slice(slash + 1) : name
  if (!REGISTRY.test(registry)) refuse(text, `${JSON.stringify(registry)} is no name of a registry`)
  if (!rest.split('/').every((part) => COMPONENT.test(part)))
    refuse(
      text,
      `${formatText(rest)}: ${JSON.stringify(rest)} is no name of an image`,
      'use small letters and digits, with ".", "_" and "-" between them and "/" between parts',
    )
  const repository = registry === DEFAULT_REGISTRY && !rest.includes('/') ? OFFICIAL + rest : rest
  if (registry.length + repository.length >= MAX_NAME) refuse(text, `it is longer than ${MAX_NAME} characters`)
  return { registry, repository }
}

/** docker's words, which scripts look for. */
const formatText = (name: string): string =>
  `invalid reference format${name === name.toLowerCase() ? '' : ': repository name must be lowercase'}`

/** The whole name, by which the store knows the image: `docker.io/library/busybox:latest`. */
export const canonicalName = ({ registry, repository, tag, digest }: Reference): string =>
  `${registry}/${repository}${suffix(tag, digest)}`

/** The name as a person writes it: `busybox:latest`. */
export function familiarName({ registry, repository, tag, digest }: Reference): string {
  return familiarRepository({ registry, repository }) + suffix(tag, digest)
}

/** Whether a name says neither tag nor digest, so that it means `latest`. */
export const lacksTag = (text: string): boolean => !text.includes('@') && !/:[^/]+$/.test(text)

/** As familiarName, without tag and digest: the column REPOSITORY of `images`. */
export function familiarRepository({ registry, repository }: Pick<Reference, 'registry' | 'repository'>): string {
  if (registry !== DEFAULT_REGISTRY) return `${registry}/${repository}`
  return repository.startsWith(OFFICIAL) ? repository.slice(OFFICIAL.length) : repository
}

const suffix = (tag: string | undefined, digest: string | undefined): string =>
  (tag === undefined ? '' : `:${tag}`) + (digest === undefined ? '' : `@${digest}`)

function refuse(text: string, reason: string, hint?: string): never {
  throw new OperationError({
    kind: 'invalid',
    operation: `read the image name ${JSON.stringify(text)}`,
    reason,
    ...(hint === undefined ? {} : { hint }),
  })
}
