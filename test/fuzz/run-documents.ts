/**
 * Mutated documents through the program as it is shipped. Each ends by itself with a status, says what is wrong if it is not 0, and leaves
 * nothing.
 *
 * What a document could do to the machine is taken out first (`harmless`): a document may ask for anything that its author may do.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeSite, type Outcome, type Site } from '../kernel/site.ts'
import { DOCUMENTS, RUNNABLE } from './documents.ts'
import { mutateDocument } from './mutate.ts'
import { newRandom } from './random.ts'

export interface ContainersRun {
  readonly documents: number
  readonly ran: number
  readonly refused: number
  readonly faults: readonly string[]
}

type Tree = { [key: string]: unknown }

export function runDocuments(count: number, seed: number): ContainersRun {
  const random = newRandom(seed)
  const faults: string[] = []
  let ran = 0
  let refused = 0
  using site = makeSite()
  const source = join(site.directory, 'source')
  mkdirSync(source)
  for (let index = 0; index < count; index++) {
    const text = harmless(mutateDocument(random, random.of(RUNNABLE), DOCUMENTS, 2), site, source)
    writeFileSync(join(site.bundle, 'config.json'), text)
    const outcome = site.call(['run', '--bundle', site.bundle, site.id])
    if (outcome.exitCode === 0) ran++
    else refused++
    const wrong = [...faultsOf(outcome), ...site.leaks()]
    if (wrong.length === 0) continue
    faults.push(`${wrong.join('; ')}\n  ${index}: ${text.slice(0, 2000)}`)
    site.call(['delete', '--force', site.id])
  }
  return { documents: count, ran, refused, faults }
}

/** Status 0 is that of the program in the container, and anything else has a reason. */
function faultsOf({ exitCode, stderr }: Outcome): readonly string[] {
  if (exitCode === null) return ['it hung, or was killed']
  if (exitCode === 0) return []
  if (exitCode === 128 + 6 || exitCode === 128 + 11) return [`it crashed: ${exitCode}`]
  if (/bug in coffer|InternalError|TypeError|RangeError|SyntaxError: |ReferenceError/.test(stderr))
    return [stderr.slice(0, 500)]
  // A filter or a limit of the document may end its program without a word.
  return exitCode > 128 || stderr.includes('error: ')
    ? []
    : [`status ${exitCode} without an error: ${stderr.slice(0, 500)}`]
}

const FILE_SYSTEMS: ReadonlySet<unknown> = new Set(['proc', 'sysfs', 'tmpfs', 'devpts', 'mqueue', 'cgroup'])
const NAMESPACES = ['pid', 'mount', 'ipc', 'uts', 'network', 'cgroup']
const isTree = (value: unknown): value is Tree => typeof value === 'object' && value !== null && !Array.isArray(value)
const treesOf = (value: unknown): readonly Tree[] => (Array.isArray(value) ? value.filter(isTree) : [])

/** A text that is no document stays as it is. */
function harmless(text: string, { rootfs, cgroup }: Site, source: string): string {
  let document: unknown
  try {
    document = JSON.parse(text)
  } catch {
    return text
  }
  if (!isTree(document)) return text
  document.linux ??= {}
  const { linux } = document
  // What is no section is refused.
  if (!isTree(linux)) return text
  delete document.hooks
  for (const key of ['sysctl', 'netDevices', 'intelRdt', 'rootfsPropagation']) delete linux[key]
  linux.cgroupsPath = cgroup
  const own = treesOf(linux.namespaces).filter(({ type }) => !NAMESPACES.includes(String(type)))
  for (const namespace of own) delete namespace.path
  linux.namespaces = [...NAMESPACES.map((type) => ({ type })), ...own]
  if (isTree(document.root)) document.root.path = rootfs
  if (isTree(document.process) && Array.isArray(document.process.args)) document.process.args = ['true']
  if (Array.isArray(document.mounts)) document.mounts = document.mounts.map((mount) => harmlessMount(mount, source))
  return JSON.stringify(document)
}

/** Kernel file systems only, and of the host one directory; nothing is shared with it. */
function harmlessMount(mount: unknown, source: string): unknown {
  if (!isTree(mount)) return mount
  const options = (Array.isArray(mount.options) ? mount.options : []).filter((option) => !/shared/.test(String(option)))
  const bound = options.includes('bind') || options.includes('rbind')
  const type = bound || mount.type === 'bind' ? 'bind' : FILE_SYSTEMS.has(mount.type) ? mount.type : 'tmpfs'
  return { ...mount, type, options, source: type === 'bind' ? source : 'none' }
}
