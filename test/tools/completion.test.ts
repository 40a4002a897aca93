/** Completion in the shells themselves, and help, which is made of the same records. */

import { expect, test } from 'bun:test'
import { dirname } from 'node:path'
import { COFFER, call, coffer, printed } from './call.ts'

const PATH = `${dirname(COFFER)}:${process.env.PATH ?? ''}`
const shell = (words: readonly string[]): string => printed(words, { env: { PATH, HOME: '/nonexistent' } })

/** What bash offers for the last of these words. It splits words at `=`, so that is a word here too. */
function inBash(...words: readonly string[]): readonly string[] {
  const script = `source <(coffer completion bash)
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_coffer
printf '%s\\n' "\${COMPREPLY[@]}"`
  return shell(['bash', '-c', script, 'bash', 'coffer', ...words])
    .trim()
    .split('\n')
    .sort()
}

/** What fish offers behind this line. */
const inFish = (line: string): readonly string[] =>
  shell(['fish', '--no-config', '-c', 'coffer completion fish | source; complete -C $argv', line])
    .trim()
    .split('\n')
    .map((entry) => entry.replace(/\t.*/, ''))
    .sort()

const RUN_MEMORY = ['--memory', '--memory-high', '--memory-reservation', '--memory-swap', '--memory-swappiness']

for (const name of ['bash', 'zsh', 'fish'])
  test(`${name} can read its script`, () => {
    const script = printed([COFFER, 'completion', name])
    expect(call([name, '-n'], { stdin: script, env: { PATH } })).toMatchObject({ exitCode: 0, stderr: '' })
  })

test('bash completes commands, those of groups, and those behind explain', () => {
  expect(inBash('un')).toEqual(['unpause', 'unshare'])
  expect(inBash('netns', 'e')).toEqual(['exec'])
  expect(inBash('explain', 'netns', 'ad')).toEqual(['add'])
  expect(inBash('help', 'cgroup', 'th')).toEqual(['thaw'])
  expect(inBash('volume', 'c')).toEqual(['create'])
  expect(inBash('container', 're')).toEqual(['rename', 'restart'])
})

test('bash completes flags of the very command, and no other', () => {
  expect(inBash('run', '--mem')).toEqual(RUN_MEMORY)
  expect(inBash('explain', '--format', 'text', 'unshare', '--map-r')).toEqual(['--map-root-user'])
  expect(inBash('ps', '--mem')).toEqual([''])
  expect(inBash('network', 'create', '--sub')).toEqual(['--subnet'])
})

test('bash completes values: of a choice, and paths, in a word of their own or behind =', () => {
  expect(inBash('run', '--network', 'ho')).toEqual(['host'])
  expect(inBash('run', '--network', '=', 'ho')).toEqual(['host'])
  expect(inBash('run', '--rootfs', '/et')).toEqual(['/etc'])
  expect(inBash('completion', 'f')).toEqual(['fish'])
})

test('behind a value stands an operand, and behind a program are its own words', () => {
  expect(inBash('run', '--name', 'web', '--rea')).toEqual(['--read-only'])
  expect(inBash('chroot', '/', 'sh', '/et')).toContain('/etc')
  expect(inBash('unshare', 'sh', '--map')).toEqual([''])
})

test('fish completes commands, those of groups, flags with their words, and values', () => {
  expect(inFish('coffer un')).toEqual(['unpause', 'unshare'])
  expect(inFish('coffer netns e')).toEqual(['exec'])
  expect(inFish('coffer network create --sub')).toEqual(['--subnet'])
  expect(inFish('coffer run --mem')).toEqual(RUN_MEMORY)
  expect(inFish('coffer explain unshare --map-r')).toEqual(['--map-root-user'])
  expect(inFish('coffer run --network ho')).toEqual(['host'])
})

test('zsh takes its script into its completion system', () => {
  const script = 'autoload -U compinit && compinit -u -D && source <(coffer completion zsh) && print $_comps[coffer]'
  expect(shell(['zsh', '-f', '-c', script])).toBe('_coffer\n')
})

test('each command has help, by help and by --help, and both say the same', () => {
  const names = printed([COFFER, 'help'])
    .split('\n')
    .flatMap((line) => /^ {2}([a-z-]+) /.exec(line)?.slice(1) ?? [])
  expect(names).toContain('why')
  for (const name of names) {
    const text = printed([COFFER, 'help', name])
    expect(text).toStartWith(`coffer ${name} - `)
    expect(printed([COFFER, name, '--help'])).toBe(text)
  }
})

test.each(['netns', 'cgroup', 'container', 'image', 'network', 'volume', 'system'])('so has each of %s', (group) => {
  const listed = printed([COFFER, 'help', group])
  const seconds = [...listed.matchAll(/^ {2}coffer \S+ (\S+)/gm)].map(([, second = '']) => second)
  expect(seconds.length).toBeGreaterThan(3)
  for (const second of seconds) {
    const text = printed([COFFER, 'help', group, second])
    expect(text).toMatch(/^usage: coffer /m)
    expect(printed([COFFER, group, second, '--help'])).toBe(text)
  }
})

test('a group lists its commands when it gets none', () => {
  expect(printed([COFFER, 'volume'])).toBe(printed([COFFER, 'volume', '--help']))
  expect(printed([COFFER, 'network', 'create', '--help'])).toContain('--subnet ADDRESS/PREFIX')
})

test('a --help of the program is not ours', () => {
  expect(coffer('run', '--name', 'x', 'no-such-image', 'sh', '--help').stderr).toContain('Unable to find image')
})

test('help of what there is not is refused, with what was meant', () => {
  expect(coffer('help', 'unsare').stderr).toContain('did you mean unshare?')
  expect(coffer('completion', 'tcsh').stderr).toContain('bash, zsh or fish')
})
