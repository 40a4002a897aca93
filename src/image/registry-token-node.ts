/**
 * The tokens that a registry wants: asked for at the address that it names, with a name and a password, or with a token that stands for them.
 *
 * Source: docker: registry/spec/auth/token.md and oauth.md, RFC 6749 section 6
 */

import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { OperationError } from '../base/errors.ts'
import { optionalString, sectionOf } from '../base/field.ts'
import { parseJson } from '../base/json.ts'
import { readBounded, refusal } from './registry-answer-node.ts'
import type { Account, Credentials } from './registry-auth.ts'

const MAX_TOKEN_BYTES = 1024 * 1024
const CLIENT = 'coffer'

export interface Wanted {
  readonly service: string | undefined
  /** `repository:library/busybox:pull`. */
  readonly scope: string
  /** Whether to ask for one that stands for name and password from then on. */
  readonly wantsIdentity: boolean
}

export interface TokenRequest {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: () => Readable
}

export function tokenRequest(realm: URL, wanted: Wanted, credentials: Credentials | undefined): TokenRequest {
  if (credentials?.kind === 'identity') return refreshRequest(realm, wanted, credentials.token)
  const url = new URL(realm)
  const { service, scope, wantsIdentity } = wanted
  if (service !== undefined) url.searchParams.set('service', service)
  url.searchParams.set('scope', scope)
  if (credentials?.kind !== 'password') return { method: 'GET', url: url.href, headers: {} }
  url.searchParams.set('account', credentials.user)
  if (wantsIdentity) {
    url.searchParams.set('client_id', CLIENT)
    url.searchParams.set('offline_token', 'true')
  }
  return { method: 'GET', url: url.href, headers: { authorization: basic(credentials) } }
}

function refreshRequest({ href }: URL, { service, scope }: Wanted, token: string): TokenRequest {
  const form = new URLSearchParams({ grant_type: 'refresh_token', client_id: CLIENT, scope, refresh_token: token })
  if (service !== undefined) form.set('service', service)
  const bytes = Buffer.from(form.toString())
  const headers = { 'content-type': 'application/x-www-form-urlencoded', 'content-length': String(bytes.length) }
  return { method: 'POST', url: href, headers, body: () => Readable.from([bytes]) }
}

export interface Token {
  readonly token: string
  /** If one was asked for and the server gives such. */
  readonly identity: string | undefined
}

/** Throws `denied` for an account that is not taken, `invalid` for an answer without a token. */
export async function readToken(response: IncomingMessage, host: string, hint: string | undefined): Promise<Token> {
  if (response.statusCode !== 200) throw await refusal(response, `log in to ${host}`, hint)
  const text = (await readBounded(response, MAX_TOKEN_BYTES, `the token of ${host}`)).toString('utf8')
  const answer = sectionOf(parseJson(text, `the token of ${host}`), 'token: ')
  const token = optionalString(answer, 'token') ?? optionalString(answer, 'access_token')
  if (token === undefined || !isToken(token))
    throw new OperationError({ kind: 'invalid', operation: `log in to ${host}`, reason: 'it gave no token' })
  return { token, identity: optionalString(answer, 'refresh_token') }
}

/** What can be a header. */
export const isToken = (text: string): boolean => /^[\x21-\x7e]+$/.test(text)

export const basic = ({ user, password }: Account): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
