/**
 * The files that remember a container: DIR/ID with
 *
 * | file        | written                     | holds                                                                       |
 * |-------------|-----------------------------|-----------------------------------------------------------------------------|
 * | state.json  | before anything is made     | all that `delete` needs to take back, even if nothing else was written      |
 * | init        | once init exists            | the line /proc/PID/stat of init: its pid and start time, which identify it  |
 * | exec.fifo   | by create, until start      | a created container waits on it                                             |
 *
 * mkdir(2) of DIR/ID is the lock: of two creates of one name the second one gets EEXIST.
 */

import { type Buffer, buffer, type Slot, sizeOf, slot, text } from '../linux/call.ts'
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  AT_REMOVEDIR,
  type DirFd,
  flock,
  LOCK_EX,
  LOCK_UN,
  mkdirat,
  mknodat,
  O_CREAT,
  O_EXCL,
  O_RDONLY,
  O_RDWR,
  O_TRUNC,
  O_WRONLY,
  openat,
  read,
  renameat2,
  S_IFIFO,
  STATX_NLINK,
  sendfile,
  statx,
  unlinkat,
  write,
} from '../linux/files.ts'
import { getpid } from '../linux/process.ts'
import type { Ref, Step } from './plan.ts'
import { INIT_PID, START_FIFO } from './slots.ts'

export const STATE_FILE = 'state.json'
export const INIT_FILE = 'init'
export const FIFO_FILE = 'exec.fifo'
/** What `start` renames the fifo to, so that of two starts only one goes on. */
export const TAKEN_FIFO_FILE = 'exec.fifo.taken'

export interface StatePlace {
  /** The run root, absolute; made if missing, with its parents known to exist. */
  readonly root: string
  readonly id: string
}

const SEE: readonly Ref[] = ['oci:runtime-spec/runtime.md#state']
const DIRECTORY = slot('state-directory')

export const stateDirectory = ({ root, id }: StatePlace): string => `${root}/${id}`

/**
 * The name is taken and `state.json` written before anything else is made, so that a crash leaves no nameless thing behind.
 *
 * `source` is the text of the file, or a descriptor of the executor with it: the time in it is new at each start, while the plan may be an
 * old one.
 */
export function planState(place: StatePlace, source: string | number): readonly Step[] {
  const directory = stateDirectory(place)
  const file = slot('state-file')
  const why = 'remember what is made, so that it can be removed'
  return [
    { call: mkdirat(AT_FDCWD, place.root, 0o711), why: 'have a place for states', see: SEE, tolerate: ['EEXIST'] },
    {
      call: mkdirat(AT_FDCWD, directory, 0o700),
      why: `take the name ${place.id}`,
      see: SEE,
      undo: [
        {
          call: statx(DIRECTORY, '', AT_EMPTY_PATH, STATX_NLINK, STATE_LOOK),
          why: 'see whether somebody else has removed it',
          see: ['statx(2)'],
          check: { in: STATE_LOOK, offset: LINKS_AT, sizeBytes: 4, equals: 0, errno: 'EEXIST' },
          // EBADF: it could not be opened.
          tolerate: ['EEXIST', 'EBADF'],
          otherwise: [
            {
              call: unlinkat(AT_FDCWD, directory, AT_REMOVEDIR),
              why: `give the name ${place.id} back`,
              see: SEE,
              // What is left of it is still remembered.
              tolerate: ['ENOTEMPTY'],
            },
          ],
        },
      ],
    },
    { call: openat(AT_FDCWD, directory, O_RDONLY), why, see: SEE, into: DIRECTORY, undo: [holdDirectory] },
    // An executor that was killed ends once the kernel is done with its last call, which may be one that makes a cgroup.
    { ...holdDirectory, why: 'let nobody remove it before all is made that a removal looks for' },
    {
      call: openat(DIRECTORY, STATE_FILE, O_WRONLY | O_CREAT | O_EXCL, 0o600),
      why,
      see: SEE,
      into: file,
      undo: unlessLeft([{ call: unlinkat(DIRECTORY, STATE_FILE), why: 'forget it', see: SEE }]),
    },
    ...(typeof source === 'string' ? [writeState(file, source, why)] : copyState(file, source, why)),
  ]
}

/** struct statx of something that lasts and that could not be taken back; zeros as long as there is none. */
const LEFT: Buffer = buffer('left-statx', 256)

/** For an undo, behind the removal of what is there: if it still is, the record stays, by which `delete` tries again. */
export const noteLeft = (at: DirFd, path: string): Step => ({
  call: statx(at, path, 0, STATX_NLINK, LEFT),
  why: `remember the container if ${path} is still there`,
  see: ['statx(2)'],
  tolerate: ['ENOENT'],
})

const unlessLeft = (steps: readonly Step[]): readonly Step[] => [
  {
    call: getpid(),
    why: 'see whether all of it could be taken back',
    see: SEE,
    check: { in: LEFT, offset: LINKS_AT, sizeBytes: 4, equals: 0, errno: 'EBUSY' },
    tolerate: ['EBUSY'],
    then: steps,
  },
]

const holdDirectory: Step = {
  call: flock(DIRECTORY, LOCK_EX),
  why: 'remove nothing while somebody else does',
  see: ['flock(2)'],
}

/** Behind the cgroups: all else goes with init. */
export const letDirectoryGo: Step = {
  call: flock(DIRECTORY, LOCK_UN),
  why: 'let others remove it from now on',
  see: ['flock(2)'],
}

/** struct statx of `state.json` once the plan that made it removes it; to be read with `isMine`. */
export const STATE_LOOK: Buffer = buffer('state-statx', 256)
const LINKS_AT = 16

/** `steps`, unless somebody else has removed the container: then another one may have its name. */
export const unlessRemoved = (steps: readonly Step[]): readonly Step[] => [
  holdDirectory,
  {
    call: statx(DIRECTORY, STATE_FILE, 0, STATX_NLINK, STATE_LOOK),
    why: 'see whether it is still there to be removed',
    see: SEE,
    tolerate: ['ENOENT'],
    then: steps,
  },
]

/** Whether the steps of `unlessRemoved` ran, from the bytes of STATE_LOOK. */
export const isMine = (bytes: Uint8Array): boolean =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(LINKS_AT, true) > 0

/** `steps`, which make something at a path: once somebody else has removed the container, what is there is not theirs to take back. */
export const takingBackOwn = (steps: readonly Step[]): readonly Step[] =>
  steps.map((step) => (step.undo === undefined ? step : { ...step, undo: unlessRemoved(step.undo) }))

const writeState = (file: Slot, json: string, why: string): Step => ({
  call: write(file, json, sizeOf(json)),
  why,
  see: SEE,
  check: { result: sizeOf(json), errno: 'ENOSPC' },
})

const copyState = (file: Slot, source: number, why: string): readonly Step[] => [
  { call: sendfile(file, source, MAX_STATE_BYTES), why, see: SEE },
  {
    call: read(source, buffer('state-rest', 1)),
    why: 'be sure that all of it was written',
    see: SEE,
    check: { result: 0, errno: 'ENOSPC' },
  },
]

const MAX_STATE_BYTES = 64 << 20

/** Another `state.json` in the place of the one that is there; a reader finds either of them whole. */
export function planRecord(place: StatePlace, json: string): readonly Step[] {
  const path = `${stateDirectory(place)}/${STATE_FILE}`
  const aside = `${path}.new`
  const file = slot('state-file')
  const why = `remember the limits of ${place.id}`
  return [
    {
      call: openat(AT_FDCWD, aside, O_WRONLY | O_CREAT | O_TRUNC, 0o600),
      why,
      see: SEE,
      into: file,
      undo: [{ call: unlinkat(AT_FDCWD, aside), why: 'remove what was not written whole', see: SEE }],
    },
    writeState(file, json, why),
    { call: renameat2(aside, path), why, see: SEE },
  ]
}

/** Once init is there: who it is. A pid alone is no identity, as the kernel uses pids again. */
export function planInitRecord(): readonly Step[] {
  const stat = buffer('init-stat', 1024)
  const length = slot('init-stat-length')
  const from = slot('init-stat-source')
  const to = slot('init-record')
  const why = 'remember which process is init'
  const see: readonly Ref[] = ['proc_pid_stat(5)']
  return [
    { call: openat(AT_FDCWD, text('/proc/', INIT_PID, '/stat'), O_RDONLY), why, see, into: from },
    { call: read(from, stat), why, see, into: length },
    {
      call: openat(DIRECTORY, INIT_FILE, O_WRONLY | O_CREAT | O_EXCL, 0o600),
      why,
      see,
      into: to,
      undo: [{ call: unlinkat(DIRECTORY, INIT_FILE), why: 'forget the process', see }],
    },
    { call: write(to, stat, length), why, see, check: { resultAtLeast: 1, errno: 'ENOSPC' } },
  ]
}

/** A fifo opened for reading and writing never ends: init waits in read(2) until `start` writes. fifo(7) */
export function planStartFifo(): readonly Step[] {
  const why = 'have init wait for start'
  const see: readonly Ref[] = ['fifo(7)']
  return [
    {
      call: mknodat(DIRECTORY, FIFO_FILE, S_IFIFO | 0o600, 0),
      why,
      see,
      undo: [{ call: unlinkat(DIRECTORY, FIFO_FILE), why: 'take the fifo away', see }],
    },
    { call: openat(DIRECTORY, FIFO_FILE, O_RDWR), why, see, into: START_FIFO },
  ]
}

/** The pid in decimal, without a newline; written aside and renamed, so that a reader finds all of it or nothing. */
export function planPidFile(path: string): readonly Step[] {
  const file = slot('pid-file')
  const aside = `${path}.coffer`
  const digits = text(INIT_PID)
  const why = `tell the pid in ${path}`
  return [
    {
      call: openat(AT_FDCWD, aside, O_WRONLY | O_CREAT | O_TRUNC, 0o644),
      why,
      see: ['open(2)'],
      into: file,
      undo: [{ call: unlinkat(AT_FDCWD, aside), why: 'remove the pid file', see: ['unlink(2)'] }],
    },
    { call: write(file, digits, { lengthOf: digits }), why, see: ['write(2)'] },
    {
      call: renameat2(aside, path),
      why,
      see: ['rename(2)'],
      undo: [{ call: unlinkat(AT_FDCWD, path), why: 'remove the pid file', see: ['unlink(2)'] }],
    },
  ]
}

/** The last file goes last: as long as `state.json` is there, a removal that was cut short can be done again. */
export function planForget(place: StatePlace): readonly Step[] {
  const directory = stateDirectory(place)
  const why = `forget ${place.id}`
  const gone = (path: string, flags: number): Step => ({
    call: unlinkat(AT_FDCWD, path, flags),
    why,
    see: ['oci:runtime-spec/runtime.md#delete'],
    tolerate: ['ENOENT'],
  })
  return [
    ...[FIFO_FILE, TAKEN_FIFO_FILE, INIT_FILE, `${STATE_FILE}.new`, STATE_FILE].map((file) =>
      gone(`${directory}/${file}`, 0),
    ),
    gone(directory, AT_REMOVEDIR),
  ]
}
