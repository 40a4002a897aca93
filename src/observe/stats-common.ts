/** Accounts that cgroup v1 and v2 keep in the same files. */

import type { Files } from '../base/files.ts'
import type { Integer64 } from '../base/integer.ts'
import type { RdmaStats } from './accounting.ts'
import { parseCount, parseCounts } from './count.ts'

/** `mlx4_0 hca_handle=2 hca_object=2000` for each device. kernel:admin-guide/cgroup-v2.rst "RDMA" */
export function readRdma(directory: string, files: Files): ReadonlyMap<string, RdmaStats> {
  const devices = new Map<string, RdmaStats>()
  for (const line of (files.readText(`${directory}/rdma.current`) ?? '').split('\n')) {
    const found = /^(\S+) hca_handle=(\d+) hca_object=(\d+)/.exec(line)
    if (found === null) continue
    const [, device = '', handles = '0', objects = '0'] = found
    devices.set(device, { handles: parseCount(handles), objects: parseCount(objects) })
  }
  return devices
}

/** `sev 3` for each resource that the machine has. kernel:admin-guide/cgroup-v2.rst "Misc" */
export const readMisc = (directory: string, files: Files): ReadonlyMap<string, Integer64> =>
  parseCounts(files.readText(`${directory}/misc.current`) ?? '')

/** The page sizes of this machine in the words of the controller's files: `2MB`, `1GB`. */
export const hugePageSizes = (files: Files): readonly string[] =>
  (files.list('/sys/kernel/mm/hugepages') ?? []).flatMap((name) => {
    const size = hugePageSize(name)
    return size === undefined ? [] : [size]
  })

/** `hugepages-2048kB` → `2MB`: mm/hugetlb_cgroup.c, mem_fmt. */
export function hugePageSize(directory: string): string | undefined {
  const kib = /^hugepages-(\d+)kB$/.exec(directory)?.[1]
  if (kib === undefined) return undefined
  const size = Number(kib)
  if (size >= 1 << 20) return `${size >> 20}GB`
  return size >= 1 << 10 ? `${size >> 10}MB` : `${size}KB`
}
