import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

const PAGE_BYTES = 4096
const WANTED_PAGES = 4096

export const memory: Lab = {
  name: 'memory',
  lacks: needsV1('memory'),
  check: (look) =>
    inCgroup(look, 'memory', 'coffer-lab-memory', ({ directory, number, count }) => {
      const pages = number('memory.limit_in_bytes') / PAGE_BYTES
      const most = number('memory.max_usage_in_bytes') / PAGE_BYTES
      return missing(
        [pages === WANTED_PAGES, `the limit of ${directory} is ${pages} pages, not ${WANTED_PAGES}`],
        [
          most >= pages,
          `the limit was not reached: ${directory} had ${most} pages at most (memory.max_usage_in_bytes)`,
        ],
        [count('memory.oom_control', 'oom_kill') > 0, `nothing in ${directory} was killed for want of memory`],
      )
    }),
}
