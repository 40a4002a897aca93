import { expect, test } from 'bun:test'
import { type Listed, rulesFor } from './landlock-rules.ts'
import type { Mount } from './options.ts'

const TREE: Readonly<Record<string, readonly string[]>> = {
  '/': ['bin@', 'etc/', 'home/', 'usr/', 'tmp/', 'run/', 'dev/', 'proc/', 'vmlinuz'],
  '/etc': ['passwd', 'shadow', 'ssl/', 'localtime@'],
  '/etc/ssl': ['certs/', 'private/'],
  '/home': ['user/', 'other/'],
  '/home/user': ['.ssh/', '.config/', 'work/', '.bashrc'],
  '/home/user/.config': ['gh/', 'editor/'],
}
const list = (directory: string): readonly Listed[] =>
  (TREE[directory] ?? []).map((entry) => ({
    name: entry.replace(/[/@]$/, ''),
    kind: entry.endsWith('/') ? 'directory' : entry.endsWith('@') ? 'other' : 'file',
  }))
const hidden = ['/etc/shadow', '/etc/ssl/private', '/home/user/.ssh', '/home/user/.config/gh', '/home/user/.aws']
const rules = (mounts: readonly Mount[] = []) => rulesFor({ hidden, list }, mounts, [])

test('directories in which a secret may be are listed, the others have one rule', () => {
  const paths = rules()
    .filter(({ path }) => !path.startsWith('/dev/'))
    .map(({ path, isDirectory }) => path + (isDirectory ? '/' : ''))
  expect(paths).toEqual([
    '/etc/passwd',
    '/etc/ssl/certs/',
    '/home/user/.config/editor/',
    '/home/user/work/',
    '/home/user/.bashrc',
    '/home/other/',
    '/usr/',
    '/proc/',
    '/vmlinuz',
  ])
})

test('nothing can be written but devices that keep nothing', () => {
  const written = rules().filter(({ access }) => access !== 'read')
  expect(written.map(({ path }) => path)).toEqual(['null', 'zero', 'full', 'random', 'urandom'].map((n) => `/dev/${n}`))
})

test('a mount that would show a secret, or something elsewhere, is refused by its place', () => {
  const refused = (mount: Mount) => () => rules([{ source: '/srv' }, mount])
  for (const source of [
    '/',
    '/home',
    '/home/user/',
    '/home/user/.ssh',
    '/home/user/.ssh/known_hosts',
    '/home/user/.config',
  ])
    expect(refused({ source })).toThrow(/mounts\[1\] would show/)
  expect(refused({ source: '/srv', target: '/data' })).toThrow('mounts[1].target is /data')
  expect(refused({ source: 'srv' })).toThrow('mounts[1] has the path "srv"')
  expect(refused({ source: '/home/user/work' })).not.toThrow()
})

test('more rules than the kernel shall be given are refused', () => {
  const many: readonly Listed[] = Array.from({ length: 9000 }, (_, index) => ({ name: `f${index}`, kind: 'file' }))
  expect(() => rulesFor({ hidden: ['/f0'], list: () => many }, [], [])).toThrow('more than 8192 rules')
})
