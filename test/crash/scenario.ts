/** The commands that are interrupted, and the containers that they are about. */

import { chownSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { bind, type Changes } from '../kernel/bundle.ts'
import type { Site } from '../kernel/site.ts'
import type { Command } from './injection.ts'

export interface Kind {
  readonly name: string
  readonly changes: (site: Site) => Changes
  /** Further flags of the commands that make a container or a process in it. */
  readonly flags?: (site: Site) => readonly string[]
  /** In front of the program. */
  readonly as?: readonly string[]
  readonly prepare?: (site: Site) => void
}

const hook = { path: '/bin/true' }
const ALL_NAMESPACES = ['pid', 'mount', 'user', 'ipc', 'uts', 'network', 'cgroup', 'time'].map((type) => ({ type }))
const RANGE = [{ containerID: 0, hostID: 0, size: 65_536 }]

const PLAIN: Kind = { name: 'a default container', changes: () => ({}) }

/** As much as one container can have on a machine with a hybrid of cgroups, so that its plan has steps of every kind. */
const FULL: Kind = {
  name: 'a full container',
  prepare: ({ rootfs, directory }) => {
    for (const name of ['lower', 'upper', 'work']) mkdirSync(join(directory, name), { recursive: true })
    mkdirSync(join(rootfs, 'kept'), { recursive: true })
  },
  changes: ({ directory, id }) => ({
    'linux.namespaces': ALL_NAMESPACES,
    'linux.uidMappings': RANGE,
    'linux.gidMappings': RANGE,
    'linux.timeOffsets': { boottime: { secs: 7 } },
    'linux.cgroupsPath': `/${id}/pods/one`,
    hostname: 'crash',
    '+mounts': [
      bind('/etc', '/mnt', 'ro'),
      { ...bind('/usr', '/usr', 'rro'), options: ['rbind', 'rro'] },
      { destination: '/run', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
      { destination: '/kept', type: 'tmpfs', source: 'tmpfs', options: ['tmpcopyup', 'size=64k'] },
      {
        destination: '/srv',
        type: 'overlay',
        source: 'overlay',
        options: ['lower', 'upper', 'work'].map((name) => `${name}dir=${join(directory, name)}`),
      },
      { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['ro', 'nosuid', 'noexec', 'nodev'] },
    ],
    hooks: Object.fromEntries(
      ['prestart', 'createRuntime', 'createContainer', 'poststart', 'poststop'].map((name) => [name, [hook]]),
    ),
    'hooks.startContainer': [hook],
    'linux.seccomp': {
      defaultAction: 'SCMP_ACT_ALLOW',
      syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }],
    },
    'linux.sysctl': { 'net.ipv4.ip_forward': '1' },
    'linux.devices': [{ path: '/dev/kmsg', type: 'c', major: 1, minor: 11 }],
    'linux.resources.cpu': { shares: 512, quota: 50_000, period: 100_000, cpus: '0', mems: '0' },
    'linux.resources.memory': { limit: 64 << 20, reservation: 32 << 20, swappiness: 10 },
    'linux.resources.pids': { limit: 64 },
    'linux.resources.blockIO': { weight: 100 },
    'process.rlimits': [{ type: 'RLIMIT_NOFILE', soft: 512, hard: 1024 }],
    'process.oomScoreAdj': 100,
    'process.user': { uid: 7, gid: 7, additionalGids: [8, 9] },
  }),
  flags: ({ directory }) => ['--pid-file', join(directory, 'pid')],
}

/** A hierarchy that the host has not mounted: the plan mounts it, and its removal waits until the kernel has given it back. */
const HIDDEN: Kind = {
  name: 'a container with a hierarchy of its own',
  changes: () => ({ 'linux.resources.network': { classID: 7 } }),
}

const UID = 4711
const ROOTLESS: Kind = {
  name: 'a container of a user',
  as: ['setpriv', '--reuid', `${UID}`, '--regid', `${UID}`, '--clear-groups'],
  prepare: (site) => {
    mkdirSync(site.root(), { recursive: true })
    chownSync(site.root(), UID, UID)
  },
  changes: () => ({
    'linux.namespaces': ['pid', 'mount', 'user', 'ipc', 'uts', 'network'].map((type) => ({ type })),
    'linux.uidMappings': [{ containerID: 0, hostID: UID, size: 1 }],
    'linux.gidMappings': [{ containerID: 0, hostID: UID, size: 1 }],
    'linux.cgroupsPath': undefined,
    'linux.resources': undefined,
    mounts: [
      { destination: '/proc', type: 'proc', source: 'proc' },
      { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755', 'size=64k'] },
    ],
  }),
}

export const KINDS: Readonly<Record<'plain' | 'full' | 'hidden' | 'rootless', Kind>> = {
  plain: PLAIN,
  full: FULL,
  hidden: HIDDEN,
  rootless: ROOTLESS,
}

export interface Scene {
  readonly kind: Kind
  readonly name: string
  readonly site: Site
  /** Makes what the command needs. */
  readonly before: () => Command
  /** The next command, behind which nothing may be left; it has to succeed. */
  readonly after: () => void
  /** What is different from before. */
  readonly leaks: () => readonly string[]
  /** Whether the container is new in each round. */
  readonly isFresh: boolean
}

type Play = (stage: Stage) => Pick<Scene, 'before' | 'after' | 'isFresh'>

interface Stage {
  readonly site: Site
  readonly kind: Kind
  readonly call: (...args: readonly string[]) => string
  readonly command: (...args: readonly string[]) => Command
  readonly up: () => number
}

/** Commands, by the name that the tests use. */
const PLAYS: Readonly<Record<string, Play>> = {
  run: ({ site, kind, command, call }) => {
    site.configure({ 'process.args': ['true'], ...kind.changes(site) })
    return {
      isFresh: true,
      before: () => command('run', ...(kind.flags?.(site) ?? []), site.id),
      after: () => call('delete', '--force', site.id),
    }
  },
  'run --detach': ({ site, kind, command, call }) => {
    site.configure(kind.changes(site))
    return {
      isFresh: true,
      before: () => command('run', '--detach', ...(kind.flags?.(site) ?? []), site.id),
      after: () => call('delete', '--force', site.id),
    }
  },
  create: ({ site, kind, command, call }) => {
    site.configure(kind.changes(site))
    return {
      isFresh: true,
      before: () => command('create', ...(kind.flags?.(site) ?? []), site.id),
      after: () => call('delete', '--force', site.id),
    }
  },
  start: ({ site, kind, command, call }) => {
    site.configure({ 'process.args': ['true'], ...kind.changes(site) })
    return {
      isFresh: true,
      before: () => {
        call('create', site.id)
        return { ...command('start', site.id), also: JSON.parse(call('state', site.id)).pid }
      },
      after: () => call('delete', '--force', site.id),
    }
  },
  delete: ({ site, command, call, up }) => ({
    isFresh: true,
    before: () => {
      up()
      return command('delete', '--force', site.id)
    },
    after: () => call('delete', '--force', site.id),
  }),
  exec: ({ site, command, call, up }) => {
    up()
    return {
      isFresh: false,
      before: () => command('exec', site.id, 'true'),
      after: () => call('exec', site.id, 'true'),
    }
  },
  update: ({ site, command, call, up }) => {
    up()
    const limits = ['update', '--pids-limit', '50', '--memory', '50331648', '--cpu-share', '300', site.id]
    return { isFresh: false, before: () => command(...limits), after: () => call(...limits) }
  },
}

export function playOn(site: Site, name: string, kind: Kind): Scene {
  kind.prepare?.(site)
  const through = kind.as ?? []
  const call = (...args: readonly string[]): string => {
    const { exitCode, stdout, stderr } = site.call(args, { through })
    if (exitCode !== 0) throw new Error(`${args.join(' ')}: exit status ${exitCode}: ${stderr}`)
    return stdout
  }
  const command = (...args: readonly string[]): Command => ({ args, as: through })
  const up = (): number => {
    site.configure(kind.changes(site))
    call('run', '--detach', site.id)
    return JSON.parse(call('state', site.id)).pid
  }
  const play = PLAYS[name]
  if (play === undefined) throw new Error(`there is no play ${name}`)
  const acts = play({ site, kind, call, command, up })
  const leaks = acts.isFresh ? site.leaksNow : site.baseline()
  const before = (): Command => {
    // A plan that is kept would save calls: each round makes the same ones, those that keep it among them.
    rmSync(join(site.root(), '.plans'), { recursive: true, force: true })
    return acts.before()
  }
  return { ...acts, before, site, kind, name, leaks }
}
