/** Who runs, with what environment and privilege: `--env`, `--user`, `--security-opt` and their like. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import type { Intent, IntentSecurity } from '../engine/intent.ts'
import { parseSignal } from '../linux/signals.ts'
import { clientSetting } from './client-settings.ts'
import { proxyVariables } from './proxy-variables.ts'
import { type Asked, linesOf, readGiven, wrong } from './values.ts'

/** Of the image, then what was asked for; the last word counts. Variables of proxies are beside those of --env, and before a file, as with docker. */
export function environmentOf(asked: Asked, image: readonly string[]): readonly string[] {
  const env = new Map(
    image.map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)] as const),
  )
  for (const [name, value] of variablesOf(asked)) env.set(name, value)
  const own = asked.given.list('env').map((word) => word.split('=')[0])
  for (const [name, value] of proxyVariables(asked.session)) if (!own.includes(name)) env.set(name, value)
  return [...env].map(([name, value]) => `${name}=${value}`)
}

/** `--env-file`, then `--env`. A name without a value is that of the caller, and left out if that has none. */
export function variablesOf(asked: Asked): readonly (readonly [string, string])[] {
  return [...linesOf(asked, 'env-file'), ...asked.given.list('env')].flatMap((word) => {
    const equals = word.indexOf('=')
    if (equals === 0 || word === '') throw wrong(asked, 'env', word, 'give NAME=VALUE or NAME')
    const value = equals < 0 ? asked.session.env.get(word) : word.slice(equals + 1)
    return value === undefined ? [] : [[equals < 0 ? word : word.slice(0, equals), value] as const]
  })
}

/** Lines of `--label-file`, then `--label`; a name without a value has an empty one. */
export function labelsOf(asked: Asked, image: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const own = [...linesOf(asked, 'label-file'), ...asked.given.list('label')].map((word): readonly [string, string] => {
    const equals = word.indexOf('=')
    if (equals === 0 || word === '') throw wrong(asked, 'label', word, 'give NAME=VALUE or NAME')
    return equals < 0 ? [word, ''] : [word.slice(0, equals), word.slice(equals + 1)]
  })
  return { ...image, ...Object.fromEntries(own) }
}

export function stopSignalOf(asked: Asked, image: string | undefined): string {
  const word = asked.given.string('stop-signal') || undefined
  if (word !== undefined && parseSignal(word) === undefined)
    throw wrong(asked, 'stop-signal', word, `Invalid signal: ${word}`)
  return word ?? image ?? 'SIGTERM'
}

type Privilege = Pick<
  Intent,
  'privileged' | 'noNewPrivileges' | 'capabilitiesAdded' | 'capabilitiesDropped' | 'security'
>

export function privilegeOf(asked: Asked): Privilege {
  const { given } = asked
  const options = given.list('security-opt').map((word) => optionOf(word))
  const last = (name: string): string | undefined => options.filter((one) => one.name === name).pop()?.value
  for (const { name, value, word } of options) checkOption(asked, name, value, word)
  const apparmor = last('apparmor')
  return {
    privileged: given.bool('privileged'),
    noNewPrivileges: last('no-new-privileges') === 'true',
    capabilitiesAdded: given.list('cap-add'),
    capabilitiesDropped: given.list('cap-drop'),
    security: {
      seccomp: seccompOf(asked, last('seccomp')),
      hidesSystemPaths: last('systempaths') === undefined,
      writesCgroups: last('writable-cgroups') === 'true',
      apparmorProfile: apparmor === 'unconfined' ? undefined : apparmor,
    },
  }
}

interface Option {
  readonly name: string
  readonly value: string
  readonly word: string
}

/** `NAME=VALUE`, or `NAME:VALUE` as docker had it before. */
function optionOf(word: string): Option {
  const at = word.search(/[=:]/)
  if (at < 0) return { name: word, value: 'true', word }
  return { name: word.slice(0, at), value: word.slice(at + 1), word }
}

function checkOption(asked: Asked, name: string, value: string, word: string): void {
  const isBoolean = value === 'true' || value === 'false'
  switch (name) {
    case 'seccomp':
    case 'apparmor':
      if (value !== '') return
      break
    case 'no-new-privileges':
    case 'writable-cgroups':
      if (isBoolean) return
      break
    case 'systempaths':
      if (value === 'unconfined') return
      break
    case 'label':
      // That is how each container is.
      if (value === 'disable') return
      throw new OperationError({
        kind: 'unsupported',
        operation: `run ${asked.command} with --security-opt ${word}`,
        reason: 'coffer gives containers no labels of SELinux',
        hint: 'leave it out, or give label=disable',
      })
  }
  const hint =
    'they are seccomp=FILE|unconfined|builtin, no-new-privileges, apparmor=PROFILE|unconfined, label=disable, systempaths=unconfined, writable-cgroups=true'
  throw wrong(asked, 'security-opt', word, hint)
}

function seccompOf(asked: Asked, value: string | undefined): IntentSecurity['seccomp'] {
  if (value === undefined || value === 'builtin') return 'default'
  if (value === 'unconfined') return 'unconfined'
  return { profile: readGiven(asked, 'security-opt', value) }
}

/** Bytes that stand for keys: one letter each, or `ctrl-` and a letter or one of @ [ \ ] ^ _. docker's are Ctrl-P, Ctrl-Q. */
export function detachKeysOf({ command, given, session }: Asked): readonly number[] {
  const word = given.string('detach-keys') ?? clientSetting(session, 'detachKeys')
  if (word === undefined) return [16, 17]
  if (word === '') return []
  return word.split(',').map((key) => {
    const control = /^ctrl-([a-zA-Z@[\\\]^_])$/.exec(key)?.[1]
    if (control !== undefined) return control.toUpperCase().charCodeAt(0) & 0x1f
    if (/^[\x20-\x7e]$/.test(key)) return key.charCodeAt(0)
    throw usage(command, `--detach-keys is ${JSON.stringify(word)}`, 'write it like ctrl-p,ctrl-q or a,b')
  })
}
