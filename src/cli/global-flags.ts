/** Flags before the command, as docker has them: what is about its daemon is refused, or without effect if it is about what the daemon tells. */

import { OperationError } from '../base/errors.ts'
import { type Flag, parseFlags, usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { environment } from './environment.ts'

const ofDaemon = (name: string, type: Flag['type'], short?: string): Flag => ({
  name,
  type,
  help: '',
  refused: 'coffer has no daemon: each command is about this machine',
  ...(short === undefined ? {} : { short }),
})

const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal']

const FLAGS: readonly Flag[] = [
  { name: 'config', type: 'string', value: 'DIR', help: 'where config.json is, instead of $DOCKER_CONFIG' },
  { name: 'debug', short: 'D', type: 'bool', help: 'coffer explain tells more' },
  { name: 'log-level', short: 'l', type: 'string', value: 'LEVEL', help: LEVELS.join(' ') },
  { name: 'tls', type: 'bool', help: 'only =false: there is no daemon to talk to' },
  { name: 'host', short: 'H', type: 'list', value: 'SOCKET', help: 'passed over, if it is of this machine' },
  { name: 'context', short: 'c', type: 'string', value: 'default', help: 'there is one' },
  ofDaemon('tlscacert', 'string'),
  ofDaemon('tlscert', 'string'),
  ofDaemon('tlskey', 'string'),
  ofDaemon('tlsverify', 'bool'),
]

/** Others are commands, such as `--version`, and those by which coffer starts itself. */
function isGlobal(word: string): boolean {
  const [, long] = /^--([^=]+)/.exec(word) ?? []
  const isShort = (short: string | undefined): boolean => short !== undefined && word.startsWith(`-${short}`)
  return FLAGS.some(({ name, short }) => (long === undefined ? isShort(short) : long === name))
}

/** As it is without them: the words begin with the command, and `--config` is in the environment. Throws `invalid`. */
export function withoutGlobalFlags(native: Native): Native {
  const [program = 'coffer', ...words] = native.args
  const [first = ''] = words
  if (!isGlobal(first)) return native
  const given = parseFlags(words, FLAGS, 'coffer')
  const level = given.string('log-level')
  if (level !== undefined && !LEVELS.includes(level))
    throw usage('coffer', `Unable to parse logging level: ${level}`, LEVELS.join(' '))
  if (given.bool('tls')) throw usage('coffer', 'there is no daemon to talk to by TLS', 'leave --tls away')
  for (const host of given.list('host')) refuseHost(host)
  const context = given.string('context') ?? 'default'
  if (context !== 'default') throw usage('coffer', `there is no context ${context}`, 'there is default: this machine')
  const config = given.string('config')
  const env =
    config === undefined
      ? native.env
      : [...native.env.filter((entry) => !entry.startsWith('DOCKER_CONFIG=')), `DOCKER_CONFIG=${config}`]
  // Its functions are no properties that a copy would have.
  const called: Native = Object.create(native, { args: { value: [program, ...given.rest] }, env: { value: env } })
  return called
}

/** A socket of this machine is passed over, as what it leads to is done here. Throws `unsupported` for another machine. */
export const refuseOtherMachine = (native: Native): void => refuseHost(environment(native).get('DOCKER_HOST') ?? '')

function refuseHost(host: string): void {
  if (!/^(?:tcp|ssh|https?):\/\//.test(host)) return
  throw new OperationError({
    kind: 'unsupported',
    operation: `ask ${host}`,
    reason: 'it names a daemon of another machine, and coffer is for this one',
    hint: 'leave --host away and unset DOCKER_HOST, or use docker for that one',
  })
}
