import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'
import { readStatusField } from '../../src/observe/process.ts'

export const cpuset: Lab = {
  name: 'cpuset',
  lacks: needsV1('cpuset'),
  check: (look) =>
    inCgroup(look, 'cpuset', 'coffer-lab-cpuset', ({ directory, text, pids }) => {
      const cpus = text('cpuset.cpus')
      const elsewhere = pids.filter((pid) => readStatusField(look.files, pid, 'Cpus_allowed_list') !== cpus)
      return missing(
        [/^\d+$/.test(cpus), `cpuset.cpus of ${directory} is "${cpus}", not one CPU`],
        [
          elsewhere.length === 0,
          `the processes ${elsewhere.join(' ')} of ${directory} may run on other CPUs than "${cpus}"`,
        ],
      )
    }),
}
