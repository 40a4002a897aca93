import { expect, test } from 'bun:test'
import { outline } from '../explain/outline.ts'
import { stepText } from '../explain/step-text.ts'
import type { Step } from './plan.ts'
import { ROOT } from './slots.ts'
import { planConsole, planConsoleSocket, planControllingTerminal } from './terminal.ts'

const calls = (steps: readonly Step[]): string =>
  outline({ operation: 'test', steps })
    .filter(({ number }) => number !== undefined)
    .map(
      ({ step, depth, role, isFirst }) => `${'  '.repeat(depth)}${isFirst && role ? `${role}: ` : ''}${stepText(step)}`,
    )
    .join('\n')

const host = { architecture: 'x86_64' } as const

test('the terminal of init is made, mounted and sent before the root changes', () => {
  const steps = planConsole({ root: ROOT, size: { height: 24, width: 80 }, uid: 1000 }, host)
  expect(calls(steps)).toBe(
    [
      'ptmx = openat2(root, "dev/pts/ptmx", O_PATH, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)',
      '  then: fstatfs(ptmx, &devpts-statfs) if devpts-statfs[0:4] == 0x1cd1 else ENOTTY',
      '  terminal-master = openat(host-proc, "self/fd/<ptmx>", O_RDWR|O_NOCTTY)',
      '  close(ptmx)',
      '  otherwise: terminal-master = openat("/dev/ptmx", O_RDWR|O_NOCTTY)',
      'ioctl(terminal-master, TIOCSPTLCK, "\\0\\0\\0\\0")',
      'terminal-slave = ioctl(terminal-master, TIOCGPTPEER, O_RDWR|O_NOCTTY)',
      'fchown(terminal-slave, 1000, -1)',
      'ioctl(terminal-slave, TIOCSWINSZ, {rows=24, columns=80})',
      'console-dev = openat2(root, "dev", O_PATH|O_DIRECTORY, RESOLVE_IN_ROOT|RESOLVE_NO_MAGICLINKS)',
      'console-target = openat2(console-dev, "console", O_PATH, RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS)',
      '  otherwise: console-target = openat2(console-dev, "console", O_RDONLY|O_CREAT|O_EXCL|O_NOCTTY, 0600, RESOLVE_BENEATH|RESOLVE_NO_SYMLINKS)',
      'console-tree = open_tree(terminal-slave, OPEN_TREE_CLONE)',
      'move_mount(console-tree, console-target)',
      'close(console-tree)',
      'close(console-target)',
      'close(console-dev)',
      'sendmsg(console-socket, {iov={base="/dev/ptmx"}, control={level=SOL_SOCKET, type=SCM_RIGHTS, data=terminal-master}}, MSG_NOSIGNAL)',
      'close(console-socket)',
      'close(terminal-master)',
    ].join('\n'),
  )
})

test('in a process of exec nothing is mounted, and no terminal of the host is taken instead', () => {
  const text = calls(planConsole({ uid: 0 }, host))
  expect(text).toContain('ptmx = openat2("/dev/pts/ptmx", O_PATH, RESOLVE_NO_MAGICLINKS)')
  expect(text).not.toContain('move_mount')
  expect(text).not.toContain('otherwise')
  expect(text).not.toContain('fchown')
})

test('a size of 0 by 0 is no wish', () => {
  expect(calls(planConsole({ uid: 0, size: { height: 0, width: 0 } }, host))).not.toContain('TIOCSWINSZ')
})

test('the terminal becomes the controlling one and the standard streams', () => {
  expect(calls(planControllingTerminal)).toBe(
    [
      'ioctl(terminal-slave, TIOCSCTTY)',
      'dup3(terminal-slave, 0)',
      'dup3(terminal-slave, 1)',
      'dup3(terminal-slave, 2)',
      'close(terminal-slave)',
    ].join('\n'),
  )
})

test('the master goes to a path or to a descriptor', () => {
  expect(planConsoleSocket('/run/console.sock').map(({ call }) => call.name)).toEqual(['socket', 'connect'])
  expect(calls(planConsoleSocket(7))).toBe('console-socket = fcntl(7, F_DUPFD_CLOEXEC, 0)')
  expect(planConsoleSocket(undefined)).toEqual([])
  expect(() => planConsoleSocket('/'.repeat(108))).toThrow('108 bytes, and the kernel takes 107')
})
