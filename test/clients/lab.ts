/**
 * A machine within this one for daemons: mount, network, pid, IPC and cgroup namespaces of their own, below a cgroup of their own.
 *
 * What containerd, dockerd and podman make (bridges, firewall rules, mounts, files in /run, /etc and /var/lib, cgroups such as /docker) is made
 * in there. When its first process ends, the kernel ends all others with it; what is left then are the cgroups, which `end` removes.
 *
 * The first process waits for the end of its standard input, so a lab does not outlive the tests that made it.
 */

import {
  chmodSync,
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listCgroupsBelow } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { processesOf, settles } from '../kernel/leaks.ts'
import { hostMounts } from '../kernel/machine.ts'
import { removes } from '../kernel/site.ts'

export interface Outcome {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

export type Environment = Readonly<Record<string, string>>

export interface Lab {
  readonly name: string
  /** Both sides have it at the same path. */
  readonly directory: string
  /** Of its first process, as this side counts. */
  readonly pid: number
  /** Runs a command to its end. */
  readonly call: (command: readonly string[], env?: Environment, stdin?: string) => Outcome
  /** What a command prints; throws if it fails. */
  readonly ask: (command: readonly string[], env?: Environment) => string
  /** The words that run a command in the lab, for those who start it themselves. */
  readonly entering: (command: readonly string[]) => readonly string[]
  /** Starts a program that stays until the lab ends; answers what reads its output. */
  readonly daemon: (name: string, command: readonly string[], env?: Environment) => () => string
  /** Ends all that is in it; answers what it left on this machine. */
  readonly end: () => Promise<readonly string[]>
}

/** Daemons on a busy machine take their time; what hangs is told before the runner gives up. */
const LIMIT_MS = 120_000

/** Looks until it is so; throws after two minutes, with what `why` says then. */
export async function until(what: string, seen: () => boolean, why: () => string = () => ''): Promise<void> {
  const deadline = performance.now() + LIMIT_MS
  while (!seen()) {
    if (performance.now() > deadline) throw new Error(`waited in vain for ${what}\n${why()}`)
    await Bun.sleep(20)
  }
}

const files = nodeFiles()

interface Hierarchy {
  readonly mountPoint: string
  readonly type: string
  readonly options: string
}

/** What is mounted on this machine, and with which controllers. */
const hierarchies: readonly Hierarchy[] = readFileSync('/proc/self/mounts', 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .filter(([, , type]) => type === 'cgroup' || type === 'cgroup2')
  .map(([, mountPoint = '', type = '', options = '']) => ({ mountPoint, type, options: ownOptions(options) }))

/** Cgroup v2 alone, without any hierarchy of v1. */
export const HAS_V2_ONLY: boolean = hierarchies.every(({ type }) => type === 'cgroup2')

function ownOptions(options: string): string {
  const general = /^(rw|ro|relatime|noatime|nosuid|nodev|noexec|nsdelegate|memory_.*)$/
  return options
    .split(',')
    .filter((word) => !general.test(word))
    .map((word) => word.replace(/^name=/, 'none,name='))
    .join(',')
}

/** Where daemons are: v2 wants processes in leaves, and what they make goes beside them. */
const LEAF = 'daemons'

const SETUP = `
set -e
mount --make-rshared /
mount -t sysfs sysfs /sys
mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
while read -r type directory options; do
  mkdir -p "$directory"
  mount -t "$type" \${options:+-o "$options"} "$type" "$directory"
  [ "$type" = cgroup ] || echo 0 >"$directory/${LEAF}/cgroup.procs"
done <"$1/hierarchies"
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/lock "$1/over"
for place in etc var/lib; do
  mkdir -p "$1/over/$place/upper" "$1/over/$place/work"
  mount -t overlay -o "lowerdir=/$place,upperdir=$1/over/$place/upper,workdir=$1/over/$place/work" overlay "/$place"
done
ip link set lo up
: >"$1/ready"
exec tini -g -- cat
`

/** Moves itself into these cgroups and becomes the command. */
const JOIN = 'while [ "$1" != -- ]; do echo 0 >"$1" || exit 125; shift; done; shift; exec "$@"'

let count = 0

export async function startLab(): Promise<Lab> {
  for (const controllers of unmounted()) forget(controllers)
  const name = `coffer-clients-${process.pid}-${count++}`
  const directory = mkdtempSync(join(tmpdir(), 'coffer-lab-'))
  // Root of a user namespace has to get through.
  chmodSync(directory, 0o711)
  const before = { mounts: hostMounts(), devices: networkDevices() }
  for (const each of hierarchies) makeCgroup(each, name)
  await Bun.write(join(directory, 'hierarchies'), hierarchies.map(describe).join(''))
  const log = openSync(join(directory, 'lab.log'), 'w')
  const command = [
    'unshare',
    '-m',
    '-n',
    '-p',
    '-i',
    '-C',
    '-u',
    '--fork',
    '--kill-child',
    '--mount-proc',
    'sh',
    '-c',
    SETUP,
  ]
  const joined = hierarchies.map((each) => membersOf(each, name))
  const first = Bun.spawn(['sh', '-c', JOIN, 'sh', ...joined, '--', ...command, 'sh', directory], {
    stdin: 'pipe',
    stdout: log,
    stderr: log,
  })
  closeSync(log)
  await until('the lab', () => existsSync(join(directory, 'ready')) || first.exitCode !== null)
  if (first.exitCode !== null) throw new Error(readFileSync(join(directory, 'lab.log'), 'utf8'))
  for (const each of hierarchies) if (each.type === 'cgroup2') handOn(each, name, first.pid)
  const [pid = 0] = readFileSync(`/proc/${first.pid}/task/${first.pid}/children`, 'utf8').split(' ').map(Number)

  const members = hierarchies.map((each) => membersOf(each, each.type === 'cgroup2' ? `${name}/${LEAF}` : name))
  const entering: Lab['entering'] = (words) => [
    ...['sh', '-c', JOIN, 'sh', ...members, '--'],
    ...['nsenter', '-t', `${pid}`, '-m', '-n', '-p', '-i', '-C', '-u', '--', ...words],
  ]
  const call: Lab['call'] = (words, env = {}, stdin) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync([...entering(words)], {
      env: { ...ENVIRONMENT, ...env },
      stdin: stdin === undefined ? 'ignore' : Buffer.from(stdin),
      timeout: LIMIT_MS,
    })
    return { exitCode, stdout: stdout.toString(), stderr: stderr.toString() }
  }
  return {
    name,
    directory,
    pid,
    entering,
    call,
    ask: (words, env) => {
      const { exitCode, stdout, stderr } = call(words, env)
      if (exitCode !== 0) throw new Error(`${words.join(' ')}: exit status ${exitCode}: ${stdout}${stderr}`)
      return stdout.trimEnd()
    },
    daemon: (program, words, env = {}) => {
      const path = join(directory, `${program}.log`)
      const output = openSync(path, 'w')
      Bun.spawn([...entering(words)], {
        env: { ...ENVIRONMENT, ...env },
        stdin: 'ignore',
        stdout: output,
        stderr: output,
      })
      closeSync(output)
      return () => readFileSync(path, 'utf8')
    },
    end: async () => {
      thaw(name)
      await first.stdin.end()
      await first.exited
      const left = leftOf(name, directory, before)
      if (left.length === 0) rmSync(directory, { recursive: true })
      return left
    },
  }
}

/** Of every command: Debian's programs, whatever else this machine has of the same name. */
export const ENVIRONMENT: Environment = { PATH: `/usr/sbin:/usr/bin:/sbin:/bin:${process.env.PATH ?? ''}` }

const describe = ({ type, mountPoint, options }: Hierarchy): string => `${type} ${mountPoint} ${options}\n`

const membersOf = ({ mountPoint, type }: Hierarchy, name: string): string =>
  join(mountPoint, name, type === 'cgroup2' ? 'cgroup.procs' : 'tasks')

function makeCgroup({ mountPoint, type }: Hierarchy, name: string): void {
  // As systemd does; beside v1, v2 has nothing that daemons would miss.
  if (HAS_V2_ONLY) handOnAll(mountPoint)
  const at = join(mountPoint, name)
  mkdirSync(type === 'cgroup2' ? join(at, LEAF) : at, { recursive: true })
  // A new cpuset of v1 has no processor and no memory, and takes no process.
  for (const file of ['cpuset.cpus', 'cpuset.mems'])
    if (type === 'cgroup' && existsSync(join(at, file)))
      writeFileSync(join(at, file), readFileSync(join(mountPoint, file)))
}

/**
 * Hierarchies of v1 that somebody had mounted, and that no longer are: the kernel keeps those that had a cgroup when they were unmounted.
 * containerd answers no statistics while one is there, as it looks for where it is mounted (containerd/cgroups, existingPath).
 */
function unmounted(): readonly string[] {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n')
  const active = lines.map((line) => line.split(':')[1] ?? '').filter((controllers) => /^[a-z_,]+$/.test(controllers))
  return active.filter((controllers) => !hierarchies.some(({ options }) => options === controllers))
}

/** One that is unmounted without a cgroup in it goes: kernel/cgroup/cgroup.c, cgroup_kill_sb. */
function forget(controllers: string): void {
  const script = 'mount -t cgroup -o "$1" cgroup /mnt && umount /mnt'
  Bun.spawnSync(['unshare', '-m', 'sh', '-c', script, 'sh', controllers])
}

/** The last process in the cgroup itself is that of unshare(1), which made the namespaces. */
function handOn({ mountPoint }: Hierarchy, name: string, pid: number): void {
  writeFileSync(join(mountPoint, name, LEAF, 'cgroup.procs'), `${pid}`)
  handOnAll(join(mountPoint, name))
}

function handOnAll(directory: string): void {
  for (const controller of readFileSync(join(directory, 'cgroup.controllers'), 'utf8').match(/\w+/g) ?? [])
    writeFileSync(join(directory, 'cgroup.subtree_control'), `+${controller}`)
}

/** Those that clients make; other tests have some of their own. */
const networkDevices = (): readonly string[] =>
  readdirSync('/sys/class/net').filter((name) => /^(docker|br-|veth|cni|vx-|cable)/.test(name))

interface Baseline {
  readonly mounts: readonly string[]
  readonly devices: readonly string[]
}

/** What is frozen by v1 does not end, not even by SIGKILL: kernel:admin-guide/cgroup-v1/freezer-subsystem.rst */
function thaw(name: string): void {
  for (const { mountPoint } of hierarchies)
    for (const path of listCgroupsBelow(files, join(mountPoint, name)))
      if (existsSync(join(path, 'freezer.state'))) writeFileSync(join(path, 'freezer.state'), 'THAWED')
}

/** Removes the cgroups, of which a process that is about to go may still be in one. */
function leftOf(name: string, directory: string, before: Baseline): readonly string[] {
  const cgroups = (): readonly string[] =>
    hierarchies.map(({ mountPoint }) => join(mountPoint, name)).filter((path) => existsSync(path))
  settles(() => {
    for (const path of cgroups()) for (const each of [...listCgroupsBelow(files, path), path]) removes(each)
    return cgroups().length === 0
  })
  return [
    ...cgroups().map((path) => `cgroup ${path}`),
    ...processesOf(name).map((pid) => `process ${pid}`),
    // Other mounts of this machine come and go with other tests.
    ...hostMounts().filter((line) => !before.mounts.includes(line) && line.includes(directory)),
    ...networkDevices().filter((device) => !before.devices.includes(device)),
  ]
}
