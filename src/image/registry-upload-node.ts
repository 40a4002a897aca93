/**
 * Blobs to a repository of a registry: from the store in one PUT, or as they are made, by PATCH, whose digest is said at the end.
 *
 * Source: oci:distribution-spec
 */

import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { OperationError } from '../base/errors.ts'
import type { Descriptor } from '../oci/image.ts'
import { refusal } from './registry-answer-node.ts'
import { header, type Repository } from './registry-node.ts'

export async function hasRemoteBlob({ connection, name }: Repository, digest: string): Promise<boolean> {
  const response = await connection.send({ method: 'HEAD', url: `/v2/${name}/blobs/${digest}` })
  response.resume()
  return response.statusCode === 200
}

/** `content` is called again if the registry wants to know first who is there. */
export async function putBlob(
  repository: Repository,
  { digest, sizeBytes }: Pick<Descriptor, 'digest' | 'sizeBytes'>,
  content: () => Readable,
): Promise<void> {
  const operation = operationOf(repository, digest)
  const place = await begin(repository, operation)
  const headers = { 'content-type': 'application/octet-stream', 'content-length': String(sizeBytes) }
  await finish(repository, { place, digest, headers, body: content, operation })
}

/** An upload beside the making of its blob. What it cannot send is no failure: the blob is then sent by `putBlob`. */
export interface Upload {
  /** The same chunks: each goes to the registry, and then to whoever asked for it. */
  readonly passing: (chunks: AsyncIterable<Uint8Array>) => AsyncGenerator<Uint8Array>
  /** Behind the last chunk: answers whether the registry has the blob now. */
  readonly end: (digest: string) => Promise<boolean>
}

/** What waits for the connection; more would not make it faster. */
const WAITING_BYTES = 1024 * 1024

export function openUpload(repository: Repository): Upload {
  const body = new PassThrough({ highWaterMark: WAITING_BYTES })
  const closed = finished(body).catch(() => undefined)
  const sending = send(repository, body).catch((error: unknown) => {
    body.destroy()
    return error
  })
  async function* passing(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const chunk of chunks) {
        const isRoom = body.destroyed || body.write(chunk)
        if (!isRoom) await Promise.race([closed, once(body, 'drain').catch(() => undefined)])
        yield chunk
      }
      body.end()
    } finally {
      // Also of a caller that had enough; a body that has come to its end does not mind.
      if (!body.writableEnded) body.destroy()
    }
  }
  const end = async (digest: string): Promise<boolean> => {
    const place = await sending
    if (typeof place !== 'string') return dropped(place)
    const operation = operationOf(repository, digest)
    try {
      await finish(repository, { place, digest, headers: { 'content-length': '0' }, operation })
      return true
    } catch (error) {
      return dropped(error)
    }
  }
  return { passing, end }
}

/** Only what a registry says or a connection does: other errors are faults of coffer. */
function dropped(error: unknown): false {
  if (!(error instanceof OperationError)) throw error
  return false
}

/** Answers where the upload goes on. */
async function send(repository: Repository, body: Readable): Promise<string> {
  const operation = operationOf(repository, 'a layer')
  const place = await begin(repository, operation)
  const bodies = [body]
  const response = await repository.connection.send({
    method: 'PATCH',
    url: place,
    headers: { 'content-type': 'application/octet-stream' },
    body: () => bodies.shift() ?? goneBody(),
  })
  const next = header(response, 'location')
  if (response.statusCode !== 202 || next === undefined) throw await refusal(response, operation)
  response.resume()
  return next
}

/** For a registry that asks for the request once more. */
const goneBody = (): Readable =>
  new Readable({
    read() {
      this.destroy(new Error('what was sent is not there a second time'))
    },
  })

const operationOf = ({ registry, name }: Repository, what: string): string => `push ${what} to ${registry}/${name}`

/** Answers where the upload goes. */
async function begin({ connection, name }: Repository, operation: string): Promise<string> {
  const begun = await connection.send({
    method: 'POST',
    url: `/v2/${name}/blobs/uploads/`,
    headers: { 'content-length': '0' },
  })
  const location = header(begun, 'location')
  if (begun.statusCode !== 202 || location === undefined) throw await refusal(begun, operation)
  begun.resume()
  return location
}

interface End {
  readonly place: string
  readonly digest: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: () => Readable
  readonly operation: string
}

async function finish({ connection }: Repository, { place, digest, headers, body, operation }: End): Promise<void> {
  const url = `${place}${place.includes('?') ? '&' : '?'}digest=${encodeURIComponent(digest)}`
  const done = await connection.send({ method: 'PUT', url, headers, body })
  if (done.statusCode !== 201) throw await refusal(done, operation)
  done.resume()
}
