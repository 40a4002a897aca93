import { type Lab, missing } from '../../src/lab/lab.ts'

const JAIL = '/tmp/coffer-lab-chroot'

export const chroot: Lab = {
  name: 'chroot',
  check: ({ files, processes }) => {
    const rootOf = (pid: number): string | undefined => files.readLink(`/proc/${pid}/root`)
    const jailed = processes.filter(({ pid }) => rootOf(pid) === JAIL)
    const [first] = jailed
    if (first === undefined) return [`no process has ${JAIL} as its root: chroot ${JAIL} /bin/busybox sh`]
    return missing([
      processes.some(({ pid, parentPid }) => rootOf(pid) === '/' && jailed.some((one) => one.pid === parentPid)),
      `nobody has escaped: no child of the process with pid ${first.pid} has / as its root`,
    ])
  },
}
