import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1Kernel } from '../../src/lab/lab.ts'

export const netPrio: Lab = {
  name: 'net_prio',
  lacks: needsV1Kernel('net_prio'),
  check: (look) =>
    inCgroup(look, 'net_prio', 'coffer-lab-net_prio', ({ directory, text, number }) => {
      const own = /^lo (\d+)$/m.exec(text('net_prio.ifpriomap'))?.[1]
      return missing(
        [
          own === '5',
          `packets of ${directory} have the priority ${own} on lo, not 5: echo 'lo 5' > net_prio.ifpriomap`,
        ],
        [number('net_prio.prioidx') > 0, `${directory} is the root of its hierarchy, whose priorities are everybody's`],
      )
    }),
}
