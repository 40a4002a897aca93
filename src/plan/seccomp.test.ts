import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import { utf8Length } from '../linux/bytes.ts'
import type { Struct } from '../linux/call.ts'
import type { Seccomp } from '../oci/seccomp.ts'
import type { Step } from './plan.ts'
import { compileProfile, type ListenerRequest, planSeccomp, planSeccompListener, SUPPORTED_SECCOMP } from './seccomp.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const host = { architecture: 'x86_64', isRootless: false } as const
const profile: Seccomp = {
  defaultAction: 'SCMP_ACT_ALLOW',
  architectures: [],
  syscalls: [{ names: ['mount'], action: 'SCMP_ACT_ERRNO', args: [] }],
}
const notifying: Seccomp = {
  ...profile,
  listenerPath: '/run/agent.sock',
  syscalls: [{ names: ['mount'], action: 'SCMP_ACT_NOTIFY', args: [] }],
}
const request: ListenerRequest = {
  listenerPath: '/run/agent.sock',
  listenerMetadata: 'é',
  state: { ociVersion: '1.3.0', id: 'web-1', bundle: '/srv/web', annotations: { a: 'b' } },
  status: 'creating',
}

function filterOf(seccomp: Seccomp): NonNullable<ReturnType<typeof compileProfile>> {
  const compiled = compileProfile(seccomp, host)
  if (compiled === undefined) throw new TypeError('no filter')
  return compiled
}

test('without a profile there is no filter', () => {
  expect(compileProfile(undefined, host)).toBeUndefined()
})

test('a filter is one call, with its length in instructions', () => {
  const compiled = filterOf(profile)
  const steps = planSeccomp(compiled, host)
  expect(steps).toHaveLength(1)
  const program = steps[0]?.call.args[2]
  if (typeof program !== 'object' || !('struct' in program)) throw new TypeError('no structure')
  const { struct, fields } = program
  expect(new DataView(struct.buffer).getUint16(0, true)).toBe(compiled.instructionCount)
  expect(fields).toEqual([{ offset: 8, sizeBytes: 8, value: compiled.filter }])
})

test('behind a filter with a listener a privileged process only reads', () => {
  const names = planSeccomp(filterOf(notifying), host).map(({ call }) => call.name)
  expect(names).toEqual(['fcntl', 'close', 'sendto', 'seccomp', 'read'])
  const executor = planSeccompListener(request, host).map(({ call }) => call.name)
  expect(executor).toEqual(['read', 'pidfd_getfd', 'socket', 'connect', 'sendmsg', 'close', 'close', 'sendto'])
})

test('an unprivileged executor is sent the listener, as it may not fetch it', () => {
  const rootless = { ...host, isRootless: true }
  expect(planSeccomp(filterOf(notifying), rootless).map(({ call }) => call.name)).toEqual([
    'seccomp',
    'sendmsg',
    'read',
  ])
  expect(calls(planSeccompListener(request, rootless).slice(0, 1))).toContain('recvmsg')
})

/** The message as an agent receives it, if pids have so many digits. */
function received(own: Partial<ListenerRequest>, pid: string): string {
  const send = planSeccompListener({ ...request, ...own }, host).find(({ call }) => call.name === 'sendmsg')
  const message = send?.call.args[1] as Struct
  const iovec = message.fields.find(({ offset }) => offset === 16)?.value as Struct
  const payload = iovec.fields[0]?.value
  if (typeof payload !== 'object' || !('text' in payload)) throw new TypeError('no text')
  const sizeBytes = new DataView(iovec.struct.buffer).getUint32(8, true)
  const whole = payload.text.map((piece) => (typeof piece === 'string' ? piece : pid)).join('')
  expect(utf8Length(whole)).toBeGreaterThanOrEqual(sizeBytes)
  return new TextDecoder().decode(new TextEncoder().encode(whole).slice(0, sizeBytes))
}

test('the state of the process is JSON whatever number of digits its pid has', () => {
  for (const pid of ['1', '42', '4194303']) {
    expect(JSON.parse(received({}, pid))).toEqual({
      ociVersion: '1.3.0',
      fds: ['seccompFd'],
      pid: Number(pid),
      metadata: 'é',
      state: {
        ociVersion: '1.3.0',
        id: 'web-1',
        status: 'creating',
        pid: Number(pid),
        bundle: '/srv/web',
        annotations: { a: 'b' },
      },
    })
  }
})

test('for a process of exec the container keeps the pid of its init', () => {
  const state = JSON.parse(received({ status: 'running', containerPid: 7 }, '4711'))
  expect(state.pid).toBe(4711)
  expect(state.state.pid).toBe(7)
  expect(state.state.status).toBe('running')
})

test('a socket path that no address can hold is refused', () => {
  const listenerPath = `/run/${'x'.repeat(103)}`
  expect(() => planSeccompListener({ ...request, listenerPath }, host)).toThrow(
    'cannot hand the seccomp listener to the agent: linux.seccomp.listenerPath has 108 bytes',
  )
})

test('features name every architecture and flag', () => {
  expect(SUPPORTED_SECCOMP.archs).toContain('SCMP_ARCH_RISCV64')
  expect(SUPPORTED_SECCOMP.supportedFlags).toContain('SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV')
})
