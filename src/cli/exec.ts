/** `coffer exec`: one more process in a container that runs. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { type ExecRequest, execInContainer } from '../container/exec.ts'
import { type EngineContainer, findContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { grantableCapabilities } from '../engine/grantable.ts'
import { userIn } from '../engine/image-process.ts'
import { newId } from '../engine/random.ts'
import { close, open, writeText } from '../executor/embedded-files.ts'
import { O_RDONLY, O_RDWR } from '../linux/files.ts'
import type { Process } from '../oci/process.ts'
import type { Session } from './open.ts'
import { variablesOf } from './process.ts'
import { EXEC_FLAGS } from './run-flags.ts'
import { execFailure } from './start-failure.ts'
import { type Asked, wrong } from './values.ts'

/** Answers the exit status of the process; 0 for one in the background. */
export const exec = (session: Session, words: readonly string[]): number =>
  withExec(session, words, (request, { record }, args) => {
    const { engine, native } = session
    const execID = newId(native)
    for (const action of ['exec_create', 'exec_start'])
      tellContainer(engine, record, `${action}: ${args.join(' ')}`, { execID })
    const status = execInContainer(engine.machine, request)
    if (!request.detach) tellContainer(engine, record, 'exec_die', { execID, exitCode: `${status}` })
    return status
  })

/** Calls `body` with what the words of `coffer exec` ask for; its descriptors are open that long. */
export function withExec<Result>(
  session: Session,
  words: readonly string[],
  body: (request: ExecRequest, container: EngineContainer, args: readonly string[]) => Result,
): Result {
  const asked: Asked = { command: 'coffer exec', given: parseFlags(words, EXEC_FLAGS, 'coffer exec'), session }
  const { given } = asked
  const { native, engine } = session
  const [name, ...args] = given.rest
  if (name === undefined || args.length === 0) throw usage(asked.command, 'it takes a container and a command')
  const container = findContainer(engine, name)
  refuseStopped(container)
  const isDetached = given.bool('detach')
  const hasInput = given.bool('interactive') && !isDetached
  const nothing = open(native, '/dev/null', isDetached ? O_RDWR : O_RDONLY)
  try {
    const request: ExecRequest = {
      id: container.record.id,
      process: (base) => processOf(asked, base, args, container),
      detach: isDetached,
      stdio: isDetached ? [nothing, nothing, nothing] : [hasInput ? 0 : nothing, 1, 2],
      keepsFiles: !isDetached && !given.bool('tty'),
      hasInput,
      keepsReturns: true,
      preserveFds: 0,
      listenFds: 0,
      ignorePaused: false,
      cgroups: [],
      warn: (text) => writeText(native, 2, `warning: ${text}\n`),
    }
    return body(request, container, args)
  } catch (error) {
    throw execFailure(error, args, isDetached)
  } finally {
    close(native, nothing)
  }
}

function refuseStopped({ record, status }: EngineContainer): void {
  if (status === 'running') return
  if (status === 'paused')
    throw new OperationError({
      kind: 'conflict',
      operation: `run a process in ${record.name}`,
      reason: `Container ${record.id} is paused, unpause the container before exec`,
      hint: `coffer unpause ${record.name}`,
    })
  throw new OperationError({
    kind: 'conflict',
    operation: `run a process in ${record.name}`,
    reason: `container ${record.id} is not running`,
    hint: `coffer start ${record.name}`,
  })
}

function processOf(asked: Asked, base: Process, args: readonly string[], container: EngineContainer): Process {
  const { given, session } = asked
  const workdir = given.string('workdir') || base.cwd
  if (!workdir.startsWith('/')) throw wrong(asked, 'workdir', workdir, 'give an absolute path of the container')
  const all = grantableCapabilities(session.engine)
  const privileged = { bounding: all, effective: all, permitted: all, inheritable: [], ambient: [] }
  return {
    ...base,
    args,
    terminal: given.bool('tty'),
    consoleSize: undefined,
    env: [
      ...inheritedEnv(asked, base, container),
      ...(given.bool('tty') && !base.env.some((entry) => entry.startsWith('TERM=')) ? ['TERM=xterm'] : []),
      ...variablesOf(asked).map(([name, value]) => `${name}=${value}`),
    ],
    user: userOf(asked, base, container),
    cwd: workdir,
    ...(given.bool('privileged') ? { capabilities: privileged } : {}),
  }
}

/** Another user has a home of their own, unless one was asked for when the container was made. */
function inheritedEnv({ given }: Asked, base: Process, { record }: EngineContainer): readonly string[] {
  const isHome = (entry: string): boolean => entry.startsWith('HOME=')
  const keepsHome = !given.string('user') || record.intent.env.some(isHome)
  return keepsHome ? base.env : base.env.filter((entry) => !isHome(entry))
}

/** By the files that the container has now. */
function userOf({ given, session }: Asked, base: Process, container: EngineContainer): Process['user'] {
  const word = given.string('user')
  if (word === undefined || word === '' || !('pid' in container)) return base.user
  const { uid, gid, additionalGids } = userIn(session.engine.machine.files, [`/proc/${container.pid}/root`], word)
  const own = session.engine.host().isRootless ? [] : [gid]
  return { ...base.user, uid, gid, additionalGids: [...new Set([...own, ...additionalGids])] }
}
