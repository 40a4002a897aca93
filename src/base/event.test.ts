import { expect, test } from 'bun:test'
import { type EventMessage, eventFilter, messageFields, messageOf, messageText, parseMessage } from './event.ts'
import { compileTemplate } from './template.ts'

const NOW = Date.parse('2026-01-02T03:04:05.006Z')
const START = messageOf(
  { type: 'container', action: 'start', id: 'abc', attributes: { name: 'web', image: 'busybox:1', tier: 'front' } },
  NOW,
)

test("a message has docker's names, as a line, as JSON and in a template", () => {
  expect(messageText(START)).toBe(
    '2026-01-02T03:04:05.006000000Z container start abc (image=busybox:1, name=web, tier=front)',
  )
  expect(JSON.stringify(START)).toBe(
    '{"status":"start","id":"abc","from":"busybox:1","Type":"container","Action":"start","Actor":{"ID":"abc",' +
      '"Attributes":{"name":"web","image":"busybox:1","tier":"front"}},"scope":"local","time":1767323045,"timeNano":1767323045006000000}',
  )
  const format = compileTemplate('{{.Type}} {{.Status}} {{.Actor.Attributes.name}} {{.Time}} {{json .}}')
  expect(format(messageFields(START))).toBe(`container start web 1767323045 ${JSON.stringify(START)}`)
  expect(parseMessage(JSON.stringify(START))).toEqual(START)
  expect(parseMessage('{"status":"sta')).toBeUndefined()
})

test('filters of one key are alternatives, those of several all hold, and labels as well', () => {
  const volume = messageOf({ type: 'volume', action: 'create', id: 'store', attributes: { driver: 'local' } }, NOW)
  const sick: EventMessage = { ...START, Action: 'health_status: unhealthy' }
  const passes = (message: EventMessage, ...filters: readonly string[]): boolean => eventFilter(filters)(message)
  expect(passes(START, 'event=stop', 'event=start', 'type=container')).toBe(true)
  expect(passes(START, 'event=start', 'type=volume')).toBe(false)
  expect([passes(START, 'container=web'), passes(START, 'container=ab'), passes(START, 'container=other')]).toEqual([
    true,
    true,
    false,
  ])
  expect([passes(START, 'label=tier'), passes(START, 'label=tier=front', 'label=none')]).toEqual([true, false])
  expect([passes(START, 'image=busybox:1'), passes(START, 'image=busybox'), passes(START, 'image=web')]).toEqual([
    true,
    true,
    true,
  ])
  expect([passes(volume, 'volume=store'), passes(START, 'volume=store')]).toEqual([true, false])
  expect([passes(sick, 'event=health_status'), passes(sick, 'event=health'), passes(START, 'event=sta')]).toEqual([
    true,
    false,
    false,
  ])
})
