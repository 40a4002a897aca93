/** Points in time as docker takes them: RFC 3339 with parts left out, seconds since 1970, or a span before now. */

import { durationMs } from './duration.ts'

const RFC3339 = /^(\d{4}-\d\d-\d\d)(?:T(\d\d(?::\d\d(?::\d\d(?:\.\d{1,9})?)?)?)(Z|[+-]\d\d:\d\d)?)?$/

/** Milliseconds since 1970; undefined for what is none. A time without a zone is UTC. */
export function momentMs(text: string, nowMs: number): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1000
  const span = /^0(h|m|s|ms|us|ns)$/.test(text) ? 0 : durationMs(text)
  if (span !== undefined) return nowMs - span
  const match = RFC3339.exec(text)
  if (match === null) return undefined
  const [, day = '', time = '00', zone = 'Z'] = match
  const [clock = '', fraction = ''] = time.split('.')
  const ms = Date.parse(`${day}T${`${clock}:00:00`.slice(0, 8)}${zone}`)
  return Number.isNaN(ms) ? undefined : ms + Number(`0.${fraction || '0'}`) * 1000
}
