import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { OperationError } from '../base/errors.ts'
import { slot } from '../linux/call.ts'
import type { IdMapping } from '../oci/id-mappings.ts'
import { allowMapping, deniesSetgroups, mapIds } from './idmap.ts'

const range = (containerID: number, hostID: number, size: number): IdMapping => ({ containerID, hostID, size })
const pid = slot('init-pid')
const root = { pid, canMapIds: true, hostUid: 0, hostGid: 0 }
const user = { pid, canMapIds: false, hostUid: 1000, hostGid: 1001 }

test('with privilege both maps are written at once, through a procfs that is known to be one', () => {
  const ranges = [range(0, 100_000, 10), range(10, 300_000, 5)]
  expect(linesOf(mapIds({ ...root, uid: ranges, gid: [range(0, 5, 1)] }))).toBe(
    `uid_map = openat2(host-proc, "<init-pid>/uid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
write(uid_map, "0 100000 10\\n10 300000 5\\n")
gid_map = openat2(host-proc, "<init-pid>/gid_map", O_WRONLY, RESOLVE_BENEATH|RESOLVE_NO_XDEV|RESOLVE_NO_SYMLINKS)
write(gid_map, "0 5 1\\n")`,
  )
})

test('without privilege the one range of the caller is written, which the kernel allows once setgroups is denied', () => {
  const maps = { uid: [range(0, 1000, 1)], gid: [range(0, 1001, 1)] }
  const lines = linesOf(mapIds({ ...user, ...maps }))
  expect(lines.match(/write\(.*/g)).toEqual([
    'write(setgroups, "deny")',
    'write(gid_map, "0 1001 1\\n")',
    'write(uid_map, "0 1000 1\\n")',
  ])
  expect(deniesSetgroups({ ...user, ...maps })).toBe(true)
  expect(deniesSetgroups({ ...root, ...maps })).toBe(false)
})

test('for more than that newuidmap and newgidmap are run, wherever they are, with an empty environment', () => {
  const ranges = [range(0, 1000, 1), range(1, 100_000, 65_536)]
  const lines = linesOf(mapIds({ ...user, uid: ranges, gid: ranges }))
  expect([...(lines.match(/execve\("\/usr\/bin.*/g) ?? [])]).toEqual(
    ['newgidmap', 'newuidmap'].map(
      (name) =>
        `execve("/usr/bin/${name}", ["${name}", "<init-pid>", "0", "1000", "1", "1", "100000", "65536"], 0 variables)`,
    ),
  )
  expect(lines).not.toContain('setgroups')
})

test('a map without root, or longer than a page, is refused by the name of its field', () => {
  const refusal = (uid: readonly IdMapping[], gid: readonly IdMapping[]): string => {
    try {
      mapIds({ ...root, uid, gid })
    } catch (error) {
      if (error instanceof OperationError) return `${error.message}`
    }
    return 'accepted'
  }
  const good = [range(0, 0, 1)]
  expect(refusal([], good)).toContain('linux.uidMappings is empty')
  expect(refusal(good, [range(1, 1, 5)])).toContain('linux.gidMappings does not map 0')
  const many = Array.from({ length: 340 }, (_, index) => range(index * 2, 1_000_000 + index * 2, 1))
  expect(refusal(many, good)).toContain('linux.uidMappings has 340 ranges')
  expect(refusal(many.slice(0, 200), good)).toBe('accepted')
})

test('only a caller without privilege has to be dumpable', () => {
  expect(linesOf(allowMapping(root))).toBe('')
  expect(linesOf(allowMapping(user))).toBe('prctl(PR_SET_DUMPABLE, 1)')
})
