import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { COFFER, call, coffer, printed } from './call.ts'
import { startTarget } from './target.ts'

const lsns = (...words: readonly string[]): string => printed([COFFER, 'lsns', ...words])

/** That of util-linux ends with status 1, and says nothing, if a process ends while it looks at it. */
function peer(...words: readonly string[]): string {
  for (;;) {
    const { exitCode, stdout, stderr } = call(['lsns', ...words])
    if (exitCode === 0) return stdout
    if (exitCode !== 1 || stderr !== '') throw new Error(`lsns ${words.join(' ')} ended with ${exitCode}: ${stderr}`)
  }
}

const ALL = ['--mount', '--uts', '--ipc', '--net', '--pid', '--fork', '--cgroup', '--time', '--mount-proc']
const inode = (pid: number | string, type: string): string =>
  /\d+/.exec(printed(['readlink', `/proc/${pid}/ns/${type}`]))?.[0] ?? ''

test('the namespaces of a process are those that lsns(8) lists, with their types', async () => {
  await using target = await startTarget(ALL)
  const words = ['-n', '-r', '-p', String(target.pid), '-o', 'NS,TYPE,NPROCS,PID,PPID,UID,USER']
  const sorted = (text: string): readonly string[] => text.trim().split('\n').sort()
  // Others come and go in the namespaces that the target shares: the one for users is the only one.
  const own = (lines: readonly string[]): readonly string[] => lines.filter((line) => !line.includes(' user '))
  const ours = sorted(lsns(...words))
  expect(ours).toHaveLength(8)
  expect(own(ours)).toEqual(own(sorted(peer(...words))))
})

test('JSON has the keys of lsns --json', async () => {
  await using target = await startTarget(ALL)
  const words = ['-J', '-t', 'uts', '-p', String(target.pid), '-o', 'NS,TYPE,NPROCS,PID,USER,COMMAND']
  expect(JSON.parse(lsns(...words))).toEqual(JSON.parse(peer(...words)))
})

test('the owner and the parent are those that lsns(8) finds', async () => {
  await using target = await startTarget(['-Urpfn', '--mount-proc'])
  for (const type of ['user', 'net', 'pid']) {
    const words = ['-n', '-r', '-t', type, '-p', String(target.pid), '-o', 'NS,PNS,ONS']
    expect(lsns(...words).trim()).toBe(
      peer(...words)
        .trim()
        .replace(/ 0 /, '  '),
    )
  }
  const tree = lsns('--tree=owner', '-t', 'user,net')
  expect(tree).toMatch(new RegExp(`└─${inode(target.pid, 'net')} net|├─${inode(target.pid, 'net')} net`))
  expect(lsns('-T', 'owner', '-t', 'user')).toContain(inode(target.pid, 'user'))
})

test('a namespace that a file keeps is listed without a process, with its file', () => {
  const name = `coffer-tools-${process.pid}-kept`
  printed([COFFER, 'netns', 'add', name])
  try {
    const row = lsns('-t', 'net', '-o', 'NPROCS,PID,NSFS')
      .split('\n')
      .find((line) => line.includes(name))
    expect(row?.trim()).toStartWith('0')
  } finally {
    printed([COFFER, 'netns', 'delete', name])
  }
})

test('the number of a namespace lists its processes', async () => {
  await using target = await startTarget(ALL)
  const lines = lsns(inode(target.pid, 'uts')).trim().split('\n')
  expect(lines[0]).toMatch(/^ *PID +PPID +USER +COMMAND$/)
  expect(lines.slice(1).map((line) => line.trim().split(/\s+/)[0])).toContain(String(target.pid))
})

test('--shares has equal letters for one namespace', async () => {
  await using target = await startTarget(['-n', '-u'])
  const [head = '', own = '', other = ''] = lsns('--shares', String(process.pid), String(target.pid))
    .trimEnd()
    .split('\n')
  const types = head.trim().split(/\s+/)
  const [, ...a] = own.trim().split(/\s+/)
  const [, ...b] = other.trim().split(/\s+/)
  expect(types.filter((_, index) => a[index] !== b[index]).sort()).toEqual(['net', 'uts'])
})

test('containers of coffer are named, with all of their processes', async () => {
  const name = `coffer-tools-${process.pid}`
  const child = Bun.spawn(
    [
      COFFER,
      'run',
      '-i',
      '--rm',
      '--network',
      'none',
      '--name',
      name,
      'host',
      'sh',
      '-c',
      'sleep 1000 & echo up; read end',
    ],
    {
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    },
  )
  await child.stdout.getReader().read()
  const row = lsns('-t', 'uts', '-o', 'NPROCS,CONTAINER')
    .split('\n')
    .find((line) => line.includes(name))
  expect(row?.trim()).toBe(`2 coffer:${name}`)
  expect(lsns('--shares', `coffer:${name}`)).toContain(`coffer:${name}`)
  child.stdin.end()
  await child.exited
})

test('a user sees the own processes', () => {
  const { exitCode, stdout } = call(['setpriv', '--reuid=65534', '--clear-groups', COFFER, 'lsns', '-t', 'net'])
  expect(exitCode).toBe(0)
  expect(stdout).toContain('net')
})

test('a user sees that a file keeps a namespace that the user cannot reach, and not its number', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-tools-'))
  const file = join(directory, 'kept')
  writeFileSync(file, '')
  printed(['unshare', `--net=${file}`, 'true'])
  try {
    const columns = ['-n', '-t', 'net', '-o', 'NETNSID,NSFS']
    const row = (words: readonly string[]): string | undefined =>
      printed([...words, COFFER, 'lsns', ...columns])
        .split('\n')
        .find((line) => line.includes(file))
        ?.trim()
    expect(row(['env'])).toMatch(/^unassigned /)
    expect(row(['setpriv', '--reuid=65534', '--clear-groups'])).toBe(file)
  } finally {
    printed(['umount', file])
    rmSync(directory, { recursive: true })
  }
})

for (const [words, message] of [
  [['-t', 'disk'], 'use mnt, net'],
  [['-o', 'NS,SIZE'], 'use NS, TYPE'],
  [['-p', '999999999'], 'no such process'],
  [['1'], 'no namespace in sight'],
  [['--tree=up'], 'parent, owner, process'],
  [['--shares', 'nobody'], 'neither a process nor a container'],
] as const)
  test(`lsns ${words.join(' ')} is refused, and says why`, () => {
    const { exitCode, stderr } = coffer('lsns', ...words)
    expect(exitCode).toBe(1)
    expect(stderr).toContain(message)
  })
