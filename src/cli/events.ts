/** `coffer events`: what happens to containers, images, networks and volumes. */

import { EVENT_FILTERS, type EventMessage, eventFilter, messageFields, messageText } from '../base/event.ts'
import { type Flag, type Parsed, parseFlags, usage } from '../base/flags.ts'
import { momentMs } from '../base/moment.ts'
import { nearest } from '../base/nearest.ts'
import { compileTemplate } from '../base/template.ts'
import { followEvents } from '../engine/events.ts'
import { type Command, say } from './command.ts'

const COMMAND = 'coffer events'

export const EVENTS: readonly Flag[] = [
  { name: 'filter', short: 'f', type: 'list', value: 'KEY=VALUE', help: `only those: ${EVENT_FILTERS.join(' ')}` },
  { name: 'format', type: 'string', value: 'TEMPLATE', help: 'json, or a template of Go' },
  {
    name: 'since',
    type: 'string',
    value: 'TIME',
    help: 'first what has happened from then on: 2026-01-02T13:23:37Z, 42m',
  },
  { name: 'until', type: 'string', value: 'TIME', help: 'stay until then, instead of for ever' },
]

export const events: Command = (session, words) => {
  const given = parseFlags(words, EVENTS, COMMAND, { mixed: true })
  if (given.rest.length > 0) throw usage(COMMAND, 'it takes flags only')
  const nowMs = session.engine.machine.now().getTime()
  const passes = eventFilter(given.list('filter').map(checkedFilter))
  const format = given.string('format')
  const template = format === undefined ? undefined : compileTemplate(format === 'json' ? '{{json .}}' : format)
  const text = (message: EventMessage): string =>
    template === undefined ? messageText(message) : template(messageFields(message))
  followEvents(session.engine, {
    sinceMs: momentOf(given, 'since', nowMs),
    untilMs: momentOf(given, 'until', nowMs),
    take: (message) => {
      if (passes(message)) say(session, `${text(message)}\n`)
    },
  })
  return 0
}

function checkedFilter(filter: string): string {
  const equals = filter.indexOf('=')
  if (equals < 1) throw usage(COMMAND, `--filter is "${filter}"`, 'give KEY=VALUE, e.g. --filter event=die')
  const key = filter.slice(0, equals)
  if (EVENT_FILTERS.includes(key)) return filter
  const near = nearest(key, EVENT_FILTERS)
  throw usage(
    COMMAND,
    `there is no filter "${key}"`,
    near === undefined ? EVENT_FILTERS.join(' ') : `did you mean ${near}?`,
  )
}

function momentOf(given: Parsed, name: string, nowMs: number): number | undefined {
  const text = given.string(name)
  if (text === undefined) return undefined
  const ms = momentMs(text, nowMs)
  if (ms === undefined)
    throw usage(COMMAND, `--${name} is "${text}"`, 'give a time such as 2026-01-02T13:23:37Z, or 10m')
  return ms
}
