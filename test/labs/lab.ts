/** Does a lab as a learner would: a shell that `coffer lab start` begins, commands in it, and a check from outside. */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { COFFER, coffer, type Outcome } from '../tools/call.ts'

const LABS = join(import.meta.dir, '..', '..', 'labs')
const DIST = join(COFFER, '..')

/** The folders, `08-cpu`. */
export const folders: readonly string[] = readdirSync(LABS)
  .filter((name) => /^\d/.test(name))
  .sort()

export const nameOf = (folder: string): string => folder.slice(3)
export const fileOf = (folder: string, file: string): string => join(LABS, folder, file)

/** Why this machine cannot do a lab, as `coffer lab` lists it. */
export function lackOf(folder: string): string | undefined {
  const lines = coffer('lab').stdout.split('\n')
  const at = lines.findIndex((line) => line.slice(4).startsWith(`${nameOf(folder)} `))
  return /^ +not here: (.*)/.exec(lines[at + 1] ?? '')?.[1]
}

/** The lines `# missing: …` of a wrong answer: what the checker has to say of it. */
export const expectedOf = (script: string): readonly string[] =>
  [...readFileSync(script, 'utf8').matchAll(/^# missing: (.*)$/gm)].map(([, text = '']) => text)

/** An empty shell, without another process. */
const NOTHING = 'echo ready; read -r _'

/** Answers what the checker says once the commands have come to `echo ready`; all that they made is gone then. */
export async function checkAfter(folder: string, script?: string): Promise<Outcome> {
  const name = nameOf(folder)
  const words = script === undefined ? ['sh', '-c', NOTHING] : ['bash', script]
  const shell = Bun.spawn([COFFER, 'lab', 'start', name, ...words], {
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'pipe',
    env: { ...process.env, PATH: `${DIST}:${process.env.PATH}` },
    cwd: '/',
  })
  const errors = new Response(shell.stderr).text()
  const said = await untilReady(shell.stdout)
  const checked = said === undefined ? coffer('lab', 'check', name) : undefined
  const { exitCode, stderr } = coffer('lab', 'reset', name)
  shell.kill('SIGKILL')
  await shell.exited
  if (checked === undefined) throw new Error(`${script} ended before it was ready: ${said}${await errors}`)
  if (exitCode !== 0) throw new Error(`reset ${name}: ${stderr}`)
  return checked
}

/** Undefined once the line came; what was printed if it never did. */
async function untilReady(stdout: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const decoder = new TextDecoder()
  let text = ''
  for await (const chunk of stdout) {
    text += decoder.decode(chunk, { stream: true })
    if (/^ready$/m.test(text)) return undefined
  }
  return text
}
