/** What the kernel's log says of processes that were killed for want of memory. kernel:mm/oom_kill.c dump_oom_summary() */

export interface OomVictim {
  readonly name: string
  /** In the first pid namespace of the machine. */
  readonly pid: number
  /** Of the process, from the root of its hierarchy. */
  readonly cgroup: string
  /** The cgroup whose limit was met; undefined where the whole machine was out of memory. */
  readonly limitedBy: string | undefined
  /** Seconds since the boot, those of sleep not counted; undefined without printk.time. */
  readonly atSeconds: number | undefined
}

/** A name may hold anything, commas too, so what stands behind it is looked for from the end. */
const KILL =
  /^(?:<\d+>)?(?:\[ *(\d+\.\d+)\]\S* ?(?:\[[^\]]*\] ?)?)?oom-kill:constraint=.*?,(?:oom_memcg=(.*?)|global_oom),task_memcg=(.*?),task=(.*),pid=(\d+),uid=\d+$/

/** The oldest first. `log` is the text of syslog(2), or of dmesg(1). */
export const parseOomVictims = (log: string): readonly OomVictim[] =>
  log.split('\n').flatMap((line) => {
    if (!line.includes('oom-kill:')) return []
    const [, at, limitedBy, cgroup, name, pid] = KILL.exec(line) ?? []
    if (cgroup === undefined || name === undefined) return []
    return [{ name, pid: Number(pid), cgroup, limitedBy, atSeconds: at === undefined ? undefined : Number(at) }]
  })
