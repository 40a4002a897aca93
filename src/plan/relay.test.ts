import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { planRelay } from './relay.ts'

const relay = { monitor: new Uint8Array([1, 2, 3]), socket: '/run/x.tty' }

test('the monitor gets the terminal and the connection of its client, and the executor keeps neither', () => {
  const lines = linesOf(planRelay('box', relay).start)
  expect(lines).toContain(
    'execveat(own-program, ["coffer-monitor", "box", "<init-pidfd>", "-", "-", "-", "<terminal-console>", …]',
  )
  for (const fd of ['terminal-client', 'terminal-console', 'console-socket', 'own-program'])
    expect(lines).toContain(`\nclose(${fd})`)
})

test('the client is connected before there is a process, and the process is over before the monitor is waited for', () => {
  const { open, end } = planRelay('box', relay)
  expect(open.map(({ call }) => call.name)).toContain('connect')
  expect(end.map(({ call }) => call.name)).toEqual(['waitid'])
})

test('without a terminal nothing is relayed', () => {
  expect(planRelay('box', undefined)).toEqual({ open: [], start: [], end: [] })
})
