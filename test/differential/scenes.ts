/**
 * The command lines of the differential test, as data: the `.txt` files beside this one.
 *
 *     == what is claimed
 *     docker run --rm box echo hello        a line for sh; docker is the one or the other
 *       says REGEX                          what both write to standard error has this; it is not compared beyond that
 *       shows REGEX                         what both print has this; it is not compared beyond that
 *       status                              what both print is not compared, their exit status is
 *       v1                                  only on a machine with cgroups of v1
 *       differs NAME: REGEX                 what coffer prints has this and is not docker's: docs/differences-from-docker.md has the reason
 *
 * A line that begins with a dollar sign and a blank only prepares: its status is 0, and what it prints is not compared.
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Line {
  readonly text: string
  readonly only: 'all' | 'status' | 'preparing'
  readonly needsV1?: true
  readonly says?: RegExp
  readonly shows?: RegExp
  readonly differs?: { readonly name: string; readonly words: RegExp }
}

export interface Scene {
  readonly claim: string
  readonly lines: readonly Line[]
}

export const readScenes = (): readonly Scene[] =>
  readdirSync(import.meta.dir)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .flatMap((name) => parseScenes(readFileSync(join(import.meta.dir, name), 'utf8'), name))

function parseScenes(text: string, file: string): readonly Scene[] {
  const scenes: { claim: string; lines: Line[] }[] = []
  for (const [index, row] of text.split('\n').entries()) {
    const place = `${file}:${index + 1}`
    if (row === '' || row.startsWith('#')) continue
    const lines = scenes[scenes.length - 1]?.lines
    if (row.startsWith('== ')) scenes.push({ claim: row.slice(3), lines: [] })
    else if (lines === undefined) throw new Error(`${place}: a claim has to come first`)
    else if (row.startsWith('  ')) lines.push(qualified(lines.pop(), row.trim(), place))
    else if (row.startsWith('$ ')) lines.push({ text: row.slice(2), only: 'preparing' })
    else lines.push({ text: row, only: 'all' })
  }
  return scenes
}

function qualified(line: Line | undefined, words: string, place: string): Line {
  if (line === undefined) throw new Error(`${place}: a command has to come first`)
  const [, key, rest = ''] = /^(\w+) ?(.*)$/.exec(words) ?? []
  switch (key) {
    case 'says':
      return { ...line, says: new RegExp(rest) }
    case 'shows':
      return { ...line, shows: new RegExp(rest) }
    case 'v1':
      return { ...line, needsV1: true }
    case 'status':
      return { ...line, only: 'status' }
    case 'differs': {
      const [, name = '', pattern = ''] = /^([\w-]+): (.+)$/.exec(rest) ?? []
      return { ...line, differs: { name, words: new RegExp(pattern) } }
    }
    default:
      throw new Error(`${place}: there is no ${key}`)
  }
}
