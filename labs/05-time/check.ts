import { type Lab, missing } from '../../src/lab/lab.ts'
import { called, furthest, stillInHost } from '../../src/lab/namespaces.ts'

const TEN_DAYS = 864_000

export const time: Lab = {
  name: 'time',
  check: (look) => {
    const process = furthest(look, ['time'])
    const shares = stillInHost(look, process, ['time'])
    if (process === undefined || shares.length > 0) return shares
    const offsets = look.files.readText(`/proc/${process.pid}/timens_offsets`) ?? ''
    const ahead = Number(/^(?:boottime|7)\s+(-?\d+)/m.exec(offsets)?.[1] ?? 0)
    return missing([
      ahead === TEN_DAYS,
      `CLOCK_BOOTTIME of ${called(process)} is ${ahead} s ahead of the host's, not ${TEN_DAYS}: --boottime ${TEN_DAYS}`,
    ])
  },
}
