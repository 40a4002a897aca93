/** The tools beside those of util-linux and iproute2: from the start of the command to the end of `true` in it. */

import { join } from 'node:path'
import { PAUSE_MS, type Part } from './bench.ts'
import { atMost, compareTimes, type Row } from './row.ts'
import { column, pause, takeTurns, time } from './timer.ts'

const GOAL = atMost(3, 1.5)
const NEW = ['--mount', '--uts', '--ipc', '--net', '--pid', '--fork']

export const toolsPart: Part = async ({ place, dist, timer, rounds }) => {
  const coffer = join(dist, 'coffer')
  const name = place.newId('tools')
  const program = '/bin/true'
  const pairs = [
    ['unshare --mount', 'unshare', [coffer, 'unshare', '-m', program], ['unshare', '-m', program]],
    ['unshare --map-root-user', 'unshare', [coffer, 'unshare', '-Ur', program], ['unshare', '-Ur', program]],
    [`unshare ${NEW.join(' ')}`, 'unshare', [coffer, 'unshare', ...NEW, program], ['unshare', ...NEW, program]],
    ['netns exec', 'ip netns exec', [coffer, 'netns', 'exec', name, program], ['ip', 'netns', 'exec', name, program]],
    ['chroot', 'chroot', [coffer, 'chroot', '/', program], ['chroot', '/', program]],
  ] as const
  Bun.spawnSync(['ip', 'netns', 'add', name])
  try {
    const rows: Row[] = []
    for (const [measure, peer, ours, theirs] of pairs) {
      // The timer looks nothing up.
      const turns = [ours, [Bun.which(theirs[0]) ?? theirs[0], ...theirs.slice(1)]].map((words) => () => [
        pause(PAUSE_MS),
        time([...words]),
      ])
      const [mine = [], other = []] = await takeTurns(timer, turns, rounds)
      rows.push(compareTimes({ measure, peer, ours: column(mine, 0), theirs: column(other, 0), goal: GOAL }))
    }
    return { rows, notes: ['The tools become `true` in the process that was started, or in its child with --fork.'] }
  } finally {
    Bun.spawnSync(['ip', 'netns', 'delete', name])
  }
}
