/** The processes of a container as a table, in the columns of `ps -ef` or in others of ps(1). */

import type { Files } from '../base/files.ts'
import { usage } from '../base/flags.ts'
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
  etime: { title: 'ELAPSED', of: ({ ageSeconds }) => clock(ageSeconds).replace(/^00:/, '') },
  stat: { title: 'STAT', of: ({ state }) => state },
  rss: { title: 'RSS', of: ({ rssKilobytes }) => rssKilobytes },
  comm: { title: 'COMMAND', of: ({ name }) => name },
  args: { title: 'COMMAND', of: ({ args }) => args },
  cmd: { title: 'CMD', of: ({ args }) => args },
}

const FULL: readonly Column[] = ['user', 'pid', 'ppid', 'c', 'stime', 'tty', 'time', 'cmd'].flatMap((name) => {
  const column = COLUMNS[name]
  return column === undefined ? [] : [name === 'user' ? { ...column, title: 'UID' } : column]
})

/** `-ef`, `aux` and `-o pid,args`; none is `-ef`. Throws `invalid` for a column that there is not. */
export function columnsOf(words: readonly string[], command: string): readonly Column[] {
  const text = words.join(' ')
  if (/^(-?(ef|aux|fe|e|f))?$/.test(text)) return FULL
  const [, list] = /^-?(?:e|A)?o[ =]?([\w, ]+)$/.exec(text) ?? []
  const known = Object.keys(COLUMNS).join(' ')
  if (list === undefined) throw usage(command, `it has no columns ${text}`, `give -ef, or -o with some of: ${known}`)
  return list.split(/[, ]+/).map((name) => {
    const column = COLUMNS[name === 'command' ? 'args' : name === 'pcpu' ? 'c' : name]
    if (column === undefined) throw usage(command, `it has no column ${name}`, `there are: ${known}`)
    return column
  })
}

/** Processes that end meanwhile are left out. */
export function listProcesses(machine: Machine, pids: readonly number[], columns: readonly Column[] = FULL): string {
  const { files } = machine
  const users = new Map(parsePasswd(files.readText('/etc/passwd') ?? '').map(({ uid, name }) => [`${uid}`, name]))
  const bootSeconds = Number(/^btime (\d+)/m.exec(files.readText('/proc/stat') ?? '')?.[1] ?? 0)
  const seen = pids.flatMap((pid) => look(machine, pid, bootSeconds, users))
  const rows = [columns.map(({ title }) => title), ...seen.map((one) => columns.map(({ of }) => of(one)))]
  const widths = columns.map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  const line = (row: readonly string[]): string => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('   ')
  return rows.map((row) => `${line(row).trimEnd()}\n`).join('')
}

const TICKS_PER_SECOND = 100

/** Fields 7, 14, 15 and 22 of /proc/PID/stat: tty_nr, utime, stime and starttime, in ticks of 1/100 s. proc_pid_stat(5) */
function look(
  { files, now }: Machine,
  pid: number,
  bootSeconds: number,
  users: ReadonlyMap<string, string>,
): readonly Seen[] {
  const stat = readProcessStat(files, pid)
  const raw = files.readText(`/proc/${pid}/stat`)
  const status = files.readText(`/proc/${pid}/status`) ?? ''
  const uid = /^Uid:\s*(\d+)/m.exec(status)?.[1]
  if (stat === undefined || raw === undefined || uid === undefined) return []
  const fields = raw.slice(raw.lastIndexOf(')') + 2).split(' ')
  const args = (files.readText(`/proc/${pid}/cmdline`) ?? '').replace(/\0$/, '').replace(/\0/g, ' ')
  const startedMs = (bootSeconds + stat.startTime / TICKS_PER_SECOND) * 1000
  return [
    {
      pid,
      ppid: stat.parentPid,
      state: stat.state,
      uid,
      user: users.get(uid) ?? uid,
      args: args === '' ? `[${stat.command}]` : args,
      name: stat.command,
      terminal: Number(fields[4]),
      cpuSeconds: Math.floor((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND),
      startedMs,
      ageSeconds: Math.max(Math.floor((now().getTime() - startedMs) / 1000), 0),
      rssKilobytes: /^VmRSS:\s*(\d+)/m.exec(status)?.[1] ?? '0',
    },
  ]
}

/** Major numbers of pseudo terminals: kernel:admin-guide/devices.txt, 136 and on. */
function terminalName(number: number): string {
  const [major, minor] = [(number >> 8) & 0xfff, (number & 0xff) | ((number >> 12) & 0xfff00)]
  return major >= 136 && major <= 143 ? `pts/${(major - 136) * 256 + minor}` : '?'
}

function clock(seconds: number): string {
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}
