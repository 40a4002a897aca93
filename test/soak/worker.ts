/**
 * A long-running program that makes containers with src/executor/persistent-node.ts; the same in Bun and in Node.
 *
 *     worker.ts EXECUTOR BUNDLE ROOT
 *
 * A line `run ID CGROUP` on standard input makes a container and waits for its end, a line `measure` looks at the program itself. Each is
 * answered by a line of JSON: `{ id, error? }` or `{ residentBytes, descriptors }`.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { checkEnd, planRun, seeHost } from '../../bench/container-plan.ts'
import { openExecutor } from '../../src/executor/persistent-node.ts'

export interface Measured {
  readonly residentBytes: number
  readonly descriptors: number
}

export interface Ended {
  readonly id: string
  readonly error?: string
}

const [path = '', bundle = '', root = ''] = process.argv.slice(2)
const executor = openExecutor(path)
const host = seeHost()
const configText = readFileSync(join(bundle, 'config.json'), 'utf8')

async function run(id: string, cgroup: string): Promise<Ended> {
  try {
    const own = configText.replace('"CGROUP"', JSON.stringify(cgroup))
    checkEnd(await executor.run(planRun({ id, bundle, configText: own, root }, host)))
    return { id }
  } catch (error) {
    return { id, error: String(error) }
  }
}

function measure(): Measured {
  // What the program still refers to, not what its collector has not looked at yet.
  const { Bun, gc } = globalThis as { Bun?: { readonly gc: (now: boolean) => void }; gc?: () => void }
  if (Bun === undefined) gc?.()
  else Bun.gc(true)
  const pages = Number(readFileSync('/proc/self/statm', 'utf8').split(' ')[1])
  return { residentBytes: pages * 4096, descriptors: readdirSync('/proc/self/fd').length }
}

const answer = (value: Ended | Measured): void => {
  process.stdout.write(`${JSON.stringify(value)}\n`)
}

for await (const line of createInterface({ input: process.stdin })) {
  const [word, id = '', cgroup = ''] = line.split(' ')
  if (word === 'measure') answer(measure())
  else answer(await run(id, cgroup))
}
await executor.close()
