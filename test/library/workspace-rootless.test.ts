/** The workspace of a box for a user without privilege. */

import { afterAll } from 'bun:test'
import { chmodSync, chownSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/workspace.ts'

const ID = 4712
/** A user may write what is the user's own all the way down from what is at the root. */
const place = mkdtempSync('/home/coffer-workspace-')
const runtimeDirectory = mkdtempSync(join(tmpdir(), 'coffer-workspace-xdg-'))
for (const path of [place, runtimeDirectory]) {
  chmodSync(path, 0o700)
  chownSync(path, ID, ID)
}
afterAll(() => {
  for (const path of [place, runtimeDirectory]) rmSync(path, { recursive: true })
})

testInBothRuntimes({
  title: 'workspace without root',
  cases,
  path: join(import.meta.dir, 'cases', 'workspace.ts'),
  through: ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups'],
  env: { XDG_RUNTIME_DIR: runtimeDirectory, HOME: runtimeDirectory, COFFER_TEST_PLACE: place },
})
