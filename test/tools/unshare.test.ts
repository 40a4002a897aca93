import { expect, test } from 'bun:test'
import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asNobody, COFFER, call, coffer, namespaceNames, printed, SHOW_NAMESPACES } from './call.ts'

const own = namespaceNames(printed(['sh', '-c', SHOW_NAMESPACES]))
const differing = (text: string): string =>
  namespaceNames(text)
    .filter((one) => !own.includes(one))
    .map((one) => one.replace(/:.*/, ''))
    .join(' ')

for (const [flags, names] of [
  ['-m', 'mnt'],
  ['--uts', 'uts'],
  ['-i', 'ipc'],
  ['-n', 'net'],
  ['-p -f', 'pid'],
  ['-U', 'user'],
  ['-C', 'cgroup'],
  ['-T', 'time'],
  ['-munC', 'cgroup mnt net uts'],
  ['--mount --uts --ipc --net --pid --fork --user --cgroup --time', 'cgroup ipc mnt net pid time user uts'],
] as const)
  test(`unshare ${flags} makes new namespaces, ${names}, and no other, as unshare(1) does`, () => {
    const words = [...flags.split(' '), 'sh', '-c', SHOW_NAMESPACES]
    expect(differing(printed([COFFER, 'unshare', ...words]))).toBe(names)
    expect(differing(printed(['unshare', ...words]))).toBe(names)
  })

/** The same words for both, and what the program prints and how it ends has to be the same. */
const SAME: readonly (readonly string[])[] = [
  ['-Ur', 'sh', '-c', 'id; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups'],
  ['-c', 'sh', '-c', 'id; cat /proc/self/uid_map /proc/self/gid_map'],
  ['--map-user=1000', '--map-group=100', 'sh', '-c', 'id; cat /proc/self/uid_map /proc/self/gid_map'],
  ['--map-user=nobody', 'id', '-u'],
  ['-U', 'id', '-u'],
  ['-U', '--setgroups=deny', 'cat', '/proc/self/setgroups'],
  [
    '-pf',
    '--mount-proc',
    'sh',
    '-c',
    'echo $$; ls -d /proc/[0-9]*; grep " /proc " /proc/self/mountinfo | cut -d" " -f5,6',
  ],
  ['-m', 'sh', '-c', 'grep -c shared: /proc/self/mountinfo'],
  ['-m', '--propagation', 'slave', 'sh', '-c', 'grep -c shared: /proc/self/mountinfo'],
  ['-w', '/usr', 'pwd'],
  ['-R', '/usr', '-w', '/bin', '/bin/pwd'],
  ['-S', '1000', '-G', '1001', 'id'],
  ['-T', '--boottime', '100000000', '--monotonic', '200000000', 'cat', '/proc/self/timens_offsets'],
  ['-Ur', '--keep-caps', 'grep', 'Cap', '/proc/self/status'],
  ['-Uc', '--keep-caps', 'grep', 'Cap', '/proc/self/status'],
  ['--kill-child=TERM', 'sh', '-c', 'echo $PPID | wc -l'],
  ['sh', '-c', 'exit 42'],
  ['-f', 'sh', '-c', 'exit 43'],
  ['-f', 'sh', '-c', 'kill -TERM $$'],
  ['-f', 'sh', '-c', 'kill -SEGV $$'],
  ['no-such-program'],
  ['/etc/passwd'],
  ['-f', '/etc/passwd'],
]

for (const words of SAME)
  test(`unshare ${words.join(' ')} prints and ends as unshare(1) does`, () => {
    const { stdout, exitCode, signal } = call(['unshare', ...words])
    const ours = coffer('unshare', ...words)
    expect({ stdout: ours.stdout, exitCode: ours.exitCode, signal: ours.signal }).toEqual({ stdout, exitCode, signal })
  })

test('an interrupt of the terminal is for the child, and its parent waits on, as with unshare(1)', () => {
  // The signal goes to the whole process group, as that of Ctrl-C does.
  const words = ['-f', 'sh', '-c', 'trap "exit 4" INT; kill -INT 0; sleep 10']
  expect(call(['setsid', '--wait', COFFER, 'unshare', ...words])).toMatchObject({ exitCode: 4, signal: undefined })
  expect(call(['setsid', '--wait', 'unshare', ...words])).toMatchObject({ exitCode: 4, signal: undefined })
})

test('without --fork the program has the pid that was started, and nothing of coffer is beside it', () => {
  const { stdout } = coffer('unshare', '-m', 'sh', '-c', 'echo $$ $PPID; cat /proc/$$/comm; ls /proc/$$/fd')
  const [pids = '', comm, ...descriptors] = stdout.trim().split('\n')
  expect(pids.split(' ')[1]).toBe(String(process.pid))
  expect(comm).toBe('sh')
  expect(descriptors).toEqual(['0', '1', '2'])
})

test('the program gets the environment of the caller, and its arguments byte for byte', () => {
  const words = [COFFER, 'unshare', '-u', 'sh', '-c', 'printf "%s|%s" "$NAME" "$1"', 'sh', 'a b\tü']
  expect(printed(words, { env: { NAME: "x 'y' ü" } })).toBe("x 'y' ü|a b\tü")
})

test('a user without privilege is root in a new user namespace, and owns what is made with it', () => {
  const script = 'id -u; hostname inside && hostname; mount -t tmpfs none /mnt && ls /mnt | wc -l'
  expect(printed(asNobody(COFFER, 'unshare', '-Urum', 'sh', '-c', script))).toBe('0\ninside\n0\n')
})

test('ranges of ids are mapped by a privileged child outside, and the hole of a single id is theirs', () => {
  const show = ['sh', '-c', 'cat /proc/self/uid_map']
  const words =
    '--map-users=100000,0,65536 --map-groups=100000,0,65536 --map-user=0 --map-group=0 cat /proc/self/uid_map'
  // unshare(1) asks newuidmap(1) even as root, and that asks these files.
  const [theirs, ours, auto] = printed([
    'unshare',
    '-m',
    'sh',
    '-ec',
    `mount -t tmpfs none /mnt; echo root:100000:65536 >/mnt/ids
     for f in subuid subgid; do touch /mnt/$f; mount --bind /mnt/ids /etc/$f; done
     unshare ${words}; echo end; ${COFFER} unshare ${words}; echo end; ${COFFER} unshare --map-auto -r cat /proc/self/uid_map`,
  ]).split('end')
  expect(ours?.trim()).toBe(theirs?.trim() ?? '')
  expect(auto?.trim()).toBe(theirs?.trim() ?? '')
  const modern = printed([COFFER, 'unshare', '--map-users=0:200000:10', ...show])
  expect(modern.trim().split(/\s+/)).toEqual(['0', '200000', '10'])
  const all = printed([COFFER, 'unshare', '--map-users=all', ...show])
  expect(all).toBe(printed(['cat', '/proc/self/uid_map']))
})

test('a namespace in a file outlives its processes, and both nsenter and ip can enter it', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-unshare-'))
  const outside = (script: string): string =>
    printed(['unshare', '-m', '--propagation', 'private', 'sh', '-ec', script])
  const file = join(directory, 'it')
  const steps = (flag: string, enter: string): string =>
    outside(`
    mount --bind ${directory} ${directory}; mount --make-private ${directory}
    ${COFFER} unshare --${flag}=${file} readlink /proc/self/ns/${enter.replace('mount', 'mnt')} || exit 9
    nsenter --${enter}=${file} readlink /proc/self/ns/${enter.replace('mount', 'mnt')}
    umount ${file}; umount ${directory}`)
  // Linux 6.18 takes the numbers of mount namespaces for their age, and gives them out by processor: to keep a new one may fail with EINVAL.
  // Of 100 attempts of unshare(1) 57 did, of ours none, and in a busy run one. fs/namespace.c, mnt_ns_loop
  const often = (body: () => string): string => {
    for (let left = 20; left > 0; left--)
      try {
        return body()
      } catch (error) {
        if (!String(error).includes('ns/mnt) = EINVAL')) throw error
        outside(`umount ${directory} 2>/dev/null || true`)
      }
    return body()
  }
  for (const name of ['net', 'uts', 'ipc', 'cgroup', 'mount']) {
    const [inside, entered, ...more] = often(() => steps(name, name))
      .trim()
      .split('\n')
    expect(more).toEqual([])
    expect(entered).toBe(inside)
    expect(inside).not.toBe(readlinkSync(`/proc/self/ns/${name === 'mount' ? 'mnt' : name}`))
  }
  rmSync(directory, { recursive: true })
})

test('a pid namespace is in its file before its program begins', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-unshare-'))
  const file = join(directory, 'pid')
  const script = `mount --bind ${directory} ${directory}; ${COFFER} unshare --pid=${file} --fork sh -c 'stat -L -c %i ${file}; readlink /proc/self/ns/pid'; umount ${file}`
  const [inode, link] = printed(['unshare', '-m', 'sh', '-ec', script]).trim().split('\n')
  expect(link).toBe(`pid:[${inode}]`)
  rmSync(directory, { recursive: true })
})

test('a map that a child outside cannot write ends the whole, and no program runs', () => {
  const { exitCode, stderr, stdout } = call(asNobody(COFFER, 'unshare', '--map-users=0:100000:10', 'echo', 'ran'))
  expect(exitCode).toBe(1)
  expect(stdout).toBe('')
  expect(stderr).toContain('newuidmap')
})

test('the clocks of a new time namespace are ahead as asked', () => {
  const [uptime = ''] = printed([COFFER, 'unshare', '-T', '--boottime', '100000000', 'cat', '/proc/uptime']).split(' ')
  const [host = ''] = printed(['cat', '/proc/uptime']).split(' ')
  expect(Math.round((Number(uptime) - Number(host)) / 1000)).toBe(100_000)
})

test('the child ends with its parent when --kill-child is given', async () => {
  const parent = Bun.spawn([COFFER, 'unshare', '--kill-child', 'sh', '-c', 'echo up; exec sleep 1000'], {
    stdout: 'pipe',
  })
  const reader = parent.stdout.getReader()
  expect(new TextDecoder().decode((await reader.read()).value)).toBe('up\n')
  const [child] = printed(['ps', '--ppid', String(parent.pid), '-o', 'pid='])
    .trim()
    .split('\n')
  parent.kill('SIGKILL')
  await parent.exited
  // The pipe ends when nobody has it open any more.
  expect((await reader.read()).done).toBe(true)
  expect(existsSync(`/proc/${child?.trim()}/exe`)).toBe(false)
})

test('a child that stops stops its parent, and goes on with it', async () => {
  const parent = Bun.spawn([COFFER, 'unshare', '-f', 'sh', '-c', 'kill -STOP $$; echo on'], { stdout: 'pipe' })
  const state = (): string => printed(['ps', '-o', 'stat=', '-p', String(parent.pid)]).trim()
  while (!state().startsWith('T')) await Bun.sleep(5)
  parent.kill('SIGCONT')
  expect(await new Response(parent.stdout).text()).toBe('on\n')
  expect(await parent.exited).toBe(0)
})

for (const [words, message] of [
  [['--setgroups=allow', '-r', 'true'], 'the kernel takes a map of one'],
  [['--setgroups=maybe', '-U', 'true'], 'use allow or deny'],
  [['--setgroups=deny', 'true'], 'add --user'],
  [['--propagation=slave', 'true'], 'add --mount'],
  [['-m', '--propagation=up', 'true'], 'private, slave, shared, unchanged'],
  [['--map-users=1:2', 'true'], '--map-users=0:100000:65536'],
  [['--map-user=nobody-there', 'true'], 'no such user'],
  [['--kill-child=LATER', 'true'], 'no signal'],
  [['--pid=/tmp/x', 'true'], 'add --fork'],
  [['--moutn', 'true'], 'did you mean --mount?'],
] as const)
  test(`unshare ${words.join(' ')} is refused, and says what to do`, () => {
    const { exitCode, stdout, stderr } = coffer('unshare', ...words)
    expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
    expect(stderr).toContain(message)
  })

test('a directory that is no root is named', () => {
  const directory = mkdtempSync(join(tmpdir(), 'coffer-unshare-'))
  mkdirSync(join(directory, 'empty'))
  const { stderr } = coffer('unshare', '-R', join(directory, 'none'), 'true')
  expect(stderr).toContain(`as its root: chroot(${directory}/none) = ENOENT`)
  rmSync(directory, { recursive: true })
})
