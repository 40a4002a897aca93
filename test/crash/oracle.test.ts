/** The oracle of the tests sees what it is there to see: without that, "nothing is left" would say nothing. */

import { expect, test } from 'bun:test'
import { mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { leaks, markerFile, type Owned, takeBaseline, until } from '../kernel/leaks.ts'
import { keysOf, ruleset } from '../kernel/machine.ts'

const word = `coffer-oracle-${process.pid}`

function run(...command: readonly string[]): void {
  const { exitCode, stderr } = Bun.spawnSync([...command])
  if (exitCode !== 0) throw new Error(`${command.join(' ')}: ${stderr}`)
}

/** What is seen while something is there, and what once it is gone. */
function seen(make: (owned: Owned) => (() => void) | undefined): readonly string[] {
  const directory = mkdtempSync(join(tmpdir(), `${word}-`))
  const owned = { word, directory, roots: [join(directory, 'root')] }
  const baseline = takeBaseline(owned)
  try {
    const remove = make(owned)
    const found = leaks(owned, baseline)
    remove?.()
    until('the end of it', () => leaks(owned, baseline).length === 0)
    return found.map((line) => line.replaceAll(directory, 'DIRECTORY').replaceAll(word, 'WORD'))
  } finally {
    rmSync(directory, { recursive: true })
  }
}

test('the oracle sees a mount, and one that is gone', () => {
  expect(
    seen(({ directory }) => {
      run('mount', '-t', 'tmpfs', 'tmpfs', directory)
      return () => run('umount', directory)
    }),
  ).toEqual([expect.stringMatching(/^mount .* DIRECTORY .*tmpfs/)])
  const directory = mkdtempSync(join(tmpdir(), `${word}-`))
  run('mount', '-t', 'tmpfs', 'tmpfs', directory)
  const owned = { word, directory, roots: [] }
  const baseline = takeBaseline(owned)
  run('umount', directory)
  expect(leaks(owned, baseline)).toEqual([expect.stringMatching(/^gone: mount /)])
  rmdirSync(directory)
})

test('the oracle leaves mounts of others alone who have a temporary directory of their own', () => {
  const [mine, theirs] = [word, 'theirs'].map((name) => mkdtempSync(join(tmpdir(), `${name}-`)))
  if (mine === undefined || theirs === undefined) throw new Error('no directories')
  run('mount', '-t', 'tmpfs', 'tmpfs', theirs)
  const owned = { word, directory: mine, roots: [] }
  const baseline = takeBaseline(owned)
  run('umount', theirs)
  expect(leaks(owned, baseline)).toEqual([])
  for (const directory of [mine, theirs]) rmdirSync(directory)
})

test('the oracle sees a cgroup, and a process in it', () => {
  const lines = seen(() => {
    const tasks = markerFile(word)
    mkdirSync(join(tasks, '..'))
    const child = Bun.spawn(['sh', '-c', `echo 0 >${tasks} && exec sleep 1000`])
    // It has no words yet while it becomes what it is.
    until('the process', () => leaksOf('process').some((line) => line.endsWith('sleep 1000 ')))
    return () => {
      child.kill('SIGKILL')
      until('its end', () => leaksOf('process').length === 0)
      rmdirSync(join(tasks, '..'))
    }
  })
  expect(lines).toEqual([
    expect.stringMatching(/^process \d+ sleep 1000 $/),
    expect.stringMatching(/^cgroup .*\/WORD$/),
  ])
})

function leaksOf(kind: string): readonly string[] {
  return leaks({ word, directory: '/nowhere', roots: [] }, { lines: [] }).filter((line) => line.startsWith(kind))
}

test('the oracle sees a zombie that a process of ours keeps', () => {
  const parent = Bun.spawn(['sh', '-c', 'true & exec sleep 1000'])
  until('the zombie', () => leaksOf('zombie').some((line) => line.endsWith(` of ${parent.pid}`)))
  parent.kill('SIGKILL')
  until('its end', () => leaksOf('zombie').length === 0)
})

test('the oracle sees a record, a socket and a loop device', () => {
  expect(
    seen(({ roots: [root = ''] }) => {
      mkdirSync(join(root, 'container'), { recursive: true })
      return () => rmSync(root, { recursive: true })
    }),
  ).toEqual(['state DIRECTORY/root/container'])
  expect(
    seen(({ directory }) => {
      const server = Bun.listen({ unix: join(directory, 'socket'), socket: { data: () => undefined } })
      return () => server.stop(true)
    }),
  ).toEqual(['socket DIRECTORY/socket'])
  expect(
    seen(({ directory }) => {
      const image = join(directory, 'image')
      writeFileSync(image, new Uint8Array(1 << 20))
      const device = Bun.spawnSync(['losetup', '--find', '--show', image]).stdout.toString().trim()
      return () => run('losetup', '--detach', device)
    }),
  ).toEqual([expect.stringMatching(/^loop device loop\d+ DIRECTORY\/image$/)])
})

test('the oracle sees a network device, an address and a rule of the firewall', () => {
  const script = `
    import { takeBaseline, leaks } from ${JSON.stringify(join(import.meta.dir, '../kernel/leaks.ts'))}
    import { ruleset } from ${JSON.stringify(join(import.meta.dir, '../kernel/machine.ts'))}
    const owned = { word: 'nobody', directory: '/nowhere', roots: [] }
    const baseline = takeBaseline(owned)
    const sh = (text) => Bun.spawnSync(['sh', '-ec', text])
    sh('ip link set lo up; ip link add one type veth peer name two; ip addr add 10.9.8.7/24 dev one; nft add table ip mine')
    console.log(JSON.stringify([leaks(owned, baseline).map((line) => line.split(' ').slice(0, 2).join(' ')), ruleset()]))`
  const { stdout, stderr } = Bun.spawnSync(['unshare', '--net', process.execPath, '--eval', script], {
    env: { ...process.env, COFFER_OWN_NETWORK: '1' },
  })
  expect(stderr.toString()).toBe('')
  const [lines, rules] = JSON.parse(stdout.toString()) as readonly [readonly string[], readonly string[]]
  expect(new Set(lines)).toEqual(new Set(['network device', 'address |--', `address ${'0'.repeat(31)}1`]))
  expect(rules).toEqual([expect.stringContaining('"mine"')])
  expect(ruleset().join()).not.toContain('"mine"')
})

test('the oracle sees a keyring', () => {
  const { stdout } = Bun.spawnSync([
    'python3',
    '-c',
    `
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.syscall(250, 1, b'_ses.${word}', 0, 0, 0) > 0
print(any('_ses.${word}' in line for line in open('/proc/keys')))`,
  ])
  expect(stdout.toString()).toBe('True\n')
  until('its end', () => keysOf({ word, directory: '/nowhere' }).length === 0)
})
