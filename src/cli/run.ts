/** `coffer run`: flags become an intent, and the intent a container in the foreground. */

import { OperationError } from '../base/errors.ts'
import { type Parsed, parseFlags, usage } from '../base/flags.ts'
import type { Native } from '../base/native.ts'
import { type CreateRequest, once } from '../container/create.ts'
import { hostOf } from '../container/host.ts'
import type { Opened } from '../container/open.ts'
import { ownIds } from '../container/own-ids.ts'
import { runContainer } from '../container/run.ts'
import { containerDirectory } from '../container/store.ts'
import { configOf, type Intent, type IntentNamespace, type NamespaceChoice } from '../engine/intent.ts'
import { attempt } from '../executor/embedded-call.ts'
import { writeText } from '../executor/embedded-files.ts'
import { effectiveCapabilities } from '../executor/embedded-process.ts'
import { capabilitiesIn } from '../linux/capabilities.ts'
import { readConfig } from '../oci/config.ts'
import { environment } from './environment.ts'
import { RUN_FLAGS } from './run-flags.ts'

const COMMAND = 'coffer run'

/** Answers the exit status of the program. */
export const runCommand = (native: Native, opened: Opened, words: readonly string[]): number =>
  runContainer(opened.machine, runRequest(native, opened, words), { detach: false, keep: false })

/** For explain as well. */
export function runRequest(native: Native, { machine, cwd }: Opened, words: readonly string[]): CreateRequest {
  const given = parseFlags(words, RUN_FLAGS, COMMAND)
  const host = hostOf(machine)
  const id = given.string('name') ?? randomId(native)
  const { root, args } = rootAndArgs(given, containerDirectory(machine, id), cwd)
  const intent: Intent = {
    root,
    args,
    env: environmentOf(given, environment(native)),
    cwd: given.string('workdir') ?? '/',
    user: userOf(given.string('user')),
    terminal: given.bool('tty'),
    hostname: given.string('hostname') ?? id,
    readonlyRoot: given.bool('read-only'),
    privileged: given.bool('privileged'),
    noNewPrivileges: false,
    capabilitiesAdded: given.list('cap-add'),
    capabilitiesDropped: given.list('cap-drop'),
    namespaces: namespacesOf(given),
    binds: given.list('volume').map((word) => volumeOf(word, cwd)),
    tmpfs: given.list('tmpfs').map(tmpfsOf),
    resources: resourcesOf(given),
    rootless: host.isRootless ? ownIds(machine, host) : undefined,
  }
  const capabilities = capabilitiesIn(effectiveCapabilities(native))
  const facts = {
    architecture: host.architecture,
    kernel: host.kernel,
    hasCgroupV2Only: host.cgroup.mode === 'v2',
    capabilities,
  }
  const configText = JSON.stringify(configOf(intent, facts))
  return {
    id,
    bundle: '/',
    configText,
    config: once(() => readConfig(configText, 'the configuration that coffer made of the flags')),
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    listenFds: 0,
    warn: (text: string) => writeText(native, 2, `warning: ${text}\n`),
  }
}

/** docker's short ids are twelve hexadecimal digits. */
function randomId(native: Native): string {
  const bytes = new Uint8Array(6)
  attempt(native, 'getrandom', bytes, bytes.length, 0)
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

function rootAndArgs(given: Parsed, at: string, cwd: string): Pick<Intent, 'root' | 'args'> {
  const rootfs = given.string('rootfs')
  if (rootfs !== undefined) {
    const args = given.rest.length === 0 ? ['sh'] : given.rest
    return { root: { kind: 'directory', path: rootfs.startsWith('/') ? rootfs : `${cwd}/${rootfs}` }, args }
  }
  const [image, ...args] = given.rest
  if (image === undefined) throw usage(COMMAND, 'it takes an image and a command', 'coffer run --rm -it host bash')
  if (image !== 'host')
    throw new OperationError({
      kind: 'unsupported',
      operation: `run the image ${image}`,
      reason: 'coffer has no image store yet',
      hint: 'use host, a copy-on-write view of this machine, or --rootfs DIR',
    })
  return { root: { kind: 'host', at }, args: args.length === 0 ? ['sh'] : args }
}

const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

function environmentOf(given: Parsed, own: ReadonlyMap<string, string>): readonly string[] {
  const env = new Map([['PATH', DEFAULT_PATH]])
  if (given.bool('tty')) env.set('TERM', own.get('TERM') ?? 'xterm')
  for (const word of given.list('env')) {
    const equals = word.indexOf('=')
    const value = equals < 0 ? own.get(word) : word.slice(equals + 1)
    if (value !== undefined) env.set(equals < 0 ? word : word.slice(0, equals), value)
  }
  return [...env].map(([name, value]) => `${name}=${value}`)
}

function userOf(word = '0'): Intent['user'] {
  const [, uid, gid = '0'] = /^(\d+)(?::(\d+))?$/.exec(word) ?? []
  if (uid === undefined) throw usage(COMMAND, `--user is "${word}"`, 'give numbers: --user 1000:1000')
  return { uid: Number(uid), gid: Number(gid), additionalGids: [] }
}

function namespacesOf(given: Parsed): Intent['namespaces'] {
  const choice = (flag: string, type: string): NamespaceChoice => {
    const word = given.string(flag) ?? 'private'
    if (word === 'private' || (word === 'none' && type === 'network')) return { kind: 'private' }
    if (word === 'host') return { kind: 'host' }
    if (word.startsWith('ns:/')) return { kind: 'path', path: word.slice(3) }
    throw usage(COMMAND, `--${flag} is "${word}"`, 'use private, host or ns:PATH')
  }
  const namespaces: Record<IntentNamespace, NamespaceChoice> = {
    pid: choice('pid', 'pid'),
    network: choice(given.isSet('net') ? 'net' : 'network', 'network'),
    ipc: choice('ipc', 'ipc'),
    uts: choice('uts', 'uts'),
    cgroup: choice('cgroupns', 'cgroup'),
    mount: { kind: 'private' },
    time: given.isSet('time') ? choice('time', 'time') : { kind: 'host' },
  }
  return namespaces
}

function volumeOf(word: string, cwd: string): Intent['binds'][number] {
  const [source = '', destination = '', mode = 'rw', ...rest] = word.split(':')
  if (!destination.startsWith('/') || rest.length > 0 || (mode !== 'ro' && mode !== 'rw') || !/^[./]/.test(source))
    throw usage(COMMAND, `--volume is "${word}"`, 'give SOURCE:DIR or SOURCE:DIR:ro, with paths that begin with / or .')
  return { source: source.startsWith('/') ? source : `${cwd}/${source}`, destination, readonly: mode === 'ro' }
}

function tmpfsOf(word: string): Intent['tmpfs'][number] {
  const colon = word.indexOf(':')
  return colon < 0
    ? { destination: word, options: [] }
    : { destination: word.slice(0, colon), options: word.slice(colon + 1).split(',') }
}

function resourcesOf(given: Parsed): Intent['resources'] {
  const cpus = given.string('cpus')
  if (cpus !== undefined && !(Number(cpus) > 0))
    throw usage(COMMAND, `--cpus is "${cpus}"`, 'give a number above 0, e.g. --cpus 0.5')
  if (cpus !== undefined && (given.isSet('cpu-quota') || given.isSet('cpu-period')))
    throw usage(COMMAND, '--cpus and --cpu-quota or --cpu-period exclude each other', 'leave one of them away')
  return {
    memoryBytes: bytesOf(given, 'memory'),
    memorySwapBytes: given.string('memory-swap') === '-1' ? -1 : bytesOf(given, 'memory-swap'),
    memoryReservationBytes: bytesOf(given, 'memory-reservation'),
    cpus: cpus === undefined ? undefined : Number(cpus),
    cpuShares: given.int('cpu-shares'),
    cpuQuotaMicros: given.int('cpu-quota'),
    cpuPeriodMicros: given.int('cpu-period'),
    cpusetCpus: given.string('cpuset-cpus'),
    cpusetMems: given.string('cpuset-mems'),
    pids: given.int('pids-limit'),
  }
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

function bytesOf(given: Parsed, flag: string): number | undefined {
  const word = given.string(flag)
  if (word === undefined) return undefined
  const [, digits, unit = ''] = /^(\d+(?:\.\d+)?)([bkmgt]?)(?:i?b)?$/i.exec(word) ?? []
  const factor = UNITS[unit.toLowerCase()]
  if (digits === undefined || factor === undefined)
    throw usage(COMMAND, `--${flag} is "${word}"`, 'give bytes, or a number with b, k, m, g or t')
  return Math.floor(Number(digits) * factor)
}
