import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV2 } from '../../src/lab/lab.ts'

export const limits: Lab = {
  name: 'limits',
  lacks: needsV2('cpu', 'memory', 'pids'),
  check: (look) =>
    inCgroup(look, 'v2', 'coffer-lab-limits', ({ directory, text, count }) => {
      const [quota, period] = text('cpu.max').split(' ').map(Number)
      return missing(
        [Number(quota) * 2 === period, `cpu.max of ${directory} is "${text('cpu.max')}", not half a CPU: 50000 100000`],
        [count('cpu.stat', 'nr_throttled') > 0, `nothing in ${directory} was throttled yet: run something busy in it`],
        [text('memory.max') === '16777216', `memory.max of ${directory} is ${text('memory.max')}, not 16777216`],
        [count('memory.events', 'oom_kill') > 0, `nothing in ${directory} was killed for want of memory`],
        [text('pids.max') === '8', `pids.max of ${directory} is ${text('pids.max')}, not 8`],
        [count('pids.events', 'max') > 0, `no fork was refused in ${directory}`],
      )
    }),
}
