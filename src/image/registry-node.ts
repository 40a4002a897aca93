/**
 * One repository of a registry: manifests and blobs, both ways.
 *
 * What a registry says is checked by whoever keeps it: a blob against its digest, a manifest here. Source: oci:distribution-spec
 */

import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { OperationError } from '../base/errors.ts'
import { parseJson } from '../base/json.ts'
import { type Descriptor, MAX_DOCUMENT_BYTES, MEDIA_TYPES } from '../oci/image.ts'
import { PROXY_REFUSED } from './proxy-request-node.ts'
import { isDigest, type Reference } from './reference.ts'
import { readBounded, refusal } from './registry-answer-node.ts'
import { Connection, type Endpoint } from './registry-http-node.ts'
import type { RegistrySettings } from './registry-settings-node.ts'

export interface Repository {
  readonly connection: Connection
  /** `library/busybox`. */
  readonly name: string
  /** As in the name of the image. */
  readonly registry: string
}

export interface ManifestDocument {
  readonly text: string
  readonly descriptor: Descriptor
}

const DOCKER_HUB = { registry: 'docker.io', origin: 'https://registry-1.docker.io' } as const
const MANIFESTS = [MEDIA_TYPES.index, MEDIA_TYPES.manifest, MEDIA_TYPES.dockerIndex, MEDIA_TYPES.dockerManifest]

/**
 * Speaks to the registry, so that it is known to answer. Over TLS; without it only where the registry does not speak it, and is this machine or
 * one that the settings name.
 */
export async function openRepository(
  reference: Reference,
  settings: RegistrySettings,
  actions: 'pull' | 'pull,push',
  { wantsIdentity }: Pick<Endpoint, 'wantsIdentity'> = {},
): Promise<Repository> {
  const { registry } = reference
  const secure = registry === DOCKER_HUB.registry ? DOCKER_HUB.origin : `https://${registry}`
  const wanted = { reference, settings, actions, wantsIdentity }
  try {
    return await opened(wanted, secure)
  } catch (error) {
    const mayBePlain = settings.insecure.has(registry) || isLoopback(registry)
    if (!mayBePlain || !(error instanceof OperationError) || !(speaksNoTls(error) || error.code === PROXY_REFUSED))
      throw error
  }
  return opened(wanted, `http://${registry}`)
}

/** Those that are asked before docker.io. Whoever does not answer is passed over. */
export async function openMirrors(reference: Reference, settings: RegistrySettings): Promise<readonly Repository[]> {
  if (reference.registry !== DOCKER_HUB.registry) return []
  const found: Repository[] = []
  for (const mirror of settings.mirrors) {
    try {
      found.push(await opened({ reference, settings, actions: 'pull' }, new URL(mirror).origin))
    } catch (error) {
      if (!(error instanceof OperationError)) throw error
    }
  }
  return found
}

interface Wanted {
  readonly reference: Reference
  readonly settings: RegistrySettings
  readonly actions: string
  readonly wantsIdentity?: boolean | undefined
}

async function opened({ reference, settings, actions, wantsIdentity }: Wanted, origin: string): Promise<Repository> {
  const { host } = new URL(origin)
  const name = origin === DOCKER_HUB.origin ? DOCKER_HUB.registry : host
  const connection = new Connection({
    origin: new URL(origin).origin,
    credentials: settings.credentials.get(name),
    authorities: settings.authoritiesOf(name),
    checksCertificate: !settings.insecure.has(name),
    proxyFor: settings.proxyFor,
    scope: `repository:${reference.repository}:${actions}`,
    wantsIdentity,
  })
  try {
    const response = await connection.send({ method: 'GET', url: '/v2/' })
    response.resume()
  } catch (error) {
    // An answer that nobody reads would keep this process until the server gives up.
    connection.close()
    throw error
  }
  return { connection, name: reference.repository, registry: reference.registry }
}

const isLoopback = (registry: string): boolean => /^(?:localhost|127(?:\.\d+){3}|\[::1\])(?::\d+)?$/.test(registry)

/** What OpenSSL says of an answer in HTTP. */
const speaksNoTls = ({ code }: OperationError): boolean => code === 'EPROTO' || code?.startsWith('ERR_SSL_') === true

/** By tag or digest. Throws `missing`, `denied`; `invalid` for one that is not what it has to be. */
export async function getManifest(
  { connection, name, registry }: Repository,
  reference: string,
): Promise<ManifestDocument> {
  const operation = `pull ${registry}/${name}`
  const response = await connection.send({
    method: 'GET',
    url: `/v2/${name}/manifests/${reference}`,
    headers: { accept: MANIFESTS.join(', ') },
  })
  if (response.statusCode !== 200)
    throw await refusal(response, operation, `does ${reference} exist, and may you read it?`)
  const bytes = await readBounded(response, MAX_DOCUMENT_BYTES, 'the manifest')
  const digest = digestOf('sha256', bytes)
  const told = header(response, 'docker-content-digest')
  for (const wanted of [reference, told]) {
    if (wanted === undefined || !isDigest(wanted)) continue
    const got = digestOf(wanted.startsWith('sha512:') ? 'sha512' : 'sha256', bytes)
    if (wanted !== got) throw invalid(operation, `the manifest is not ${wanted}: what came is ${got}`)
  }
  const text = bytes.toString('utf8')
  const mediaType = mediaTypeOf(text, header(response, 'content-type'), operation)
  return { text, descriptor: { mediaType, digest, sizeBytes: bytes.length, annotations: {} } }
}

const digestOf = (algorithm: 'sha256' | 'sha512', bytes: Uint8Array): string =>
  `${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`

/** A document that is a manifest to one reader and an index to another is neither: CVE-2021-41190. */
function mediaTypeOf(text: string, contentType: string | undefined, operation: string): string {
  const document = parseJson(text, 'the manifest') as {
    readonly mediaType?: unknown
    readonly manifests?: unknown
    readonly layers?: unknown
    readonly config?: unknown
  } | null
  const said = contentType?.split(';')[0]?.trim()
  const mediaType = typeof document?.mediaType === 'string' ? document.mediaType : said
  if (mediaType === undefined || !MANIFESTS.some((known) => known === mediaType))
    throw invalid(operation, `the manifest is of a type that coffer does not read: ${String(mediaType).slice(0, 100)}`)
  if (said !== mediaType) throw invalid(operation, `the manifest says that it is ${mediaType}, the registry ${said}`)
  const isIndex = isIndexType(mediaType)
  const hasOther = isIndex ? document?.layers !== undefined || document?.config !== undefined : document?.manifests
  if (hasOther !== undefined && hasOther !== false) throw invalid(operation, 'the manifest is an index as well')
  return mediaType
}

export const isIndexType = (mediaType: string): boolean =>
  mediaType === MEDIA_TYPES.index || mediaType === MEDIA_TYPES.dockerIndex

const ATTEMPTS = 5
const FIRST_DELAY_MS = 100
/** A connection that brought so much was worth taking up. */
const PROGRESS_BYTES = 256 * 1024

/**
 * The bytes of a blob. A connection that breaks is taken up where it broke, until too little comes `ATTEMPTS` times in a row; `onBytes` hears how
 * far it is. What comes is not checked here: addBlob in store-node.ts does it.
 */
export async function* blobChunks(
  repository: Repository,
  blob: Descriptor,
  onBytes: (total: number) => void,
): AsyncGenerator<Uint8Array> {
  const { digest, sizeBytes } = blob
  let [got, failures, begin] = [0, 0, 0]
  while (got < sizeBytes || sizeBytes === 0) {
    try {
      for await (const chunk of bodyFrom(repository, blob, got)) {
        got += chunk.length
        yield chunk
        onBytes(got)
      }
      if (got >= sizeBytes) return
      throw invalid(`pull ${digest}`, `the connection ended after ${got} of ${sizeBytes} bytes`)
    } catch (error) {
      failures = got - begin >= PROGRESS_BYTES ? 1 : failures + 1
      begin = got
      if (isFinal(error) || failures >= ATTEMPTS) throw error
      await delay(FIRST_DELAY_MS * 2 ** failures)
    }
  }
}

/** Layers of Windows, whose maker gives them at addresses of its own. As docker on Linux, coffer asks no address that a manifest names. */
const FOREIGN = /\.(?:foreign|nondistributable)\./
const FOREIGN_HINT =
  'it is a foreign layer, which the registry need not have: the image is one of Windows, or has to be pushed with all its layers'

/** An answer that will not be another one the next time. */
const isFinal = (error: unknown): boolean =>
  error instanceof OperationError && (error.kind === 'denied' || error.kind === 'missing') && error.cause === undefined

async function* bodyFrom(
  repository: Repository,
  { digest, mediaType }: Descriptor,
  from: number,
): AsyncGenerator<Uint8Array> {
  const { connection, name } = repository
  const response = await connection.send({
    method: 'GET',
    url: `/v2/${name}/blobs/${digest}`,
    headers: from === 0 ? {} : { range: `bytes=${from}-` },
  })
  const { statusCode } = response
  if (statusCode !== 200 && statusCode !== 206)
    throw await refusal(response, `pull ${digest}`, FOREIGN.test(mediaType) ? FOREIGN_HINT : undefined)
  const begin = statusCode === 206 ? Number(/^bytes (\d+)-/.exec(header(response, 'content-range') ?? '')?.[1]) : 0
  if (begin !== from && begin !== 0) {
    response.destroy()
    throw invalid(`pull ${digest}`, `the registry was asked for bytes from ${from} on, and gave others`)
  }
  // A registry that does not know ranges begins again.
  let skip = from - begin
  for await (const chunk of response as AsyncIterable<Uint8Array>) {
    if (chunk.length > skip) yield chunk.subarray(skip)
    skip = Math.max(0, skip - chunk.length)
  }
}

export async function putManifest(
  { connection, name, registry }: Repository,
  reference: string,
  { mediaType, content }: { readonly mediaType: string; readonly content: () => Readable },
): Promise<void> {
  const response = await connection.send({
    method: 'PUT',
    url: `/v2/${name}/manifests/${reference}`,
    headers: { 'content-type': mediaType },
    body: content,
  })
  if (response.statusCode !== 201) throw await refusal(response, `push ${registry}/${name}:${reference}`)
  response.resume()
}

export function header({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value[0] : value
}

const invalid = (operation: string, reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation, reason, hint: 'try again, and do not use what came' })
