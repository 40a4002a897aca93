import { type Lab, missing } from '../../src/lab/lab.ts'
import { called, furthest, type NamespaceFile, stillInHost } from '../../src/lab/namespaces.ts'
import { readMounts } from '../../src/observe/mounts.ts'
import { readNamespacePids } from '../../src/observe/process.ts'

const WANTED: readonly NamespaceFile[] = ['mnt', 'uts', 'ipc', 'net', 'pid', 'cgroup']
const HOSTNAME = 'my-container'

export const unshare: Lab = {
  name: 'unshare',
  check: (look) => {
    const process = furthest(look, WANTED)
    if (process === undefined) return stillInHost(look, process, WANTED)
    const { files, processes, within } = look
    const firsts = processes.filter(({ pid }) => readNamespacePids(files, pid)?.slice(1).includes(1))
    const queues = within('ipc', `/proc/${process.pid}/ns/ipc`, () => files.readText('/proc/sysvipc/msg')) ?? ''
    const hostname = look.hostnameOf(process)
    return [
      ...stillInHost(look, process, WANTED),
      ...missing(
        [firsts.length > 0, 'no process is PID 1 of a pid namespace: --pid takes effect on children, so add --fork'],
        [hostname === HOSTNAME, `the host name that ${called(process)} sees is ${hostname}: hostname ${HOSTNAME}`],
        [
          readMounts(files, process.pid)?.some((one) => one.mountPoint === '/mnt' && one.fileSystem === 'tmpfs') ===
            true,
          `${called(process)} sees no tmpfs at /mnt: mount -t tmpfs tmpfs /mnt`,
        ],
        [queues.split('\n').length > 2, `${called(process)} sees no message queue: ipcmk --queue`],
      ),
    ]
  },
}
