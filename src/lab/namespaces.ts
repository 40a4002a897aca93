/** Which process of a lab is where, in words. */

import type { LabProcess, Look } from './look.ts'

/** The kernel's names, as in /proc/PID/ns. */
export type NamespaceFile = 'cgroup' | 'ipc' | 'mnt' | 'net' | 'pid' | 'time' | 'user' | 'uts'

export const isOwn = ({ started }: Look, { namespaces }: LabProcess, type: NamespaceFile): boolean =>
  namespaces.has(type) && namespaces.get(type) !== started.namespaces[type]

/** The process that shares the fewest of these namespaces with the host, the youngest of several; undefined if no process is left. */
export function furthest(look: Look, types: readonly NamespaceFile[]): LabProcess | undefined {
  const own = (process: LabProcess): number => types.filter((type) => isOwn(look, process, type)).length
  return [...look.processes].sort((a, b) => own(b) - own(a) || b.pid - a.pid)[0]
}

/** A line for each of these namespaces that the process shares with the host. */
export const stillInHost = (
  look: Look,
  process: LabProcess | undefined,
  types: readonly NamespaceFile[],
): readonly string[] =>
  process === undefined
    ? ['no process of the lab is running: its shell has ended']
    : types
        .filter((type) => !isOwn(look, process, type))
        .map((type) => `${called(process)} is still in the host's ${type} namespace`)

/** `the shell with pid 123`, as the one who typed knows it. */
export const called = ({ command, pid }: LabProcess): string =>
  /^(ba|da|z|k|fi)?sh$/.test(command) ? `the shell with pid ${pid}` : `${command} with pid ${pid}`

/** The process of a label, and of several the innermost: the one without a child of that label. */
export const labelled = ({ processes }: Look, label: string): LabProcess | undefined =>
  processes
    .filter((one) => one.label === label)
    .find((one, _, same) => !same.some(({ parentPid }) => parentPid === one.pid))
