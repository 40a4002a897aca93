/** pull: an image from a registry, or those of all tags of a repository. */

import { parseFlags, usage } from '../base/flags.ts'
import { tellImage } from '../image/events-node.ts'
import { parsePlatform } from '../image/platform.ts'
import { type LayerEvent, type Pull, type PullOne, pullImage, pullTags } from '../image/pull-node.ts'
import { canonicalName, familiarName, familiarRepository, lacksTag, parseReference } from '../image/reference.ts'
import type { RegistrySettings } from '../image/registry-settings-node.ts'
import type { Store } from '../image/store-node.ts'
import { PULL_FLAGS } from '../image/transfer-flags.ts'
import type { TransferCommand } from './command.ts'
import { openProgress, type Progress } from './progress.ts'

const COMMAND = 'coffer pull'

export const pullCommand: TransferCommand = async (store, words, { settings }) => {
  const given = parseFlags(words, PULL_FLAGS, COMMAND, { mixed: true })
  const [text, ...others] = given.rest
  if (text === undefined || others.length > 0) throw usage(COMMAND, 'it takes the name of one image')
  const hasAll = given.bool('all-tags')
  if (hasAll && !lacksTag(text)) throw usage(COMMAND, "tag can't be used with --all-tags/-a")
  const reference = parseReference(text)
  const platform = given.string('platform') || undefined
  const isQuiet = given.bool('quiet')
  const out = (line: string): boolean => isQuiet || process.stdout.write(`${line}\n`)
  if (lacksTag(text) && !hasAll) out(`Using default tag: ${reference.tag}`)
  const asked: Asked = {
    reference,
    platform: platform === undefined ? undefined : parsePlatform(platform),
    settings: trusting(settings, reference.registry, given.isSet('tls-verify') && !given.bool('tls-verify')),
  }
  const shown: Shown = { out, isQuiet, repository: reference.repository }
  const isNew = hasAll ? await pullAll(store, asked, shown) : await pullOne(store, asked, shown)
  const name = hasAll ? { ...reference, tag: undefined } : reference
  out(`Status: ${isNew ? 'Downloaded newer image for' : 'Image is up to date for'} ${familiarName(name)}`)
  tellImage(store.root, 'pull', familiarName(name), familiarRepository(name))
  process.stdout.write(`${canonicalName(name)}\n`)
}

type Asked = Omit<Pull, 'onLayer'>

interface Shown {
  readonly out: (line: string) => boolean
  readonly isQuiet: boolean
  readonly repository: string
}

/** Answers whether anything is new. */
const pullOne = (store: Store, asked: Asked, shown: Shown): Promise<boolean> =>
  show(shown, asked.reference.digest ?? asked.reference.tag ?? '', (onLayer) => pullImage(store, { ...asked, onLayer }))

async function pullAll(store: Store, asked: Asked, shown: Shown): Promise<boolean> {
  let isNew = false
  await pullTags(store, asked, async (tag, pull) => {
    isNew = (await show(shown, tag, pull)) || isNew
  })
  return isNew
}

async function show({ out, isQuiet, repository }: Shown, tag: string, pull: PullOne): Promise<boolean> {
  out(`${tag}: Pulling from ${repository}`)
  const progress = openProgress(process.stdout, isQuiet)
  const { digest, isNew } = await pull((event) => sayLayer(progress, event))
  progress.close()
  out(`Digest: ${digest}`)
  return isNew
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
