/** What inspect tells of a command line as it was typed, and of the image where nothing was. Source: docker: cli/command/container/opts.go */

import type { TypedWords } from '../engine/record.ts'
import type { ImageProcess } from '../oci/image.ts'
import { streamsOf } from './life.ts'
import { mountPlacesOf } from './mounts.ts'
import { type Asked, absolute, pairsOf } from './values.ts'

export function typedWords(asked: Asked, image: ImageProcess | undefined): TypedWords {
  const { given, session } = asked
  const streams = streamsOf(asked)
  // Of `create` as well, which attaches to nothing itself.
  const isDetached = asked.command === 'coffer run' && given.bool('detach')
  const isAttached = given.isSet('attach')
  return {
    user: given.string('user') ?? image?.user ?? '',
    workdir: given.string('workdir') || (image?.workingDir ?? ''),
    stopSignal: given.string('stop-signal') || image?.stopSignal,
    stopSeconds: given.int('stop-timeout'),
    idFile: given.string('cidfile') ?? '',
    binds: given
      .list('volume')
      .filter((word) => word.includes(':'))
      .map((word) => (/^\.(?:\/|:)/.test(word) ? withPath(word, session.cwd) : word)),
    mountPlaces: mountPlacesOf(asked),
    volumesFrom: given.list('volumes-from'),
    groups: given.list('group-add'),
    links: given.list('link'),
    devices: given.list('device'),
    logOptions: pairsOf(asked, 'log-opt'),
    hardwareAddress: given.string('mac-address') || undefined,
    publishesAll: given.bool('publish-all'),
    attaches: {
      stdin: !isDetached && (given.bool('interactive') || (isAttached && streams.stdin)),
      stdout: !isDetached && streams.stdout,
      stderr: !isDetached && streams.stderr,
    },
    hasNoHealthcheck: given.bool('no-healthcheck'),
  }
}

function withPath(word: string, cwd: string): string {
  const colon = word.indexOf(':')
  return `${absolute(word.slice(0, colon), cwd)}${word.slice(colon)}`
}
