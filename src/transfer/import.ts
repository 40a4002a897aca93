/** import: an image of one layer, from the archive of a root file system. */

import { parseFlags, usage } from '../base/flags.ts'
import { applyChanges } from '../image/change.ts'
import { tellImage } from '../image/events-node.ts'
import { fileChunks } from '../image/file-chunks-node.ts'
import { importArchive } from '../image/import-node.ts'
import { findImage } from '../image/layout.ts'
import { parsePlatform } from '../image/platform.ts'
import { canonicalName, parseReference } from '../image/reference.ts'
import type { Store } from '../image/store-node.ts'
import { IMPORT_FLAGS } from '../image/transfer-flags.ts'

const COMMAND = 'coffer import'

export async function importCommand(store: Store, words: readonly string[]): Promise<void> {
  const given = parseFlags(words, IMPORT_FLAGS, COMMAND, { mixed: true })
  const [file, text, ...others] = given.rest
  if (file === undefined || others.length > 0)
    throw usage(COMMAND, 'it takes a file or -, and a name', 'coffer import root.tar name:tag')
  const name = text === undefined ? undefined : canonicalName(parseReference(text))
  const comment = given.string('message') ?? `Imported from ${file}`
  const source = file === '-' ? process.stdin : fileChunks(file)
  const platform = given.string('platform')
  const [made = ''] = await importArchive(store, source, {
    name,
    comment,
    process: applyChanges({}, given.list('change')),
    ...(platform === undefined ? {} : { platform: parsePlatform(platform) }),
  })
  const id = findImage(store.files, store.root, made)?.id ?? made
  tellImage(store.root, 'import', id, made)
  process.stdout.write(`${id}\n`)
}
