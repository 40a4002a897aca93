/** The memory that coffer keeps for containers that run detached: the proportional set size of all its processes. */

import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, Part } from './bench.ts'
import { atMost, type Row } from './row.ts'

const COUNT = 10
const GOAL = atMost(200, 100)
/** From the issue that set the goals; shown where conmon is not installed. */
const QUOTED_PEERS = 'conmon 384 KiB, containerd-shim 2655 KiB (quoted)'

export const memoryPart: Part = async (bench) => {
  const { place, peers, bundles, signal } = bench
  const call = (...words: readonly string[]): void => must([...peers.coffer.command, ...words])
  const running = Array.from({ length: COUNT }, () => place.newId('memory'))
  for (const id of running) call('run', '--detach', '--bundle', bundles.lasting, id)
  await Bun.sleep(200)
  signal.throwIfAborted()
  const detachedKib = cofferKib() / COUNT
  for (const id of running) call('delete', '--force', id)

  const created = Array.from({ length: COUNT }, () => place.newId('memory'))
  const pidFile = (id: string): string => join(place.directory, `${id}.pid`)
  for (const id of created) call('create', '--bundle', bundles.lasting, '--pid-file', pidFile(id), id)
  const pids = created.map((id) => Number(readFileSync(pidFile(id), 'utf8')))
  const waitingKib = (cofferKib() + pids.reduce((total, pid) => total + pssKib(pid), 0)) / COUNT
  for (const id of created) call('delete', '--force', id)

  const peer = conmonKib(bench)
  const [name, theirs] = peer === undefined ? [QUOTED_PEERS, '384 KiB'] : ['conmon', kib(peer)]
  const row = (measure: string, value: number): Row => ({
    measure,
    peer: name,
    ours: kib(value),
    theirs,
    compared: { value, unit: 'KiB' },
    goal: GOAL,
  })
  return {
    rows: [
      row('memory of coffer for a container that runs detached', detachedKib),
      row('memory of coffer for a container that waits for start', waitingKib),
    ],
    notes: [`Memory is the proportional set size of all processes of coffer, divided by ${COUNT} containers.`],
  }
}

const kib = (value: number): string => `${value.toFixed(0)} KiB`

function must(command: readonly string[]): void {
  // A container that stays keeps the descriptors that it was started with, so nothing waits for their ends.
  const { exitCode } = Bun.spawnSync([...command], { stdin: 'ignore', stdout: 'ignore', stderr: 'inherit' })
  if (exitCode !== 0) throw new Error(`${command.join(' ')} ended with ${exitCode}`)
}

/** Its processes are in the mount namespace of the benchmark, where nobody else's are, until they become a container. */
function cofferKib(): number {
  const ours = readlinkSync('/proc/self/ns/mnt')
  let total = 0
  for (const pid of readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)) {
    if (linkOf(pid, 'ns/mnt') === ours && /\/coffer-runc$|memfd:coffer/.test(linkOf(pid, 'exe'))) total += pssKib(pid)
  }
  return total
}

/** Empty for a process that has ended, and for a thread of the kernel. */
function linkOf(pid: number, name: string): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`)
  } catch {
    return ''
  }
}

/** proc_pid_smaps(5): Pss counts a page that n processes share as a n-th. */
const pssKib = (pid: number): number =>
  Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0)

/** The same containers under conmon and crun, as podman runs them. */
function conmonKib({ place, peers: { crun }, bundles }: Bench): number | undefined {
  const conmon = Bun.which('conmon')
  if (conmon === null || crun === undefined) return undefined
  const [runtime = '', ...flags] = crun.command
  const ids = Array.from({ length: COUNT }, () => place.newId('conmon'))
  const monitors = ids.map((id) => {
    const directory = join(place.directory, id)
    mkdirSync(directory)
    const file = (name: string): string => join(directory, name)
    const options = ['--cid', id, '--cuuid', id, '--name', id, '--runtime', runtime, '--bundle', bundles.lasting]
    const files = ['--container-pidfile', file('pid'), '--conmon-pidfile', file('monitor'), '--exit-dir', directory]
    const more = ['--persist-dir', directory, '--log-path', `k8s-file:${file('log')}`, '--socket-dir-path', directory]
    must([conmon, ...options, ...files, ...more, ...flags.map((flag) => `--runtime-arg=${flag}`)])
    // It goes to the background before crun has made the container.
    for (let attempt = 0; attempt < 400 && !existsSync(file('pid')); attempt++) Bun.sleepSync(5)
    must([...crun.command, 'start', id])
    return Number(readFileSync(file('monitor'), 'utf8'))
  })
  const total = monitors.reduce((sum, pid) => sum + pssKib(pid), 0)
  for (const id of ids) must([...crun.command, 'delete', '--force', id])
  return total / COUNT
}
