/** coffer doctor, as root and where the kernel is told to refuse users. */

import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const coffer = join(import.meta.dir, '..', '..', 'dist', 'coffer')

test('as root it finds all that a container needs, and what limits there are', () => {
  const { stdout, exitCode } = Bun.spawnSync([coffer, 'doctor', '--json'])
  const { isUsable, checks } = JSON.parse(stdout.toString())
  expect([exitCode, isUsable]).toEqual([0, true])
  expect(checks).toContainEqual({ name: 'privilege', state: 'good', detail: 'root of this machine' })
  expect(checks).toContainEqual({ name: 'overlayfs', state: 'good', detail: 'there' })
})

test('it names the setting that keeps users from namespaces, and what changes it', () => {
  const home = mkdtempSync(join(tmpdir(), 'coffer-doctor-'))
  const script = 'echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"'
  const { stdout, exitCode } = Bun.spawnSync(
    ['unshare', '--user', '--map-root-user', 'sh', '-c', script, 'sh', coffer, 'doctor'],
    {
      env: { PATH: process.env.PATH ?? '', HOME: home, XDG_RUNTIME_DIR: home },
    },
  )
  rmSync(home, { recursive: true })
  expect(exitCode).toBe(1)
  expect(stdout.toString()).toMatch(
    /^bad +namespaces +\/proc\/sys\/user\/max_user_namespaces is 0: .*\n +hint: sysctl user\.max_user_namespaces=15000$/m,
  )
})
