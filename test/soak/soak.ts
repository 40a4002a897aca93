/**
 * Many containers, several at a time, while somebody kills what takes part in them: the front, the executor, init, processes of exec.
 *
 * A step that fails is a fault unless its container was hit. One that was hit is removed with `delete --force`, as a person would.
 * Some of the containers are made by two programs that live as long as the soak, in Bun and in Node.
 */

import { closeSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { newRandom, type Random } from '../fuzz/random.ts'
import { cgroupsOf, markerFile, stateIn } from '../kernel/leaks.ts'
import { makeSite, PROGRAMS, type Site } from '../kernel/site.ts'
import { LongRunning } from './long-running.ts'
import { childrenOf, isThere, killed, membersOf, type Seen, seen } from './processes.ts'
import type { Measured } from './worker.ts'

export interface SoakOptions {
  readonly count: number
  /** Between two kills. */
  readonly killEveryMs: number
  readonly atATime?: number
  readonly seed?: number
  readonly onProgress?: (done: number) => void
}

export type Victim = 'front' | 'executor' | 'process'

export interface SoakResult {
  readonly containers: Readonly<Record<Kind, number>>
  readonly kills: Readonly<Record<Victim, number>>
  /** Steps that failed without reason: the container, and what was said. */
  readonly faults: readonly string[]
  readonly leaks: readonly string[]
  /** Of the long-running programs, after each tenth of their containers. */
  readonly measured: Readonly<Record<'bun' | 'node', readonly Measured[]>>
}

const KINDS = ['run', 'staged', 'detached', 'abandoned', 'bun', 'node'] as const
/** `staged` goes through create, start, exec, kill and delete; `abandoned` is created, and deleted without a start. */
export type Kind = (typeof KINDS)[number]

/** A container under way. */
interface Job {
  readonly id: string
  readonly cgroup: string
  front: Seen | undefined
  isHit: boolean
  /** Executors that outlive their front for a moment. */
  readonly orphans: Seen[]
}

export async function soak(options: SoakOptions): Promise<SoakResult> {
  const site = makeSite()
  const run = new Soak(site, options)
  try {
    return await run.toItsEnd()
  } finally {
    site[Symbol.dispose]()
  }
}

class Soak {
  readonly #site: Site
  readonly #options: SoakOptions
  readonly #random: Random
  readonly #jobs = new Set<Job>()
  readonly #faults: string[] = []
  readonly #containers: Record<Kind, number> = { run: 0, staged: 0, detached: 0, abandoned: 0, bun: 0, node: 0 }
  readonly #kills: Record<Victim, number> = { front: 0, executor: 0, process: 0 }
  readonly #programs: Readonly<Record<'bun' | 'node', LongRunning>>
  #begun = 0
  #ended = 0

  constructor(site: Site, options: SoakOptions) {
    this.#site = site
    this.#options = options
    this.#random = newRandom(options.seed ?? 1)
    site.configure({ 'root.path': site.rootfs, 'process.args': ['sh', '-c', 'exit 0'], 'linux.cgroupsPath': 'CGROUP' })
    const every = Math.max(1, Math.floor(options.count / KINDS.length / 10))
    const place = { bundle: site.bundle, root: site.root(), marker: markerFile(`${site.id}-callers`), every }
    this.#programs = { bun: new LongRunning('bun', place), node: new LongRunning('node', place) }
  }

  async toItsEnd(): Promise<SoakResult> {
    const killer = setInterval(() => this.#kill(), this.#options.killEveryMs)
    const lanes = Array.from({ length: this.#options.atATime ?? 8 }, (_, lane) => this.#lane(lane))
    await Promise.all(lanes)
    clearInterval(killer)
    const { bun, node } = this.#programs
    await Promise.all([bun.close(), node.close()])
    return {
      containers: this.#containers,
      kills: this.#kills,
      faults: [...this.#faults],
      leaks: this.#site.leaks(),
      measured: { bun: bun.measured, node: node.measured },
    }
  }

  async #lane(lane: number): Promise<void> {
    const text = readFileSync(join(this.#site.bundle, 'config.json'), 'utf8')
    while (this.#begun < this.#options.count) {
      const number = this.#begun++
      const kind = KINDS[number % KINDS.length] as Kind
      const id = `${this.#site.id}-c${number}`
      const job: Job = { id, cgroup: `/${this.#site.id}/c${number}`, front: undefined, isHit: false, orphans: [] }
      this.#jobs.add(job)
      try {
        if (kind === 'bun' || kind === 'node') await this.#inProgram(job, kind)
        else await this.#byHand(job, kind, new Bundle(this.#site, lane, text))
      } catch (error) {
        if (!job.isHit) this.#faults.push(`${kind} ${id}: ${error}`)
      }
      await this.#removed(job)
      this.#jobs.delete(job)
      this.#containers[kind]++
      this.#options.onProgress?.(++this.#ended)
    }
  }

  async #inProgram({ id, cgroup }: Job, kind: 'bun' | 'node'): Promise<void> {
    const { error } = await this.#programs[kind].run(id, cgroup)
    if (error !== undefined) throw new Error(error)
  }

  async #byHand(job: Job, kind: Kind, bundle: Bundle): Promise<void> {
    const { id, cgroup } = job
    const call = async (...args: readonly string[]): Promise<void> => {
      const child = bundle.start(args)
      job.front = seen(child.pid)
      const exitCode = await child.exited
      job.front = undefined
      if (exitCode !== 0) throw new Error(`${args[0]} ended with ${exitCode}: ${bundle.said()}`)
    }
    const path = bundle.configure(cgroup, kind === 'run' ? 'exit 0' : 'sleep 1000')
    switch (kind) {
      case 'run':
        return call('run', '--bundle', path, id)
      case 'staged':
        await call('create', '--bundle', path, id)
        await call('start', id)
        await call('exec', id, 'true')
        await call('kill', id, 'KILL')
        await this.#stopped(job)
        return call('delete', id)
      case 'detached':
        await call('run', '--detach', '--bundle', path, id)
        await call('exec', id, 'sh', '-c', 'sleep 0.01')
        return call('delete', '--force', id)
      default:
        await call('create', '--bundle', path, id)
        return call('delete', '--force', id)
    }
  }

  /** The kernel ends processes a moment after it is told to. */
  async #stopped(job: Job): Promise<void> {
    for (let wait = 0; wait < 1000 && this.#members(job).length > 0; wait++) await Bun.sleep(2)
  }

  readonly #members = ({ cgroup }: Job): readonly Seen[] => membersOf(cgroupsOf(cgroup.slice(1)))

  /** One `delete --force` takes away all of a container that was hit; another one has left nothing. */
  async #removed(job: Job): Promise<void> {
    for (let wait = 0; wait < 2000 && job.orphans.some(isThere); wait++) await Bun.sleep(10)
    if (job.isHit) await new Bundle(this.#site, -1, '').start(['delete', '--force', job.id]).exited
    const left = this.#left(job)
    if (left.length > 0) this.#faults.push(`${job.id}${job.isHit ? ', which was hit' : ''}: left ${left.join(', ')}`)
  }

  #left(job: Job): readonly string[] {
    return [
      ...job.orphans.filter(isThere).map(({ pid }) => `executor ${pid}`),
      ...stateIn(this.#site.root()).filter((name) => name === job.id),
      ...cgroupsOf(job.cgroup.slice(1)),
    ]
  }

  /** Somebody, of whatever is under way; draws again where there is nobody of that kind. */
  #kill(): void {
    for (let draws = 0; draws < 100 && this.#jobs.size > 0; draws++) {
      if (this.#hit(this.#random.of([...this.#jobs]), this.#random.of<Victim>(['front', 'executor', 'process']))) return
    }
  }

  #hit(job: Job, kind: Victim): boolean {
    const { front } = job
    const executors = front === undefined ? [] : childrenOf(front.pid)
    const all = { front: front === undefined ? [] : [front], executor: executors, process: this.#members(job) }
    const victims = all[kind]
    if (victims.length === 0) return false
    // Before the kill: the step that fails of it may be answered at once.
    job.isHit = true
    job.orphans.push(...executors)
    const isHit = killed(this.#random.of(victims))
    if (isHit) this.#kills[kind]++
    return isHit
  }
}

/** One lane's bundle: containers of a lane follow each other. */
class Bundle {
  readonly #site: Site
  readonly #directory: string
  readonly #text: string

  constructor(site: Site, lane: number, text: string) {
    this.#site = site
    this.#directory = join(site.directory, `lane-${lane}`)
    this.#text = text
    mkdirSync(this.#directory, { recursive: true })
  }

  /** Answers the path of the bundle. */
  configure(cgroup: string, script: string): string {
    const text = this.#text.replace('"CGROUP"', JSON.stringify(cgroup)).replace('"exit 0"', JSON.stringify(script))
    writeFileSync(join(this.#directory, 'config.json'), text)
    return this.#directory
  }

  /** In the cgroup of callers, so that what never gets into a cgroup of its own is seen as well. */
  start(args: readonly string[]): Bun.Subprocess {
    const stderr = openSync(join(this.#directory, 'stderr'), 'w')
    const enter = 'echo 0 >"$0" && exec "$@"'
    const program = [PROGRAMS.coffer, '--root', this.#site.root(), ...args]
    const marker = markerFile(`${this.#site.id}-callers`)
    const child = Bun.spawn(['sh', '-c', enter, marker, ...program], { stdin: 'ignore', stdout: 'ignore', stderr })
    closeSync(stderr)
    return child
  }

  said(): string {
    return readFileSync(join(this.#directory, 'stderr'), 'utf8').trim()
  }
}
