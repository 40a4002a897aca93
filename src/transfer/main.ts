/** The door of commands that move images, on Node or Bun: src/cli/transfer.ts calls it. */

import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { describeError } from '../base/errors.ts'
import { openExecutor } from '../executor/persistent-node.ts'
import { readLayerIds } from '../image/layer-ids.ts'
import { readRegistrySettings } from '../image/registry-settings-node.ts'
import { prepareStore, type Store } from '../image/store-node.ts'
import { nodeFiles } from '../observe/files-node.ts'
import type { TransferCommand } from './command.ts'
import { commitCommand } from './commit.ts'
import { importCommand } from './import.ts'
import { loadCommand } from './load.ts'
import { loginCommand, logoutCommand } from './login.ts'
import { pullCommand } from './pull.ts'
import { pushCommand } from './push.ts'
import { saveCommand } from './save.ts'

/** docker's status for a failure of its own. */
const FAILURE = 1

const COMMANDS: ReadonlyMap<string, TransferCommand> = new Map([
  ['commit', commitCommand],
  ['import', importCommand],
  ['load', loadCommand],
  ['login', loginCommand],
  ['logout', logoutCommand],
  ['pull', pullCommand],
  ['push', pushCommand],
  ['save', saveCommand],
])

const UNPACKS: readonly string[] = ['import', 'load', 'pull']
const ONE_ID =
  'all files of the image will belong to you, and its programs run as one user: you have no range in /etc/subuid and /etc/subgid'

async function main(dataRoot: string, [command = '', ...words]: readonly string[]): Promise<number> {
  const run = COMMANDS.get(command)
  if (run === undefined) throw new Error(`there is no command ${command}`)
  // Before their first work: libuv makes four threads for all files and compression, however many processors there are.
  process.env.UV_THREADPOOL_SIZE ??= String(Math.max(4, availableParallelism()))
  await using executor = openExecutor(join(dirname(process.argv[1] ?? ''), 'coffer-executor'))
  const files = nodeFiles()
  const store: Store = {
    root: dataRoot,
    files,
    executor,
    architecture: process.arch === 'arm64' ? 'aarch64' : 'x86_64',
    ids: readLayerIds(files),
  }
  await prepareStore(store)
  if (store.ids?.isOne === true && UNPACKS.includes(command)) process.stderr.write(`warning: ${ONE_ID}\n`)
  await run(store, words, { settings: readRegistrySettings(store.files, process.env, store.ids === undefined) })
  return 0
}

/** What Node says of a file that cannot be read or written, in the words of docker. */
function wordsOf(error: unknown, command = ''): string {
  const known =
    error instanceof Error
      ? /^E\w+: (.+?), (\w+)(?: '(.+?)(?:\.coffer-\d+)?')?(?: -> '.*')?$/.exec(error.message)
      : null
  if (known === null) return describeError(error)
  const [, reason, call, path] = known
  return `cannot ${command}: ${call}${path === undefined ? '' : ` ${path}`}: ${reason}`
}

try {
  process.exitCode = await main(process.env.COFFER_DATA_ROOT ?? '/var/lib/coffer', process.argv.slice(2))
} catch (error) {
  process.stderr.write(`error: ${wordsOf(error, process.argv[2])}\n`)
  process.exitCode = FAILURE
}
