/** The library for a user without privilege, and without a cgroup to divide. */

import { afterAll } from 'bun:test'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/rootless.ts'

const ID = 4711
const runtimeDirectory = mkdtempSync(join(tmpdir(), 'coffer-library-xdg-'))
chmodSync(runtimeDirectory, 0o700)
chownSync(runtimeDirectory, ID, ID)
afterAll(() => rmSync(runtimeDirectory, { recursive: true }))

testInBothRuntimes({
  title: 'without root',
  cases,
  path: join(import.meta.dir, 'cases', 'rootless.ts'),
  through: ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups'],
  env: { XDG_RUNTIME_DIR: runtimeDirectory, HOME: runtimeDirectory },
})
