/** Takes back all that a lab made: processes, cgroups, network namespaces, mounts, files. What is called coffer-lab-NAME is the lab's. */

import { OperationError } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { listEngineContainers } from '../engine/containers.ts'
import type { Engine } from '../engine/place.ts'
import { removeContainer } from '../engine/remove.ts'
import { attempt, must } from '../executor/embedded-call.ts'
import { POLLIN, poll } from '../executor/embedded-events.ts'
import { close, remove, removeDirectory, writeExisting } from '../executor/embedded-files.ts'
import { openPidfd, signalPidfd } from '../executor/embedded-process.ts'
import { removeTree } from '../executor/embedded-tree.ts'
import { MNT_DETACH } from '../linux/mount.ts'
import { listCgroupsBelow } from '../observe/cgroup.ts'
import { readMounts } from '../observe/mounts.ts'
import { parsePids, readProcessStat } from '../observe/process.ts'
import { NETNS_DIRECTORY } from '../plan/netns.ts'
import { openHierarchies, unmountHidden } from './hierarchies.ts'
import { isOfLab, labProcesses, nameFor } from './look.ts'
import { readStarted, removeStarted, type Started } from './state.ts'

const SIGKILL = 9
const ROUNDS = 500
const ROUND_MS = 10
/** Controllers that a lab mounts where the host does not. */
const HIDDEN = ['net_cls', 'net_prio']
const NOBODY: Started = { shell: { pid: 0, startTime: 0 }, namespaces: {}, rules: 0 }

/** Whoever asks, and the shells around that, go on. */
export function resetLab(engine: Engine, lab: string): void {
  const { native, files } = engine.machine
  const started = readStarted(files, lab)
  const spared = ancestors(files)
  const hierarchies = openHierarchies(native, files, lab)
  const hidden = HIDDEN.includes(lab) && !hierarchies.mounts.some((at) => at.split('/').includes(lab)) ? [lab] : []
  const mounts = [...hierarchies.mounts, ...hidden.map((controller) => hierarchies.mountOf(controller))]
  const cgroups = mounts.flatMap((mount) => (mount === undefined ? [] : cgroupsOf(files, mount, lab)))
  for (const container of listEngineContainers(engine))
    if (isOfLab(container.record.name, lab)) removeContainer(engine, container, { force: true, warn: () => {} })
  for (const cgroup of cgroups) thaw(native, files, cgroup)
  endAll(native, () =>
    [
      ...labProcesses(engine, lab, started ?? NOBODY).map(({ pid }) => pid),
      ...cgroups.flatMap((cgroup) => parsePids(files.readText(`${cgroup}/cgroup.procs`) ?? '')),
    ].filter((pid) => !spared.has(pid)),
  )
  for (const cgroup of cgroups) removeCgroup(native, files, cgroup, spared)
  for (const controller of hidden)
    if (hierarchies.mountOf(controller) !== undefined) unmountHidden(native, files, lab, controller)
  removeNetworks(native, files, lab)
  removeWork(native, files, `/tmp/${nameFor(lab)}`)
  // What a script of explain makes, as coffer would.
  removeWork(native, files, `${engine.machine.root}/lab-${lab}`)
  // What a script of explain makes, as coffer would.
  removeWork(native, files, `${engine.machine.root}/lab-${lab}`)
  removeStarted(native, files, lab)
}

function ancestors(files: Files): ReadonlySet<number> {
  const found = new Set<number>()
  for (let pid = Number(files.readLink('/proc/self')); pid > 0 && !found.has(pid); ) {
    found.add(pid)
    pid = readProcessStat(files, pid)?.parentPid ?? 0
  }
  return found
}

/** The deepest first. */
const cgroupsOf = (files: Files, mount: string, lab: string): readonly string[] =>
  (files.list(mount) ?? [])
    .filter((entry) => isOfLab(entry, lab))
    .flatMap((entry) => [...listCgroupsBelow(files, `${mount}/${entry}`), `${mount}/${entry}`])

function thaw(native: Native, files: Files, cgroup: string): void {
  for (const [file, text] of [
    ['freezer.state', 'THAWED'],
    ['cgroup.freeze', '0'],
  ] as const)
    if (files.status(`${cgroup}/${file}`) !== undefined) writeExisting(native, `${cgroup}/${file}`, text)
}

/** Again while there are some: one may have been forking. */
function endAll(native: Native, alive: () => readonly number[]): void {
  for (let round = 0; round < ROUNDS; round++) {
    const pids = [...new Set(alive())]
    if (pids.length === 0) return
    for (const pid of pids) end(native, pid)
  }
  throw new OperationError({
    kind: 'conflict',
    operation: 'end the processes of the lab',
    reason: `${alive().join(' ')} cannot be killed`,
    hint: 'look at them: ps -o pid,stat,wchan,args -p PID',
  })
}

function end(native: Native, pid: number): void {
  const pidfd = openPidfd(native, pid)
  if (pidfd === undefined) return
  signalPidfd(native, pidfd, SIGKILL)
  poll(native, [{ fd: pidfd, events: POLLIN }], ROUND_MS)
  close(native, pidfd)
}

/** Whoever is spared goes to the cgroup above. A process that has ended leaves its cgroup a moment later. */
function removeCgroup(native: Native, files: Files, cgroup: string, spared: ReadonlySet<number>): void {
  const above = `${cgroup.slice(0, cgroup.lastIndexOf('/'))}/cgroup.procs`
  for (let round = 0; ; round++) {
    for (const pid of parsePids(files.readText(`${cgroup}/cgroup.procs`) ?? ''))
      if (spared.has(pid)) writeExisting(native, above, `${pid}`)
    try {
      removeDirectory(native, cgroup)
      return
    } catch (error) {
      if (!(error instanceof OperationError && error.code === 'EBUSY' && round < ROUNDS)) throw error
      poll(native, [], ROUND_MS)
    }
  }
}

function removeNetworks(native: Native, files: Files, lab: string): void {
  for (const network of (files.list(NETNS_DIRECTORY) ?? []).filter((entry) => isOfLab(entry, lab))) {
    const file = `${NETNS_DIRECTORY}/${network}`
    // EINVAL: a name that is left without a namespace is no mount.
    attempt(native, 'umount2', file, MNT_DETACH)
    remove(native, file)
  }
}

/** Nothing is removed below a mount. */
function removeWork(native: Native, files: Files, top: string): void {
  const mounts = (): readonly string[] =>
    (readMounts(files) ?? []).map(({ mountPoint }) => mountPoint).filter((at) => at === top || at.startsWith(`${top}/`))
  for (const mountPoint of [...mounts()].reverse())
    must(native, `unmount ${mountPoint}`, 'umount2', mountPoint, MNT_DETACH)
  const [left] = mounts()
  if (left !== undefined)
    throw new OperationError({ kind: 'conflict', operation: `remove ${top}`, reason: `${left} is still mounted` })
  removeTree(native, top)
}
