import { expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'
import { COFFER, call, coffer, printed, SHOW_NAMESPACES } from './call.ts'
import { startTarget } from './target.ts'

const ALL = ['--mount', '--uts', '--ipc', '--net', '--pid', '--fork', '--cgroup', '--time', '--mount-proc']

for (const flags of [
  ['-m'],
  ['-u'],
  ['-i'],
  ['-n'],
  ['-p'],
  ['-C'],
  ['-m', '-p'],
  ['-u', '-n', '-i'],
  ['-a'],
  ['-p', '-F'],
  ['-r', '-w'],
] as const)
  test(`nsenter ${flags.join(' ')} is in the same namespaces as nsenter(1), of the target and of the caller`, async () => {
    await using target = await startTarget(ALL, 'cd /usr')
    const words = ['-t', String(target.pid), ...flags, 'sh', '-c', `${SHOW_NAMESPACES}; pwd`]
    const ours = printed([COFFER, 'nsenter', ...words])
    expect(ours).toBe(printed(['nsenter', ...words]))
  })

test('letters stand together, which nsenter(1) takes for a file', async () => {
  await using target = await startTarget(ALL, 'hostname there')
  expect(printed([COFFER, 'nsenter', '-mupt', String(target.pid), 'sh', '-c', 'hostname; echo $$'])).toMatch(
    /^there\n\d+\n$/,
  )
})

test('a namespace of a file is entered beside those of the target', async () => {
  await using target = await startTarget(ALL, 'hostname there')
  const words = [
    '-t',
    String(target.pid),
    '-u',
    '--net=/proc/self/ns/net',
    'sh',
    '-c',
    'hostname; readlink /proc/self/ns/net',
  ]
  expect(printed([COFFER, 'nsenter', ...words])).toBe(`there\n${printed(['readlink', '/proc/self/ns/net'])}`)
})

test('in an entered user namespace it is root, or stays who it is, as with nsenter(1)', async () => {
  await using target = await startTarget(['-U', '--map-users=0:100000:100', '--map-groups=0:100000:100', '-m'])
  for (const words of [
    ['-U', 'id'],
    ['-U', '-m', '-S', '7', '-G', '8', 'id'],
    ['-a', 'sh', '-c', 'id; cat /proc/self/uid_map'],
  ]) {
    const all = ['-t', String(target.pid), ...words]
    expect(printed([COFFER, 'nsenter', ...all])).toBe(printed(['nsenter', ...all]))
  }
  const { stdout } = coffer('nsenter', '-t', String(target.pid), '-U', '--preserve-credentials', 'id', '-u')
  expect(stdout).toBe('65534\n')
})

test('a user without privilege enters the namespaces that belong to an own user namespace', async () => {
  const as = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups']
  const parent = Bun.spawn([...as, COFFER, 'unshare', '-Urun', 'sh', '-c', 'hostname mine; echo up; read end'], {
    stdin: 'pipe',
    stdout: 'pipe',
  })
  await parent.stdout.getReader().read()
  const words = [
    '-t',
    String(parent.pid),
    '-U',
    '-u',
    '-n',
    'sh',
    '-c',
    'hostname; id -u; ip link set lo up && ip -br link',
  ]
  const { stdout, stderr } = call([...as, COFFER, 'nsenter', ...words])
  parent.stdin.end()
  await parent.exited
  expect(stderr).toBe('')
  expect(stdout).toMatch(/^mine\n0\nlo +UNKNOWN/)
})

test('the environment and the cgroups of the target are had when asked for', async () => {
  await using target = await startTarget(['-u'])
  const words = ['-t', String(target.pid), '-e', '-c', 'sh', '-c', 'echo "$HOME"; cat /proc/self/cgroup']
  const [home, ...cgroups] = printed([COFFER, 'nsenter', ...words], { env: { HOME: '/none' } })
    .trim()
    .split('\n')
  expect(home).toBe(process.env.HOME ?? '')
  expect(cgroups.join('\n')).toBe(readFileSync(`/proc/${target.pid}/cgroup`, 'utf8').trim())
})

test('the program of a pid namespace ends as nsenter does, by status and by signal', async () => {
  await using target = await startTarget(ALL)
  const enter = (script: string): readonly unknown[] => {
    const { exitCode, signal } = coffer('nsenter', '-t', String(target.pid), '-p', 'sh', '-c', script)
    return [exitCode, signal]
  }
  expect(enter('exit 7')).toEqual([7, undefined])
  expect(enter('kill -KILL $$')).toEqual([null, 'SIGKILL'])
  expect(coffer('nsenter', '-t', String(target.pid), '-p', 'no-such-program').exitCode).toBe(127)
})

test('before it is a program, processes of the namespace cannot look into it (S9)', async () => {
  await using target = await startTarget(ALL)
  const trace = call([
    'strace',
    '-f',
    '-e',
    'trace=prctl,setns,execve',
    COFFER,
    'nsenter',
    '-t',
    String(target.pid),
    '-pm',
    'true',
  ]).stderr
  const calls = trace.split('\n').map((line) => line.replace(/^\d+ +/, '').replace(/\(.*/, ''))
  expect(trace).toContain('prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE')
  expect(calls.indexOf('prctl')).toBeLessThan(calls.indexOf('setns'))
})

for (const [words, status, message] of [
  [['-m', 'true'], 1, 'add --target PID'],
  [['-t', '999999999', '-m', 'true'], 1, 'cannot hold on to process 999999999'],
  [['-t', '999999999', '-a', 'true'], 1, 'there is no such process'],
  [['--net=/etc/passwd', 'true'], 1, 'no namespace of that kind'],
  [['--net=/proc/self/ns/uts', 'true'], 1, 'no namespace of that kind'],
  [['--net=/none', 'true'], 1, 'ENOENT'],
  [['-t', String(process.pid), '-U', 'true'], 1, 'in already'],
  [['-Z', 'true'], 1, 'SELinux'],
] as const)
  test(`nsenter ${words.join(' ')} is refused, and says why`, () => {
    const { exitCode, stderr } = coffer('nsenter', ...words)
    expect(stderr).toContain(message)
    expect(exitCode).toBe(status)
  })
