/**
 * Who may use a registry: what it asks for with a 401, and what the user has for it in docker's config.json.
 *
 * Source: RFC 9110 section 11.6.1, docker: registry/spec/auth/token.md and oauth.md
 */

import { entriesOf, optionalSection, optionalString, type Section, sectionOf } from '../base/field.ts'
import { readDockerConfig } from './docker-config.ts'

export interface Challenge {
  /** In small letters: `bearer`, `basic`. */
  readonly scheme: string
  readonly parameters: ReadonlyMap<string, string>
}

const TOKEN = /^[\w!#$%&'*+.^`|~-]+/
const PARAMETER = /^\s*([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([\w!#$%&'*+.^`|~/:-]+))\s*,?/

/** The challenges of a WWW-Authenticate header, those that can be read. */
export function parseChallenges(header: string): readonly Challenge[] {
  const found: Challenge[] = []
  let rest = header
  for (;;) {
    rest = rest.replace(/^[\s,]+/, '')
    const scheme = TOKEN.exec(rest)?.[0]
    if (scheme === undefined) return found
    rest = rest.slice(scheme.length)
    const parameters = new Map<string, string>()
    for (let match = PARAMETER.exec(rest); match !== null; match = PARAMETER.exec(rest)) {
      const [all, name = '', quoted, plain = ''] = match
      parameters.set(name.toLowerCase(), quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1'))
      rest = rest.slice(all.length)
    }
    found.push({ scheme: scheme.toLowerCase(), parameters })
  }
}

export interface Account {
  readonly kind: 'password'
  readonly user: string
  readonly password: string
}

/** What a user has for a registry. */
export type Credentials =
  | Account
  /** `identitytoken`: the server of tokens gives tokens for it, as a refresh token of OAuth 2. */
  | { readonly kind: 'identity'; readonly token: string }
  /** `registrytoken`: a bearer token that goes to the registry as it is. */
  | { readonly kind: 'registry'; readonly token: string }

/** The name under which docker keeps the account for docker.io. */
const DOCKER_HUB = 'https://index.docker.io/v1/'

/** By the host of a registry, with its port if it has one. `decode` is that of base64. Throws `invalid` for a text that is no config.json. */
export function readCredentials(
  text: string,
  path: string,
  decode: (base64: string) => string,
): ReadonlyMap<string, Credentials> {
  return readDockerConfig(text, path, (document) => {
    const found = entriesOf(document, 'auths', (name, value, place) => {
      const credentials = credentialsOf(sectionOf(value, place), decode)
      return credentials === undefined ? [] : [[hostOf(name), credentials] as const]
    })
    return new Map(found.flat())
  })
}

/** Whether config.json leaves passwords to a program, which coffer does not run. */
export const usesHelper = (text: string, path: string): boolean =>
  readDockerConfig(
    text,
    path,
    (document) =>
      optionalString(document, 'credsStore') !== undefined || optionalSection(document, 'credHelpers') !== undefined,
  )

const hostOf = (name: string): string =>
  name === DOCKER_HUB ? 'docker.io' : name.replace(/^https?:\/\//, '').replace(/\/.*$/, '')

/** A token counts before a name and a password, as with docker: beside it, they are a name alone. */
function credentialsOf(entry: Section, decode: (base64: string) => string): Credentials | undefined {
  const registryToken = optionalString(entry, 'registrytoken')
  if (registryToken !== undefined) return { kind: 'registry', token: registryToken }
  const identityToken = optionalString(entry, 'identitytoken')
  if (identityToken !== undefined) return { kind: 'identity', token: identityToken }
  const auth = optionalString(entry, 'auth')
  const decoded = auth === undefined ? undefined : decode(auth).replace(/\0+$/, '')
  const colon = decoded?.indexOf(':') ?? -1
  if (decoded !== undefined && colon > 0)
    return { kind: 'password', user: decoded.slice(0, colon), password: decoded.slice(colon + 1) }
  const [user, password] = [optionalString(entry, 'username'), optionalString(entry, 'password')]
  return user === undefined || password === undefined ? undefined : { kind: 'password', user, password }
}
