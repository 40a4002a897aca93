/**
 * pasta(1) of passt beside a container: user-network.ts.
 *
 *     RUNROOT/.netns/ID.pasta    the pid of pasta, which has this path among its arguments
 */

import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close, pipe, readIfReady, remove } from '../executor/embedded-files.ts'
import { become, endWith, exit, exitStatus, ownPid, waitForPid } from '../executor/embedded-process.ts'
import { SIGCHLD } from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import { type Connecting, cannotConnect, USER_NETWORKS } from './connector.ts'
import { type Engine, networkFile } from './place.ts'
import type { PortWish } from './record.ts'

const pidPath = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.pasta`

export const startPasta = (engine: Engine, { id, program, pid, ports }: Connecting): void =>
  runPasta(engine.machine.native, program, ['pasta', ...flagsOf(ports), '--pid', pidPath(engine, id), `${pid}`])

/** Answers when it is ready, and on its own. What it prints is told if it fails. */
function runPasta(native: Native, program: string, args: readonly string[]): void {
  const { readEnd, writeEnd } = pipe(native, O_NONBLOCK)
  const parent = ownPid(native)
  const child = must(native, 'make a process that becomes pasta', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) {
    // Until it goes on by itself, and has written its pid.
    endWith(native, parent)
    for (const fd of [STDOUT, STDERR]) must(native, 'keep what pasta prints', 'dup3', writeEnd, fd, 0)
    become(native, program, args, [])
    exit(native, 127)
  }
  close(native, writeEnd)
  const status = exitStatus(waitForPid(native, child))
  const bytes = new Uint8Array(65_536)
  const printed = native.decode(bytes, 0, readIfReady(native, readEnd, bytes) ?? 0)
  close(native, readEnd)
  if (status === 0) return
  const lines = printed.split('\n').filter((line) => line !== '' && !line.includes('syslog'))
  throw cannotConnect('pasta', lines[lines.length - 1] ?? `it ended with ${status}`)
}

const O_NONBLOCK = 0o4000
const [STDOUT, STDERR] = [1, 2] as const

/** The loopback of this machine is not reached, neither as 127.0.0.1 nor as the gateway. */
const flagsOf = (ports: readonly PortWish[]): readonly string[] => [
  '--quiet',
  '--config-net',
  '--no-map-gw',
  ...['--dns-forward', USER_NETWORKS.pasta.nameServer],
  ...['--tcp-ns', 'none', '--udp-ns', 'none'],
  ...forwarded(ports, 'tcp'),
  ...forwarded(ports, 'udp'),
]

function forwarded(ports: readonly PortWish[], protocol: 'tcp' | 'udp'): readonly string[] {
  const flag = `--${protocol}-ports`
  const wanted = ports.filter((one) => one.protocol === protocol)
  if (wanted.length === 0) return [flag, 'none']
  return wanted.flatMap(({ hostAddress, hostPort, port }) => [
    flag,
    `${hostAddress === undefined ? '' : `${hostAddress}/`}${hostPort}:${port}`,
  ])
}

/** Whatever has the pid by now, if its arguments are not those of this pasta it is left alone. */
export function endPasta(engine: Engine, id: string): void {
  const { native, files } = engine.machine
  const path = pidPath(engine, id)
  const pid = Number(files.readText(path) ?? '0')
  if (pid > 0) {
    const pidfd = attempt(native, 'pidfd_open', pid, 0)
    if (pidfd >= 0) {
      const isIt = (files.readText(`/proc/${pid}/cmdline`) ?? '').split('\0').includes(path)
      // Its ports are free when it is gone.
      if (isIt && attempt(native, 'pidfd_send_signal', pidfd, signalNumber('SIGKILL'), null, 0) >= 0)
        poll(native, [{ fd: pidfd, events: POLLIN }])
      close(native, pidfd)
    }
  }
  remove(native, path)
}
