/** Boxes in networks of the engine, which is one of the test's own, in a network namespace of the test's own. */

import { afterAll } from 'bun:test'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testInBothRuntimes } from './both-runtimes.ts'
import { cases } from './cases/network.ts'

const project = join(import.meta.dir, '..', '..')
const directory = mkdtempSync(join(tmpdir(), 'coffer-library-network-'))
const resolvConf = join(directory, 'resolv.conf')
writeFileSync(resolvConf, 'nameserver 203.0.113.53\n')
afterAll(() => rmSync(directory, { recursive: true }))

// Somewhere outside: another network namespace, behind a pair of devices.
const world = [
  'ip link set lo up',
  'ip netns add outside',
  'ip link add way type veth peer name way netns outside',
  'ip address add 203.0.113.1/24 dev way',
  'ip link set way up',
  'ip -n outside address add 203.0.113.10/24 dev way',
  'ip -n outside link set way up',
  `mount --bind ${resolvConf} /etc/resolv.conf`,
  '"$@"',
].join('\n')

const placeOf = (runtime: string): string => join(directory, runtime)
for (const runtime of ['node', 'bun']) mkdirSync(placeOf(runtime))

testInBothRuntimes({
  title: 'networks of the engine',
  cases,
  path: join(import.meta.dir, 'cases', 'network.ts'),
  // What `ip netns` mounts is seen by nobody else.
  through: [
    'unshare',
    '--net',
    '--mount',
    'sh',
    '-ec',
    `mount -t tmpfs none /run/netns || { mkdir -p /run/netns; mount -t tmpfs none /run/netns; }\n${world}`,
    'sh',
  ],
  env: { COFFER_TEST_PROGRAM: join(project, 'dist', 'coffer') },
  envOf: (runtime) => ({
    COFFER_DATA_ROOT: join(placeOf(runtime), 'data'),
    COFFER_RUN_ROOT: join(placeOf(runtime), 'run'),
  }),
})
