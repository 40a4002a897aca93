/** `coffer export`: all files of a container as a tar archive, without those of its volumes. */

import { type Flag, parseFlags, usage } from '../base/flags.ts'
import { idsOf, withContainerRoot } from '../engine/container-root.ts'
import type { EngineContainer } from '../engine/containers.ts'
import { tellContainer } from '../engine/events.ts'
import { ArchiveWriter } from '../engine/tree-archive.ts'
import { readTree } from '../engine/tree-read.ts'
import { close, open, remove, rename } from '../executor/embedded-files.ts'
import { ownPid } from '../executor/embedded-process.ts'
import { isTerminal } from '../executor/embedded-terminal.ts'
import { O_CREAT, O_EXCL, O_WRONLY } from '../linux/files.ts'
import { type Command, onlyContainer } from './command.ts'
import type { Session } from './open.ts'
import { absolute } from './values.ts'

const COMMAND = 'coffer export'
const STDOUT = 1

export const EXPORT: readonly Flag[] = [
  { name: 'output', short: 'o', type: 'string', value: 'FILE', help: 'write to this file, not to standard output' },
]

export const exportCommand: Command = (session, words) => {
  const given = parseFlags(words, EXPORT, COMMAND, { mixed: true })
  const output = given.string('output')
  const { native, cwd } = session
  if (output === undefined && isTerminal(native, STDOUT))
    throw usage(COMMAND, 'an archive is nothing for a terminal', 'give --output FILE, or redirect it')
  const found = onlyContainer(session, COMMAND, given)
  if (output === undefined) writeFiles(session, found, STDOUT)
  else writeWhole(session, absolute(output, cwd), (fd) => writeFiles(session, found, fd))
  return 0
}

/** Nobody finds half of it under the name. */
function writeWhole({ native }: Session, path: string, body: (fd: number) => void): void {
  const temporary = `${path}.coffer-${ownPid(native)}`
  const fd = open(native, temporary, O_WRONLY | O_CREAT | O_EXCL, 0o600)
  try {
    body(fd)
    rename(native, temporary, path)
  } catch (error) {
    remove(native, temporary)
    throw error
  } finally {
    close(native, fd)
  }
}

function writeFiles({ native, engine }: Session, found: EngineContainer, fd: number): void {
  const write = (root: number): void => {
    const archive = new ArchiveWriter(native, fd)
    const { toContainer } = idsOf(engine, found.record.intent)
    readTree(native, root, '.', {
      staysOnFileSystem: true,
      visit: ({ entry, content }) => {
        if (entry.path !== '') archive.add({ ...entry, ...toContainer(entry) }, content)
      },
    })
    archive.end()
  }
  withContainerRoot(engine, found, write, { hasVolumes: false })
  tellContainer(engine, found.record, 'export')
}
