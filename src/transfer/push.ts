/** push: an image to a registry. */

import { OperationError } from '../base/errors.ts'
import { parseFlags, usage } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { findImage } from '../image/layout.ts'
import { pushImage } from '../image/push-node.ts'
import { canonicalName, familiarName, familiarRepository, lacksTag, parseReference } from '../image/reference.ts'
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
  const reference = parseReference(text)
  if (reference.digest !== undefined) throw usage(COMMAND, 'a name with a digest cannot be pushed', 'give it a tag')
  const image = findImage(store.files, store.root, canonicalName(reference))
  if (image === undefined)
    throw new OperationError({
      kind: 'missing',
      operation: `push ${text}`,
      reason: `An image does not exist locally with the tag: ${familiarRepository(reference)}`,
      hint: `coffer images lists what there is; coffer tag IMAGE ${familiarName(reference)} gives it this name`,
    })
  const isQuiet = given.bool('quiet')
  const out = (line: string): boolean => isQuiet || process.stdout.write(`${line}\n`)
  if (lacksTag(text)) out(`Using default tag: ${reference.tag}`)
  out(`The push refers to repository [${reference.registry}/${reference.repository}]`)
  const progress = openProgress(process.stdout, isQuiet)
  const { digest, sizeBytes } = await pushImage(store, {
    image,
    reference,
    settings: trusting(settings, reference.registry, given.isSet('tls-verify') && !given.bool('tls-verify')),
    onLayer: (layer, kind) => progress.say(layer, WORDS[kind]),
  })
  progress.close()
  tellImage(store.root, 'push', familiarName(reference), familiarRepository(reference))
  out(`${reference.tag}: digest: ${digest} size: ${sizeBytes}`)
  if (isQuiet) process.stdout.write(`${canonicalName(reference)}\n`)
}
