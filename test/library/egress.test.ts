/** The list of hosts that a box may reach, with the world outside in a network namespace of the test's own; as root and as a user. */

import { afterAll } from 'bun:test'
import { chmodSync, chownSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/egress.ts'
import { FOUR, NEAR, SIX } from './world.ts'

const ID = 4711
const directory = mkdtempSync(join(tmpdir(), 'coffer-library-egress-'))
const [resolvConf, runtimeDirectory] = [join(directory, 'resolv.conf'), mkdtempSync(join(directory, 'xdg-'))]
writeFileSync(resolvConf, 'nameserver 127.0.0.1\n')
chmodSync(directory, 0o755)
chownSync(runtimeDirectory, ID, ID)
afterAll(() => rmSync(directory, { recursive: true }))

const world = [
  'ip link set lo up',
  ...[`${FOUR}/32`, `${NEAR}/32`, `${SIX}/128`].map((address) => `ip address add ${address} dev lo`),
  // A user serves names and pages as well.
  'echo 0 >/proc/sys/net/ipv4/ip_unprivileged_port_start',
  `mount --bind ${resolvConf} /etc/resolv.conf`,
  'exec "$@"',
].join('\n')
const through = ['unshare', '--net', '--mount', 'sh', '-ec', world, 'sh']
const path = join(import.meta.dir, 'cases', 'egress.ts')

testInBothRuntimes({ title: 'egress', cases, path, through })
testInBothRuntimes({
  title: 'egress without root',
  cases,
  path,
  through: [...through, 'setpriv', '--reuid', `${ID}`, '--regid', `${ID}`, '--clear-groups'],
  env: { XDG_RUNTIME_DIR: runtimeDirectory, HOME: runtimeDirectory },
})
