/**
 * The last rung. The caller is in a user namespace in which no other one can be made: user.max_user_namespaces is a setting of each, so that of
 * the machine stays as it is.
 */

import { afterAll, expect, test } from 'bun:test'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { binOf, testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/landlock.ts'

const ID = 4714
/** Not below /tmp, which is hidden. */
const place = mkdtempSync('/home/coffer-landlock-')
const home = join(place, 'home')
const runtime = join(place, 'run')
for (const path of [home, runtime, join(home, '.ssh')]) mkdirSync(path)
writeFileSync(join(home, '.ssh', 'id_rsa'), 'a secret\n')
for (const path of [place, home, runtime, join(home, '.ssh'), join(home, '.ssh', 'id_rsa')]) {
  chmodSync(path, 0o700)
  chownSync(path, ID, ID)
}
afterAll(() => rmSync(place, { recursive: true }))

const none = 'echo 0 >/proc/sys/user/max_user_namespaces && exec setpriv --inh-caps=-all --ambient-caps=-all "$@"'
const through = [
  ...['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups'],
  ...['unshare', '--user', '--keep-caps', '--map-user=1000', '--map-group=1000'],
  ...['sh', '-c', none, 'sh'],
]

testInBothRuntimes({
  title: 'Landlock',
  cases,
  path: join(import.meta.dir, 'cases', 'landlock.ts'),
  through,
  env: { XDG_RUNTIME_DIR: runtime, HOME: home },
})

test('where namespaces can be made, what is accepted has no effect', () => {
  const index = JSON.stringify(join(import.meta.dir, '..', '..', 'src', 'index.ts'))
  const source = `import { run } from ${index}
    const { enforced } = await run(['true'], { root: 'host', cwd: '/', accept: 'landlock' })
    console.log(enforced.includes('namespaces'), enforced.includes('landlock'))`
  const before = readFileSync('/proc/sys/user/max_user_namespaces', 'utf8')
  for (const user of [[], ['setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups']]) {
    const { stdout } = Bun.spawnSync([...user, binOf('bun'), '-e', source], {
      stderr: 'inherit',
      env: { ...process.env, XDG_RUNTIME_DIR: runtime, HOME: home },
    })
    expect(stdout.toString()).toBe('true false\n')
  }
  expect(before).not.toBe('0\n')
})
