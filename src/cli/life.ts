/** The life of a container: `--restart`, `--health-cmd`, `--log-driver`, `--attach` and their like. */

import { OperationError } from '../base/errors.ts'
import { usage } from '../base/flags.ts'
import type { HealthPolicy, LogPolicy, RestartPolicy } from '../engine/record.ts'
import type { Healthcheck } from '../oci/image.ts'
import { type Asked, durationOf, intOf, pairsOf, parseBytes, wrong } from './values.ts'

/** Flags with few values, of which some would change something that coffer cannot. */
const CHOICES: readonly (readonly [flag: string, values: readonly string[], hint: string])[] = [
  ['isolation', ['', 'default'], 'there is default'],
  ['volume-driver', ['', 'local'], 'there is local'],
]

export function checkChoices(asked: Asked): void {
  const { given } = asked
  for (const [flag, values, hint] of CHOICES) {
    const word = given.string(flag)
    if (word !== undefined && !values.includes(word)) throw wrong(asked, flag, word, hint)
  }
  if (given.isSet('disable-content-trust') && !given.bool('disable-content-trust'))
    throw new OperationError({
      kind: 'unsupported',
      operation: `run ${asked.command} with --disable-content-trust=false`,
      reason: 'coffer does not speak to a Notary server',
      hint: 'leave it out: images are checked by their digests',
    })
}

/** Throws `invalid` for what docker has not, or not together with --rm. */
export function restartOf(asked: Asked): RestartPolicy {
  const { given, command } = asked
  const word = given.string('restart') ?? 'no'
  const [, when = '', retries] =
    /^(no|always|unless-stopped|on-failure)(?::(\d+))?$/.exec(word === '' ? 'no' : word) ?? []
  if (when !== 'no' && when !== 'always' && when !== 'unless-stopped' && when !== 'on-failure')
    throw wrong(asked, 'restart', word, 'give no, always, unless-stopped, on-failure or on-failure:N')
  if (retries !== undefined && when !== 'on-failure')
    throw wrong(asked, 'restart', word, "maximum retry count can only be used with 'on-failure'")
  if (when !== 'no' && command !== 'coffer update' && given.bool('rm'))
    throw usage(command, 'conflicting options: cannot specify both --restart and --rm', 'leave one of them away')
  return { when, maxRetries: Number(retries ?? 0) }
}

/** Of docker's `local`, which coffer's own form of the log stands for. */
const LOCAL = { limitBytes: 20 * 1024 ** 2, files: 5 }

/** `json-file` is taken for its options: what `logs` prints is the same, and the file is in coffer's form. */
export function logOf(asked: Asked): LogPolicy {
  const driver = asked.given.string('log-driver')
  const options = pairsOf(asked, 'log-opt')
  const unknown = Object.keys(options).find((name) => name !== 'max-size' && name !== 'max-file')
  if (unknown !== undefined)
    throw wrong(asked, 'log-opt', `${unknown}=${options[unknown]}`, 'there are max-size and max-file')
  if (driver === 'none') {
    if (Object.keys(options).length > 0)
      throw wrong(asked, 'log-opt', Object.keys(options).join(' '), 'the log driver none has no options')
    return { driver: 'none', limitBytes: 0, files: 1 }
  }
  if (driver !== undefined && driver !== '' && driver !== 'local' && driver !== 'json-file')
    throw new OperationError({
      kind: 'unsupported',
      operation: `run ${asked.command} with --log-driver ${driver}`,
      reason: 'a container logs into files of its own, or not at all',
      hint: 'give local, json-file or none; coffer logs passes it on',
    })
  return rotationOf(asked, options, driver === 'local' ? LOCAL : { limitBytes: 0, files: 1 })
}

function rotationOf(
  asked: Asked,
  { 'max-size': size, 'max-file': files }: Readonly<Record<string, string>>,
  otherwise: Pick<LogPolicy, 'limitBytes' | 'files'>,
): LogPolicy {
  const limitBytes = size === undefined ? otherwise.limitBytes : size === '-1' ? 0 : parseBytes(size)
  if (limitBytes === undefined)
    throw wrong(asked, 'log-opt', `max-size=${size}`, 'give bytes, or a number with k, m or g')
  if (files !== undefined && !/^[1-9]\d{0,3}$/.test(files))
    throw wrong(asked, 'log-opt', `max-file=${files}`, 'give a number from 1 to 9999')
  if (files !== undefined && files !== '1' && limitBytes === 0)
    throw wrong(asked, 'log-opt', `max-file=${files}`, 'it needs max-size')
  return { driver: 'local', limitBytes, files: files === undefined ? otherwise.files : Number(files) }
}

const SECONDS = 1e9
const HEALTH_FLAGS = ['cmd', 'interval', 'timeout', 'retries', 'start-period', 'start-interval'].map(
  (name) => `health-${name}`,
)

/** That of the image with what the flags change; undefined for none. */
export function healthOf(asked: Asked, image: Healthcheck | undefined): HealthPolicy | undefined {
  const { given, command } = asked
  if (given.bool('no-healthcheck')) {
    const flag = HEALTH_FLAGS.find((name) => given.isSet(name))
    if (flag !== undefined)
      throw usage(command, `--no-healthcheck conflicts with --health-* options`, `leave --${flag} away`)
    return undefined
  }
  const text = given.string('health-cmd')
  const test = text === undefined || text === '' ? (image?.test ?? []) : ['CMD-SHELL', text]
  if (test.length === 0 || test[0] === 'NONE') return undefined
  const nanos = (flag: string, ofImage: number | undefined, otherwise: number): number =>
    durationOf(asked, flag) || ofImage || otherwise
  const intervalNanos = nanos('health-interval', image?.intervalNanos, 30 * SECONDS)
  return {
    test,
    intervalNanos,
    timeoutNanos: nanos('health-timeout', image?.timeoutNanos, 30 * SECONDS),
    startPeriodNanos: nanos('health-start-period', image?.startPeriodNanos, 0),
    // Who asked for checks more often than docker's five seconds does not want fewer while it starts.
    startIntervalNanos: nanos('health-start-interval', undefined, Math.min(5 * SECONDS, intervalNanos)),
    retries: intOf(asked, 'health-retries', { min: 0, max: 1_000_000 }) || image?.retries || 3,
  }
}

export interface Streams {
  readonly stdin: boolean
  readonly stdout: boolean
  readonly stderr: boolean
}

/** All of them if `--attach` was not given. */
export function streamsOf(asked: Asked): Streams {
  const given = asked.given.list('attach').map((word) => word.toLowerCase())
  const unknown = given.find((word) => !['stdin', 'stdout', 'stderr'].includes(word))
  if (unknown !== undefined) throw wrong(asked, 'attach', unknown, 'valid streams are STDIN, STDOUT and STDERR')
  const has = (name: string): boolean => given.length === 0 || given.includes(name)
  return { stdin: has('stdin'), stdout: has('stdout'), stderr: has('stderr') }
}
