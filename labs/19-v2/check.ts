import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV2 } from '../../src/lab/lab.ts'

const TOP = 'coffer-lab-v2'

export const v2: Lab = {
  name: 'v2',
  lacks: needsV2(),
  check: (look) => {
    const top = look.cgroup('v2', TOP)
    if (top === undefined) return [`there is no cgroup ${TOP}: mkdir ${look.hierarchy('v2')}/${TOP}`]
    return [
      ...missing(
        [top.pids.length === 0, `${top.directory} has processes itself: they belong into the leaf`],
        [
          top.text('cgroup.max.descendants') === '1',
          `${top.directory} may have ${top.text('cgroup.max.descendants')} cgroups below it, not 1`,
        ],
      ),
      ...inCgroup(look, 'v2', `${TOP}/leaf`, ({ directory, count }) =>
        missing([count('cgroup.events', 'frozen') === 1, `${directory} is not frozen: echo 1 > cgroup.freeze there`]),
      ),
    ]
  },
}
