/** What a process sees of its cgroups. */

import { readFileSync } from 'node:fs'

/**
 * The lines of a text of /proc/PID/cgroup whose hierarchy is mounted here.
 *
 * One that was mounted in a namespace of its own, by a test before, is active for a while after that: everybody is in its root. cgroups(7)
 */
export function mountedLines(text: string): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
  const v1 = mounts.map((line) => / - cgroup \S+ (\S+)/.exec(line)?.[1]?.split(',') ?? [])
  const hasV2 = mounts.some((line) => line.includes(' - cgroup2 '))
  const isMounted = (controllers: string): boolean =>
    controllers === ''
      ? hasV2
      : v1.some((options) => controllers.split(',').every((controller) => options.includes(controller)))
  return text
    .trim()
    .split('\n')
    .filter((line) => isMounted(line.split(':')[1] ?? ''))
}
