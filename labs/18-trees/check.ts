import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'
import { called } from '../../src/lab/namespaces.ts'

const TREES = ['cpu', 'memory', 'pids'] as const

export const trees: Lab = {
  name: 'trees',
  lacks: needsV1(...TREES),
  check: (look) => {
    const where = (pid: number): readonly string[] =>
      TREES.filter((controller) => look.cgroup(controller, `coffer-lab-trees-${controller}`)?.pids.includes(pid))
    const [best] = [...look.processes].sort((a, b) => where(b.pid).length - where(a.pid).length)
    if (best === undefined) return ['no process of the lab is running: its shell has ended']
    const inside = where(best.pid)
    return TREES.flatMap((controller) =>
      missing([
        inside.includes(controller),
        `${called(best)} is not in coffer-lab-trees-${controller} of the ${controller} tree: see /proc/${best.pid}/cgroup`,
      ]),
    )
  },
}
