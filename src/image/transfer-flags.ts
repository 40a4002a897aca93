/** The flags of the commands that move images: Node reads them, and the front tells of them and completes them. */

import type { Flag } from '../base/flags.ts'

export const TLS_VERIFY: Flag = {
  name: 'tls-verify',
  type: 'bool',
  help: 'check the certificate of the registry; with =false it may also do without TLS',
}

const PLATFORM: Flag = {
  name: 'platform',
  type: 'string',
  help: 'of which platform',
  refused: 'each image here is of one platform',
}

export const LOAD_FLAGS: readonly Flag[] = [
  PLATFORM,
  { name: 'input', short: 'i', type: 'string', value: 'FILE', help: 'read from this file, not from standard input' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'say nothing while it loads' },
]

export const IMPORT_FLAGS: readonly Flag[] = [
  { name: 'message', short: 'm', type: 'string', value: 'TEXT', help: 'what the history says of it' },
  { name: 'change', short: 'c', type: 'list', value: 'INSTRUCTION', help: 'of a Dockerfile, e.g. CMD ["sh"]' },
  { name: 'platform', type: 'string', value: 'OS/ARCHITECTURE', help: 'of which platform its programs are' },
]

export const PULL_FLAGS: readonly Flag[] = [
  { name: 'platform', type: 'string', value: 'OS/ARCHITECTURE', help: 'of which platform, if there are several' },
  { name: 'quiet', short: 'q', type: 'bool', help: 'print the name only' },
  { name: 'all-tags', short: 'a', type: 'bool', help: 'all tags that the repository has' },
  { name: 'disable-content-trust', type: 'bool', help: 'accepted; images are not signed by name here' },
  TLS_VERIFY,
]

export const LOGIN_FLAGS: readonly Flag[] = [
  { name: 'username', short: 'u', type: 'string', value: 'NAME', help: 'asked for if not given' },
  {
    name: 'password',
    short: 'p',
    type: 'string',
    value: 'SECRET',
    help: 'better not: others see the words of a command',
  },
  { name: 'password-stdin', type: 'bool', help: 'take it from standard input' },
  TLS_VERIFY,
]

export const PUSH_FLAGS: readonly Flag[] = [
  PLATFORM,
  { name: 'quiet', short: 'q', type: 'bool', help: 'print the name only' },
  { name: 'all-tags', short: 'a', type: 'bool', help: 'all tags of the repository that are here' },
  { name: 'disable-content-trust', type: 'bool', help: 'accepted; images are not signed by name here' },
  TLS_VERIFY,
]

export const SAVE_FLAGS: readonly Flag[] = [
  PLATFORM,
  { name: 'output', short: 'o', type: 'string', value: 'FILE', help: 'write to this file, not to standard output' },
]
