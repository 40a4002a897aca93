import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

const WANTED = '8'

export const pids: Lab = {
  name: 'pids',
  lacks: needsV1('pids'),
  check: (look) =>
    inCgroup(look, 'pids', 'coffer-lab-pids', ({ directory, text, count }) =>
      missing(
        [text('pids.max') === WANTED, `pids.max of ${directory} is ${text('pids.max')}, not ${WANTED}`],
        [
          count('pids.events', 'max') > 0,
          `no fork was refused in ${directory}: it has ${text('pids.current')} processes`,
        ],
      ),
    ),
}
