import { expect, test } from 'bun:test'
import { linesOf } from '../../test/plan-lines.ts'
import { planStdio } from './stdio.ts'

test('what a process was given is at its path no more when its program starts (S13)', () => {
  expect(linesOf(planStdio({ stdin: '/in', stdout: '/out', stderr: '/err' }).leave)).toBe(`close(stdin)
close(stdout)
close(stderr)
mknodat("/in.next", S_IFIFO|0600) or EEXIST
renameat2("/in.next", "/in")
mknodat("/out.next", S_IFIFO|0600) or EEXIST
renameat2("/out.next", "/out")
mknodat("/err.next", S_IFIFO|0600) or EEXIST
renameat2("/err.next", "/err")`)
  expect(linesOf(planStdio({ stdin: new Uint8Array(1), stdout: '/out', stderr: '/err' }).leave)).not.toContain(
    'in.next',
  )
})
