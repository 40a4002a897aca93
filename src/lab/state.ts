/** What is remembered of a lab that has been started: /run/coffer-lab/NAME/started. */

import { bug } from '../base/errors.ts'
import type { Files } from '../base/files.ts'
import type { Native } from '../base/native.ts'
import { makeDirectories, remove, removeDirectory, writeNewFile } from '../executor/embedded-files.ts'
import { type ProcessIdentity, readNamespaces, readProcessIdentity } from '../observe/process.ts'
import { readRules } from './rules.ts'

const STATE = '/run/coffer-lab'

export interface Started {
  /** In which the learner types. */
  readonly shell: ProcessIdentity
  /** Its namespaces at the start, which are the host's: `uts` → `uts:[4026531838]`. */
  readonly namespaces: Readonly<Record<string, string>>
  /** How many rules of nftables the host had then. */
  readonly rules: number
}

export const stateDirectory = (lab: string): string => `${STATE}/${lab}`

export function readStarted(files: Files, lab: string): Started | undefined {
  const text = files.readText(`${stateDirectory(lab)}/started`)
  return text === undefined ? undefined : (JSON.parse(text) as Started)
}

/** This process becomes the shell. */
export function writeStarted(native: Native, files: Files, lab: string): void {
  const pid = Number(files.readLink('/proc/self'))
  const shell = readProcessIdentity(files, pid)
  if (shell === undefined) throw bug('/proc has no process of the one that reads it')
  const namespaces: Record<string, string> = {}
  for (const [type, identity] of readNamespaces(files, pid)) namespaces[type] = identity
  const started: Started = { shell, namespaces, rules: readRules(native).length }
  makeDirectories(native, stateDirectory(lab), 0o755)
  writeNewFile(native, `${stateDirectory(lab)}/started`, `${JSON.stringify(started)}\n`, 0o644)
}

export function removeStarted(native: Native, files: Files, lab: string): void {
  remove(native, `${stateDirectory(lab)}/started`)
  removeDirectory(native, stateDirectory(lab))
  if (files.list(STATE)?.length === 0) removeDirectory(native, STATE)
}
