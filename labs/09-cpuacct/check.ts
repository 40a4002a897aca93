import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

const WANTED_NANOS = 200_000_000

export const cpuacct: Lab = {
  name: 'cpuacct',
  lacks: needsV1('cpuacct'),
  check: (look) =>
    inCgroup(look, 'cpuacct', 'coffer-lab-cpuacct', ({ directory, number }) => {
      const used = number('cpuacct.usage')
      return missing([
        used >= WANTED_NANOS,
        `the processes of ${directory} have used ${Math.floor(used / 1e6)} ms of CPU time, less than ${WANTED_NANOS / 1e6}`,
      ])
    }),
}
