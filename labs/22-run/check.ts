import { type Lab, missing } from '../../src/lab/lab.ts'
import { called, furthest, type NamespaceFile, stillInHost } from '../../src/lab/namespaces.ts'

const TYPES: readonly NamespaceFile[] = ['mnt', 'uts', 'ipc', 'net', 'pid', 'cgroup']

export const run: Lab = {
  name: 'run',
  check: (look) => {
    const process = furthest(look, TYPES)
    const shares = stillInHost(look, process, TYPES)
    if (process === undefined || shares.length === TYPES.length)
      return [
        `no container runs in the lab${process === undefined ? '' : `: ${called(process)} shares all with the host`}`,
      ]
    const set = (controller: string, v1: string, v2: string): string | undefined =>
      look.cgroupOf(process.pid, controller)?.text(v1) ?? look.cgroupOf(process.pid, 'v2')?.text(v2)
    const memory = set('memory', 'memory.limit_in_bytes', 'memory.max')
    const pids = set('pids', 'pids.max', 'pids.max')
    const quota = set('cpu', 'cpu.cfs_quota_us', 'cpu.max')?.split(' ')[0]
    const period = set('cpu', 'cpu.cfs_period_us', 'cpu.max')?.split(' ').pop()
    return [
      ...shares,
      ...missing(
        [memory === String(64 << 20), `the memory limit of ${called(process)} is ${memory}, not 64 MiB: --memory 64m`],
        [pids === '50', `its limit of processes is ${pids}, not 50: --pids-limit 50`],
        [Number(quota) * 2 === Number(period), `its CPU time is ${quota} of ${period} µs, not half: --cpus 0.5`],
      ),
    ]
  },
}
