/** The process of a container, or one that `exec` adds to it. */

import {
  booleanOf,
  listOf,
  optionalSection,
  optionalString,
  requiredPath,
  requiredWord,
  type Section,
  sectionOf,
  stringsOf,
} from '../base/field.ts'
import {
  type Integer64,
  integersOf,
  optionalInteger,
  type Range,
  requiredInteger,
  requiredInteger64,
  UINT16,
  UINT64,
} from '../base/integer.ts'
import { fieldOf, itemOf, type Place, refuse, refuseUnsupported, shown } from '../base/place.ts'
import { ID } from './id-mappings.ts'
import {
  type CpuAffinity,
  cpuAffinityOf,
  type IoPriority,
  ioPriorityOf,
  type Scheduler,
  schedulerOf,
} from './scheduling.ts'

/** Source: oci:runtime-spec/config.md#process */
export interface Process {
  readonly terminal: boolean
  readonly consoleSize?: ConsoleSize | undefined
  readonly user: User
  /** The program, and what it is called with; at least the program. */
  readonly args: readonly string[]
  /** `NAME=value` each. */
  readonly env: readonly string[]
  readonly cwd: string
  /** Without it the process keeps what the runtime has. */
  readonly capabilities?: Capabilities | undefined
  readonly rlimits: readonly Rlimit[]
  readonly noNewPrivileges: boolean
  readonly apparmorProfile?: string | undefined
  readonly selinuxLabel?: string | undefined
  readonly oomScoreAdj?: number | undefined
  readonly scheduler?: Scheduler | undefined
  readonly ioPriority?: IoPriority | undefined
  readonly execCPUAffinity?: CpuAffinity | undefined
}

/** In characters. */
export interface ConsoleSize {
  readonly height: number
  readonly width: number
}

/** Ids as the container's user namespace has them. */
export interface User {
  readonly uid: number
  readonly gid: number
  readonly umask?: number | undefined
  readonly additionalGids: readonly number[]
}

/**
 * Names like `CAP_KILL`, as the document has them: the specification wants one that this kernel lacks to be a warning and no error, so it is
 * for the planner to say which it knows.
 */
export interface Capabilities {
  readonly bounding: readonly string[]
  readonly effective: readonly string[]
  readonly inheritable: readonly string[]
  readonly permitted: readonly string[]
  readonly ambient: readonly string[]
}

const RLIMITS = [
  'RLIMIT_CPU',
  'RLIMIT_FSIZE',
  'RLIMIT_DATA',
  'RLIMIT_STACK',
  'RLIMIT_CORE',
  'RLIMIT_RSS',
  'RLIMIT_NPROC',
  'RLIMIT_NOFILE',
  'RLIMIT_MEMLOCK',
  'RLIMIT_AS',
  'RLIMIT_LOCKS',
  'RLIMIT_SIGPENDING',
  'RLIMIT_MSGQUEUE',
  'RLIMIT_NICE',
  'RLIMIT_RTPRIO',
  'RLIMIT_RTTIME',
] as const

/** The sixteen of getrlimit(2), in the order of their numbers. */
export type RlimitType = (typeof RLIMITS)[number]

/** 18446744073709551615 is RLIM_INFINITY. */
export interface Rlimit {
  readonly type: RlimitType
  readonly soft: Integer64
  readonly hard: Integer64
}

/** The process of a document of its own, as `exec --process FILE` takes it. */
export const parseProcess = (json: unknown, document: string): Process => processOf(sectionOf(json, `${document}: `))

// choom(1), proc_pid_oom_score_adj(5)
const OOM_SCORE_ADJ: Range = { min: -1000, max: 1000 }

export function processOf(section: Section): Process {
  return {
    terminal: booleanOf(section, 'terminal'),
    consoleSize: consoleSizeOf(section),
    user: userOf(section),
    args: argsOf(section),
    env: envOf(section),
    cwd: requiredPath(section, 'cwd'),
    capabilities: capabilitiesOf(section),
    rlimits: rlimitsOf(section),
    noNewPrivileges: booleanOf(section, 'noNewPrivileges'),
    apparmorProfile: optionalString(section, 'apparmorProfile'),
    selinuxLabel: optionalString(section, 'selinuxLabel'),
    oomScoreAdj: optionalInteger(section, 'oomScoreAdj', OOM_SCORE_ADJ),
    scheduler: schedulerOf(section),
    ioPriority: ioPriorityOf(section),
    execCPUAffinity: cpuAffinityOf(section),
  }
}

function argsOf(process: Section): readonly string[] {
  const commandLine = optionalString(process, 'commandLine')
  const args = stringsOf(process, 'args')
  const place = fieldOf(process.place, 'args')
  if (args.length === 0 && commandLine !== undefined) {
    const hint = 'commandLine is for Windows; give args, one argument an item'
    refuseUnsupported(fieldOf(process.place, 'commandLine'), 'is the only thing that says what to run', hint)
  }
  if (args.length === 0) refuse(place, 'is missing', 'give the program and its arguments, one an item')
  if (args[0] === '') refuse(itemOf(place, 0), 'is empty, and is the program to run')
  return args
}

function envOf(process: Section): readonly string[] {
  const env = stringsOf(process, 'env')
  for (let i = 0; i < env.length; i++) {
    const entry = env[i] ?? ''
    if (entry.indexOf('=') < 1) refuseEnv(entry, itemOf(fieldOf(process.place, 'env'), i))
  }
  return env
}

// environ(7); runc refuses these too, while execve(2) would pass them on.
const refuseEnv = (entry: string, place: Place): never =>
  refuse(place, `is ${shown(entry)}, which is not of the form NAME=value`)

// struct winsize holds them in 16 bits, ioctl_tty(2) "TIOCSWINSZ".
function consoleSizeOf(process: Section): ConsoleSize | undefined {
  const section = optionalSection(process, 'consoleSize')
  if (section === undefined) return undefined
  return { height: requiredInteger(section, 'height', UINT16), width: requiredInteger(section, 'width', UINT16) }
}

const UMASK: Range = { min: 0, max: 0o777 }

function userOf(process: Section): User {
  const section = optionalSection(process, 'user')
  if (section === undefined) return { uid: 0, gid: 0, additionalGids: [] }
  const username = optionalString(section, 'username')
  const uid = optionalInteger(section, 'uid', ID)
  if (username !== undefined && uid === undefined) {
    const hint = 'username is for Windows; give uid and gid'
    refuseUnsupported(fieldOf(section.place, 'username'), 'is the only thing that says who runs', hint)
  }
  return {
    uid: uid ?? 0,
    gid: optionalInteger(section, 'gid', ID) ?? 0,
    umask: optionalInteger(section, 'umask', UMASK),
    additionalGids: integersOf(section, 'additionalGids', ID),
  }
}

function capabilitiesOf(process: Section): Capabilities | undefined {
  const section = optionalSection(process, 'capabilities')
  if (section === undefined) return undefined
  return {
    bounding: stringsOf(section, 'bounding'),
    effective: stringsOf(section, 'effective'),
    inheritable: stringsOf(section, 'inheritable'),
    permitted: stringsOf(section, 'permitted'),
    ambient: stringsOf(section, 'ambient'),
  }
}

function rlimitsOf(process: Section): readonly Rlimit[] {
  const rlimits = listOf(process, 'rlimits', parseRlimit)
  for (let i = 1; i < rlimits.length; i++) {
    const type = rlimits[i]?.type
    if (rlimits.findIndex((other) => other.type === type) < i) {
      refuse(itemOf(fieldOf(process.place, 'rlimits'), i), `is a second ${type}`)
    }
  }
  return rlimits
}

function parseRlimit(value: unknown, place: Place): Rlimit {
  const section = sectionOf(value, place)
  const type = requiredWord(section, 'type', RLIMITS)
  const soft = requiredInteger64(section, 'soft', UINT64)
  const hard = requiredInteger64(section, 'hard', UINT64)
  if (soft > hard) refuse(fieldOf(place, 'soft'), `is ${soft}, more than hard, which is ${hard}`)
  return { type, soft, hard }
}
