/** dockerd of Debian in a lab, with coffer-runc and runc as its runtimes, and the docker command. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeRootfs } from '../kernel/bundle.ts'
import { PROGRAMS } from '../kernel/site.ts'
import { CONTAINERD, startContainerd } from './containerd.ts'
import { type Lab, type Outcome, until } from './lab.ts'

export type Runtime = 'coffer' | 'runc'

/** The second one is what the first one is measured by. */
export const RUNTIMES: readonly Runtime[] = ['coffer', 'runc']

/** An image of busybox, with a user of the name `user`. */
export const IMAGE = 'busybox'

export interface Docker {
  readonly call: (...words: readonly string[]) => Outcome
  /** What it prints; throws if it fails. */
  readonly ask: (...words: readonly string[]) => string
  readonly withInput: (input: string, ...words: readonly string[]) => Outcome
  /** The words that start it, for those who give it a terminal. */
  readonly words: (...words: readonly string[]) => readonly string[]
  /** Waits until docker reports this of a container. */
  readonly untilEvent: (action: string, container: string) => Promise<void>
  /** What the daemon wrote. */
  readonly log: () => string
}

/** Starts dockerd, waits until it answers, and gives it the image. */
export async function startDocker(lab: Lab, flags: readonly string[] = []): Promise<Docker> {
  // Its own it would give up after 15 seconds, which a virtual machine takes.
  await startContainerd(lab)
  const socket = 'unix:///run/docker.sock'
  const log = lab.daemon('dockerd', [
    'dockerd',
    ...['--host', socket, '--data-root', join(lab.directory, 'docker'), '--cgroup-parent', '/docker'],
    ...['--containerd', CONTAINERD],
    ...['--add-runtime', `coffer=${PROGRAMS.coffer}`, '--default-runtime', 'coffer', ...flags],
  ])
  const command = (words: readonly string[]): readonly string[] => ['docker', '--host', socket, ...words]
  const docker: Docker = {
    log,
    call: (...words) => lab.call(command(words), SETTINGS),
    ask: (...words) => lab.ask(command(words), SETTINGS),
    withInput: (input, ...words) => lab.call(command(words), SETTINGS, input),
    untilEvent: (action, container) => {
      const filters = ['--filter', `event=${action}`, '--filter', `container=${container}`]
      const since = docker.ask('inspect', '-f', '{{.Created}}', container)
      return until(`${action} of ${container}`, () => {
        const now = new Date().toISOString()
        return docker.ask('events', '--since', since, '--until', now, ...filters) !== ''
      })
    },
    words: (...words) => lab.entering(command(words)),
  }
  await until('dockerd', () => docker.call('version').exitCode === 0, log)
  docker.ask('import', imageOf(lab), IMAGE)
  return docker
}

// The classic builder works without a further program, and keeps its settings to itself.
const SETTINGS = { DOCKER_BUILDKIT: '0', DOCKER_CONFIG: '/run/docker-client' }

/** A tar of a root file system, made once for a lab. */
export function imageOf({ directory }: Lab): string {
  const path = join(directory, 'image.tar')
  const rootfs = join(directory, 'image')
  makeRootfs(rootfs)
  const { exitCode, stderr } = Bun.spawnSync(['tar', '-C', rootfs, '-cf', path, '.'])
  if (exitCode !== 0) throw new Error(stderr.toString())
  return path
}

/** Whether this machine has every capability that its kernel knows. */
export function hasAllCapabilities(): boolean {
  const last = Number(readFileSync('/proc/sys/kernel/cap_last_cap', 'utf8'))
  const [, bounding = ''] = /^CapBnd:\s*(\w+)/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return BigInt(`0x${bounding}`) === (1n << BigInt(last + 1)) - 1n
}
