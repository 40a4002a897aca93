/** Limits, devices and kernel parameters: `--memory`, `--device`, `--ulimit` and their like. */

import type { FileStatus } from '../base/files.ts'
import { usage } from '../base/flags.ts'
import { type Intent, SHM_BYTES, type Ulimit } from '../engine/intent.ts'
import type { BlockRate, DeviceRule, IntentDevice, IntentResources } from '../engine/intent-resources.ts'
import { beyondDocker } from './resources-beyond.ts'
import { type Asked, bytesOf, intOf, pairsOf, parseBytes, wrong } from './values.ts'

const ANY = { min: Number.MIN_SAFE_INTEGER, max: Number.MAX_SAFE_INTEGER }
const MIN_MEMORY = 6 * 1024 ** 2

/** Of the flags that `run`, `create` and `update` share. */
export function limitsOf(asked: Asked): IntentResources {
  const { given, command } = asked
  const cpus = cpusOf(asked)
  const online = onlineCpus(asked)
  if (cpus !== undefined && Number(cpus) > online)
    throw wrong(
      asked,
      'cpus',
      cpus,
      `Range of CPUs is from 0.01 to ${online}.00, as there are only ${online} CPUs available`,
    )
  if (cpus !== undefined && (given.isSet('cpu-quota') || given.isSet('cpu-period')))
    throw usage(command, '--cpus and --cpu-quota or --cpu-period exclude each other', 'leave one of them away')
  const memory = noneIfZero(bytesOf(asked, 'memory'))
  if (memory !== undefined && memory < MIN_MEMORY)
    throw wrong(asked, 'memory', given.string('memory') ?? '', 'Minimum memory limit allowed is 6MB')
  const high = bytesOf(asked, 'memory-high')
  const unified = { ...(high === undefined ? {} : { 'memory.high': String(high) }), ...pairsOf(asked, 'cgroup-conf') }
  return {
    memoryBytes: memory,
    memorySwapBytes: noneIfZero(bytesOf(asked, 'memory-swap', true)),
    memoryReservationBytes: noneIfZero(bytesOf(asked, 'memory-reservation')),
    cpus: cpus === undefined ? undefined : Number(cpus),
    cpuShares: intOf(asked, 'cpu-shares', { min: 0, max: ANY.max }),
    cpuQuotaMicros: intOf(asked, 'cpu-quota', ANY),
    cpuPeriodMicros: intOf(asked, 'cpu-period', { min: 0, max: ANY.max }),
    cpuRealtimePeriodMicros: intOf(asked, 'cpu-rt-period', { min: 0, max: ANY.max }),
    cpuRealtimeRuntimeMicros: intOf(asked, 'cpu-rt-runtime', ANY),
    cpusetCpus: given.string('cpuset-cpus'),
    cpusetMems: given.string('cpuset-mems'),
    pids: intOf(asked, 'pids-limit', ANY),
    blockWeight: weightOf(asked),
    unified: Object.keys(unified).length === 0 ? undefined : unified,
  }
}

/** To docker a zero is what was not given. */
const noneIfZero = (value: number | undefined): number | undefined => (value === 0 ? undefined : value)

function cpusOf(asked: Asked): string | undefined {
  const cpus = asked.given.string('cpus')
  if (cpus === undefined || (cpus !== '' && Number(cpus) === 0)) return undefined
  if (!(Number(cpus) > 0)) throw wrong(asked, 'cpus', cpus, 'give a number above 0, e.g. --cpus 0.5')
  return cpus
}

/** `0-3,6`. kernel:admin-guide/cputopology.rst */
function onlineCpus({ session }: Asked): number {
  const text = session.engine.machine.files.readText('/sys/devices/system/cpu/online')
  if (text === undefined) return Number.POSITIVE_INFINITY
  const ranges = text
    .trim()
    .split(',')
    .map((range) => range.split('-').map(Number))
  return ranges.reduce((sum, [first = 0, last = first]) => sum + last - first + 1, 0)
}

function weightOf(asked: Asked): number | undefined {
  const weight = asked.given.int('blkio-weight')
  if (weight === undefined || weight === 0) return undefined
  return intOf(asked, 'blkio-weight', { min: 10, max: 1000 })
}

type Limited = Pick<
  Intent,
  'resources' | 'devices' | 'deviceRules' | 'ulimits' | 'sysctls' | 'oomScoreAdj' | 'shmBytes' | 'cgroupParent'
>

export function resourcesOf(asked: Asked, { isRootless }: { readonly isRootless: boolean }): Limited {
  const { given } = asked
  const devices = given.list('device').flatMap((word) => devicesOf(asked, word))
  // In a user namespace each one would be a mount, of a device that the caller may not open anyway.
  const all = given.bool('privileged') && !isRootless ? devicesIn(asked, '/dev') : []
  const rules = devices.map(
    ({ device, access }): DeviceRule => ({
      allow: true,
      type: device.type,
      major: device.major,
      minor: device.minor,
      access,
    }),
  )
  const swappiness = intOf(asked, 'memory-swappiness', { min: -1, max: 100 })
  const parent = given.string('cgroup-parent')
  const limits = limitsOf(asked)
  refuseSwap(asked, limits)
  return {
    resources: {
      ...limits,
      memorySwappiness: swappiness === -1 ? undefined : swappiness,
      disablesOomKiller: given.bool('oom-kill-disable') ? true : undefined,
      blockWeightDevices: listOrNone(given.list('blkio-weight-device').map((word) => deviceWeight(asked, word))),
      blockRates: ratesOf(asked),
      ...beyondDocker(asked),
    },
    devices: [...devices.map(({ device }) => device), ...all],
    deviceRules: [...rules, ...given.list('device-cgroup-rule').map((word) => ruleOf(asked, word))],
    ulimits: [
      ...new Map(
        given
          .list('ulimit')
          .map((word) => ulimitOf(asked, word))
          .map((one) => [one.type, one]),
      ).values(),
    ],
    sysctls: pairsOf(asked, 'sysctl'),
    oomScoreAdj: intOf(asked, 'oom-score-adj', { min: -1000, max: 1000 }),
    shmBytes: bytesOf(asked, 'shm-size') ?? SHM_BYTES,
    cgroupParent: parent === undefined || parent === '' ? undefined : `/${parent.split('/').filter(Boolean).join('/')}`,
  }
}

/** docker: daemon_unix.go, verifyPlatformContainerResources */
function refuseSwap(asked: Asked, { memoryBytes, memorySwapBytes }: IntentResources): void {
  if (memorySwapBytes === undefined || memorySwapBytes <= 0) return
  const reason =
    memoryBytes === undefined
      ? 'You should always set the Memory limit when using Memoryswap limit: give --memory too'
      : 'Minimum memoryswap limit should be larger than memory limit: it counts memory and swap together'
  if (memoryBytes === undefined || memorySwapBytes < memoryBytes)
    throw wrong(asked, 'memory-swap', asked.given.string('memory-swap') ?? '', reason)
}

const listOrNone = <Value>(list: readonly Value[]): readonly Value[] | undefined =>
  list.length === 0 ? undefined : list

const RATE_FLAGS: readonly (readonly [flag: string, rate: BlockRate])[] = [
  ['device-read-bps', 'ReadBps'],
  ['device-write-bps', 'WriteBps'],
  ['device-read-iops', 'ReadIOPS'],
  ['device-write-iops', 'WriteIOPS'],
]

function ratesOf(asked: Asked): IntentResources['blockRates'] {
  const rates = RATE_FLAGS.flatMap(([flag, rate]) => {
    const list = asked.given.list(flag).map((word) => {
      const { path, value } = deviceAndValue(asked, flag, word)
      const number = flag.endsWith('bps') ? parseBytes(value) : Number(/^\d+$/.exec(value)?.[0])
      if (number === undefined || Number.isNaN(number)) throw wrong(asked, flag, word, 'write it like /dev/sda:1mb')
      return { ...blockDevice(asked, flag, path), rate: number }
    })
    return list.length === 0 ? [] : [[rate, list] as const]
  })
  return rates.length === 0 ? undefined : Object.fromEntries(rates)
}

function deviceWeight(
  asked: Asked,
  word: string,
): { readonly major: number; readonly minor: number; readonly weight: number } {
  const { path, value } = deviceAndValue(asked, 'blkio-weight-device', word)
  const weight = Number(value)
  if (!/^\d+$/.test(value) || weight < 10 || weight > 1000)
    throw wrong(asked, 'blkio-weight-device', word, 'give a weight from 10 to 1000')
  return { ...blockDevice(asked, 'blkio-weight-device', path), weight }
}

function deviceAndValue(asked: Asked, flag: string, word: string): { readonly path: string; readonly value: string } {
  const colon = word.lastIndexOf(':')
  const path = word.slice(0, Math.max(colon, 0))
  if (!path.startsWith('/dev/')) throw wrong(asked, flag, word, 'write it like /dev/sda:100')
  return { path, value: word.slice(colon + 1) }
}

function blockDevice(asked: Asked, flag: string, path: string): FileStatus['device'] {
  const status = asked.session.engine.machine.files.status(path)
  if (status?.kind === 'block') return status.device
  throw wrong(asked, flag, path, status === undefined ? 'there is no such file' : 'it is no block device')
}

interface GivenDevice {
  readonly device: IntentDevice
  readonly access: string
}

/** `PATH[:PATH][:rwm]`; of a directory all devices in it. */
function devicesOf(asked: Asked, word: string): readonly GivenDevice[] {
  const [source = '', second, third, ...rest] = word.split(':')
  const isAccess = (text: string | undefined): boolean => text !== undefined && /^[rwm]{1,3}$/.test(text)
  const access = third ?? (isAccess(second) ? second : undefined) ?? 'rwm'
  const path = second === undefined || isAccess(second) ? source : second
  if (!source.startsWith('/') || !path.startsWith('/') || !isAccess(access) || rest.length > 0)
    throw wrong(asked, 'device', word, 'write it like /dev/fuse or /dev/sda:/dev/xvda:r')
  const { files } = asked.session.engine.machine
  const status = files.status(source)
  if (status === undefined)
    throw wrong(asked, 'device', word, `error gathering device information: no such file ${source}`)
  if (status.kind === 'directory')
    return devicesIn(asked, source).map((device) => ({
      device: { ...device, path: path + device.path.slice(source.length) },
      access,
    }))
  const device = deviceAt(path, status)
  if (device === undefined) throw wrong(asked, 'device', word, 'it is no device')
  return [{ device, access }]
}

function deviceAt(path: string, { kind, device, mode, uid, gid }: FileStatus): IntentDevice | undefined {
  if (kind !== 'character' && kind !== 'block') return undefined
  return { path, type: kind === 'block' ? 'b' : 'c', ...device, fileMode: mode & 0o777, uid, gid }
}

/** What a container has of its own there, or may not have: docker leaves out the same. */
const NOT_DEVICES = ['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', '.lxc', '.lxd-mounts', '.udev']

function devicesIn(asked: Asked, directory: string): readonly IntentDevice[] {
  const { files } = asked.session.engine.machine
  return (files.list(directory) ?? []).flatMap((name) => {
    const path = `${directory}/${name}`
    if (NOT_DEVICES.includes(name) || files.readLink(path) !== undefined) return []
    const status = files.status(path)
    if (status === undefined) return []
    if (status.kind === 'directory') return devicesIn(asked, path)
    const device = deviceAt(path, status)
    return device === undefined ? [] : [device]
  })
}

/** `c 10:200 rwm`, with * for any number. */
function ruleOf(asked: Asked, word: string): DeviceRule {
  const [, type, major = '', minor = '', access = ''] = /^([abc]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(word) ?? []
  if (type !== 'a' && type !== 'b' && type !== 'c')
    throw wrong(asked, 'device-cgroup-rule', word, "write it like 'c 10:200 rwm', with * for any number")
  const number = (text: string): number | undefined => (text === '*' ? undefined : Number(text))
  return { allow: true, type, major: number(major), minor: number(minor), access }
}

const ULIMITS = 'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
  ' ',
)

function ulimitOf(asked: Asked, word: string): Ulimit {
  const [, name = '', softText = '', hardText] = /^(\w+)=(-1|\d+)(?::(-1|\d+))?$/.exec(word) ?? []
  if (name === '') throw wrong(asked, 'ulimit', word, 'write it like nofile=1024 or nofile=1024:2048')
  if (!ULIMITS.includes(name))
    throw wrong(asked, 'ulimit', word, `invalid ulimit type: ${name}; they are ${ULIMITS.join(' ')}`)
  const soft = Number(softText)
  const hard = hardText === undefined ? soft : Number(hardText)
  if (hard !== -1 && (soft > hard || soft === -1))
    throw wrong(asked, 'ulimit', word, `ulimit soft limit must be less than or equal to hard limit: ${soft} > ${hard}`)
  return { type: `RLIMIT_${name.toUpperCase()}`, soft, hard }
}
