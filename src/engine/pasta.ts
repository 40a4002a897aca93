/**
 * The network of a container without root: a namespace of its own, and pasta(1) of passt beside it, which makes the connections of this machine's
 * user out of its packets. A bridge takes privilege over the machine.
 *
 *     RUNROOT/.netns/ID.pasta    the pid of pasta, which has this path among its arguments
 *
 * The container joins the namespace, and the user namespace that owns it and has the same ids. A process keeps both until it has.
 */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close, makeDirectories, pipe, read, readIfReady, remove, writeText } from '../executor/embedded-files.ts'
import { become, exit, exitStatus, waitForPid } from '../executor/embedded-process.ts'
import { fieldsOf } from '../executor/run-here.ts'
import { CLONE_NEWNET } from '../linux/namespaces.ts'
import { SIGCHLD } from '../linux/process.ts'
import { signalNumber } from '../linux/signals.ts'
import { becomeOwner } from './owner.ts'
import { type Engine, networkDirectory, networkFile } from './place.ts'
import type { PortWish } from './record.ts'

const pidPath = (engine: Pick<Engine, 'machine'>, id: string): string => `${networkFile(engine, id)}.pasta`

/** Undefined where it is not installed. */
export const findPasta = (files: Files): string | undefined =>
  ['/run/wrappers/bin', '/usr/local/bin', '/usr/bin', '/bin']
    .map((directory) => `${directory}/pasta`)
    .find((path) => files.status(path) !== undefined)

export interface HeldNetwork {
  readonly pid: number
  /** Nobody joins by the pid any more. */
  readonly release: () => void
}

/** A process whose network namespace is connected, and whose user namespace has the ids of containers. */
export function startPasta(engine: Engine, id: string, ports: readonly PortWish[]): HeldNetwork {
  const { native, files } = engine.machine
  const program = findPasta(files)
  if (program === undefined) throw missingPasta()
  const directory = networkDirectory(engine)
  if (files.status(directory) === undefined) makeDirectories(native, directory, 0o700)
  const holder = holdNamespaces(engine)
  try {
    runPasta(native, program, ['pasta', ...flagsOf(ports), '--pid', pidPath(engine, id), `${holder.pid}`])
    return holder
  } catch (error) {
    holder.release()
    throw error
  }
}

/** Answers when it is ready, and on its own. What it prints is told if it fails. */
function runPasta(native: Native, program: string, args: readonly string[]): void {
  const { readEnd, writeEnd } = pipe(native, O_NONBLOCK)
  const child = must(native, 'make a process that becomes pasta', 'clone', SIGCHLD, 0, null, null, 0)
  if (child === 0) {
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
  throw new OperationError({
    kind: 'conflict',
    operation: 'connect the container by pasta',
    reason: lines[lines.length - 1] ?? `it ended with ${status}`,
    hint: 'without root ports below 1024 and those that are taken cannot be had; --network none needs no way out',
    see: ['pasta(1)'],
  })
}

const O_NONBLOCK = 0o4000
const [STDOUT, STDERR] = [1, 2] as const

/** The loopback of this machine is not reached, neither as 127.0.0.1 nor as the gateway. */
const flagsOf = (ports: readonly PortWish[]): readonly string[] => [
  '--quiet',
  '--config-net',
  '--no-map-gw',
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

export const missingPasta = (): OperationError =>
  new OperationError({
    kind: 'missing',
    operation: 'connect the container',
    reason: 'without root that is done by pasta, which is not installed',
    hint: 'install the package passt, or give --network none or host',
    see: ['pasta(1)'],
  })

function holdNamespaces({ machine }: Engine): HeldNetwork {
  const { native } = machine
  const [ready, go] = [pipe(native), pipe(native)]
  const pid = must(native, 'make a process that keeps the namespaces', 'clone', SIGCHLD, 0, null, null, 0)
  if (pid === 0) {
    close(native, go.writeEnd)
    try {
      becomeOwner(machine)
      must(native, 'have a network namespace', 'unshare', CLONE_NEWNET)
      writeText(native, ready.writeEnd, '{}')
    } catch (error) {
      writeText(native, ready.writeEnd, JSON.stringify({ error: fieldsOf(error) }))
      exit(native, 1)
    }
    close(native, ready.writeEnd)
    read(native, go.readEnd, new Uint8Array(1))
    exit(native, 0)
  }
  close(native, ready.writeEnd)
  close(native, go.readEnd)
  const release = (): void => {
    close(native, go.writeEnd)
    waitForPid(native, pid)
  }
  const bytes = new Uint8Array(8192)
  const length = read(native, ready.readEnd, bytes)
  close(native, ready.readEnd)
  const { error } = JSON.parse(length === 0 ? '{}' : native.decode(bytes, 0, length))
  if (error === undefined && length > 0) return { pid, release }
  release()
  throw error === undefined ? missingHolder() : new OperationError(error)
}

const missingHolder = (): OperationError =>
  new OperationError({ kind: 'conflict', operation: 'keep the namespaces', reason: 'the process for it was killed' })

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
