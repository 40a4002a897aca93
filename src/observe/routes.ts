/** Whether this machine itself has a way out: a default route. proc(5), kernel:net/ipv6/route.c "rt6_info_route" */

import type { Files } from '../base/files.ts'

const RTF_REJECT = 0x200

/** pasta(1) does nothing on a machine without one. */
export function hasDefaultRoute(files: Pick<Files, 'readText'>): boolean {
  const rowsOf = (name: string): readonly (readonly string[])[] =>
    (files.readText(`/proc/self/net/${name}`) ?? '').split('\n').map((line) => line.trim().split(/\s+/))
  const isOpen = (flags = ''): boolean => (Number.parseInt(flags, 16) & RTF_REJECT) === 0
  return (
    rowsOf('route').some(([, to, , flags, , , , mask]) => to === '00000000' && mask === '00000000' && isOpen(flags)) ||
    rowsOf('ipv6_route').some((row) => row[0] === '0'.repeat(32) && row[1] === '00' && isOpen(row[8]))
  )
}
