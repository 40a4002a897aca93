import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

export const freezer: Lab = {
  name: 'freezer',
  lacks: needsV1('freezer'),
  check: (look) =>
    inCgroup(look, 'freezer', 'coffer-lab-freezer', ({ directory, text }) =>
      missing([
        text('freezer.state') === 'FROZEN',
        `freezer.state of ${directory} is ${text('freezer.state')}, not FROZEN: a signal to its processes is something else`,
      ]),
    ),
}
