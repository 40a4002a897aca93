/** What the user and the administrator have decided about registries: accounts, mirrors, certificates, and who may go without TLS. */

import { optionalSection, optionalString, type Section, stringsOf } from '../base/field.ts'
import type { Files } from '../base/files.ts'
import { dockerConfigPath, readDockerConfig } from './docker-config.ts'
import { type OwnProxies, type ProxyChoice, proxiesOf } from './proxy-node.ts'
import { type Credentials, readCredentials, usesHelper } from './registry-auth.ts'

export interface RegistrySettings {
  /** `host` or `host:port`, as in names of images. */
  readonly credentials: ReadonlyMap<string, Credentials>
  /** Accounts are with a program that coffer does not run. */
  readonly hasHelper: boolean
  /** Those whose certificate is not checked, and that may do without TLS; exact names. */
  readonly insecure: ReadonlySet<string>
  /** Addresses that are asked for images of docker.io first. */
  readonly mirrors: readonly string[]
  /** Certificates of authorities that are trusted for this registry beside the usual ones, PEM. */
  readonly authoritiesOf: (registry: string) => string | undefined
  readonly proxyFor: ProxyChoice
}

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * | file                                          | holds                                                              |
 * |-----------------------------------------------|--------------------------------------------------------------------|
 * | `$DOCKER_CONFIG/config.json`, `~/.docker/…`   | accounts, as docker and podman write them; those in the variable `$DOCKER_AUTH_CONFIG` count before |
 * | `/etc/coffer/registries.json`, or `~/.config/coffer/…` of a caller that is not root | `insecure-registries`, `registry-mirrors` and `proxies`, as in docker's daemon.json |
 * | `/etc/coffer/certs.d/REGISTRY/ca.crt`, and the same below /etc/docker | authorities                                        |
 *
 * Proxies that the file does not name are those of HTTPS_PROXY, HTTP_PROXY and NO_PROXY. `$COFFER_REGISTRIES` names another registries.json.
 * Throws `invalid` for a file that cannot be read as what it is.
 */
export function readRegistrySettings(files: Files, env: Environment, isRoot: boolean): RegistrySettings {
  const home = env.HOME ?? ''
  const accounts = accountsPath(env)
  const accountsText = files.readText(accounts)
  const own = isRoot ? '/etc/coffer' : `${env.XDG_CONFIG_HOME ?? `${home}/.config`}/coffer`
  const path = env.COFFER_REGISTRIES ?? `${own}/registries.json`
  const { proxies, ...settings } = readDockerConfig(files.readText(path) ?? '{}', path, settingsIn)
  return {
    ...settings,
    credentials: new Map([
      ...credentialsIn(accountsText, accounts),
      ...credentialsIn(env.DOCKER_AUTH_CONFIG || undefined, '$DOCKER_AUTH_CONFIG'),
    ]),
    hasHelper: accountsText !== undefined && usesHelper(accountsText, accounts),
    authoritiesOf: (registry) => {
      const found = [own, '/etc/docker'].map((directory) => files.readText(`${directory}/certs.d/${registry}/ca.crt`))
      return found.find((text) => text !== undefined)
    },
    proxyFor: proxiesOf(env, { path, ...proxies }),
  }
}

/** As docker's daemon.json. */
const settingsIn = (document: Section): Pick<RegistrySettings, 'insecure' | 'mirrors'> & { proxies: Proxies } => {
  const proxies = optionalSection(document, 'proxies')
  const proxy = (key: string): string | undefined => proxies && optionalString(proxies, key)
  return {
    insecure: new Set(stringsOf(document, 'insecure-registries')),
    mirrors: stringsOf(document, 'registry-mirrors'),
    proxies: { https: proxy('https-proxy'), http: proxy('http-proxy'), no: proxy('no-proxy') },
  }
}

type Proxies = Omit<OwnProxies, 'path'>

export const accountsPath = (env: Environment): string => dockerConfigPath(env.DOCKER_CONFIG, env.HOME)

const credentialsIn = (text: string | undefined, name: string): RegistrySettings['credentials'] =>
  text === undefined ? new Map() : readCredentials(text, name, decoded)

const decoded = (base64: string): string => Buffer.from(base64, 'base64').toString('utf8')
