/** What happens to containers, images, networks and volumes, as docker tells it. Source: docker: api/swagger.yaml, EventMessage; cli/events.go */

export type EventType = 'container' | 'image' | 'network' | 'volume'

export interface Happening {
  readonly type: EventType
  /** `start`, `exec_die`, `health_status: healthy`. */
  readonly action: string
  /** The id of what it happened to; the name of a volume. */
  readonly id: string
  readonly attributes: Readonly<Record<string, string>>
}

/** With docker's names, and in its order. */
export interface EventMessage {
  /** The action, the id and the image once more, of containers and images. */
  readonly status?: string
  readonly id?: string
  readonly from?: string
  readonly Type: EventType
  readonly Action: string
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> }
  readonly scope: 'local'
  /** Seconds since 1970. */
  readonly time: number
  readonly timeNano: number
}

const NANOS_PER_MS = 1_000_000

export function messageOf({ type, action, id, attributes }: Happening, nowMs: number): EventMessage {
  const { image } = attributes
  const isOld = type === 'container' || type === 'image'
  return {
    ...(isOld ? { status: action, id } : {}),
    ...(type === 'container' && image !== undefined ? { from: image } : {}),
    Type: type,
    Action: action,
    Actor: { ID: id, Attributes: attributes },
    scope: 'local',
    time: Math.floor(nowMs / 1000),
    timeNano: nowMs * NANOS_PER_MS,
  }
}

/** Undefined for a line that is not whole, as on a disk that was full. */
export function parseMessage(line: string): EventMessage | undefined {
  try {
    const value = JSON.parse(line) as Partial<EventMessage> | null
    return typeof value?.Action === 'string' && value.Actor !== undefined ? (value as EventMessage) : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

/** `2026-01-02T03:04:05.006000000Z container start ID (image=busybox, name=web)`. */
export function messageText({ Type, Action, Actor, timeNano }: EventMessage): string {
  const at = new Date(timeNano / NANOS_PER_MS).toISOString().replace('Z', '000000Z')
  const attributes = Object.keys(Actor.Attributes)
    .sort()
    .map((name) => `${name}=${Actor.Attributes[name] ?? ''}`)
  return `${at} ${Type} ${Action} ${Actor.ID}${attributes.length === 0 ? '' : ` (${attributes.join(', ')})`}`
}

/** What a template sees; as JSON it is the message. */
export function messageFields(message: EventMessage): object {
  const { status = '', id = '', from = '', Type, Action, Actor, scope, time, timeNano } = message
  const fields = {
    Status: status,
    ID: id,
    From: from,
    Type,
    Action,
    Actor,
    Scope: scope,
    Time: time,
    TimeNano: timeNano,
  }
  return Object.defineProperty(fields, 'toJSON', { value: () => message, enumerable: false })
}

export const EVENTS_FILE = 'events'
/** Of each of the two files that are kept. */
export const EVENTS_BYTES: number = 1 << 20

const KEYS = ['container', 'event', 'image', 'label', 'network', 'type', 'volume', 'scope'] as const
type Key = (typeof KEYS)[number]

export const EVENT_FILTERS: readonly string[] = KEYS

const PREFIXES = ['health_status', 'exec_create', 'exec_start']

/** Of one key it is enough that one value fits, but for labels. `filters` are `KEY=VALUE`, with keys of EVENT_FILTERS. */
export function eventFilter(filters: readonly string[]): (message: EventMessage) => boolean {
  const values = new Map<string, string[]>()
  for (const filter of filters) {
    const equals = filter.indexOf('=')
    const key = filter.slice(0, equals)
    values.set(key, [...(values.get(key) ?? []), filter.slice(equals + 1)])
  }
  return (message) =>
    KEYS.every((key) => {
      const wanted = values.get(key)
      if (wanted === undefined) return true
      return key === 'label'
        ? wanted.every((value) => fits(key, value, message))
        : wanted.some((value) => fits(key, value, message))
    })
}

function fits(key: Key, value: string, { Type, Action, Actor, scope }: EventMessage): boolean {
  const { ID, Attributes } = Actor
  switch (key) {
    case 'type':
      return Type === value
    case 'scope':
      return scope === value
    case 'event':
      return Action === value || (PREFIXES.includes(value) && Action.startsWith(value))
    case 'label': {
      const equals = value.indexOf('=')
      const found = Attributes[equals < 0 ? value : value.slice(0, equals)]
      return found !== undefined && (equals < 0 || found === value.slice(equals + 1))
    }
    case 'image':
      return [Type === 'image' ? ID : '', Attributes.name ?? '', Attributes.image ?? ''].some(
        (name) =>
          name === value ||
          (name !== '' && name.replace(/:[^:/]*$/, '') === value && isOfImage(Type, Attributes, name)),
      )
    case 'container':
    case 'network':
    case 'volume':
      return Type === key && [ID, Attributes.name ?? ''].some((name) => name.startsWith(value) && value !== '')
  }
}

const isOfImage = (type: EventType, { image }: Readonly<Record<string, string>>, name: string): boolean =>
  type === 'image' || name === image
