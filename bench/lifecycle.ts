/** The commands that an engine calls in the life of a container, each by itself. */

import { PAUSE_MS, type Part } from './bench.ts'
import type { Program } from './programs.ts'
import { atMost, compareTimes } from './row.ts'
import { column, pause, reap, type Turn, takeTurns, time } from './timer.ts'

const COMMANDS = ['create', 'start', 'exec', 'kill', 'delete'] as const
const GOAL = atMost(1, 0.5)

export const lifecyclePart: Part = async ({ place, peers, bundles, timer, rounds }) => {
  const programs = [peers.coffer, peers.crun, peers.runc].filter((program) => program !== undefined)
  const turnOf =
    ({ name, command }: Program): Turn =>
    () => {
      const id = place.newId(name)
      const timed = (...words: readonly string[]) => [pause(PAUSE_MS), time([...command, ...words])]
      return [
        ...timed('create', '--bundle', bundles.placed, id),
        ...timed('start', id),
        ...timed('exec', id, 'true'),
        ...timed('kill', id, 'KILL'),
        // Init is no child of the runtime any more; an engine reaps it before it deletes.
        reap,
        ...timed('delete', id),
      ]
    }
  const [ours = [], ...others] = await takeTurns(timer, programs.map(turnOf), rounds)
  const rows = COMMANDS.flatMap((measure, action) =>
    others.map((theirs, index) =>
      compareTimes({
        measure,
        peer: programs[index + 1]?.name ?? '',
        ours: column(ours, action),
        theirs: column(theirs, action),
        goal: GOAL,
      }),
    ),
  )
  return { rows, notes: ['create, start, exec, kill and delete are spaced by other work. The goals are about crun.'] }
}
