/** Something of the host that no container may change, and what of an image leads there. */

import { expect } from 'bun:test'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Site } from './site.ts'

export interface Canary {
  readonly path: string
  /** Everything about it that a container could change. */
  readonly state: () => string
}

/** A directory of the host with files of all kinds. */
export function canaryOf(site: Site): Canary {
  const path = join(site.directory, 'canary')
  mkdirSync(join(path, 'inner'), { recursive: true })
  writeFileSync(join(path, 'file'), 'of the host')
  writeFileSync(join(path, 'null'), 'of the host')
  symlinkSync('file', join(path, 'link'))
  Bun.spawnSync(['mkfifo', join(path, 'fifo')])
  return { path, state: () => describe(path) }
}

/** Names, kinds, modes, owners, times and contents. */
function describe(path: string): string {
  const { mode, uid, gid, nlink, mtimeMs, ctimeMs } = lstatSync(path)
  const own = `${path} ${mode} ${uid} ${gid} ${nlink} ${mtimeMs} ${ctimeMs}`
  const kind = lstatSync(path)
  if (kind.isSymbolicLink()) return `${own} -> ${readlinkSync(path)}`
  if (kind.isFile()) return `${own} ${readFileSync(path, 'utf8')}`
  if (!kind.isDirectory()) return own
  return [own, ...readdirSync(path).map((name) => describe(join(path, name)))].join('\n')
}

/** Links of an image that lead to a directory of the host for who follows them from there. */
export function traps(site: Site, canary: string): Readonly<Record<string, string>> {
  const up = '../'.repeat(20)
  symlinkSync(canary, join(site.rootfs, 'absolute'))
  symlinkSync(`${up}${canary.slice(1)}`, join(site.rootfs, 'relative'))
  mkdirSync(join(site.rootfs, 'deep', 'er'), { recursive: true })
  symlinkSync(`/${up}${canary.slice(1)}`, join(site.rootfs, 'deep', 'er', 'link'))
  symlinkSync('/absolute', join(site.rootfs, 'chained'))
  const found = { absolute: '/absolute', relative: '/relative', deep: '/deep/er/link' }
  for (const path of Object.values(found)) expect(realpathSync(join(site.rootfs, path))).toBe(canary)
  return { ...found, chained: '/chained' }
}
