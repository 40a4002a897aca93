import { inCgroup } from '../../src/lab/cgroup.ts'
import { type Lab, missing, needsV1 } from '../../src/lab/lab.ts'

const LIMIT = 1_048_576
const WANTED_BYTES = 1_048_576

export const blkio: Lab = {
  name: 'blkio',
  lacks: needsV1('blkio'),
  check: (look) =>
    inCgroup(look, 'blkio', 'coffer-lab-blkio', ({ directory, text, count }) => {
      const limits = text('blkio.throttle.write_bps_device')
      const device = new RegExp(`^(\\d+:\\d+) ${LIMIT}$`, 'm').exec(limits)?.[1]
      if (device === undefined)
        return [`${directory} limits no device to ${LIMIT} bytes written a second, but "${limits}"`]
      const written = count('blkio.throttle.io_service_bytes', `${device} Write`)
      return missing([
        written >= WANTED_BYTES,
        `${written} bytes were written to ${device} past the cache: dd oflag=direct`,
      ])
    }),
}
