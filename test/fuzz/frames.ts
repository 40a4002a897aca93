/** Frames to begin with: those of containers, and short ones that have each kind of operation in them. */

import { planRun } from '../../bench/container-plan.ts'
import { OperationError } from '../../src/base/errors.ts'
import { type Assembled, type AssembleOptions, assemble } from '../../src/executor/assemble.ts'
import { utf8 } from '../../src/linux/bytes.ts'
import { buffer, slot, strings, text } from '../../src/linux/call.ts'
import { AT_FDCWD, O_RDONLY, openat, read, unlinkat, write } from '../../src/linux/files.ts'
import { clone3 } from '../../src/linux/namespaces.ts'
import { execve, exitGroup, getpid, P_PIDFD, SIGINFO_BYTES, waitid } from '../../src/linux/process.ts'
import type { Host } from '../../src/plan/host.ts'
import { planLoopback } from '../../src/plan/network-lo.ts'
import type { Plan, Step } from '../../src/plan/plan.ts'
import type { Ending } from '../../src/plan/request.ts'
import { DOCUMENTS } from './documents.ts'
import { HOSTS } from './hosts.ts'

export const frameOf = (plan: Plan, more: Partial<AssembleOptions> = {}): Assembled =>
  assemble(plan, { architecture: 'x86_64', encode: utf8, ...more })

const step = (call: Step['call'], rest: Partial<Step> = {}): Step => ({ call, why: 'try it', see: [], ...rest })

const PID = slot('pid')
const FILE = slot('file')
const LOADED = slot('loaded')
const PIDFD = slot('child')
const bytes = buffer('bytes', 64)
const pidfd = buffer('pidfd', 4)
const info = buffer('info', SIGINFO_BYTES)

const path = text('/proc/', PID, '/fd/', FILE, '/x')

const texts: Plan = {
  operation: 'make texts',
  steps: [
    step(getpid(), { into: PID }),
    step(openat(AT_FDCWD, '/dev/null', O_RDONLY), {
      into: FILE,
      tolerate: ['ENOENT', 'EACCES'],
      otherwise: [step(getpid())],
      undo: [step(unlinkat(AT_FDCWD, '/tmp/x', 0))],
    }),
    step(openat(AT_FDCWD, path, O_RDONLY), { retry: ['EAGAIN', 'EBUSY'], into: FILE }),
    step(write(FILE, path, { lengthOf: path }), { tolerate: ['EINTR'] }),
  ],
  returns: [PID, FILE],
}

const loads: Plan = {
  operation: 'look at what was read',
  steps: [
    step(openat(AT_FDCWD, '/dev/zero', O_RDONLY), { into: FILE }),
    ...([1, 2, 4, 8] as const).map((sizeBytes) =>
      step(read(FILE, bytes), {
        keep: [{ slot: LOADED, in: bytes, offset: 3 * sizeBytes, sizeBytes }],
        check: { resultAtLeast: 0, errno: 'EIO' },
      }),
    ),
    ...([1, 2, 4] as const).map((sizeBytes) =>
      step(read(FILE, bytes), { check: { in: bytes, offset: 5, sizeBytes, mask: 0xf, equals: 0, errno: 'EIO' } }),
    ),
    step(read(FILE, bytes), { check: { in: bytes, offset: 0, sizeBytes: 4, differs: 7, errno: 'EIO' } }),
    step(read(FILE, bytes), { check: { result: 64, errno: 'EIO' }, then: [step(getpid())] }),
    step({ name: 'report', args: [] }),
  ],
  returns: [LOADED],
  reads: [bytes],
}

const child: Plan = {
  operation: 'make a child',
  steps: [
    step(clone3({ flags: 0, pidfd }), {
      keep: [{ slot: PIDFD, in: pidfd, offset: 0, sizeBytes: 4 }],
      child: [step(execve('/bin/true', strings(['true']), strings(['A=1']))), step(exitGroup(7))],
      undo: [step(waitid(P_PIDFD, PIDFD, info))],
    }),
    step(waitid(P_PIDFD, PIDFD, info)),
  ],
  reads: [info],
}

const loopback: Plan = { operation: 'switch lo on', steps: planLoopback }

export function seedFrames(): readonly Uint8Array[] {
  const short = [texts, loads, child, loopback].flatMap((plan) => [
    frameOf(plan).frame,
    frameOf(plan, { trace: true }).frame,
    besideOthers(frameOf(plan).frame),
  ])
  return [...short, ...SUITED.map(({ document, host }) => containerFrame(JSON.stringify(document), host, 'wait'))]
}

/** PLAN_CONCURRENT of native/wire.h. */
function besideOthers(frame: Uint8Array): Uint8Array {
  new DataView(frame.buffer).setUint32(12, 2, true)
  return frame
}

/** The frame that makes a container from a document. */
export function containerFrame(configText: string, host: Host, ending: Ending): Uint8Array {
  const wish = { id: 'one', bundle: '/bundle', root: '/run/coffer', consoleSocket: '/run/console.sock' }
  return frameOf(planRun({ ...wish, configText, ending }, host)).frame
}

/** Documents, and machines that have what they ask for. */
export const SUITED: readonly { readonly document: object; readonly host: Host }[] = DOCUMENTS.flatMap((document) =>
  HOSTS.filter((host) => {
    try {
      containerFrame(JSON.stringify(document), host, 'wait')
      return true
    } catch (error) {
      if (error instanceof OperationError && error.kind !== 'bug') return false
      throw error
    }
  }).map((host) => ({ document, host })),
)
