/** load: images from an archive. */

import { createReadStream } from 'node:fs'
import { type Flag, parseFlags } from '../base/flags.ts'
import { loadArchive } from '../image/load-node.ts'
import type { Store } from '../image/store-node.ts'

const FLAGS: readonly Flag[] = [
  { name: 'input', short: 'i', type: 'string', value: 'FILE', help: 'read from this file, not from standard input' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'say nothing while it loads' },
]

export async function loadCommand(store: Store, words: readonly string[]): Promise<void> {
  const given = parseFlags(words, FLAGS, 'coffer load')
  const input = given.string('input')
  for (const name of await loadArchive(store, input === undefined ? process.stdin : createReadStream(input)))
    process.stdout.write(`Loaded image${name.startsWith('sha256:') ? ' ID' : ''}: ${name}\n`)
}
