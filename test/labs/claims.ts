/** What is true of each lab: its solution passes its checker, nothing else does, and nothing is left behind. */

import { describe, expect, test } from 'bun:test'
import { printed } from '../tools/call.ts'
import { checkAfter, expectedOf, fileOf, lackOf, nameOf } from './lab.ts'

/** The claims about a lab; skipped where the machine lacks what it needs. */
export function testLab(folder: string): void {
  const name = nameOf(folder)
  const lack = lackOf(folder)
  describe.skipIf(lack !== undefined)(folder, () => {
    test(`the solution of the lab ${name} leaves nothing missing`, async () => {
      expect(await checkAfter(folder, fileOf(folder, 'solution.sh'))).toMatchObject({
        stdout: `${name}: done\n`,
        stderr: '',
        exitCode: 0,
      })
      expect(leftovers(name)).toBe('')
    })

    test(`the checker of the lab ${name} misses something in an empty shell, and in a wrong answer what is wrong with it`, async () => {
      const before = await checkAfter(folder)
      expect(before.stdout).toStartWith('missing: ')
      expect(before.exitCode).toBe(1)
      const script = fileOf(folder, 'wrong.sh')
      const expected = expectedOf(script)
      expect(expected).not.toEqual([])
      const { stdout, exitCode } = await checkAfter(folder, script)
      for (const text of expected) expect(stdout).toContain(text)
      expect(exitCode).toBe(1)
      expect(leftovers(name)).toBe('')
    })
  })
}

/** What a lab could leave: nothing of it may be there before, or behind it. */
const leftovers = (name: string): string =>
  printed([
    'sh',
    '-c',
    `find /sys/fs/cgroup /run/netns /run/coffer /run/coffer-lab /var/lib/coffer/names /tmp -maxdepth 2 \\( -name 'coffer-lab-${name}*' -o -name 'lab-${name}*' -o -path '/run/coffer-lab/${name}' \\) 2>/dev/null; grep coffer-lab-${name} /proc/self/mountinfo; [ ! -e /proc/cgroups ] || awk '$1 == "${name}" && /^net/ && $2 > 0' /proc/cgroups; true`,
  ])
