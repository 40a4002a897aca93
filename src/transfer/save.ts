/** save: images into an archive. */

import { rename, rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { writeChunks } from '../image/file-chunks-node.ts'
import { findImage, readImages } from '../image/layout.ts'
import { canonicalName, isDigest, lacksTag, parseReference } from '../image/reference.ts'
import { archiveOf, type Saved } from '../image/save-node.ts'
import type { Store } from '../image/store-node.ts'
import { SAVE_FLAGS } from '../image/transfer-flags.ts'
import type { TransferCommand } from './command.ts'

const COMMAND = 'coffer save'
export const saveCommand: TransferCommand = async (store, words) => {
  const given = parseFlags(words, SAVE_FLAGS, COMMAND, { mixed: true })
  if (given.rest.length === 0) throw usage(COMMAND, 'it takes one image or more')
  const output = given.string('output')
  if (output === undefined && process.stdout.isTTY)
    throw usage(COMMAND, 'an archive is nothing for a terminal', 'give --output FILE, or redirect it')
  const saved = savedImages(store, given.rest)
  const archive = archiveOf(store, saved)
  if (output === undefined) await pipeline(Readable.from(archive), process.stdout)
  else await writeWhole(archive, output)
  for (const { id } of saved.map(({ image }) => image)) tellImage(store.root, 'save', id, id)
}

/** Nobody finds half of it under the name. */
async function writeWhole(archive: AsyncIterable<Uint8Array>, path: string): Promise<void> {
  const temporary = `${path}.coffer-${process.pid}`
  try {
    await writeChunks(temporary, archive)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}

/** An image that is asked for by its id goes without names, as docker does it. */
function savedImages(store: Store, words: readonly string[]): readonly Saved[] {
  const byId = new Map<string, Saved>()
  const add = ({ image, names }: Saved): void => {
    byId.set(image.id, { image, names: [...new Set([...(byId.get(image.id)?.names ?? []), ...names])] })
  }
  for (const word of words) {
    const found = lacksTag(word) && !isDigest(word) ? repositoryOf(store, word) : []
    for (const one of found) add(one)
    if (found.length > 0) continue
    const image = findImage(store.files, store.root, word)
    if (image === undefined)
      throw new OperationError({
        kind: 'missing',
        operation: `save ${word}`,
        reason: `reference does not exist: ${word}`,
      })
    const names = isDigest(word) ? [] : image.names.filter((name) => name === canonicalName(parseReference(word)))
    add({ image, names })
  }
  return [...byId.values()]
}

/** All that has a name of the repository: `save busybox` takes each of its tags along, as docker does it. */
function repositoryOf({ files, root }: Store, word: string): readonly Saved[] {
  if (/^[0-9a-f]{64}$/.test(word)) return []
  const { registry, repository } = parseReference(word)
  return readImages(files, root).flatMap((image) => {
    const names = image.names.filter((name) => {
      const reference = parseReference(name)
      return reference.registry === registry && reference.repository === repository && reference.tag !== undefined
    })
    return names.length === 0 ? [] : [{ image, names }]
  })
}
