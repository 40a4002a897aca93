/**
 * A box: a container that stays, and in which many commands run.
 *
 * Its first process is coffer's own (native/init.c) and does nothing, so that the namespaces, and what was written, are there between commands.
 * The executor leaves the pid of an ended box alone until no plan of ours names it any more: plan/supervised.ts, `release`.
 */

import { OperationError } from '../base/errors.ts'
import { resourcesDocument } from '../engine/intent-resources.ts'
import type { Stats } from '../observe/accounting.ts'
import { type KeptFiles, keepFiles } from '../observe/files-node.ts'
import { readStats } from '../observe/stats.ts'
import { parseResources } from '../oci/resources.ts'
import { planFreeze, planThaw } from '../plan/cgroup-freeze.ts'
import { planCgroupUpdate } from '../plan/cgroup-update.ts'
import type { Plan, Step } from '../plan/plan.ts'
import { INIT_PID } from '../plan/slots.ts'
import { type Accounts, accountTexts } from './account.ts'
import { type BoxEvents, type Events, eventsOf } from './box-events.ts'
import { type BoxFiles, filesOf } from './box-files-node.ts'
import { planBox } from './box-plan-node.ts'
import type { BoxState } from './box-state.ts'
import type { Change } from './changes-node.ts'
import type { Channel } from './channel-node.ts'
import type { Result } from './command-node.ts'
import { type DenialListener, denialsTo, hearDenials, limitRate } from './denial-node.ts'
import { openEgress } from './egress-node.ts'
import { joinNetwork, leaveNetwork } from './engine-network-node.ts'
import { type ExecOptions, execIn } from './exec-node.ts'
import type { Feature } from './features.ts'
import { type Frames, keepFrames } from './frames-node.ts'
import { refuseLandlock } from './landlock-node.ts'
import { layerView } from './layer-view.ts'
import { type ExactLimits, exactLimits, type Limits } from './limits.ts'
import { type Machine, theMachine } from './machine-node.ts'
import { checkNames, SANDBOX_NAMES, type SandboxOptions } from './options.ts'
import { type InstanceRequest, intentResources, type Joined, requestFor, type Shape } from './request.ts'
import { type BoxProcess, type SpawnOptions, spawnIn, spawnInTerminal, type TerminalProcess } from './spawn-node.ts'
import { shapeFor } from './surroundings-node.ts'
import type { TerminalSize } from './terminal-node.ts'
import { type ApplyOptions, type ChangesOptions, type Workspace, workspaceOf } from './workspace-node.ts'

/** A container that stays, and in which many commands run. What its methods do not say they reject with is `OperationError`. */
export interface Box extends AsyncDisposable {
  readonly id: string
  /** What holds in it. */
  readonly enforced: readonly Feature[]
  /** Runs a command to its end; as `run`, but in this box. limits.cpuTimeMs is about the whole box while it runs. */
  readonly exec: (command: readonly string[], options?: ExecOptions) => Promise<Result>
  /** Starts a command whose input and output are streams, or with `pty` a terminal. */
  readonly spawn: Spawn
  readonly files: BoxFiles
  /**
   * What was written since the box was made, parents before what is in them. A box whose processes run on may change under the look: pause
   * it for a picture of one moment.
   */
  readonly changes: (options?: ChangesOptions) => Promise<readonly Change[]>
  /**
   * Brings changes to what the box started from, or to another directory; answers them. Each file is replaced at once, by rename(2). Before
   * anything is written it rejects with `conflict` if a file there was changed since the box was made, and with `unsupported` for what is no
   * file, directory or symbolic link. Set-id bits are left out.
   */
  readonly apply: (filter?: (change: Change) => boolean, options?: ApplyOptions) => Promise<readonly Change[]>
  /** Ends all processes, and begins again with the files that the box started from. */
  readonly discard: () => Promise<void>
  /** Makes a second box of the same kind with the files that this one has now. Memory file systems (/tmp, /dev/shm) and processes stay here. */
  readonly fork: (options?: { readonly signal?: AbortSignal | undefined }) => Promise<Box>
  /** What all processes of the box have used until now. */
  readonly stats: () => Stats
  /** Stops all processes where they are. */
  readonly pause: () => Promise<void>
  readonly resume: () => Promise<void>
  /** Other limits for memory, swap, pids and cpus; what is not named stays. */
  readonly update: (limits: Pick<Limits, 'memory' | 'swap' | 'pids' | 'cpus'>) => Promise<void>
  /** Ends all processes; resolves when they are gone, and what was written with them. */
  readonly kill: () => Promise<void>
  /** Answers what takes the listener away again. */
  readonly on: <Name extends keyof BoxEvents>(event: Name, listener: (detail: BoxEvents[Name]) => void) => () => void
}

export interface Spawn {
  (command: readonly string[], options: SpawnOptions & { readonly pty: TerminalSize }): Promise<TerminalProcess>
  (command: readonly string[], options?: SpawnOptions & { readonly pty?: undefined }): Promise<BoxProcess>
}

/** Makes a box. Rejects with `OperationError` if it cannot be made. */
export async function sandbox({ signal, ...options }: SandboxOptions): Promise<Box> {
  checkNames(options, SANDBOX_NAMES)
  signal?.throwIfAborted()
  const machine = theMachine()
  refuseLandlock(machine, options)
  const shape = shapeFor(machine, options)
  const live = new LiveBox({ machine, shape })
  const abort = (): void => void live.kill()
  signal?.addEventListener('abort', abort, { once: true })
  live.on('exit', () => signal?.removeEventListener('abort', abort))
  try {
    await live.start()
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
  if (signal?.aborted === true) await live.kill()
  signal?.throwIfAborted()
  return live
}

interface BoxParts {
  readonly machine: Machine
  readonly shape: Shape
  /** Forked from one that was made at this time: nanoseconds since 1970. */
  readonly since?: bigint | undefined
}

interface Prepared {
  readonly plan: Plan
  /** Lets the pid of the box go. */
  readonly letGo: () => void
}

class LiveBox implements Box, BoxState {
  readonly machine: Machine
  readonly shape: Shape
  readonly id: string
  readonly enforced: readonly Feature[]
  readonly files: BoxFiles
  readonly frames: Frames
  readonly changes: Box['changes']
  readonly apply: Box['apply']
  readonly on: Box['on']
  readonly #workspace: Workspace
  readonly #instanceIn: (network: Joined | undefined) => InstanceRequest
  #instance: InstanceRequest
  #channel: Channel | undefined
  #accounts: KeptFiles = keepFiles()
  /** Lets go of what this program has for it. */
  readonly #opened: (() => Promise<void> | void)[] = []
  readonly #events: Events
  readonly #work = new Set<Promise<unknown>>()
  #limits: ExactLimits
  #updates: Parameters<Box['update']>[0] = {}
  #restart: Promise<void> | undefined
  #initPid = 0
  #status: 'new' | 'running' | 'ended' = 'new'
  #wasKilled = false
  #gone: Promise<void> = Promise.resolve()

  constructor({ machine, shape, since }: BoxParts) {
    this.machine = machine
    this.shape = shape
    this.id = machine.nextId()
    this.enforced = shape.enforced
    this.#events = eventsOf({ id: this.id, hasDenials: shape.denials || shape.hosts !== undefined })
    this.on = this.#events.on
    this.files = filesOf(this)
    this.frames = keepFrames(machine.host.architecture)
    const { origin, hasLayer, holds } = shape
    // What the view was put together of is what its layers are named after.
    const parts = origin[0] === '/' && machine.host.isRootless ? machine.hostParts() : undefined
    const view = layerView({
      origin,
      takesChanges: holds === undefined,
      parts,
      mountPoints: shape.config.mounts.map(({ destination }) => destination),
    })
    this.#workspace = workspaceOf(this, hasLayer ? view : undefined, since)
    this.changes = this.#workspace.changes
    this.apply = this.#workspace.apply
    const hostParts = parts === undefined ? machine.hostParts : () => parts
    this.#instanceIn = (joined) => requestFor({ ...machine, hostParts, id: this.id, shape, stays: true, joined })
    this.#instance = this.#instanceIn(undefined)
    this.#limits = shape.limits
  }

  get instance(): InstanceRequest {
    return this.#instance
  }

  get initPid(): number {
    return this.#initPid
  }

  get denials(): BoxState['denials'] {
    const channel = this.#channel
    return this.shape.denials && channel !== undefined ? denialsTo(channel.paths.denied) : undefined
  }

  /** Resolves when the box is up. */
  async start(): Promise<void> {
    this.#status = 'new'
    try {
      await this.#runPlan(await this.#prepare())
    } catch (error) {
      // Behind this nothing of it is left.
      await this.#forget()
      throw error
    }
  }

  async #prepare(): Promise<Prepared> {
    const { machine, shape } = this
    const channel = await machine.channels.take()
    this.#accounts = keepFiles()
    this.#opened.push(channel.release, this.#accounts.close)
    this.#channel = channel
    if (this.#wasKilled) channel.kill()
    const listener = this.#denialListener()
    const joined = await joinNetwork(shape, this.id)
    if (joined !== undefined) {
      this.#opened.push(() => leaveNetwork(shape, this.id))
      this.#instance = this.#instanceIn(joined)
    }
    const egress = shape.hosts === undefined ? undefined : await openEgress(machine, shape.hosts, listener.take)
    if (egress !== undefined) this.#opened.push(egress.close)
    if (shape.denials) this.#opened.push(hearDenials(channel, listener))
    const { request, cgroup } = this.#instance
    const instance = { cgroup, request: { ...request, egress: egress?.request } }
    return { plan: planBox(instance, this, channel), letGo: channel.holdRelease() }
  }

  #runPlan({ plan, letGo }: Prepared): Promise<void> {
    return new Promise((resolve, reject) => {
      const onProgress = (report: { readonly slot: (slot: typeof INIT_PID) => number }): void => {
        if (this.#status === 'new') {
          this.#initPid = report.slot(INIT_PID)
          this.#status = 'running'
          resolve()
        } else void this.#end(letGo)
      }
      this.#gone = this.machine.executor.run(plan, { onProgress }).then(
        () => this.#forget(),
        // Before it was up that is why there is no box; behind that the executor is gone, and the box with it.
        (error: unknown) => (this.#status === 'new' ? reject(error) : this.#forget()),
      )
    })
  }

  /** The processes are dead; the pid goes when nobody here uses it. */
  async #end(letGo: () => void): Promise<void> {
    this.#status = 'ended'
    await Promise.allSettled(this.#work)
    letGo()
  }

  async #forget(): Promise<void> {
    this.#status = 'ended'
    for (const close of this.#opened.splice(0).toReversed()) await close()
    if (this.#restart === undefined) this.#tellEnd()
  }

  #tellEnd(): void {
    this.#events.tell('exit', { wasKilled: this.#wasKilled })
  }

  #denialListener(): DenialListener {
    const { tell } = this.#events
    const listener: DenialListener = {
      take: (denial) => tell('denied', denial),
      lose: (count) => tell('denialsLost', { count }),
    }
    return limitRate(listener, Date.now)
  }

  readonly during = async <Value>(operation: string, work: () => Promise<Value>): Promise<Value> => {
    if (this.#status !== 'running') throw this.#ended(operation)
    const under = work()
    this.#work.add(under)
    try {
      return await under
    } catch (error) {
      // It ended under the work, and what the kernel says of that tells nothing.
      if (this.#isEnding() && error instanceof OperationError) throw this.#ended(operation, error)
      throw error
    } finally {
      this.#work.delete(under)
    }
  }

  #isEnding(): boolean {
    return this.#wasKilled || this.#restart !== undefined || this.#status === 'ended'
  }

  #ended(operation: string, cause?: OperationError): OperationError {
    return new OperationError({
      kind: 'conflict',
      operation,
      reason: `the box ${this.id} has ended`,
      hint: 'make another one: sandbox(options)',
      cause,
    })
  }

  readonly exec = (command: readonly string[], options: ExecOptions = {}): Promise<Result> =>
    execIn(this, command, options)

  readonly spawn = ((command: readonly string[], options: SpawnOptions = {}) => {
    const { pty } = options
    return pty === undefined ? spawnIn(this, command, options) : spawnInTerminal(this, command, { ...options, pty })
  }) as Spawn

  readonly look = (): Accounts['text'] => accountTexts(this.#accounts, this.instance.cgroup)

  readonly stats = (): Stats => readStats(this.instance.cgroup.paths, this.machine.files)

  readonly pause = (): Promise<void> => this.#change(`pause ${this.id}`, planFreeze)

  readonly resume = (): Promise<void> => this.#change(`resume ${this.id}`, planThaw)

  readonly update = async (given: Parameters<Box['update']>[0]): Promise<void> => {
    const { host } = this.machine
    const wanted = exactLimits(given, this.#limits)
    const resources = parseResources(resourcesDocument(intentResources(wanted, host)), 'limits')
    const current = this.shape.config.linux.resources
    const { isRootless, cgroup: layout } = host
    await this.#change(`update ${this.id}`, (cgroup) =>
      planCgroupUpdate({ cgroup, resources, current, layout, isRootless }),
    )
    this.#limits = wanted
    this.#updates = { ...this.#updates, ...given }
  }

  #change(operation: string, plan: (cgroup: InstanceRequest['cgroup']) => readonly Step[]): Promise<void> {
    return this.during(operation, async () => {
      await this.machine.executor.run({ operation, steps: plan(this.instance.cgroup) })
    })
  }

  readonly discard = async (): Promise<void> => {
    const operation = `discard the changes of ${this.id}`
    this.#workspace.requireLayer(operation)
    while (this.#restart !== undefined) await this.#restart.catch(() => undefined)
    if (this.#status !== 'running' || this.#wasKilled) throw this.#ended(operation)
    this.#restart = this.#startAgain(operation).finally(async () => {
      // Until then its end is not told of.
      if (this.#status === 'ended') await this.#gone
      this.#restart = undefined
      if (this.#status === 'ended') this.#tellEnd()
    })
    return this.#restart
  }

  async #startAgain(operation: string): Promise<void> {
    this.#channel?.kill()
    await this.#gone
    if (this.#wasKilled) throw this.#ended(operation)
    this.#workspace.forget()
    try {
      await this.start()
    } catch (error) {
      throw this.#wasKilled && error instanceof OperationError ? this.#ended(operation, error) : error
    }
    if (Object.keys(this.#updates).length > 0) await this.update(this.#updates)
  }

  readonly fork: Box['fork'] = ({ signal } = {}) =>
    this.during(`fork ${this.id}`, async () => {
      signal?.throwIfAborted()
      const { machine, shape } = this
      this.#workspace.requireLayer(`fork ${this.id}`)
      const since = await this.#workspace.since()
      const other = new LiveBox({ machine, shape, since })
      await other.start()
      try {
        await other.during(`copy ${this.id}`, () => this.#workspace.copyInto(other, signal))
        if (Object.keys(this.#updates).length > 0) await other.update(this.#updates)
      } catch (error) {
        await other.kill()
        throw error
      }
      return other
    })

  readonly kill = async (): Promise<void> => {
    // What has ended by itself was not killed.
    if (this.#status !== 'ended' || this.#restart !== undefined) this.#wasKilled = true
    // One that cannot be started again is as good as killed.
    while (this.#restart !== undefined) await this.#restart.catch(() => undefined)
    if (this.#status !== 'ended') this.#channel?.kill()
    await this.#gone
  }

  readonly [Symbol.asyncDispose] = (): Promise<void> => this.kill()
}
