/** Every flag of docker's that makes or changes a container is in a table here, and does something or says why it cannot. */

import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Flag } from '../../src/base/flags.ts'
import { CREATE_FLAGS, EXEC_FLAGS, RUN_FLAGS, UPDATE_FLAGS } from '../../src/cli/run-flags.ts'

interface DockerFlag {
  readonly command: string
  readonly name: string
  readonly short: string | undefined
  readonly type: string
}

const DOCKER: readonly DockerFlag[] = readFileSync(join(import.meta.dir, 'docker-flags.txt'), 'utf8')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [command = '', name = '', short = '', type = ''] = line.split(' ')
    return { command, name, short: short === '-' ? undefined : short, type }
  })

const TABLES: Readonly<Record<string, readonly Flag[]>> = {
  run: RUN_FLAGS,
  create: CREATE_FLAGS,
  exec: EXEC_FLAGS,
  update: UPDATE_FLAGS,
}

/** What a type of docker's may be here: a value is a value. */
function fits(theirs: string, { type }: Flag): boolean {
  if (theirs === 'bool') return type === 'bool'
  if (['list', 'map', 'mount', 'ulimit', 'network'].includes(theirs)) return type === 'list'
  return theirs === 'int' ? type === 'int' || type === 'string' : type === 'string' || type === 'int'
}

/** Where the value of a flag is read: the text of the files of the door. */
const READERS = [
  'run',
  'source',
  'namespaces',
  'mounts',
  'resources',
  'resources-beyond',
  'process',
  'life',
  'names',
  'values',
  'exec',
  'change',
  'network-flags',
]
const TEXT = READERS.map((name) => readFileSync(join(import.meta.dir, `../../src/cli/${name}.ts`), 'utf8')).join('\n')

describe.each(Object.keys(TABLES))('coffer %s', (command) => {
  const table = TABLES[command] ?? []
  // main.ts has --help for all.
  const theirs = DOCKER.filter((flag) => flag.command === command && flag.name !== 'help')

  test('has each flag of docker, with its letter and a value where docker takes one', () => {
    const differs = theirs.filter(({ name, short, type }) => {
      const own = table.find((flag) => flag.name === name)
      return own === undefined || own.short !== short || !fits(type, own)
    })
    expect(theirs.length).toBeGreaterThan(8)
    expect(differs).toEqual([])
  })

  test('reads the value of each flag that it does not refuse', () => {
    const ignored = table.filter(({ name, refused }) => refused === undefined && !TEXT.includes(`'${name}'`))
    expect(ignored.map(({ name }) => name)).toEqual([])
  })

  test('names no flag or letter twice, and gives each a help or a reason', () => {
    const names = table.flatMap(({ name, short }) => (short === undefined ? [name] : [name, short]))
    expect(names.length).toBe(new Set(names).size)
    expect(table.filter(({ help, refused }) => (help === '') === (refused === undefined))).toEqual([])
  })
})
