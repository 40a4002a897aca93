/**
 * A program that makes many containers: through the persistent executor, then the same number through crun, in turns.
 *
 * Runs under Bun and under Node: warm.ts SETTINGS, where SETTINGS is the JSON of WarmSettings; prints that of WarmTimes.
 */

import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Executor, openExecutor } from '../src/executor/persistent-node.ts'
import type { Frame } from '../src/executor/template.ts'
import { checkEnd, frameMaker, seeHost, type Wish } from './container-plan.ts'

export interface WarmSettings {
  /** The path of the executor. */
  readonly executor: string
  /** The run root for coffer. */
  readonly root: string
  readonly bundle: string
  readonly prefix: string
  /** crun and its global flags. */
  readonly crun: readonly string[]
  readonly blocks: number
  /** Containers of each block. */
  readonly count: number
  readonly atOnce: number
}

/** Milliseconds of each block. */
export interface WarmTimes {
  readonly coffer: readonly number[]
  readonly crun: readonly number[]
}

async function measure(settings: WarmSettings): Promise<WarmTimes> {
  const executor = openExecutor(settings.executor)
  const frameFor = frameMaker(seeHost())
  const coffer: number[] = []
  const crun: number[] = []
  for (let block = 0; block < settings.blocks; block++) {
    const id = (name: string, index: number): string => `${settings.prefix}${name}-${settings.atOnce}-${block}-${index}`
    coffer.push(
      await timeBlock(settings, (index) => runByPlan(settings, { executor, frameFor, id: id('warm', index) })),
    )
    crun.push(await timeBlock(settings, (index) => runByCrun(settings, id('cold', index))))
  }
  await executor.close()
  return { coffer, crun }
}

async function timeBlock({ count, atOnce }: WarmSettings, make: (index: number) => Promise<void>): Promise<number> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < count) await make(next++)
  }
  const begin = performance.now()
  await Promise.all(Array.from({ length: atOnce }, worker))
  return performance.now() - begin
}

interface ByPlan {
  readonly executor: Executor
  readonly frameFor: (wish: Wish) => Frame
  readonly id: string
}

/** From the configuration's file to the exit status, as a caller of the library would. */
async function runByPlan({ bundle, root }: WarmSettings, { executor, frameFor, id }: ByPlan): Promise<void> {
  const configText = readFileSync(join(bundle, 'config.json'), 'utf8')
  checkEnd(await executor.runFrame(frameFor({ id, bundle, configText, root })))
}

function runByCrun({ crun: [program = '', ...flags], bundle }: WarmSettings, id: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...flags, 'run', '--bundle', bundle, id], { stdio: ['ignore', 'ignore', 'inherit'] })
    child.on('error', reject)
    child.on('exit', (code) => (code === 0 ? resolve() : reject(new Error(`crun ended with ${code}`))))
  })
}

console.log(JSON.stringify(await measure(JSON.parse(process.argv[2] ?? '') as WarmSettings)))
