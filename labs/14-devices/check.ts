import { attempt } from '../../src/executor/embedded-call.ts'
import { close, writeExisting } from '../../src/executor/embedded-files.ts'
import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'
import type { LabCgroup, Look } from '../../src/lab/look.ts'
import { AT_FDCWD, O_CLOEXEC, O_RDONLY } from '../../src/linux/files.ts'
import { readCgroupsOf } from '../../src/observe/cgroup.ts'

export const devices: Lab = {
  name: 'devices',
  lacks: needsV1('devices'),
  check: (look) =>
    inCgroup(look, 'devices', 'coffer-lab-devices', (cgroup) => {
      const [canZero, canNull] = whatOpens(look, cgroup, ['/dev/zero', '/dev/null'])
      return missing(
        [
          canZero === false,
          `whoever is in ${cgroup.directory} can still read /dev/zero: echo 'c 1:5 rwm' > devices.deny`,
        ],
        [canNull === true, `whoever is in ${cgroup.directory} cannot read /dev/null, and should`],
      )
    }),
}

/** The file devices.list cannot tell: it shows what was allowed by default as one line. So the checker goes there for a moment, and tries. */
function whatOpens({ native, files }: Look, { directory }: LabCgroup, paths: readonly string[]): readonly boolean[] {
  const own = readCgroupsOf(files, 'self').find(({ controllers }) => controllers.includes('devices'))
  if (own === undefined) return []
  writeExisting(native, `${directory}/cgroup.procs`, '0')
  try {
    return paths.map((path) => {
      const fd = attempt(native, 'openat', AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0)
      if (fd >= 0) close(native, fd)
      return fd >= 0
    })
  } finally {
    writeExisting(native, `${own.mountPoint}${own.path}/cgroup.procs`, '0')
  }
}
