import { type Lab, missing } from '../../src/lab/lab.ts'
import { called, isOwn, type NamespaceFile } from '../../src/lab/namespaces.ts'

const ALL: readonly NamespaceFile[] = ['cgroup', 'ipc', 'mnt', 'net', 'pid', 'time', 'user', 'uts']

/** A second process, and nobody with a namespace of its own. */
export const shared: Lab = {
  name: 'shared',
  check: (look) => [
    ...missing([look.processes.length > 1, 'no process runs beside the shell: sleep 1000 &']),
    ...look.processes.flatMap((process) =>
      ALL.filter((type) => isOwn(look, process, type)).map(
        (type) => `${called(process)} has a ${type} namespace of its own, and should share the host's`,
      ),
    ),
  ],
}
