import { afterAll, beforeAll, expect, test } from 'bun:test'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { COFFER, call, coffer, printed } from './call.ts'

let root = ''
const BUSYBOX = printed(['sh', '-c', 'command -v busybox']).trim()

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'coffer-roots-'))
  chmodSync(root, 0o755)
  for (const name of ['bin', 'etc', 'proc', 'old']) mkdirSync(join(root, name))
  cpSync(BUSYBOX, join(root, 'bin/busybox'))
  for (const name of ['sh', 'id', 'pwd', 'ls', 'cat', 'mount']) cpSync(BUSYBOX, join(root, 'bin', name))
  writeFileSync(join(root, 'etc/passwd'), 'root:x:0:0::/:/bin/sh\nanna:x:1234:2345::/:/bin/sh\n')
  writeFileSync(join(root, 'etc/group'), 'root:x:0:\nstaff:x:50:anna\nanna:x:2345:\n')
  writeFileSync(join(root, 'inside'), 'yes')
})
afterAll(() => rmSync(root, { recursive: true }))

const SHOW = ['/bin/sh', '-c', 'pwd; ls /; /bin/id -u; /bin/id -g; /bin/id -G']

for (const flags of [
  [],
  ['--userspec=1234'],
  ['--userspec=anna'],
  ['--userspec=anna:staff'],
  ['--userspec=4007:8'],
  ['--userspec=:50'],
  ['--groups=50,51'],
  ['--userspec=4007:8', '--groups=anna'],
  ['--groups='],
])
  test(`chroot ${flags.join(' ')} DIR prints what chroot(1) does`, () => {
    const ours = call([COFFER, 'chroot', ...flags, root, ...SHOW])
    const theirs = call(['chroot', ...flags, root, ...SHOW])
    expect(ours.stderr).toBe('')
    expect([ours.stdout, ours.exitCode]).toEqual([theirs.stdout, theirs.exitCode])
  })

for (const [words, status] of [
  [['none-there'], 127],
  [['/etc/passwd'], 126],
] as const)
  test(`chroot DIR ${words[0]} ends with ${status}, as chroot(1) does`, () => {
    expect(coffer('chroot', root, ...words).exitCode).toBe(status)
    expect(call(['chroot', root, ...words]).exitCode).toBe(status)
  })

test('chroot to what is no directory ends with 125, as chroot(1) does', () => {
  expect(coffer('chroot', '/none', 'true').exitCode).toBe(125)
  expect(coffer('chroot', '/none', 'true').stderr).toContain('chroot(/none) = ENOENT')
  expect(coffer('chroot', '--skip-chdir', root, 'true').stderr).toContain('the way out')
  expect(printed([COFFER, 'chroot', '--skip-chdir', '/', 'pwd'], { cwd: '/usr' })).toBe('/usr\n')
})

test('pivot-root with a program has a new root there, and the mounts of the caller are as before', () => {
  const before = printed(['cat', '/proc/self/mountinfo'])
  const { stdout, stderr } = coffer(
    'pivot-root',
    root,
    root,
    'sh',
    '-c',
    'pwd; ls /; mount -t proc p /proc; cat /proc/self/mountinfo',
  )
  expect(stderr).toBe('')
  const [cwd, ...rest] = stdout.trim().split('\n')
  expect(cwd).toBe('/')
  expect(rest.slice(0, 5)).toEqual(['bin', 'etc', 'inside', 'old', 'proc'])
  // The new root and the procfs: nothing of the old root is left in sight.
  expect(rest.slice(5)).toHaveLength(2)
  expect(printed(['cat', '/proc/self/mountinfo'])).toBe(before)
})

test('pivot-root puts the old root on PUT_OLD, and --detach takes it away again', () => {
  expect(coffer('pivot-root', root, join(root, 'old'), 'ls', '/old').stdout).toContain('\nusr\n')
  expect(coffer('pivot-root', '--detach', root, join(root, 'old'), 'ls', '/old')).toMatchObject({
    stdout: '',
    exitCode: 0,
  })
})

test('pivot-root without a program changes the root of the shell that calls it, as pivot_root(8) does', () => {
  const script = (program: string): string =>
    `mount --bind ${root} ${root}; cd ${root}; ${program} . old; cd /; /bin/ls /`
  const ours = printed(['unshare', '-m', 'sh', '-ec', script(`${COFFER} pivot-root`)])
  expect(ours).toBe(printed(['unshare', '-m', 'sh', '-ec', script('pivot_root')]))
  expect(ours).toBe('bin\netc\ninside\nold\nproc\n')
})

/** Each rule of the kernel, broken alone: what was done before, the words, and the hint. */
const RULES: readonly (readonly [string, string, string, string])[] = [
  ['NEW is no mount point', ':', 'ROOT ROOT/old', '--bind'],
  ['NEW is the present root', ':', '/ /tmp', 'the present root'],
  ['PUT_OLD is not below NEW', 'mount --bind ROOT ROOT', 'ROOT /tmp', 'is not below it'],
  [
    'the mount of NEW is shared',
    'mount --bind ROOT ROOT; mount --make-rshared /',
    'ROOT ROOT/old',
    'mount --make-rprivate /',
  ],
  ['PUT_OLD is not there', 'mount --bind ROOT ROOT', 'ROOT ROOT/none', '--mkdir'],
]

for (const [rule, before, words, hint] of RULES)
  test(`pivot-root is refused where ${rule}, and the hint names the rule`, () => {
    const filled = (text: string): string => text.replaceAll('ROOT', root)
    const { stderr, exitCode } = call(['unshare', '-m', 'sh', '-c', filled(`${before}; ${COFFER} pivot-root ${words}`)])
    expect(exitCode).toBe(1)
    expect(stderr).toContain(hint)
  })

test('pivot-root in the mount namespace of the machine is refused', () => {
  // Of which the first process is, as far as anybody here can see, that of the machine.
  const machine = ['unshare', '-pfm', '--mount-proc', 'sh', '-c', `${COFFER} pivot-root /tmp /tmp; exit $?`]
  const { stderr, exitCode } = call(machine)
  expect(exitCode).toBe(1)
  expect(stderr).toContain('coffer unshare --mount')
})
