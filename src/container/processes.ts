/** The processes of a container as a table, in the columns of `ps -ef` or in others of ps(1). */

import type { Files } from '../base/files.ts'
import { usage } from '../base/flags.ts'
import { own } from '../base/own.ts'
import { readProcessStat } from '../observe/process.ts'
import { parsePasswd } from '../observe/users.ts'

interface Machine {
  readonly files: Files
  readonly now: () => Date
}

interface Seen {
  readonly pid: number
  readonly ppid: number
  readonly state: string
  readonly uid: string
  readonly user: string
  readonly args: string
  readonly name: string
  readonly terminal: number
  readonly cpuSeconds: number
  readonly startedMs: number
  readonly ageSeconds: number
  readonly rssKilobytes: string
  readonly vszKilobytes: string
  /** Of the memory of the machine. */
  readonly memoryPercent: number
  readonly nowMs: number
}

interface Column {
  readonly title: string
  readonly of: (seen: Seen) => string
}

const COLUMNS: Readonly<Record<string, Column>> = {
  uid: { title: 'UID', of: ({ uid }) => uid },
  user: { title: 'USER', of: ({ user }) => user },
  pid: { title: 'PID', of: ({ pid }) => `${pid}` },
  ppid: { title: 'PPID', of: ({ ppid }) => `${ppid}` },
  c: { title: 'C', of: ({ cpuSeconds, ageSeconds }) => `${Math.floor((100 * cpuSeconds) / Math.max(ageSeconds, 1))}` },
  stime: { title: 'STIME', of: ({ startedMs }) => new Date(startedMs).toISOString().slice(11, 16) },
  tty: { title: 'TTY', of: ({ terminal }) => terminalName(terminal) },
  time: { title: 'TIME', of: ({ cpuSeconds }) => clock(cpuSeconds) },
  start: { title: 'START', of: ({ startedMs, nowMs }) => beginning(startedMs, nowMs) },
  bsdtime: {
    title: 'TIME',
    of: ({ cpuSeconds }) => `${Math.floor(cpuSeconds / 60)}:${two(Math.floor(cpuSeconds % 60))}`,
  },
  pcpu: {
    title: '%CPU',
    of: ({ cpuSeconds, ageSeconds }) => ((100 * cpuSeconds) / Math.max(ageSeconds, 1)).toFixed(1),
  },
  pmem: { title: '%MEM', of: ({ memoryPercent }) => memoryPercent.toFixed(1) },
  etime: { title: 'ELAPSED', of: ({ ageSeconds }) => clock(ageSeconds).replace(/^00:/, '') },
  stat: { title: 'STAT', of: ({ state }) => state },
  vsz: { title: 'VSZ', of: ({ vszKilobytes }) => vszKilobytes },
  rss: { title: 'RSS', of: ({ rssKilobytes }) => rssKilobytes },
  comm: { title: 'COMMAND', of: ({ name }) => name },
  args: { title: 'COMMAND', of: ({ args }) => args },
  cmd: { title: 'CMD', of: ({ args }) => args },
}

const FULL: readonly Column[] = ['user', 'pid', 'ppid', 'c', 'stime', 'tty', 'time', 'cmd'].flatMap((name) => {
  const column = COLUMNS[name]
  return column === undefined ? [] : [name === 'user' ? { ...column, title: 'UID' } : column]
})

const named = (list: string): readonly Column[] => list.split(' ').flatMap((name) => COLUMNS[name] ?? [])

const OF_USERS = named('user pid pcpu pmem vsz rss tty stat start bsdtime args')
const OF_JOBS = named('pid tty stat bsdtime args')
const BY_WORD: Readonly<Record<string, readonly Column[]>> = { aux: OF_USERS, u: OF_USERS, ax: OF_JOBS, x: OF_JOBS }

/** `-ef`, `aux`, `ax` and `-o pid,args`; none is `-ef`. Throws `invalid` for a column that there is not. */
export function columnsOf(words: readonly string[], command: string): readonly Column[] {
  const text = words.join(' ')
  if (/^(-?(ef|fe|e|f))?$/.test(text)) return FULL
  const ofWord = own(BY_WORD, text.replace(/^-/, ''))
  if (ofWord !== undefined) return ofWord
  const [, list] = /^-?(?:e|A)?o[ =]?([\w%, ]+)$/.exec(text) ?? []
  const known = Object.keys(COLUMNS).join(' ')
  if (list === undefined)
    throw usage(command, `it has no columns ${text}`, `give -ef, aux, or -o with some of: ${known}`)
  return list.split(/[, ]+/).map((name) => {
    const column = COLUMNS[own(OTHER_NAMES, name) ?? name]
    if (column === undefined) throw usage(command, `it has no column ${name}`, `there are: ${known}`)
    return column
  })
}

const OTHER_NAMES: Readonly<Record<string, string>> = { command: 'args', '%cpu': 'pcpu', '%mem': 'pmem', vsize: 'vsz' }

/** Processes that end meanwhile are left out. */
export function listProcesses(machine: Machine, pids: readonly number[], columns: readonly Column[] = FULL): string {
  const { files } = machine
  const users = new Map(parsePasswd(files.readText('/etc/passwd') ?? '').map(({ uid, name }) => [`${uid}`, name]))
  const bootSeconds = Number(/^btime (\d+)/m.exec(files.readText('/proc/stat') ?? '')?.[1] ?? 0)
  const memoryKilobytes = Number(/^MemTotal:\s*(\d+)/m.exec(files.readText('/proc/meminfo') ?? '')?.[1] ?? 0)
  const seen = pids.flatMap((pid) => look(machine, pid, { bootSeconds, memoryKilobytes, users }))
  const rows = [columns.map(({ title }) => title), ...seen.map((one) => columns.map(({ of }) => of(one)))]
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('   ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

const TICKS_PER_SECOND = 100

interface Surroundings {
  readonly bootSeconds: number
  readonly memoryKilobytes: number
  readonly users: ReadonlyMap<string, string>
}

/** Fields 7, 14, 15 and 22 of /proc/PID/stat: tty_nr, utime, stime and starttime, in ticks of 1/100 s. proc_pid_stat(5) */
function look(
  { files, now }: Machine,
  pid: number,
  { bootSeconds, memoryKilobytes, users }: Surroundings,
): readonly Seen[] {
  const stat = readProcessStat(files, pid)
  const raw = files.readText(`/proc/${pid}/stat`)
  const status = files.readText(`/proc/${pid}/status`) ?? ''
  const uid = /^Uid:\s*(\d+)/m.exec(status)?.[1]
  if (stat === undefined || raw === undefined || uid === undefined) return []
  const fields = raw.slice(raw.lastIndexOf(')') + 2).split(' ')
  const args = (files.readText(`/proc/${pid}/cmdline`) ?? '').replace(/\0$/, '').replace(/\0/g, ' ')
  const kilobytes = (key: string): string => new RegExp(`^${key}:\\s*(\\d+)`, 'm').exec(status)?.[1] ?? '0'
  const nowMs = now().getTime()
  const startedMs = (bootSeconds + stat.startTime / TICKS_PER_SECOND) * 1000
  return [
    {
      pid,
      ppid: stat.parentPid,
      state: `${stat.state}${marksOf(pid, fields)}`,
      uid,
      user: users.get(uid) ?? uid,
      args: args === '' ? `[${stat.command}]` : args,
      name: stat.command,
      terminal: Number(fields[4]),
      cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND,
      startedMs,
      ageSeconds: Math.max(Math.floor((nowMs - startedMs) / 1000), 0),
      rssKilobytes: kilobytes('VmRSS'),
      vszKilobytes: kilobytes('VmSize'),
      memoryPercent: memoryKilobytes === 0 ? 0 : (100 * Number(kilobytes('VmRSS'))) / memoryKilobytes,
      nowMs,
    },
  ]
}

/** Major numbers of pseudo terminals: kernel:admin-guide/devices.txt, 136 and on. */
function terminalName(number: number): string {
  const [major, minor] = [(number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00)]
  return major >= 136 && major <= 143 ? `pts/${(major - 136) * 256 + minor}` : '?'
}

/** High and low priority, session leader, several threads, foreground of its terminal: ps(1) "PROCESS STATE CODES". */
function marksOf(pid: number, fields: readonly string[]): string {
  const [, , group, session, , foreground] = fields
  const [nice, threads] = [Number(fields[16]), Number(fields[17])]
  return [
    nice < 0 ? '<' : nice > 0 ? 'N' : '',
    Number(session) === pid ? 's' : '',
    threads > 1 ? 'l' : '',
    foreground === group ? '+' : '',
  ].join('')
}

/** The time of today, and the day of earlier. */
function beginning(startedMs: number, nowMs: number): string {
  const [started, now] = [startedMs, nowMs].map((ms) => new Date(ms).toISOString())
  if (started?.slice(0, 10) === now?.slice(0, 10)) return started?.slice(11, 16) ?? ''
  return new Date(startedMs)
    .toUTCString()
    .slice(5, 11)
    .replace(/^(\d+) (\w+)$/, '$2$1')
}

const two = (value: number): string => String(value).padStart(2, '0')

function clock(seconds: number): string {
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(Math.floor(seconds % 60))}`
}
