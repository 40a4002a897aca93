/** The accounts of docker's config.json, which docker and podman read as well: kept and forgotten. */

import { mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { OperationError } from '../base/errors.ts'
import { parseReference } from './reference.ts'
import { refusal } from './registry-answer-node.ts'
import { type Account, usesHelper } from './registry-auth.ts'
import { openRepository } from './registry-node.ts'
import { accountsPath, type Environment, type RegistrySettings } from './registry-settings-node.ts'

const DOCKER_HUB = 'https://index.docker.io/v1/'

/** The name under which docker keeps the account of a registry. */
export const accountKey = (registry: string): string => (registry === 'docker.io' ? DOCKER_HUB : registry)

/** Answers what is to be kept: a token in place of the password, if the registry gives one. Throws `denied` if it does not take them. */
export async function checkAccount(registry: string, account: Account, settings: RegistrySettings): Promise<Kept> {
  const reference = parseReference(`${registry}/login:latest`)
  const own = { ...settings, credentials: new Map([[registry, account]]) }
  const { connection } = await openRepository(reference, own, 'pull', { wantsIdentity: true })
  const response = await connection.send({ method: 'GET', url: '/v2/' })
  if (response.statusCode !== 200)
    throw await refusal(response, `log in to ${registry}`, 'are the name and the password right?')
  response.resume()
  return { ...account, identityToken: connection.identityToken }
}

export interface Kept extends Account {
  /** Kept in place of the password. */
  readonly identityToken: string | undefined
}

type Document = { readonly auths?: Readonly<Record<string, object>> } & Readonly<Record<string, unknown>>

/** Throws `unsupported` where passwords are left to a program, which coffer does not run. Answers the path of the file. */
export function keepAccount(env: Environment, registry: string, { user, password, identityToken }: Kept): string {
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  const entry =
    identityToken === undefined
      ? { auth: base64(`${user}:${password}`) }
      : { auth: base64(`${user}:`), identitytoken: identityToken }
  return change(env, (document) => ({ ...document, auths: { ...document.auths, [accountKey(registry)]: entry } }))
}

/** Answers whether there was one. */
export function forgetAccount(env: Environment, registry: string): boolean {
  let wasThere = false
  change(env, (document) => {
    const { [accountKey(registry)]: gone, ...auths } = document.auths ?? {}
    wasThere = gone !== undefined
    return { ...document, auths }
  })
  return wasThere
}

function change(env: Environment, how: (document: Document) => Document): string {
  const path = accountsPath(env)
  const text = textAt(path)
  if (text !== undefined && usesHelper(text, path))
    throw new OperationError({
      kind: 'unsupported',
      operation: `change ${path}`,
      reason: 'it leaves passwords to a program (credsStore or credHelpers), which coffer does not run',
      hint: 'docker login, or take these keys out of it',
    })
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  // Who keeps it with other files of the kind has a link in its place.
  const file = text === undefined ? path : realpathSync(path)
  removeLeft(file)
  const temporary = `${file}${MARK}${process.pid}`
  try {
    writeFileSync(temporary, JSON.stringify(how(JSON.parse(text ?? '{}') as Document), null, '\t'), { mode: 0o600 })
    renameSync(temporary, file)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
  return path
}

const MARK = '.coffer-'

/** What a command left that was killed while it wrote: there are passwords in it. */
function removeLeft(file: string): void {
  const mark = `${basename(file)}${MARK}`
  for (const name of readdirSync(dirname(file)).filter((one) => one.startsWith(mark)))
    if (!isRunning(Number(name.slice(mark.length)))) rmSync(`${dirname(file)}/${name}`, { force: true })
}

function isRunning(pid: number): boolean {
  try {
    return Number.isSafeInteger(pid) && pid > 0 && process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

function textAt(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
