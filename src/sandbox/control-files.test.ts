import { expect, test } from 'bun:test'
import { isControlFile } from './control-files.ts'

const found = (kind: 'file' | 'directory' | 'symlink', ...paths: readonly string[]): readonly string[] =>
  paths.filter((path) => isControlFile({ path, kind }))

test('what shells, git, editors and services run by themselves is known by its place, at any depth (S288)', () => {
  const paths = [
    '/p/.git/hooks/pre-commit',
    '/p/.git/config',
    '/p/sub/.git/config',
    '/p/.git/modules/a/b/hooks/post-checkout',
    '/p/.git/worktrees/w/config.worktree',
    '/home/me/.bashrc',
    '/home/me/.ssh/authorized_keys',
    '/p/.vscode/tasks.json',
    '/etc/cron.d/job',
    '/etc/ld.so.preload',
  ]
  expect(found('file', ...paths)).toEqual(paths)
  expect(found('symlink', '/p/.git', '/p/.git/hooks', '/p/.vscode')).toEqual(['/p/.git', '/p/.git/hooks', '/p/.vscode'])
  expect(found('file', '/p/.git')).toEqual(['/p/.git'])
})

test('source files, and what git keeps of them, are none of these (S288)', () => {
  const others = [
    '/p/src/hooks/pre-commit',
    '/p/config',
    '/p/.git/index',
    '/p/.git/refs/heads/config',
    '/p/.git/objects/ab/cd',
    '/p/.github/workflows/ci.yml',
    '/p/.bashrc.md',
    '/p/etc/cron.d/job',
    '/p/.gitignore',
  ]
  expect(found('file', ...others)).toEqual([])
  expect(found('directory', '/p/.git', '/p/.git/modules')).toEqual([])
})
