/** Stays with a running container: tells its use each interval, and each process that was killed for want of memory. */

import { drain, openEventFd, POLLIN, poll, readEventFd, watchFiles } from '../executor/embedded-events.ts'
import { close, open, writeText } from '../executor/embedded-files.ts'
import { CLOCK_MONOTONIC, clockNanos } from '../executor/embedded-process.ts'
import { O_RDONLY, O_WRONLY } from '../linux/files.ts'
import { IN_MODIFY, isEmpty, oomKills, oomWatch } from '../observe/oom.ts'
import { openInit } from './kill.ts'
import type { Machine } from './machine.ts'
import type { LiveContainer } from './store.ts'

export interface Watching {
  readonly intervalMs: number
  readonly onInterval: () => void
  readonly onOutOfMemory: () => void
}

/** Returns when the container has ended. */
export function watchContainer(machine: Machine, container: LiveContainer, watching: Watching): void {
  const { native, files } = machine
  const { paths } = container.record.cgroup
  const init = openInit(machine, container)
  const memory = watchMemory(machine, paths)
  const nowMs = (): number => clockNanos(native, CLOCK_MONOTONIC) / 1_000_000
  let killed = oomKills(paths, files)
  let nextMs = nowMs()
  for (;;) {
    if (nowMs() >= nextMs) {
      watching.onInterval()
      nextMs += watching.intervalMs
    }
    const fds = [init, ...(memory === undefined ? [] : [memory.fd])].map((fd) => ({ fd, events: POLLIN }))
    const events = poll(native, fds, Math.max(1, Math.ceil(nextMs - nowMs())))
    if ((events?.[1] ?? 0) !== 0) memory?.read()
    const kills = oomKills(paths, files)
    for (; killed < kills; killed++) watching.onOutOfMemory()
    if ((events?.[0] ?? 0) !== 0 || isEmpty(paths, files)) break
  }
  close(native, init)
  if (memory !== undefined) close(native, memory.fd)
}

interface MemoryWatch {
  readonly fd: number
  /** Takes the notice away, so that the descriptor can become readable again. */
  readonly read: () => void
}

function watchMemory({ native, files }: Machine, paths: Readonly<Record<string, string>>): MemoryWatch | undefined {
  const watch = oomWatch(paths, files)
  if (watch === undefined) return undefined
  if (watch.version === 2) {
    const fd = watchFiles(native, watch.files, IN_MODIFY)
    return { fd, read: () => void drain(native, fd) }
  }
  const fd = openEventFd(native)
  const file = open(native, watch.eventFile, O_RDONLY)
  const control = open(native, watch.controlFile, O_WRONLY)
  writeText(native, control, watch.registration(fd, file))
  close(native, control)
  close(native, file)
  return { fd, read: () => void readEventFd(native, fd) }
}
