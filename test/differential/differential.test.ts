/**
 * The same command lines with docker of Debian and with coffer: what they print, how they end, and through later lines what they have done.
 *
 * Where coffer differs on purpose the line says so, and docs/differences-from-docker.md why.
 */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { HAS_V2_ONLY } from '../clients/lab.ts'
import { type Line, readScenes } from './scenes.ts'
import { normalized, type Said, type Side, startCofferSide, startDockerSide } from './sides.ts'

let docker: Side
let coffer: Side

beforeAll(async () => {
  ;[docker, coffer] = await Promise.all([startDockerSide(), startCofferSide()])
})

afterAll(async () => {
  expect([await docker.lab.end(), await coffer.lab.end()]).toEqual([[], []])
})

const scenes = readScenes()

test.each(scenes)('$claim', async ({ lines }) => {
  const unlike: string[] = []
  for (const line of lines) {
    if (line.needsV1 === true && HAS_V2_ONLY) continue
    const [theirs, ours] = await Promise.all(
      [docker, coffer].map(async (side) => seen(line, await side.call(line.text), side)),
    )
    if (isAsExpected(line, theirs ?? '', ours ?? '')) continue
    unlike.push(`${line.text}\n--- docker\n${theirs}--- coffer\n${ours}`)
  }
  expect(unlike.join('\n')).toBe('')
})

/** What is compared of it. A pattern stands for what it was found in. */
function seen({ only, says, shows }: Line, { status, stdout, stderr }: Said, side: Side): string {
  if (only === 'preparing') return status === 0 ? '' : `status ${status}: ${stderr}\n`
  const part = (text: string, pattern: RegExp | undefined): string =>
    pattern?.test(text) ? `(has ${pattern.source})\n` : text
  const [out, err] = [part(normalized(stdout, side), shows), part(normalized(stderr, side), says)]
  return `${only === 'status' ? '' : `${out}${err}`}status ${status}\n`
}

function isAsExpected({ says, shows, differs }: Line, theirs: string, ours: string): boolean {
  if (differs !== undefined) return ours !== theirs && differs.words.test(ours)
  const has = [says, shows].every((pattern) => pattern === undefined || ours.includes(`(has ${pattern.source})`))
  return has && ours === theirs
}

test('every difference has its reason in the documents, and every reason its line', () => {
  const page = readFileSync(join(import.meta.dir, '..', '..', 'docs', 'differences-from-docker.md'), 'utf8')
  const reasons = [...page.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name = '']) => name)
  const names = scenes.flatMap(({ lines }) =>
    lines.flatMap(({ differs }) => (differs === undefined ? [] : [differs.name])),
  )
  expect([...new Set(names)].toSorted()).toEqual(reasons.toSorted())
})

test('the lines are two hundred at least', () => {
  const texts = scenes.flatMap(({ lines }) => lines.map(({ text }) => text))
  expect(texts.join('\n').match(/\bdocker\b/g)?.length).toBeGreaterThanOrEqual(200)
})
