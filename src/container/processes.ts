/** The processes of a container as a table, in the columns of `ps -ef`. */

import type { Files } from '../base/files.ts'
import { readProcessStat } from '../observe/process.ts'

/** Processes that end meanwhile are left out. */
export function listProcesses(files: Files, pids: readonly number[]): string {
  const rows = [['UID', 'PID', 'PPID', 'STAT', 'TIME', 'CMD'], ...pids.flatMap((pid) => rowOf(files, pid))]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join(' ')
          .trimEnd()}\n`,
    )
    .join('')
}

const TICKS_PER_SECOND = 100

function rowOf(files: Files, pid: number): readonly (readonly string[])[] {
  const stat = readProcessStat(files, pid)
  const raw = files.readText(`/proc/${pid}/stat`)
  const uid = /^Uid:\s*(\d+)/m.exec(files.readText(`/proc/${pid}/status`) ?? '')?.[1]
  if (stat === undefined || raw === undefined || uid === undefined) return []
  const command = (files.readText(`/proc/${pid}/cmdline`) ?? '').replace(/\0$/, '').replace(/\0/g, ' ')
  return [
    [uid, `${pid}`, `${stat.parentPid}`, stat.state, cpuTime(raw), command === '' ? `[${stat.command}]` : command],
  ]
}

/** Fields 14 and 15, utime and stime, in ticks of 1/100 s: proc_pid_stat(5). */
function cpuTime(stat: string): string {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const seconds = Math.floor((Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND)
  const two = (value: number): string => String(value).padStart(2, '0')
  return `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
}
