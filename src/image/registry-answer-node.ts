/** What a registry, or who stands in for it, answered: read within bounds, and told as an error. Source: oci:distribution-spec#error-codes */

import type { IncomingMessage } from 'node:http'
import { OperationError } from '../base/errors.ts'
import type { HttpProxy } from './proxy-node.ts'

const MAX_ERROR_BYTES = 64 * 1024

/** Answers that a proxy may have made itself, without TLS to the server behind it. */
export const overProxy: WeakMap<IncomingMessage, HttpProxy> = new WeakMap()

/** Throws `invalid` if there is more: what comes is not kept in memory to see how much more. */
export async function readBounded(response: IncomingMessage, maxBytes: number, name: string): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > maxBytes) throw unusable(`read ${name}`, `it has more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** The error of a response that is none of those that were hoped for; reads what the registry says. */
export async function refusal(response: IncomingMessage, operation: string, hint?: string): Promise<OperationError> {
  const { statusCode = 0 } = response
  const proxy = overProxy.get(response)
  const who = proxy === undefined ? 'the registry' : `the registry, or the proxy ${proxy.origin} on the way to it,`
  const said = messageIn((await readBounded(response, MAX_ERROR_BYTES, 'the error of a registry')).toString('utf8'))
  return new OperationError({
    kind: statusCode === 401 || statusCode === 403 ? 'denied' : statusCode === 404 ? 'missing' : 'kernel',
    operation,
    reason: `${who} answered ${statusCode}${said === undefined ? '' : `: ${said}`}`,
    ...(hint === undefined ? {} : { hint }),
    see: ['oci:distribution-spec#error-codes'],
  })
}

/** `{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "…"}]}`; a stranger's words, so they are cut and cleaned. */
function messageIn(text: string): string | undefined {
  try {
    const { errors } = JSON.parse(text) as { readonly errors?: readonly { readonly message?: unknown }[] }
    const message = errors?.[0]?.message
    return typeof message === 'string' ? message.replace(/[^ -~]/g, '?').slice(0, 300) : undefined
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined
    throw error
  }
}

export const unusable = (operation: string, reason: string): OperationError =>
  new OperationError({ kind: 'invalid', operation, reason })
