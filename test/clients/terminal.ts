/** Clients with a terminal, as a person has one. */

import { ENVIRONMENT, type Environment } from './lab.ts'

export interface Session {
  /** All of it until now. */
  readonly printed: () => string
  readonly type: (text: string) => void
  readonly resize: (columns: number, rows: number) => void
  /** Waits until this was printed. */
  readonly sees: (text: string) => Promise<void>
  readonly exited: Promise<number>
}

const DEADLINE_MS = 30_000

/** Runs a command in a terminal of 80 by 24. */
export function inTerminal(words: readonly string[], env: Environment = {}): Session {
  let output = ''
  const decoder = new TextDecoder()
  const child = Bun.spawn([...words], {
    env: { ...ENVIRONMENT, TERM: 'xterm', ...env },
    terminal: {
      cols: 80,
      rows: 24,
      data: (_, bytes) => {
        output += decoder.decode(bytes)
      },
    },
  })
  return {
    printed: () => output,
    type: (text) => child.terminal?.write(text),
    resize: (columns, rows) => child.terminal?.resize(columns, rows),
    sees: async (text) => {
      const deadline = performance.now() + DEADLINE_MS
      while (!output.includes(text)) {
        if (performance.now() > deadline) throw new Error(`"${text}" is not in ${JSON.stringify(output)}`)
        await Bun.sleep(10)
      }
    },
    exited: child.exited,
  }
}
