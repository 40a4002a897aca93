/**
 * Events: who does something writes a line about it into one file of all; who wants to know reads that file, and waits for it to change.
 *
 * A line is one write(2) to a file that is open for appending, so lines of several writers stay whole. A file that has grown large becomes
 * `events.1`, and what that was is gone.
 */

import { EVENTS_BYTES, EVENTS_FILE, type EventMessage, type EventType, messageOf, parseMessage } from '../base/event.ts'
import { statusOf } from '../executor/embedded-at.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { drain, POLLIN, poll, watchFiles } from '../executor/embedded-events.ts'
import { close, makeDirectories, openIfThere, tryLock } from '../executor/embedded-files.ts'
import { AT_FDCWD, O_APPEND, O_CLOEXEC, O_CREAT, O_RDONLY, O_WRONLY } from '../linux/files.ts'
import { readNetwork } from '../network/networks.ts'
import { networksOf } from './connection.ts'
import type { Engine } from './place.ts'
import type { ContainerRecord } from './record.ts'

type Told = Pick<Engine, 'machine' | 'dataRoot'>
type Attributes = Readonly<Record<string, string>>

const ENOENT = 2

/** Never an error: what happened has happened, whether there is room to tell of it or not. */
export function tell(
  { machine, dataRoot }: Told,
  type: EventType,
  action: string,
  id: string,
  attributes: Attributes,
): void {
  const { native, now } = machine
  const path = `${dataRoot}/${EVENTS_FILE}`
  const flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC
  let fd = attempt(native, 'openat', AT_FDCWD, path, flags, 0o600)
  if (fd === -ENOENT) {
    makeDirectories(native, dataRoot, 0o711)
    fd = attempt(native, 'openat', AT_FDCWD, path, flags, 0o600)
  }
  if (fd < 0) return
  const line = native.encode(`${JSON.stringify(messageOf({ type, action, id, attributes }, now().getTime()))}\n`)
  attempt(native, 'write', fd, line, line.length)
  turnAway(machine, fd, path)
  close(native, fd)
}

/** Lets a large file make room, for those who tell and cannot do that: image/events-node.ts. */
export function turnEvents({ machine, dataRoot }: Told): void {
  const path = `${dataRoot}/${EVENTS_FILE}`
  const fd = openIfThere(machine.native, path, O_WRONLY)
  if (fd === undefined) return
  turnAway(machine, fd, path)
  close(machine.native, fd)
}

/**
 * A file of which nobody has the lock but us is at `path` until we rename it: another one there would be lost. Who finds it locked leaves it to
 * the other; if that one is killed, the next who tells does it.
 */
function turnAway(machine: Engine['machine'], fd: number, path: string): void {
  const { native } = machine
  if (statusOf(native, fd).sizeBytes <= EVENTS_BYTES) return
  if (!tryLock(native, fd) || !isAt(machine, fd, path)) return
  attempt(native, 'renameat2', AT_FDCWD, path, AT_FDCWD, `${path}.1`, 0)
}

const identityOf = ({ files }: Engine['machine'], fd: number): string | undefined =>
  files.status(`/proc/self/fd/${fd}`)?.identity

const isAt = (machine: Engine['machine'], fd: number, path: string): boolean =>
  machine.files.status(path)?.identity === identityOf(machine, fd)

type Known = Pick<ContainerRecord, 'id' | 'name' | 'image' | 'labels'>

export const tellContainer = (engine: Told, record: Known, action: string, more: Attributes = {}): void =>
  tell(engine, 'container', action, record.id, {
    ...record.labels,
    ...more,
    image: record.image.name,
    name: record.name,
  })

/** `container` is the id of one that comes or goes. */
export function tellNetwork(engine: Engine, name: string, action: string, container?: string): void {
  const id = readNetwork(networksOf(engine), name)?.id ?? name
  const attributes = { ...(container === undefined ? {} : { container }), name, type: 'bridge' }
  tell(engine, 'network', action, id, attributes)
}

export interface EventOptions {
  /** Milliseconds since 1970; undefined: only what happens from now on. */
  readonly sinceMs?: number | undefined
  /** Undefined: for ever. */
  readonly untilMs?: number | undefined
  readonly take: (message: EventMessage) => void
}

const IN_MODIFY = 2
const IN_MOVED_TO = 0x80
const IN_CREATE = 0x100
const MS_PER_NANO = 1e-6

/** Returns when `untilMs` has come. */
export function followEvents({ machine, dataRoot }: Told, { sinceMs, untilMs, take }: EventOptions): void {
  const { native, now } = machine
  makeDirectories(native, dataRoot, 0o711)
  // Whoever follows watches before he reads, so that nothing falls in between.
  const changes = watchFiles(native, [dataRoot], IN_MODIFY | IN_MOVED_TO | IN_CREATE)
  const log = new EventLog(machine, `${dataRoot}/${EVENTS_FILE}`, sinceMs !== undefined)
  const isWanted = (ms: number): boolean => ms >= (sinceMs ?? ms) && ms <= (untilMs ?? ms)
  try {
    for (;;) {
      log.read((message) => {
        if (isWanted(message.timeNano * MS_PER_NANO)) take(message)
      })
      const left = untilMs === undefined ? undefined : Math.ceil(untilMs - now().getTime())
      if (left !== undefined && left <= 0) return
      if (poll(native, [{ fd: changes, events: POLLIN }], left) !== undefined) drain(native, changes)
    }
  } finally {
    close(native, changes)
    log.close()
  }
}

/** Both files, as far as they were read. */
class EventLog {
  readonly #machine: Engine['machine']
  readonly #path: string
  #older: EventFile | undefined
  #newest: EventFile | undefined

  constructor(machine: Engine['machine'], path: string, fromTheStart: boolean) {
    this.#machine = machine
    this.#path = path
    this.#newest = openFile(machine, path)
    if (!fromTheStart) this.#newest?.toEnd()
    else this.#older = this.#olderFile()
  }

  /** Opened after the newest one, which may have been turned away in between and be both. */
  #olderFile(): EventFile | undefined {
    const [machine, newest] = [this.#machine, this.#newest]
    const older = openFile(machine, `${this.#path}.1`)
    if (older === undefined || newest === undefined) return older
    if (identityOf(machine, older.fd) !== identityOf(machine, newest.fd)) return older
    older.close()
    return undefined
  }

  read(take: (message: EventMessage) => void): void {
    do {
      this.#older?.read(take)
      this.#newest?.read(take)
    } while (this.#turn())
  }

  /** Answers whether another file has begun. Somebody who had the one before open may still write to it. */
  #turn(): boolean {
    if (this.#newest !== undefined && isAt(this.#machine, this.#newest.fd, this.#path)) return false
    const next = openFile(this.#machine, this.#path)
    if (next === undefined) return false
    this.#older?.close()
    this.#older = this.#newest
    this.#newest = next
    return true
  }

  close(): void {
    this.#older?.close()
    this.#newest?.close()
  }
}

const CHUNK_BYTES = 1 << 16
const NEWLINE = 10

function openFile({ native }: Engine['machine'], path: string): EventFile | undefined {
  const fd = openIfThere(native, path, O_RDONLY)
  return fd === undefined ? undefined : new EventFile(native, fd)
}

/** One of the files, as far as it was read. */
class EventFile {
  readonly #native: Engine['machine']['native']
  readonly fd: number
  #position = 0

  constructor(native: Engine['machine']['native'], fd: number) {
    this.#native = native
    this.fd = fd
  }

  toEnd(): void {
    this.#position = statusOf(this.#native, this.fd).sizeBytes
  }

  /** What is not a whole line yet is left for the next time. */
  read(take: (message: EventMessage) => void): void {
    let chunk = new Uint8Array(CHUNK_BYTES)
    for (;;) {
      const got = must(this.#native, 'read events', 'pread64', this.fd, chunk, chunk.length, this.#position)
      const end = chunk.subarray(0, got).lastIndexOf(NEWLINE) + 1
      if (end === 0 && got < chunk.length) return
      // Labels may be longer than that.
      if (end === 0) chunk = new Uint8Array(2 * chunk.length)
      this.#position += end
      for (const line of this.#native.decode(chunk, 0, end).split('\n')) {
        const message = line === '' ? undefined : parseMessage(line)
        if (message !== undefined) take(message)
      }
    }
  }

  close(): void {
    close(this.#native, this.fd)
  }
}
