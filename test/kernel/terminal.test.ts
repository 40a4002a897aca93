/** Terminals of containers: their own, handed over a socket or relayed to that of the caller. */

import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readFileSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { bind } from './bundle.ts'
import { inTerminal, ptyProgram } from './in-terminal.ts'
import { until } from './leaks.ts'
import { installInside } from './programs.ts'
import { receive } from './receive.ts'
import { expectNothingLeft, fileOf, makeSite, type Runtime } from './site.ts'

afterEach(expectNothingLeft)

const terminal = { 'process.terminal': true, 'process.env': ['PATH=/bin', 'TERM=xterm'] }

test('the master goes to the console socket, and the program has a terminal with the size that is asked for', async () => {
  using site = makeSite()
  installInside(site)
  for (const command of [['run'], ['run', '--detach']]) {
    site.configure({
      ...terminal,
      'process.consoleSize': { height: 33, width: 99 },
      'process.args': ['sh', '-c', 'inside tty; tty; ls -l /dev/console'],
    })
    using agent = receive(site, 'terminal')
    const { exitCode, stderr } = site.call([...command, '--console-socket', agent.socket, site.id])
    expect([exitCode, stderr]).toEqual([0, ''])
    expect(await agent.exited).toBe(0)
    const [first, name, console] = agent.output().split('\r\n')
    expect(first).toMatch(
      /^session 1, controlling terminal, 0 is 136:0 of user 0, 1 is 136:0 of user 0, 2 is 136:0 of user 0, 99 by 33$/,
    )
    expect(name).toMatch(/^\/dev\/(pts\/0|console)$/)
    expect(console).toMatch(/^crw.* 136, +0 /)
    site.call(['delete', '--force', site.id])
  }
})

test('what is typed arrives, and the keys of the terminal interrupt', async () => {
  using site = makeSite()
  site.configure({
    ...terminal,
    'process.args': [
      'sh',
      '-c',
      'trap "echo interrupted; exit 5" INT; echo who?; read line; echo "got $line, more?"; while :; do sleep 0.01; done',
    ],
  })
  using agent = receive(site, 'terminal', 'typed\n', '\x03')
  expect(site.call(['run', '--console-socket', agent.socket, site.id]).exitCode).toBe(5)
  await agent.exited
  expect(agent.output()).toContain('got typed')
  expect(agent.output()).toContain('interrupted')
})

test('the terminal of a user belongs to it', async () => {
  using site = makeSite()
  installInside(site)
  site.configure({
    ...terminal,
    'process.rlimits': [],
    'process.user': { uid: 1000, gid: 1000 },
    'process.args': ['inside', 'tty'],
  })
  using agent = receive(site, 'terminal')
  expect(site.call(['run', '--console-socket', agent.socket, site.id]).exitCode).toBe(0)
  await agent.exited
  expect(agent.output()).toContain('0 is 136:0 of user 1000')
})

for (const runtime of ['coffer', 'runc'] as const) {
  test(`in the foreground ${runtime} relays the terminal of the caller, with its size`, () => {
    using site = makeSite()
    installInside(site)
    // That of runc comes a moment after the program has begun.
    const awaits = runtime === 'runc' ? 'until [ "$(stty size 2>/dev/null)" = "24 80" ]; do :; done; ' : ''
    site.configure({ ...terminal, 'process.args': ['sh', '-c', `${awaits}inside tty; exit 6`] })
    const { exitCode, stdout } = inTerminal(site, ['run', site.id], { runtime })
    expect([exitCode, stdout]).toEqual([
      6,
      'session 1, controlling terminal, 0 is 136:0 of user 0, 1 is 136:0 of user 0, 2 is 136:0 of user 0, 80 by 24\r\n',
    ])
    site.configure()
    site.call(['run', '--detach', site.id], { runtime })
    const exec = inTerminal(site, ['exec', '--tty', site.id, 'sh', '-c', `${awaits}inside tty; exit 7`], { runtime })
    expect([exec.exitCode, exec.stdout]).toEqual([
      7,
      expect.stringMatching(/^session \d+, controlling terminal, .*80 by 24\r\n$/),
    ])
  })
}

test('the settings of the terminal are those of runc, inside and for what is printed', () => {
  using site = makeSite()
  const seen = (runtime: Runtime): string => {
    site.configure({ ...terminal, 'process.args': ['sh', '-c', 'stty -a; printf "a\\nb\\n"'] })
    const { stdout } = inTerminal(site, ['run', site.id], { runtime })
    // Its size comes a moment after the program has begun.
    return stdout.slice(stdout.indexOf('intr ='))
  }
  expect(seen('coffer')).toBe(seen('runc'))
})

test('a container with a terminal that is to run detached needs a console socket', () => {
  using site = makeSite()
  site.configure(terminal)
  for (const args of [
    ['create', site.id],
    ['run', '--detach', site.id],
  ]) {
    const ours = site.call(args)
    const theirs = site.call(args, { runtime: 'runc' })
    expect([args, ours.exitCode, theirs.exitCode]).toEqual([args, 1, 1])
    const words = 'cannot allocate tty if runc will detach without setting console socket'
    expect([ours.stderr.includes(words), theirs.stderr.includes(words)]).toEqual([true, true])
  }
  site.up()
  const { exitCode, stderr } = site.call(['exec', '--tty', '--detach', site.id, 'true'])
  expect([exitCode, stderr]).toEqual([255, expect.stringContaining('without setting console socket')])
})

test('a console socket without a terminal is refused as by runc', () => {
  using site = makeSite()
  using agent = receive(site, 'terminal')
  site.configure()
  const ours = site.call(['create', '--console-socket', agent.socket, site.id])
  const theirs = site.call(['create', '--console-socket', agent.socket, site.id], { runtime: 'runc' })
  expect([ours.exitCode, theirs.exitCode]).toEqual([1, 1])
  const words = 'cannot use console socket if runc will not detach or allocate tty'
  expect([ours.stderr.includes(words), theirs.stderr.includes(words)]).toEqual([true, true])
})

test('a process of exec gets a terminal over a console socket', async () => {
  using site = makeSite()
  installInside(site)
  site.up()
  for (const flags of [[], ['--detach']]) {
    using agent = receive(site, 'terminal')
    const args = ['exec', '--tty', ...flags, '--console-socket', agent.socket, site.id, 'inside', 'tty']
    expect(site.call(args).exitCode).toBe(0)
    await agent.exited
    expect(agent.output()).toMatch(/^session \d+, controlling terminal, 0 is 136:\d+ of user 0/)
  }
})

const hidden = '/proc/sys/kernel/core_pattern'

test('/dev/console is the terminal, though the image or a volume has links in /dev/pts and at /dev/console (S23)', async () => {
  using site = makeSite()
  const pattern = readFileSync(hidden, 'utf8')
  const volume = join(site.directory, 'pts')
  mkdirSync(volume)
  for (let index = 0; index < 33; index++) symlinkSync(hidden, join(volume, `${index}`))
  symlinkSync('/dev/ptmx', join(volume, 'ptmx'))
  symlinkSync(hidden, join(site.rootfs, 'dev', 'console'))
  const script = 'grep " /dev/console " /proc/self/mountinfo; ls -l /dev/console; (echo core >/dev/console) 2>&1'
  const proc = { destination: '/proc', type: 'proc', source: 'proc' }
  for (const mounts of [[proc], [proc, bind(volume, '/dev/pts')]]) {
    site.configure({ ...terminal, mounts, 'process.args': ['sh', '-c', script], 'root.readonly': false })
    using agent = receive(site, 'terminal')
    const { exitCode } = site.call(['run', '--console-socket', agent.socket, site.id])
    if (exitCode === 0) {
      await agent.exited
      expect(agent.output()).not.toContain('proc')
      expect(agent.output()).toMatch(/ \/dev\/console .* devpts /)
    }
  }
  expect(readFileSync(hidden, 'utf8')).toBe(pattern)
})

test('the devpts is an instance of its own, whatever the image has at /dev/pts/ptmx and /dev/ptmx (S95)', async () => {
  using site = makeSite()
  const dev = join(site.rootfs, 'dev')
  mkdirSync(join(dev, 'pts'))
  Bun.spawnSync(['mkfifo', join(dev, 'ptmx'), join(dev, 'pts', 'ptmx')])
  using agent = receive(site, 'terminal')
  site.configure({
    ...terminal,
    'process.args': ['sh', '-c', 'ls /dev/pts; ls -l /dev/ptmx; stat -c %a /dev/pts/ptmx'],
  })
  // Whoever opened a fifo would wait for ever, and the call ends such.
  expect(site.call(['run', '--console-socket', agent.socket, site.id]).exitCode).toBe(0)
  await agent.exited
  expect(agent.output().replaceAll('\r', '')).toMatch(/^0 +ptmx\n.* \/dev\/ptmx -> pts\/ptmx\n666\n$/)
  // Without a devpts mount the fifo of the image must not block either.
  const bare = {
    ...terminal,
    mounts: [{ destination: '/proc', type: 'proc', source: 'proc' }],
    'root.readonly': false,
    'process.args': ['true'],
  }
  site.configure(bare)
  const other = site.call(['run', site.id], { through: ['python3', '-c', ptyProgram()] })
  expect([0, 1]).toContain(other.exitCode ?? -1)
})

test('a program cannot type into the terminal of the caller (S84)', () => {
  using site = makeSite()
  installInside(site)
  // With the terminal of the caller as standard input and output, in a session of its own: EPERM without CAP_SYS_ADMIN.
  site.configure({ 'process.args': ['inside', 'push', 'x'] })
  const piped = inTerminal(site, ['run', site.id])
  expect([piped.exitCode, piped.stdout]).toEqual([0, '-1\r\n'])
  // The positive control: in its own terminal it can, and the caller's stays as it is.
  site.configure({ ...terminal, 'process.args': ['inside', 'push', 'x'] })
  expect(inTerminal(site, ['run', site.id]).stdout).toContain('pushed')
})

test('the end of input on a pipe is the end of input in the terminal', () => {
  using site = makeSite()
  site.configure({ ...terminal, 'process.args': ['cat'] })
  const { exitCode, stdout } = site.call(['run', site.id], { stdin: 'some text\n' })
  expect(exitCode).toBe(0)
  expect(stdout).toContain('some text')
})

test('much output through a terminal arrives whole', () => {
  using site = makeSite()
  site.configure({
    ...terminal,
    'process.args': ['sh', '-c', 'i=0; while [ $i -lt 5000 ]; do echo "line $i of a long output"; i=$((i+1)); done'],
  })
  const lines = site.call(['run', site.id]).stdout.trim().split(/\r?\n/)
  expect(lines).toHaveLength(5000)
  expect(lines.at(-1)).toBe('line 4999 of a long output')
})

test('a change of the window reaches the program', async () => {
  using site = makeSite()
  const resize = ptyProgram("if b'waiting' in got: fcntl.ioctl(fd,termios.TIOCSWINSZ,struct.pack('HHHH',50,132,0,0))")
  site.configure({
    ...terminal,
    'process.args': ['sh', '-c', 'trap "stty size; exit" WINCH; echo waiting; while :; do sleep 0.01; done'],
  })
  const { stdout } = site.call(['run', site.id], { through: ['python3', '-c', resize] })
  expect(stdout).toContain('50 132')
})

test('a pidfd of init goes to the socket of --pidfd-socket', async () => {
  using site = makeSite()
  using agent = receive(site, 'pidfd')
  site.configure()
  expect(site.call(['run', '--detach', '--pidfd-socket', agent.socket, site.id]).exitCode).toBe(0)
  const pid = String(site.state().pid)
  until('the pid', () => agent.output().includes('\n'))
  expect(agent.output().trim()).toBe(pid)
  site.call(['kill', site.id, 'KILL'])
  expect(await agent.exited).toBe(0)
  expect(agent.output()).toBe(`${pid}\nended\n`)
})

test('a socket where nobody listens, or whose path is too long, fails before anything runs', () => {
  using site = makeSite()
  site.configure({ ...terminal, 'process.args': ['touch', '/tmp/ran'], 'root.readonly': false })
  const stale = fileOf(site, 'no-socket', '')
  for (const path of [stale, join(site.directory, 'absent'), `/${'x'.repeat(120)}`]) {
    expect(site.call(['create', '--console-socket', path, site.id]).exitCode).toBe(1)
    expect(site.leaks()).toEqual([])
  }
  expect(existsSync(join(site.rootfs, 'tmp', 'ran'))).toBe(false)
})
