/** Where the hierarchies of control groups are, those included that nobody mounted: these are mounted here, out of sight of all others. */

import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { must } from '../executor/embedded-call.ts'
import { poll } from '../executor/embedded-events.ts'
import { makeDirectories, removeDirectory } from '../executor/embedded-files.ts'
import { MNT_DETACH, MS_PRIVATE, MS_REC } from '../linux/mount.ts'
import { CLONE_NEWNS } from '../linux/namespaces.ts'
import { readCgroupLayout } from '../observe/cgroup.ts'
import { stateDirectory } from './state.ts'

export interface Hierarchies {
  /** `v2`, or a controller of v1; undefined if there is none. */
  readonly mountOf: (controller: string) => string | undefined
  /** Each that is mounted by the host. */
  readonly mounts: readonly string[]
}

export function openHierarchies(native: Native, files: Files, lab: string): Hierarchies {
  const { hierarchies, unmounted } = readCgroupLayout(files)
  const hidden = new Map<string, string>()
  return {
    mounts: hierarchies.filter((one) => !one.readonly).map(({ mountPoint }) => mountPoint),
    mountOf: (controller) => {
      const found = hierarchies.find(({ version, controllers }) =>
        controller === 'v2' ? version === 2 : controllers.includes(controller),
      )
      if (found !== undefined) return found.mountPoint
      if (!unmounted.some((names) => names.join() === controller)) return undefined
      const at = hidden.get(controller) ?? mountHidden(native, lab, controller, hidden.size === 0)
      hidden.set(controller, at)
      return at
    },
  }
}

/** The mount ends with this process. A hierarchy that has cgroups lives on without one. */
function mountHidden(native: Native, lab: string, controller: string, isFirst: boolean): string {
  const operation = `look at the cgroups of ${controller}`
  if (isFirst) {
    must(native, operation, 'unshare', CLONE_NEWNS)
    must(native, operation, 'mount', 'none', '/', null, MS_REC | MS_PRIVATE, null)
  }
  const directory = `${stateDirectory(lab)}/${controller}`
  makeDirectories(native, directory, 0o700)
  must(native, operation, 'mount', 'cgroup', directory, 'cgroup', 0, controller)
  return directory
}

/**
 * Takes a hidden mount away again, and the directory below it.
 *
 * The kernel takes a hierarchy away with its last mount, but not while a cgroup that was removed is still on its way out, which may take
 * seconds: kernel/cgroup/cgroup.c, cgroup_kill_sb. Nothing tells of that but the file that is read here.
 */
export function unmountHidden(native: Native, files: Files, lab: string, controller: string): void {
  const directory = `${stateDirectory(lab)}/${controller}`
  const wait = (isDone: (state: ControllerState) => boolean): void => {
    for (let round = 0; round < ROUNDS && !isDone(stateOf(files, controller)); round++) poll(native, [], ROUND_MS)
  }
  wait(({ cgroups }) => cgroups === 1)
  must(native, `unmount ${directory}`, 'umount2', directory, MNT_DETACH)
  // Somebody else may have it mounted as well.
  wait(({ hierarchy }) => hierarchy === 0)
  removeDirectory(native, directory)
}

const ROUNDS = 500
const ROUND_MS = 10

interface ControllerState {
  /** Its number; 0 for none. */
  readonly hierarchy: number
  /** Its root is one, and so is one that goes. */
  readonly cgroups: number
}

/** A line of /proc/cgroups: controller, number of its hierarchy, how many cgroups that has, whether it is on. cgroups(7) */
function stateOf(files: Files, controller: string): ControllerState {
  const line = new RegExp(`^${controller}\\s+(\\d+)\\s+(\\d+)`, 'm').exec(files.readText('/proc/cgroups') ?? '')
  return { hierarchy: Number(line?.[1]), cgroups: Number(line?.[2]) }
}
