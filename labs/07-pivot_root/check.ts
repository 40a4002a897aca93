import { type Lab, missing } from '../../src/lab/lab.ts'
import { called } from '../../src/lab/namespaces.ts'
import { readMounts } from '../../src/observe/mounts.ts'

const SOURCE = 'coffer-lab-pivot_root'

export const pivotRoot: Lab = {
  name: 'pivot_root',
  check: ({ files, processes }) => {
    const inside = processes
      .map((process) => ({ process, mounts: readMounts(files, process.pid) ?? [] }))
      .find(({ mounts }) => mounts.some(({ mountPoint, source }) => mountPoint === '/' && source === SOURCE))
    if (inside === undefined) return [`no process has the tmpfs ${SOURCE} as its root: pivot_root . old`]
    const old = inside.mounts.filter(({ source, fileSystem }) => source !== SOURCE && fileSystem !== 'proc')
    return missing([
      old.length === 0,
      `${called(inside.process)} still sees the host's files at ${old[0]?.mountPoint}: umount -l /old`,
    ])
  },
}
