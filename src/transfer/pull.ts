/** pull: an image from a registry. */

import { parseFlags, usage } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { parsePlatform } from '../image/platform.ts'
import { type LayerEvent, pullImage } from '../image/pull-node.ts'
import { canonicalName, familiarName, familiarRepository, lacksTag, parseReference } from '../image/reference.ts'
import type { RegistrySettings } from '../image/registry-settings-node.ts'
import { PULL_FLAGS } from '../image/transfer-flags.ts'
import type { TransferCommand } from './command.ts'
import { openProgress, type Progress } from './progress.ts'

const COMMAND = 'coffer pull'

export const pullCommand: TransferCommand = async (store, words, { settings }) => {
  const given = parseFlags(words, PULL_FLAGS, COMMAND, { mixed: true })
  const [text, ...others] = given.rest
  if (text === undefined || others.length > 0) throw usage(COMMAND, 'it takes the name of one image')
  const reference = parseReference(text)
  const platform = given.string('platform') || undefined
  const isQuiet = given.bool('quiet')
  const out = (line: string): boolean => isQuiet || process.stdout.write(`${line}\n`)
  const tag = reference.digest ?? reference.tag
  if (lacksTag(text)) out(`Using default tag: ${tag}`)
  out(`${tag}: Pulling from ${reference.repository}`)
  const progress = openProgress(process.stdout, isQuiet)
  const pulled = await pullImage(store, {
    reference,
    platform: platform === undefined ? undefined : parsePlatform(platform),
    settings: trusting(settings, reference.registry, given.isSet('tls-verify') && !given.bool('tls-verify')),
    onLayer: (event) => sayLayer(progress, event),
  })
  progress.close()
  out(`Digest: ${pulled.digest}`)
  const what = pulled.isNew ? 'Downloaded newer image for' : 'Image is up to date for'
  out(`Status: ${what} ${familiarName(reference)}`)
  tellImage(store.root, 'pull', familiarName(reference), familiarRepository(reference))
  process.stdout.write(`${canonicalName(reference)}\n`)
}

/** What a flag says for one command. */
export const trusting = (settings: RegistrySettings, registry: string, isInsecure: boolean): RegistrySettings =>
  isInsecure ? { ...settings, insecure: new Set([...settings.insecure, registry]) } : settings

const WORDS = {
  waiting: 'Pulling fs layer',
  exists: 'Already exists',
  downloading: 'Downloading',
  downloaded: 'Download complete',
  done: 'Pull complete',
} as const

function sayLayer(progress: Progress, event: LayerEvent): void {
  const { digest, kind } = event
  if (kind === 'downloading') progress.sayBytes(digest, WORDS[kind], event.bytes, event.sizeBytes)
  else progress.say(digest, WORDS[kind])
}
