/** load: images from an archive. */

import { parseFlags } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { fileChunks } from '../image/file-chunks-node.ts'
import { findImage } from '../image/layout.ts'
import { loadArchive } from '../image/load-node.ts'
import type { Store } from '../image/store-node.ts'
import { LOAD_FLAGS } from '../image/transfer-flags.ts'

export async function loadCommand(store: Store, words: readonly string[]): Promise<void> {
  const given = parseFlags(words, LOAD_FLAGS, 'coffer load')
  const input = given.string('input')
  for (const name of await loadArchive(store, input === undefined ? process.stdin : fileChunks(input))) {
    tellImage(store.root, 'load', findImage(store.files, store.root, name)?.id ?? name, name)
    process.stdout.write(`Loaded image${name.startsWith('sha256:') ? ' ID' : ''}: ${name}\n`)
  }
}
