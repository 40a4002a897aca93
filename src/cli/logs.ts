/** `coffer logs`. */

import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import { momentMs } from '../base/moment.ts'
import { printLog } from '../engine/logs.ts'
import { type Command, onlyContainer } from './command.ts'

const COMMAND = 'coffer logs'

export const LOGS_FLAGS: readonly Flag[] = [
  { name: 'details', type: 'bool', help: 'also what the log has beside the lines' },
  { name: 'follow', short: 'f', type: 'bool', help: 'stay until the container has ended' },
  { name: 'since', type: 'string', value: 'TIME', help: 'what came at or behind it: 2026-01-02T13:23:37Z, or 42m ago' },
  { name: 'tail', short: 'n', type: 'string', value: 'N', help: 'the last N lines only, or all' },
  { name: 'timestamps', short: 't', type: 'bool', help: 'when each line came' },
  { name: 'until', type: 'string', value: 'TIME', help: 'what came before it' },
]

export const logs: Command = (session, words) => {
  const given = parseFlags(words, LOGS_FLAGS, COMMAND, { mixed: true })
  const { record } = onlyContainer(session, COMMAND, given)
  const nowMs = session.engine.machine.now().getTime()
  printLog(session.engine, record, {
    follows: given.bool('follow'),
    tail: tailOf(given.string('tail')),
    since: momentOf(given, 'since', nowMs),
    until: momentOf(given, 'until', nowMs),
    timestamps: given.bool('timestamps'),
    details: given.bool('details'),
  })
  return 0
}

/** As docker, which takes what is no number for all. */
function tailOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined
}

function momentOf(given: Parsed, name: string, nowMs: number): bigint | undefined {
  const text = given.string(name)
  if (text === undefined) return undefined
  const ms = momentMs(text, nowMs)
  if (ms === undefined)
    throw usage(COMMAND, `--${name} is "${text}"`, 'give a time such as 2026-01-02T13:23:37Z, or 10m')
  return BigInt(Math.round(ms * 1000)) * 1000n
}
