/** Platforms of images, as people write them. Source: oci:image-spec/image-index.md */

import { OperationError } from '../base/errors.ts'
import { own } from '../base/own.ts'
import type { Platform } from '../oci/image.ts'

/** Whether an image of one platform is what another one asks for. */
export const fitsPlatform = (platform: Platform, wanted: Platform): boolean =>
  platform.os === wanted.os &&
  platform.architecture === wanted.architecture &&
  (wanted.variant === undefined || wanted.variant === platform.variant)

/** `linux/arm64/v8`; the system may be left out as docker allows. Throws `invalid`. */
export function parsePlatform(text: string): Platform {
  const parts = text.split('/')
  const [os = '', architecture = '', variant] = parts.length === 1 ? ['linux', text] : parts
  if (parts.length <= 3 && parts.every((part) => /^[a-z0-9._-]+$/.test(part)))
    return {
      os,
      architecture: own(ARCHITECTURE_NAMES, architecture) ?? architecture,
      ...(variant === undefined ? {} : { variant }),
    }
  throw new OperationError({
    kind: 'invalid',
    operation: `read the platform ${JSON.stringify(text)}`,
    reason: 'it is no platform',
    hint: 'write it as linux/amd64 or linux/arm64/v8',
  })
}

/** What uname says, in Go's words. */
const ARCHITECTURE_NAMES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64' }

export const platformText = ({ os, architecture, variant }: Platform): string =>
  [os, architecture, ...(variant === undefined ? [] : [variant])].join('/')
