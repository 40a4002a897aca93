/** Our documents beside those that the installed runc writes. */

import { afterAll, expect, test } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { mountOptionWords } from '../src/oci/mount-options.ts'
import { defaultSpec } from '../src/oci/spec.ts'

const directory = mkdtempSync(join(tmpdir(), 'coffer-documents-'))
afterAll(() => rmSync(directory, { recursive: true }))

function runc(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['runc', ...args])
  if (exitCode !== 0) throw new Error(stderr.toString())
  return stdout.toString()
}

function runcSpec(...flags: string[]): object {
  const path = join(directory, 'config.json')
  rmSync(path, { force: true })
  runc('spec', '--bundle', directory, ...flags)
  return { ...JSON.parse(readFileSync(path, 'utf8')), ociVersion: '1.3.0', hostname: 'coffer' }
}

const hasCgroupV2Only = readFileSync('/proc/self/cgroup', 'utf8').trim().startsWith('0::')
const caller = { hostUid: process.geteuid?.() ?? 0, hostGid: process.getegid?.() ?? 0, hasCgroupV2Only }

test('the default document is that of runc, but for the version and the host name', () => {
  expect(defaultSpec({ ...caller, rootless: false }) as object).toEqual(runcSpec())
})

test('the default rootless document is that of runc, but for the version and the host name', () => {
  expect(defaultSpec({ ...caller, rootless: true }) as object).toEqual(runcSpec('--rootless'))
})

test('the keys of the default document stand in the order of runc', () => {
  const ours = JSON.stringify(defaultSpec({ ...caller, rootless: false }))
  expect(ours).toBe(JSON.stringify(runcSpec()))
})

test('every mount option that runc knows is known', () => {
  // runc 1.1 took acl and noacl for flags by mistake; they belong to the file system (opencontainers/runc issue 3738).
  const words = (JSON.parse(runc('features')) as { readonly mountOptions: readonly string[] }).mountOptions
  expect(words.filter((word) => !mountOptionWords().includes(word) && !word.endsWith('acl'))).toEqual([])
})
