import { type Lab, missing } from '../../src/lab/lab.ts'
import { called, furthest, type NamespaceFile, stillInHost } from '../../src/lab/namespaces.ts'
import { readMounts } from '../../src/observe/mounts.ts'

const NAME = 'lab-by-hand'
const TYPES: readonly NamespaceFile[] = ['mnt', 'uts', 'ipc', 'net', 'pid', 'cgroup']

export const byHand: Lab = {
  name: 'by-hand',
  check: (look) => {
    const process = furthest(look, TYPES)
    const shares = stillInHost(look, process, TYPES)
    if (process === undefined || shares.length === TYPES.length) return ['no container runs in the lab: bash by-hand']
    const { files } = look
    const hostname = look.hostnameOf(process)
    const source = readMounts(files, process.pid)?.find(({ mountPoint }) => mountPoint === '/')?.source
    const cgroups = files.readText(`/proc/${process.pid}/cgroup`) ?? ''
    return [
      ...shares,
      ...missing(
        [hostname === NAME, `the host name that ${called(process)} sees is ${hostname}, not ${NAME}`],
        [source === `coffer-${NAME}`, `the root of ${called(process)} is ${source}, not the overlay coffer-${NAME}`],
        [cgroups.includes(`:/coffer-${NAME}\n`), `${called(process)} is in no cgroup coffer-${NAME}`],
      ),
    ]
  },
}
