import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { explainScript } from '../../src/explain/script.ts'
import { strings } from '../../src/linux/call.ts'
import { execve } from '../../src/linux/process.ts'
import type { Step } from '../../src/plan/plan.ts'
import { COFFER, call, coffer, printed } from './call.ts'

const explain = (...words: readonly string[]): string => printed([COFFER, 'explain', ...words])

const DOORS: readonly (readonly string[])[] = [
  ['unshare', '-mn', 'true'],
  ['nsenter', '-t', '1', '-n', 'true'],
  ['chroot', '/', 'true'],
  ['pivot-root', '/tmp', '/tmp', 'true'],
  ['netns', 'add', 'coffer-never'],
  ['run', '--rootfs', '/', 'true'],
]

for (const words of DOORS)
  test(`${words.join(' ')} is explained in each format, and nothing is done`, () => {
    expect(explain(...words)).toContain('(2)')
    expect(explain('--format', 'tree', ...words)).toContain('└─')
    const plan: unknown = JSON.parse(explain('--json', ...words))
    expect(plan).toHaveProperty('operation')
    expect(call(['bash', '-n'], { stdin: explain('--format=script', ...words) })).toMatchObject({
      exitCode: 0,
      stderr: '',
    })
    expect(call(['ls', '/run/netns/coffer-never']).exitCode).not.toBe(0)
  })

test('the script of unshare does what unshare does', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-explain-'))
  const words = [
    'unshare',
    '-Urpfmu',
    '--mount-proc',
    'sh',
    '-c',
    'hostname there; hostname; echo $$; id -u; ls -d /proc/[0-9]*',
  ]
  const script = join(directory, 'script')
  writeFileSync(script, explain('--format', 'script', ...words))
  const byScript = call(['bash', script])
  expect(byScript.stderr).toBe('')
  expect(byScript.stdout).toBe(printed([COFFER, ...words]))
  rmSync(directory, { recursive: true })
})

test('the script of a program that is found at the second place of the path runs it', () => {
  const execute = (path: string): Step => ({
    call: execve(path, strings(['sh', '-c', 'echo "$GIVEN"']), strings(['GIVEN=it runs'])),
    why: 'run sh',
    see: [],
  })
  const steps: readonly Step[] = [{ ...execute('/none/sh'), tolerate: ['ENOENT'] }, execute('/bin/sh')]
  const script = explainScript({ operation: 'run sh', steps })
  expect(call(['bash', '-s'], { stdin: script })).toMatchObject({ exitCode: 0, stdout: 'it runs\n', stderr: '' })
})

test('--run runs it, and shows result and time of each step, those of the child and of execve as well', () => {
  const { stdout, exitCode } = coffer('explain', '--run', 'unshare', '-pf', 'sh', '-c', 'echo "$$"; exit 3')
  expect(exitCode).toBe(3)
  expect(stdout).toMatch(/^1\n/)
  expect(stdout).toMatch(/ +\d+\.\d +0 +unshare\(CLONE_NEWPID\)/)
  expect(stdout).toMatch(/ +\d+\.\d +0 +execve\(/)
  expect(stdout).toMatch(/\d+ calls from begin to end\n$/)
  expect(coffer('explain', '--run', '--format', 'svg', 'unshare', '-n', 'true').stdout).toStartWith('<svg')
})

test('--run shows the step that the kernel refused', () => {
  const { stdout, stderr, exitCode } = coffer('explain', '--run', 'chroot', '/none', 'true')
  expect(exitCode).toBe(125)
  expect(stderr).toContain('chroot(/none) = ENOENT')
  expect(stdout).toMatch(/-ENOENT +chroot\("\/none"\)/)
})

test('--diff shows the steps that two commands differ in, of whatever doors', () => {
  const { stdout, exitCode } = coffer('explain', '--diff', 'unshare -m true', "unshare -mn 'true'")
  expect(exitCode).toBe(1)
  expect(stdout).toContain('-unshare(CLONE_NEWNS)')
  expect(stdout).toContain('+unshare(CLONE_NEWNS|CLONE_NEWNET)')
  expect(coffer('explain', '--diff', 'unshare -m true', 'unshare --mount true')).toMatchObject({
    exitCode: 0,
    stdout: '',
  })
  expect(coffer('explain', '--diff', 'unshare -m sh', 'chroot / sh').stdout).toContain('+chroot("/")')
})

for (const [words, message] of [
  [['netns', 'list'], 'it changes nothing'],
  [['no-command'], 'no command that it knows'],
  [['--format', 'svg', 'unshare', 'true'], 'with --run text, json or svg'],
  [['--run', '--format', 'tree', 'unshare', 'true'], 'with --run text, json or svg'],
  [['--format', 'poem', 'unshare', 'true'], 'text, tree, json or script'],
  [['--diff', 'unshare -m true'], 'takes two commands'],
] as const)
  test(`explain ${words.join(' ')} is refused, and says why`, () => {
    expect(coffer('explain', ...words).stderr).toContain(message)
  })
