import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

export const cpu: Lab = {
  name: 'cpu',
  lacks: needsV1('cpu'),
  check: (look) =>
    inCgroup(look, 'cpu', 'coffer-lab-cpu', ({ directory, number, count }) => {
      const [quota, period] = [number('cpu.cfs_quota_us'), number('cpu.cfs_period_us')]
      const share = quota < 0 ? 'no limit' : `${Math.round((quota / period) * 100)} % of a CPU`
      return missing(
        [quota * 2 === period, `the quota of ${directory} is ${share}, not 50 %`],
        [count('cpu.stat', 'nr_throttled') > 0, `nothing in ${directory} was throttled yet: run something busy in it`],
      )
    }),
}
