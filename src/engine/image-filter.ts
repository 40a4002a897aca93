/** --filter of `images` and `image prune`. */

import { OperationError } from '../base/errors.ts'
import type { StoredImage } from '../image/layout.ts'
import { type ImageRow, wantedImage } from './images.ts'
import type { Engine } from './place.ts'

type Test = (row: ImageRow) => boolean

/** Filters of one name are alternatives, as docker has it; those of several all have to fit. Throws `invalid`. */
export function imageFilter(engine: Engine, words: readonly string[]): Test {
  const byName = new Map<string, Test[]>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = equals < 0 ? word : word.slice(0, equals)
    byName.set(name, [...(byName.get(name) ?? []), testOf(engine, name, word.slice(equals + 1))])
  }
  return (row) => [...byName.values()].every((tests) => tests.some((test) => test(row)))
}

function testOf(engine: Engine, name: string, value: string): Test {
  switch (name) {
    case 'dangling':
      if (!/^(?:1|t|true|0|f|false)$/i.test(value))
        throw wrongFilter(`dangling=${value}`, 'give dangling=true or dangling=false')
      return ({ image }) => (image.names.length === 0) === /^(?:1|t|true)$/i.test(value)
    case 'label':
    case 'label!': {
      const [key = '', wanted] = splitOnce(value)
      const has = ({ image }: ImageRow): boolean => {
        const found = new Map(Object.entries(image.config.process.labels)).get(key)
        return found !== undefined && (wanted === undefined || found === wanted)
      }
      return name === 'label' ? has : (row) => !has(row)
    }
    case 'reference':
      return matcher(value)
    case 'before':
    case 'since': {
      const than = createdMs(wantedImage(engine, value))
      return ({ image }) => (name === 'before' ? createdMs(image) < than : createdMs(image) > than)
    }
    case 'until': {
      const until = untilMs(engine, value)
      return ({ image }) => createdMs(image) < until
    }
    default:
      throw wrongFilter(name, 'the filters are: dangling, label, reference, before, since, until')
  }
}

function splitOnce(text: string): readonly [string, string | undefined] {
  const equals = text.indexOf('=')
  return equals < 0 ? [text, undefined] : [text.slice(0, equals), text.slice(equals + 1)]
}

const createdMs = ({ config }: StoredImage): number => Date.parse(config.created ?? '1970-01-01T00:00:00Z')

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 }

/** A time, or how long ago it was, as `24h` or `1h30m`. */
function untilMs({ machine }: Engine, value: string): number {
  if (/^(?:\d+[smh])+$/.test(value)) {
    const parts = value.match(/\d+[smh]/g) ?? []
    const seconds = parts.reduce((sum, part) => sum + Number(part.slice(0, -1)) * (SECONDS[part.slice(-1)] ?? 0), 0)
    return machine.now().getTime() - seconds * 1000
  }
  const time = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value)
  if (Number.isNaN(time))
    throw wrongFilter(`until=${value}`, 'give a time such as 2026-01-31, or a duration such as 24h')
  return time
}

/** path.Match of Go: `*` and `?` stop at a slash. A pattern without a tag fits all tags. */
export function matcher(pattern: string): Test {
  const source = pattern
    .replace(/[.+^${}()|\\]/g, '\\$&')
    .replace(/\*/g, '[^/]*')
    .replace(/\?/g, '[^/]')
  const whole = new RegExp(`^${source}$`)
  return ({ repository, tag }) =>
    repository !== undefined && (whole.test(repository) || (tag !== undefined && whole.test(`${repository}:${tag}`)))
}

const wrongFilter = (name: string, hint: string): OperationError =>
  new OperationError({ kind: 'invalid', operation: `filter by ${name}`, reason: `invalid filter '${name}'`, hint })
