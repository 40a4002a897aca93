import { afterEach, expect, test } from 'bun:test'
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { asNobody, COFFER, call, coffer, printed } from './call.ts'

let count = 0
const made: string[] = []
/** A name that nobody else has: /run/netns is one for all. */
function newName(): string {
  const name = `coffer-tools-${process.pid}-${count++}`
  made.push(name)
  return name
}

afterEach(() => {
  for (const name of made.splice(0)) if (existsSync(`/run/netns/${name}`)) call(['ip', 'netns', 'delete', name])
})

const ours = (...words: readonly string[]): string => printed([COFFER, 'netns', ...words])
const ip = (...words: readonly string[]): string => printed(['ip', ...words])
const listedBy = (text: string): readonly string[] =>
  text
    .trim()
    .split('\n')
    .filter((name) => name.startsWith(`coffer-tools-${process.pid}-`))
    .sort()

test('what coffer adds ip lists, enters and deletes, and the other way round', () => {
  const [a, b] = [newName(), newName()]
  ours('add', a)
  ip('netns', 'add', b)
  expect(listedBy(ours('list'))).toEqual([a, b])
  expect(listedBy(ip('netns', 'list'))).toEqual([a, b])
  for (const name of [a, b]) {
    const inside = ours('exec', name, 'readlink', '/proc/self/ns/net')
    expect(ip('netns', 'exec', name, 'readlink', '/proc/self/ns/net')).toBe(inside)
    expect(inside).not.toBe(printed(['readlink', '/proc/self/ns/net']))
  }
  ip('netns', 'delete', a)
  ours('del', b)
  expect(listedBy(ours())).toEqual([])
  expect(existsSync(`/run/netns/${b}`)).toBe(false)
})

test('a new network has lo alone, switched off unless asked for, and /sys shows it', () => {
  const [down, up] = [newName(), newName()]
  ours('add', down)
  ours('add', '--up', up)
  const show = ['sh', '-c', 'ls /sys/class/net; ip -br link show lo; grep -c " /sys " /proc/self/mountinfo']
  expect(ours('exec', down, ...show)).toMatch(/^lo\nlo +DOWN.*\n1\n$/s)
  expect(ours('exec', up, ...show)).toMatch(/^lo\nlo +UNKNOWN.*\n1\n$/s)
  expect(ours('exec', up, 'ip', 'route', 'get', '127.0.0.1')).toContain('local 127.0.0.1 dev lo')
})

for (const [program, add, show] of [
  ['iptables', 'iptables -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT', 'iptables -S INPUT'],
  [
    'nft',
    'nft add table inet t; nft add chain inet t c; nft add rule inet t c tcp dport 80 accept',
    'nft list ruleset',
  ],
] as const)
  test(`a rule that ${program} makes inside is there, and neither outside nor in another network`, () => {
    const [inside, beside] = [newName(), newName()]
    ours('add', inside)
    ours('add', beside)
    const before = call(['sh', '-c', show]).stdout
    ours('exec', inside, 'sh', '-ec', add)
    expect(ours('exec', inside, 'sh', '-c', show)).toContain('dport 80')
    expect(ours('exec', beside, 'sh', '-c', show)).not.toContain('dport 80')
    expect(call(['sh', '-c', show]).stdout).toBe(before)
    expect(before).not.toContain('dport 80')
  })

test('files of /etc/netns/NAME lie over those of /etc, for the program alone', () => {
  const name = newName()
  ours('add', name)
  mkdirSync(`/etc/netns/${name}`, { recursive: true })
  writeFileSync(`/etc/netns/${name}/hosts`, '127.0.0.1 only-here\n')
  const hosts = printed(['cat', '/etc/hosts'])
  expect(ours('exec', name, 'cat', '/etc/hosts')).toBe('127.0.0.1 only-here\n')
  expect(printed(['cat', '/etc/hosts'])).toBe(hosts)
  rmSync(`/etc/netns/${name}`, { recursive: true })
})

test('identify and pids find a process in its network, as ip does', async () => {
  const name = newName()
  ours('add', name)
  const child = Bun.spawn([COFFER, 'netns', 'exec', name, 'sh', '-c', 'echo up; read end'], {
    stdin: 'pipe',
    stdout: 'pipe',
  })
  await child.stdout.getReader().read()
  const pid = String(child.pid)
  expect(ours('identify', pid)).toBe(`${name}\n`)
  expect(ip('netns', 'identify', pid)).toBe(`${name}\n`)
  expect(ours('pids', name)).toBe(`${pid}\n`)
  expect(ip('netns', 'pids', name)).toBe(`${pid}\n`)
  child.stdin.end()
  await child.exited
  expect(ours('pids', name)).toBe('')
})

test('attach gives the network of a process a name, as ip netns attach does', async () => {
  const [a, b] = [newName(), newName()]
  const child = Bun.spawn([COFFER, 'unshare', '-n', 'sh', '-c', 'echo up; read end'], { stdin: 'pipe', stdout: 'pipe' })
  await child.stdout.getReader().read()
  ours('attach', a, String(child.pid))
  ip('netns', 'attach', b, String(child.pid))
  const show = ['readlink', '/proc/self/ns/net']
  expect(ours('exec', a, ...show)).toBe(ip('netns', 'exec', b, ...show))
  expect(ours('exec', a, ...show)).toBe(printed(['readlink', `/proc/${child.pid}/ns/net`]))
  child.stdin.end()
  await child.exited
})

test('set gives a number, which list of both shows', () => {
  const [a, b] = [newName(), newName()]
  for (const name of [a, b]) ours('add', name)
  // In a network of its own, so that the one of the host learns of none.
  const script = `${COFFER} netns set ${b} 7 && ip netns list | grep ${b}; ${COFFER} netns list | grep ${b}; ${COFFER} netns list --json`
  const [theirs, mine, json = ''] = ours('exec', a, 'sh', '-c', script).trim().split('\n')
  expect(theirs).toBe(`${b} (id: 7)`)
  expect(mine).toBe(`${b} (id: 7)`)
  expect((JSON.parse(json) as unknown[]).filter((row) => JSON.stringify(row).includes(b))).toEqual([{ name: b, id: 7 }])
  const again = coffer('netns', 'exec', a, COFFER, 'netns', 'set', b, '8')
  expect(again.exitCode).toBe(1)
  expect(again.stderr).toContain('EEXIST')
})

test('monitor tells of names as they come and go', async () => {
  const name = newName()
  const child = Bun.spawn([COFFER, 'netns', 'monitor'], { stdout: 'pipe' })
  const reader = child.stdout.getReader()
  let heard = ''
  const hear = async (line: string): Promise<void> => {
    while (!heard.includes(line)) {
      const { value, done } = await reader.read()
      if (done) throw new Error(`monitor ended with ${heard}`)
      heard += new TextDecoder().decode(value)
    }
  }
  // It says nothing before something happens, so names are added until one is heard of.
  const adding = setInterval(
    () => call(existsSync(`/run/netns/${name}`) ? [COFFER, 'netns', 'delete', name] : [COFFER, 'netns', 'add', name]),
    20,
  )
  await hear(`add ${name}\n`)
  await hear(`delete ${name}\n`)
  clearInterval(adding)
  child.kill()
  await child.exited
})

test('exec runs in the process that was started, and ends as the program does', () => {
  const name = newName()
  ours('add', name)
  expect(ours('exec', name, 'sh', '-c', 'echo $PPID')).toBe(`${process.pid}\n`)
  expect(coffer('netns', 'exec', name, 'sh', '-c', 'exit 9').exitCode).toBe(9)
  expect(coffer('netns', 'exec', name, 'no-such-program').exitCode).toBe(127)
})

test('a plan that fails half-way leaves no name', () => {
  const name = newName()
  const { exitCode, stderr } = coffer('netns', 'attach', name, '999999999')
  expect(exitCode).toBe(1)
  expect(stderr).toContain('/proc/999999999/ns/net')
  expect(existsSync(`/run/netns/${name}`)).toBe(false)
})

test('wrong names are refused, and what is there is told', () => {
  const name = newName()
  ours('add', name)
  expect(coffer('netns', 'add', name).stderr).toContain('is there already')
  expect(coffer('netns', 'add', '../x').stderr).toContain('no slash')
  expect(coffer('netns', 'exec', `${name}x`, 'true').stderr).toContain(name)
  expect(call(asNobody(COFFER, 'netns', 'exec', name, 'true')).stderr).toContain('run as root')
  expect(call(asNobody(COFFER, 'netns', 'add', `${name}y`)).exitCode).toBe(1)
  expect(coffer('netns', 'delete', 'not-there').stderr).toContain('no network namespace is called not-there')
  expect(coffer('netns', 'ad', name).exitCode).toBe(1)
  expect(coffer('netns', 'lists').stderr).toContain('did you mean list?')
  expect(coffer('netns', '--help').stdout).toContain('coffer netns attach NAME PID')
})
