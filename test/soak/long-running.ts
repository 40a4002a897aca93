/** A program that lives as long as the soak, from the outside: test/soak/worker.ts in Bun or in Node. */

import { join } from 'node:path'
import type { Ended, Measured } from './worker.ts'

export interface ProgramPlace {
  readonly bundle: string
  readonly root: string
  /** The file that moves a process into the cgroup of callers. */
  readonly marker: string
  /** Look at the program after so many containers. */
  readonly every: number
}

const top = join(import.meta.dir, '..', '..')
const COMMANDS: Readonly<Record<'bun' | 'node', readonly string[]>> = {
  bun: [process.execPath],
  node: [join(top, 'node_modules', '.bin', 'node'), '--expose-gc', '--disable-warning=ExperimentalWarning'],
}

export class LongRunning {
  readonly measured: Measured[] = []
  readonly #child: Bun.Subprocess<'pipe', 'pipe', 'inherit'>
  readonly #every: number
  readonly #answers: AsyncIterator<string>
  /** Questions are answered one after another. */
  #last: Promise<unknown> = Promise.resolve()
  #count = 0

  constructor(engine: 'bun' | 'node', { bundle, root, marker, every }: ProgramPlace) {
    const worker = join(import.meta.dir, 'worker.ts')
    const program = [...COMMANDS[engine], worker, join(top, 'dist', 'coffer-executor'), bundle, root]
    this.#child = Bun.spawn(['sh', '-c', 'echo 0 >"$0" && exec "$@"', marker, ...program], {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    })
    this.#every = every
    this.#answers = lines(this.#child.stdout)
  }

  async run(id: string, cgroup: string): Promise<Ended> {
    const ended = await this.#ask<Ended>(`run ${id} ${cgroup}`)
    if (++this.#count % this.#every === 0) this.measured.push(await this.#ask<Measured>('measure'))
    return ended
  }

  async close(): Promise<void> {
    await this.#child.stdin.end()
    await this.#child.exited
  }

  #ask<Answer>(question: string): Promise<Answer> {
    const answer = this.#last.then(async () => {
      this.#child.stdin.write(`${question}\n`)
      await this.#child.stdin.flush()
      const { value, done } = await this.#answers.next()
      if (done === true) throw new Error('the long-running program ended')
      return JSON.parse(value) as Answer
    })
    this.#last = answer.catch(() => undefined)
    return answer
  }
}

async function* lines(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const bytes of stream) {
    const pieces = (rest + decoder.decode(bytes, { stream: true })).split('\n')
    rest = pieces.pop() ?? ''
    yield* pieces
  }
}
