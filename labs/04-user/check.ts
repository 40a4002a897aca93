import type { Lab } from '../../src/lab/lab.ts'
import type { LabProcess } from '../../src/lab/look.ts'
import { called, isOwn } from '../../src/lab/namespaces.ts'
import { readUidMap } from '../../src/observe/process.ts'

/** unshare(2) makes a user namespace in that of the caller, so the inner one is that of a child or of the process itself. */
export const user: Lab = {
  name: 'user',
  check: (look) => {
    const { processes, files } = look
    const own = processes.filter((process) => isOwn(look, process, 'user'))
    if (own.length === 0)
      return ["every process is still in the host's user namespace: unshare --user --map-root-user bash"]
    const parentOf = ({ parentPid }: LabProcess): LabProcess | undefined => own.find(({ pid }) => pid === parentPid)
    const nested = own.find((process) => {
      const outer = parentOf(process)
      return outer !== undefined && outer.namespaces.get('user') !== process.namespaces.get('user')
    })
    return [
      ...(nested === undefined
        ? ['no user namespace is inside another one: type the same once more, in the new shell']
        : []),
      ...own
        .filter(({ pid }) => readUidMap(files, pid)?.length === 0)
        .map((process) => `/proc/${process.pid}/uid_map is empty: ${called(process)} has no ids, use --map-root-user`),
    ]
  },
}
