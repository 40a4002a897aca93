/** What this machine has of what containers need, and how to mend what it lacks: coffer doctor. Nothing is made. */

import { nameInV2 } from '../linux/cgroup.ts'
import { CONNECTOR_PACKAGES, installedConnectors } from '../observe/connectors.ts'
import { readObstacles } from '../observe/obstacles.ts'
import { placeFor, placesOf } from '../plan/cgroup-place.ts'
import type { Host } from '../plan/host.ts'
import { hostOf } from './host.ts'
import type { Machine } from './machine.ts'
import { ownIds } from './own-ids.ts'

/** `bad`: no container can be made. `less`: something that can be asked for is refused. */
export interface Check {
  readonly name: string
  readonly state: 'good' | 'less' | 'bad'
  readonly detail: string
  /** An action; undefined where there is nothing to do, or nothing is known. */
  readonly hint?: string | undefined
}

export function checkMachine(machine: Machine): readonly Check[] {
  const host = hostOf(machine)
  return [
    kernel(host),
    privilege(machine, host),
    ...readObstacles(machine.files, host.isRootless).map(
      ({ feature, reason, hint }): Check => ({
        name: feature,
        state: 'bad',
        detail: reason,
        hint,
      }),
    ),
    namespaces(machine),
    cgroups(host),
    overlay(machine),
    ...(host.isRootless ? [network(machine)] : []),
  ]
}

/** The oldest with all calls that each plan makes: README "What it needs". */
const OLDEST = { major: 5, minor: 14 }

function kernel({ kernel: { major, minor } }: Host): Check {
  const isOld = major < OLDEST.major || (major === OLDEST.major && minor < OLDEST.minor)
  return {
    name: 'kernel',
    state: isOld ? 'bad' : 'good',
    detail: `Linux ${major}.${minor}`,
    hint: isOld ? `coffer needs Linux ${OLDEST.major}.${OLDEST.minor} or later` : undefined,
  }
}

function privilege(machine: Machine, host: Host): Check {
  if (!host.isRootless) return { name: 'privilege', state: 'good', detail: 'root of this machine' }
  const { uidMappings } = ownIds(machine, host)
  const count = uidMappings.reduce((sum, { size }) => sum + size, 0)
  return count > 1
    ? { name: 'privilege', state: 'good', detail: `rootless, with ${count} user ids` }
    : {
        name: 'privilege',
        state: 'less',
        detail: 'rootless, with one user id: no program in a container becomes another user',
        hint: 'a range in /etc/subuid and /etc/subgid, and newuidmap of the package uidmap',
      }
}

const NAMESPACES = ['user', 'mnt', 'pid', 'net', 'ipc', 'uts', 'cgroup', 'time']
/** Without which no container is one. */
const NEEDED = ['mnt', 'pid']

function namespaces({ files }: Machine): Check {
  const missing = NAMESPACES.filter((name) => files.readLink(`/proc/self/ns/${name}`) === undefined)
  if (missing.length === 0) return { name: 'namespaces', state: 'good', detail: NAMESPACES.join(' ') }
  return {
    name: 'namespaces',
    state: missing.some((name) => NEEDED.includes(name)) ? 'bad' : 'less',
    detail: `this kernel has none of ${missing.join(', ')}`,
    hint: missing.map((name) => `CONFIG_${name === 'mnt' ? 'NAMESPACES' : `${name.toUpperCase()}_NS`}=y`).join(' '),
  }
}

const CONTROLLERS = ['cpu', 'cpuset', 'memory', 'pids', 'blkio', 'hugetlb']

function cgroups({ cgroup: layout, isRootless }: Host): Check {
  const places = placesOf({ id: 'probe', layout, isRootless })
  // What nobody mounted is lent to the container by a mount of its own: plan/cgroup-private.ts.
  const lent = isRootless ? [] : layout.unmounted.flat()
  const missing = CONTROLLERS.filter((one) => placeFor(one, places, layout) === undefined && !lent.includes(one))
  const name = `cgroups (${layout.mode})`
  const has = CONTROLLERS.filter((one) => !missing.includes(one)).map((one) =>
    layout.mode === 'v2' ? nameInV2(one) : one,
  )
  if (missing.length === 0) return { name, state: 'good', detail: has.join(' ') }
  return {
    name,
    state: 'less',
    detail: `no limits of ${missing.join(', ')}${has.length === 0 ? '' : `; there are ${has.join(' ')}`}`,
    hint: isRootless
      ? 'systemd-run --user --scope -p Delegate=yes PROGRAM, on a machine with cgroup v2'
      : 'a controller that this kernel has can be mounted: cgroups(7)',
  }
}

function overlay({ files }: Machine): Check {
  const knows = /\toverlay$/m.test(files.readText('/proc/filesystems') ?? '')
  return {
    name: 'overlayfs',
    state: knows ? 'good' : 'less',
    detail: knows ? 'there' : 'not there, or a module that is not loaded: images and the view of this machine need it',
    hint: knows ? undefined : 'modprobe overlay',
  }
}

/** Without privilege. */
function network({ files }: Machine): Check {
  const [found] = installedConnectors(files)
  return {
    name: 'network',
    state: found === undefined ? 'less' : 'good',
    detail: found === undefined ? 'rootless, with neither pasta nor slirp4netns: no way out' : `rootless, by ${found}`,
    hint:
      found === undefined ? `the package ${CONNECTOR_PACKAGES.pasta}, or ${CONNECTOR_PACKAGES.slirp4netns}` : undefined,
  }
}
