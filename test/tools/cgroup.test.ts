import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync } from 'node:fs'
import { mountedLines } from '../cgroup-lines.ts'
import { COFFER, call, coffer, printed } from './call.ts'

let count = 0
const made: string[] = []
function newName(): string {
  const name = `coffer-tools-${process.pid}-${count++}`
  made.push(name)
  return name
}

afterEach(() => {
  for (const name of made.splice(0)) {
    coffer('cgroup', 'kill', name)
    coffer('cgroup', 'delete', '-r', name)
    expect(coffer('cgroup', 'get', name).stderr).toContain('no hierarchy has one')
  }
})

const ours = (...words: readonly string[]): string => printed([COFFER, 'cgroup', ...words])
const cgroupsOf = (pid: number | string): readonly string[] =>
  readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n')
const isV1 = existsSync('/sys/fs/cgroup/memory/memory.limit_in_bytes')

test('one name is a cgroup in each hierarchy, and exec is in all of them before the program begins', () => {
  const name = newName()
  ours('create', name)
  const inside = mountedLines(ours('exec', name, 'cat', '/proc/self/cgroup'))
  const others = inside.filter((line) => !line.endsWith(`:/${name}`))
  expect(inside.length).toBeGreaterThan(others.length)
  // A hierarchy with a name belongs to systemd.
  expect(others.every((line) => line.includes(':name='))).toBe(true)
  expect(ours('exec', name, 'sh', '-c', 'echo $PPID')).toBe(`${process.pid}\n`)
  expect(coffer('cgroup', 'exec', name, 'sh', '-c', 'exit 5').exitCode).toBe(5)
})

test('settings are written and read by one vocabulary, and are in force', () => {
  const name = newName()
  ours('create', name)
  ours('set', name, 'memory.max=64M', 'cpu.max=50%', 'pids.max=3', 'cpu.weight=200')
  expect(ours('get', name, 'memory.max')).toBe('67108864\n')
  expect(ours('get', name, 'cpu.max')).toBe('50000 100000\n')
  expect(JSON.parse(ours('get', '--json', name))).toMatchObject({
    'pids.max': '3',
    'cpu.weight': '200',
    'memory.max': '67108864',
  })
  const fork = coffer('cgroup', 'exec', name, 'sh', '-c', 'for i in 1 2 3 4 5; do sleep 5 & done; wait')
  expect(fork.stderr).toMatch(/[Cc]annot fork|Resource temporarily/)
  coffer('cgroup', 'kill', name)
  const memory = call([COFFER, 'cgroup', 'exec', name, 'sh', '-c', 'exec tail /dev/zero'])
  expect(memory.signal).toBe('SIGKILL')
  ours('set', name, 'memory.max=max', 'cpu.max=max', 'pids.max=max')
  expect(ours('get', name, 'memory.max')).toBe('max\n')
})

test('raw files are written and read as they are', () => {
  const name = newName()
  ours('create', name)
  const [file, value] = isV1 ? ['cpu.cfs_period_us', '50000'] : ['memory.high', '1048576']
  ours('set', name, `${file}=${value}`)
  expect(ours('get', name, file)).toBe(`${value}\n`)
  expect(coffer('cgroup', 'set', name, isV1 ? 'memory.high=1M' : 'memory.limit_in_bytes=1').stderr).toContain(
    'its controller is in',
  )
  expect(coffer('cgroup', 'set', name, 'memory.nothing=1').stderr).toContain('no such file')
  expect(coffer('cgroup', 'get', name, 'memory.nothing').stderr).toContain('there is no /sys/fs/cgroup')
})

test('memory and swap are limited together, whichever way the limits go', () => {
  const name = newName()
  ours('create', name)
  for (const limits of [
    ['memory.max=64M', 'memory.swap.max=0'],
    ['memory.max=128M', 'memory.swap.max=1M'],
    ['memory.max=32M', 'memory.swap.max=0'],
  ]) {
    const { stderr, exitCode } = coffer('cgroup', 'set', name, ...limits)
    // A kernel without swap accounting says so.
    if (exitCode !== 0) expect(stderr).toContain('swapaccount')
    else expect(ours('get', name, 'memory.max')).toBe(`${Number(/\d+/.exec(limits[0] ?? '')) * 1024 ** 2}\n`)
  }
})

test('freeze stops, thaw lets go on, kill leaves nobody', async () => {
  const name = newName()
  ours('create', name)
  const child = Bun.spawn([COFFER, 'cgroup', 'exec', name, 'sh', '-c', 'echo up; sleep 1000 & sleep 1000'], {
    stdout: 'pipe',
  })
  await child.stdout.getReader().read()
  ours('freeze', name)
  expect(ours('get', name, 'cgroup.freeze')).toBe('1\n')
  ours('thaw', name)
  expect(ours('get', name, 'cgroup.freeze')).toBe('0\n')
  expect(ours('stat', name)).toContain('processes')
  ours('kill', name)
  expect(await child.exited).toBe(137)
  expect(ours('stat', name)).toMatch(/^processes +0\n/)
})

test('kill ends a program that forks without end', async () => {
  const name = newName()
  ours('create', name)
  ours('set', name, 'pids.max=200')
  const child = Bun.spawn([COFFER, 'cgroup', 'exec', name, 'sh', '-c', 'echo up; f() { f & f; }; f 2>/dev/null'], {
    stdout: 'pipe',
    stderr: 'ignore',
  })
  await child.stdout.getReader().read()
  ours('kill', name)
  await child.exited
  expect(ours('stat', name)).toMatch(/^processes +0\n/)
})

test('classify moves a process, and the tree shows it where it is', async () => {
  const name = newName()
  ours('create', `${name}/a/b`)
  const child = Bun.spawn(['sleep', '1000'])
  ours('classify', `${name}/a/b`, String(child.pid))
  expect(cgroupsOf(child.pid).some((line) => line.endsWith(`:/${name}/a/b`))).toBe(true)
  expect(ours('tree', '--pids', name)).toBe(`${name}\n└─ a\n   └─ b (${child.pid})\n`)
  expect(ours('list', name)).toMatch(new RegExp(`^${name}/a +0 .*\\n${name}/a/b +1 `))
  expect(coffer('cgroup', 'delete', name).stderr).toContain('--recursive')
  expect(coffer('cgroup', 'classify', `${name}/a/b`, '999999999').stderr).toContain('ps -e')
  ours('kill', name)
  await child.exited
})

test('half a CPU is half a CPU: measured by stat within a wall-clock second of its own', () => {
  const name = newName()
  ours('create', name)
  ours('set', name, 'cpu.max=50%')
  const script = 'end=$(($(date +%s%N) + 1000000000)); while [ $(date +%s%N) -lt $end ]; do :; done'
  const begin = Bun.nanoseconds()
  coffer('cgroup', 'exec', name, 'sh', '-c', script)
  const wall = Bun.nanoseconds() - begin
  const { cpu } = JSON.parse(ours('stat', '--json', name)) as { cpu: { totalNanos: number } }
  // The last period may be used in full.
  expect(cpu.totalNanos / wall).toBeLessThan(0.5 + 0.1)
})

test('watch and top print as often as they are asked', () => {
  const name = newName()
  ours('create', name)
  expect(ours('watch', '-n', '2', '-d', '0.05', name).trim().split('\n')).toHaveLength(2)
  expect(ours('top', '-n', '1', '-d', '0.05')).toContain(name)
  expect(coffer('cgroup', 'top', '-d', 'soon').stderr).toContain('give seconds')
})

test('-c chooses hierarchies, and one that there is not is named', () => {
  const name = newName()
  ours('create', '-c', 'memory,pids', name)
  const inside = ours('exec', name, 'cat', '/proc/self/cgroup').trim().split('\n')
  const where = inside.filter((line) => line.endsWith(`:/${name}`)).map((line) => line.split(':')[1])
  expect(where.sort()).toEqual(isV1 ? ['memory', 'pids'] : [''])
  if (isV1) expect(coffer('cgroup', 'set', name, 'cpu.max=50%').stderr).toContain('it needs the controller cpu')
  expect(coffer('cgroup', 'create', '-c', 'nothing', `${name}x`).stderr).toContain(
    'no hierarchy of this machine has it',
  )
})

test('--explain shows what is written where under v1 and v2, and writes nothing', () => {
  const name = newName()
  ours('create', name)
  const text = ours('set', '--explain', name, 'memory.max=1G', 'cpu.max=50%', 'memory.high=1M')
  expect(text).toMatch(/v1 +\/sys\/fs\/cgroup\/memory\/.*memory.limit_in_bytes +1073741824/)
  expect(text).toMatch(/v2 +\/sys\/fs\/cgroup\/.*\/memory.max +1073741824/)
  expect(text).toMatch(/v2 +\/sys\/fs\/cgroup\/.*\/cpu.max +50000 100000/)
  expect(text).toMatch(/v1 +memory.high +- v1 has nothing like it/)
  expect(ours('get', name, 'memory.max')).toBe('max\n')
  expect(ours('delete', '--explain', name)).toContain('unlinkat(')
  expect(printed([COFFER, 'explain', 'cgroup', 'exec', name, 'true'])).toContain('write(')
})

for (const [words, message] of [
  [['create', '../x'], 'a path without dots'],
  [['set', 'coffer-none', 'memory.max=1M'], 'no hierarchy has one of that name'],
  [['kill', '-s', 'LATER', 'coffer-none'], 'no hierarchy has one of that name'],
  [['creat', 'x'], 'did you mean create?'],
] as const)
  test(`cgroup ${words.join(' ')} is refused, and says why`, () => {
    const { exitCode, stderr } = coffer('cgroup', ...words)
    expect(exitCode).toBe(1)
    expect(stderr).toContain(message)
  })
