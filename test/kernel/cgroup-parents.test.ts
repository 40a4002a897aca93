/** Directories between the mounted cgroup and that of a container: coffer takes back those that it made, and no other. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cgroupsOf, markerFile } from './leaks.ts'
import { expectNothingLeft, makeSite, PROGRAMS, type Site } from './site.ts'

afterEach(expectNothingLeft)

const up = (site: Site, id: string, path: string): void => {
  site.configure({ 'linux.cgroupsPath': `/${site.id}/${path}` })
  const { exitCode, stderr } = site.call(['run', '--detach', id])
  expect([exitCode, stderr]).toEqual([0, ''])
}
const remove = (site: Site, id: string): void => {
  expect(site.call(['delete', '--force', id]).exitCode).toBe(0)
}
const inFirst = (site: Site, path: string): string => join(markerFile(site.id), '..', path)

test('directories that were made on the way to a cgroup are removed with it', () => {
  using site = makeSite()
  site.configure({ 'linux.cgroupsPath': `/${site.id}/pods/one/web`, 'process.args': ['true'] })
  expect(site.call(['run', site.id]).exitCode).toBe(0)
  expect(site.leaks()).toEqual([])
  up(site, site.id, 'pods/one/web')
  expect(existsSync(inFirst(site, 'pods/one/web'))).toBe(true)
  remove(site, site.id)
  expect(site.leaks()).toEqual([])
})

test('a directory that others are below stays until the last of them is removed', () => {
  using site = makeSite()
  up(site, 'first', 'pods/one')
  up(site, 'second', 'pods/two')
  remove(site, 'first')
  expect([existsSync(inFirst(site, 'pods/one')), existsSync(inFirst(site, 'pods/two'))]).toEqual([false, true])
  remove(site, 'second')
  expect(site.leaks()).toEqual([])
})

test('a start that fails as the last one below a directory takes it away', () => {
  using site = makeSite()
  up(site, 'first', 'pods/one')
  // The one that made the directory goes while the other one is on its way.
  const program = join(site.directory, 'remove-first')
  writeFileSync(program, `#!/bin/sh\n${PROGRAMS.coffer} --root ${site.root()} delete --force first\nexit 1\n`, {
    mode: 0o755,
  })
  site.configure({ 'linux.cgroupsPath': `/${site.id}/pods/two`, hooks: { createRuntime: [{ path: program }] } })
  expect(site.call(['run', '--detach', 'second']).exitCode).toBe(1)
  expect(site.leaks()).toEqual([])
})

test('a directory that was there before stays', () => {
  using site = makeSite()
  const given = inFirst(site, 'given')
  mkdirSync(given, { recursive: true })
  up(site, 'first', 'given/own/web')
  remove(site, 'first')
  expect(existsSync(given)).toBe(true)
  expect(site.leaks()).toEqual([`cgroup ${given}`, `cgroup ${join(given, '..')}`])
  for (const path of cgroupsOf(site.id)) rmdirSync(path)
})

test('containers that come and go below one directory do not lose their way', async () => {
  using site = makeSite()
  site.configure({ 'process.args': ['true'], 'linux.cgroupsPath': undefined })
  const life = async (index: number): Promise<readonly (number | null)[]> => {
    const codes: (number | null)[] = []
    for (let round = 0; round < 8; round++) {
      const bundle = join(site.directory, `bundle-${index}`)
      const started = site.spawn(['run', '--bundle', bundle, `${site.id}-${index}`])
      codes.push(await started.exited)
    }
    return codes
  }
  const all = [0, 1, 2, 3]
  for (const index of all) {
    const bundle = join(site.directory, `bundle-${index}`)
    mkdirSync(bundle)
    site.configure({
      'process.args': ['true'],
      'root.path': site.rootfs,
      'linux.cgroupsPath': `/${site.id}/pods/${index}`,
    })
    await Bun.write(join(bundle, 'config.json'), Bun.file(join(site.bundle, 'config.json')))
  }
  const codes = await Promise.all(all.map(life))
  expect(codes.flat().filter((code) => code !== 0)).toEqual([])
  expect(site.leaks()).toEqual([])
})
