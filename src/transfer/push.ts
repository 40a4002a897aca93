/** push: an image to a registry, or all tags of a repository that are here. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { findImage, readEntries, type StoredImage } from '../image/layout.ts'
import { nameOf } from '../image/names.ts'
import { pushImage } from '../image/push-node.ts'
import {
  canonicalName,
  familiarName,
  familiarRepository,
  lacksTag,
  parseReference,
  type Reference,
} from '../image/reference.ts'
import type { Store } from '../image/store-node.ts'
import { PUSH_FLAGS } from '../image/transfer-flags.ts'
import type { TransferCommand } from './command.ts'
import { openProgress } from './progress.ts'
import { trusting } from './pull.ts'

const COMMAND = 'coffer push'
const WORDS = { preparing: 'Preparing', exists: 'Layer already exists', pushed: 'Pushed' } as const

export const pushCommand: TransferCommand = async (store, words, { settings }) => {
  const given = parseFlags(words, PUSH_FLAGS, COMMAND, { mixed: true })
  const [text, ...others] = given.rest
  if (text === undefined || others.length > 0) throw usage(COMMAND, 'it takes the name of one image')
  const hasAll = given.bool('all-tags')
  if (hasAll && !lacksTag(text)) throw usage(COMMAND, "tag can't be used with --all-tags/-a")
  const reference = parseReference(text)
  if (reference.digest !== undefined) throw usage(COMMAND, 'a name with a digest cannot be pushed', 'give it a tag')
  const isQuiet = given.bool('quiet')
  const out = (line: string): boolean => isQuiet || process.stdout.write(`${line}\n`)
  if (lacksTag(text) && !hasAll) out(`Using default tag: ${reference.tag}`)
  out(`The push refers to repository [${reference.registry}/${reference.repository}]`)
  const references = hasAll ? tagsHere(store, reference) : [reference]
  if (references.length === 0) throw missing(reference)
  const trusted = trusting(settings, reference.registry, given.isSet('tls-verify') && !given.bool('tls-verify'))
  for (const one of references) {
    const progress = openProgress(process.stdout, isQuiet)
    const { digest, sizeBytes } = await pushImage(store, {
      // Of two tags of one image the push of the first may have given it another manifest.
      image: imageOf(store, one),
      reference: one,
      settings: trusted,
      onLayer: (layer, kind) => progress.say(layer, WORDS[kind]),
    })
    progress.close()
    out(`${one.tag}: digest: ${digest} size: ${sizeBytes}`)
  }
  const name = hasAll ? { ...reference, tag: undefined } : reference
  tellImage(store.root, 'push', familiarName(name), familiarRepository(name))
  if (isQuiet) process.stdout.write(`${canonicalName(name)}\n`)
}

/** By the alphabet. */
function tagsHere({ files, root }: Store, { registry, repository }: Reference): readonly Reference[] {
  const names = readEntries(files, root).flatMap((entry) => nameOf(entry) ?? [])
  return [...new Set(names)]
    .sort()
    .map((name) => parseReference(name))
    .filter((one) => one.registry === registry && one.repository === repository && one.digest === undefined)
}

function imageOf({ files, root }: Store, reference: Reference): StoredImage {
  const image = findImage(files, root, canonicalName(reference))
  if (image === undefined) throw missing(reference)
  return image
}

const missing = (reference: Reference): OperationError =>
  new OperationError({
    kind: 'missing',
    operation: `push ${familiarName(reference)}`,
    reason: `An image does not exist locally with the tag: ${familiarRepository(reference)}`,
    hint: `coffer images lists what there is; coffer tag IMAGE ${familiarName(reference)} gives it this name`,
  })
