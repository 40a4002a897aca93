import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1Kernel } from '../../src/lab/lab.ts'

const CLASS = 0x10_0001
/** As a rule of nft compares it: in the order of a little-endian machine. */
const CLASS_BYTES = '01001000'

export const netCls: Lab = {
  name: 'net_cls',
  lacks: needsV1Kernel('net_cls'),
  check: (look) =>
    inCgroup(look, 'net_cls', 'coffer-lab-net_cls', ({ directory, number, pids }) => {
      const rules = pids.flatMap((pid) => look.rules(`/proc/${pid}/ns/net`))
      const ours = rules.filter(({ expressions }) => expressions.includes(CLASS_BYTES))
      return missing(
        [
          number('net_cls.classid') === CLASS,
          `the class of ${directory} is ${number('net_cls.classid')}, not ${CLASS}`,
        ],
        [
          ours.length > 0,
          'no rule of nft in the network namespace of its processes asks for the class: meta cgroup 0x100001',
        ],
        [
          ours.length === 0 || ours.some(({ packets }) => packets > 0),
          'no packet had the class: send one from a socket that is made in the group',
        ],
      )
    }),
}
