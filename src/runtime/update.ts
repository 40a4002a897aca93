/** update: limits by flags, or by a document of linux.resources. */

import { type Flag, type Parsed, usage } from '../base/flags.ts'
import { parseJson } from '../base/json.ts'
import { readAllInput } from '../container/input.ts'
import { updateContainer } from '../container/update.ts'
import { absolute, type Command, type Context, operand } from './context.ts'

/** Flag, its place in linux.resources, and how its value is written. */
const LIMITS: readonly (readonly [name: string, path: string, kind: 'bytes' | 'number' | 'text', help: string])[] = [
  ['blkio-weight', 'blockIO.weight', 'number', 'share of block I/O, 10 to 1000'],
  ['cpu-period', 'cpu.period', 'number', 'period of the CPU quota in microseconds'],
  ['cpu-quota', 'cpu.quota', 'number', 'CPU time in a period in microseconds'],
  ['cpu-burst', 'cpu.burst', 'number', 'quota that may be saved up, in microseconds'],
  ['cpu-share', 'cpu.shares', 'number', 'share of CPU time, relative to others'],
  ['cpu-rt-period', 'cpu.realtimePeriod', 'number', 'period of real-time scheduling in microseconds'],
  ['cpu-rt-runtime', 'cpu.realtimeRuntime', 'number', 'real-time CPU time in a period in microseconds'],
  ['cpu-idle', 'cpu.idle', 'number', '1: run only when nothing else does'],
  ['cpuset-cpus', 'cpu.cpus', 'text', 'CPUs to use, e.g. 0-3,7'],
  ['cpuset-mems', 'cpu.mems', 'text', 'memory nodes to use'],
  ['memory', 'memory.limit', 'bytes', 'memory, e.g. 512m'],
  ['memory-reservation', 'memory.reservation', 'bytes', 'memory that is left to it under pressure'],
  ['memory-swap', 'memory.swap', 'bytes', 'memory and swap together; -1 is no limit'],
  ['kernel-memory-tcp', 'memory.kernelTCP', 'bytes', 'memory of TCP buffers'],
  ['pids-limit', 'pids.limit', 'number', 'processes and threads; -1 is no limit'],
]

const REFUSED: readonly (readonly [string, string])[] = [
  ['kernel-memory', 'the kernel has no such limit since 5.16: kernel:admin-guide/cgroup-v1/memory.rst'],
  ['l3-cache-schema', 'coffer does not drive Intel RDT'],
  ['mem-bw-schema', 'coffer does not drive Intel RDT'],
]

const FLAGS: readonly Flag[] = [
  {
    name: 'resources',
    short: 'r',
    type: 'string',
    value: 'FILE',
    help: 'a JSON document of limits; - is standard input',
  },
  ...LIMITS.map(([name, , , help]): Flag => ({ name, type: 'string', help })),
  ...REFUSED.map(([name, refused]): Flag => ({ name, type: 'string', help: '', refused })),
]

export const updateCommand: Command = {
  name: 'update',
  operands: 'CONTAINER',
  summary: 'change the limits of a container',
  flags: FLAGS,
  count: [1, 1],
  run: (context, given) => {
    const file = given.string('resources')
    const document = file === undefined ? fromFlags(given) : fromFile(context, file)
    updateContainer(context.machine, operand(given), document, file ?? 'the flags of update')
    return 0
  },
}

function fromFile(context: Context, file: string): unknown {
  const { native, files } = context.machine
  const text = file === '-' ? readAllInput(native) : files.readText(absolute(context, file))
  if (text === undefined) throw usage('coffer-runc update', `there is no ${file}`)
  return parseJson(text, file)
}

/** The same document as it would be in a file, so that there is one way from limits to cgroups. */
function fromFlags(given: Parsed): unknown {
  const document: Record<string, Record<string, unknown>> = {}
  for (const [name, path, kind] of LIMITS) {
    const value = given.string(name)
    if (value === undefined || value === '') continue
    const [section = '', field = ''] = path.split('.')
    const values = document[section] ?? {}
    values[field] = kind === 'text' ? value : numberOf(name, value, kind)
    document[section] = values
  }
  return document
}

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 }

function numberOf(name: string, value: string, kind: 'bytes' | 'number'): number {
  const [, digits = '', unit = ''] = /^(-?\d+)([bkmgt]?)(?:i?b)?$/i.exec(value) ?? []
  const factor = UNITS[unit.toLowerCase()]
  if (digits !== '' && factor !== undefined && (kind === 'bytes' || unit === '')) return Number(digits) * factor
  throw usage(
    'coffer-runc update',
    `--${name} is "${value}", which is not a number`,
    kind === 'bytes' ? 'give bytes, or a number with b, k, m, g or t' : undefined,
  )
}
