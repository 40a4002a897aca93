/**
 * The variables that tell programs in a container of proxies: `proxies` in docker's config.json, which docker's client puts into the
 * environment of whatever it runs. Proxies of registries are those of the caller: src/image/proxy-node.ts.
 *
 * Source: docker: docs/engine/cli/proxy, cli/config/configfile ParseProxyConfig
 */

import { optionalSection, optionalString, type Section } from '../base/field.ts'
import { fromDockerConfig } from './client-settings.ts'
import type { Session } from './open.ts'

/** Each in capitals and in small letters. */
const VARIABLES = [
  ['HTTP_PROXY', 'httpProxy'],
  ['HTTPS_PROXY', 'httpsProxy'],
  ['NO_PROXY', 'noProxy'],
  ['FTP_PROXY', 'ftpProxy'],
  ['ALL_PROXY', 'allProxy'],
] as const

/** The key of docker's own daemon on this machine; `default` is for all that have no entry of their own. */
const LOCAL = 'unix:///var/run/docker.sock'

export const proxyVariables = (session: Session): readonly (readonly [string, string])[] =>
  fromDockerConfig(session, variablesIn) ?? []

function variablesIn(document: Section): readonly (readonly [string, string])[] {
  const proxies = optionalSection(document, 'proxies')
  const entry = proxies && (optionalSection(proxies, LOCAL) ?? optionalSection(proxies, 'default'))
  if (entry === undefined) return []
  return VARIABLES.flatMap(([name, key]) => {
    const value = optionalString(entry, key)
    return value === undefined ? [] : [[name, value] as const, [name.toLowerCase(), value] as const]
  })
}
