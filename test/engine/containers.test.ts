/** Containers of an image through the command line, from their making to what is left of them. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'busybox')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)
const listed = (directory: string): readonly string[] => readdirSync(join(engine.dataRoot, directory))

describe('in the foreground', () => {
  test('a program prints, and its status is that of the command', () => {
    const { status, stdout, stderr } = engine.coffer(
      'run',
      '--rm',
      'busybox',
      'sh',
      '-c',
      'echo out; echo err >&2; exit 7',
    )
    expect([status, stdout, stderr]).toEqual([7, 'out\n', 'err\n'])
  })

  test('a program that a signal ended has 128 and its number', () => {
    // Of all signals to itself the first process of a pid namespace hears only those that it handles: pid_namespaces(7).
    expect(engine.coffer('run', '--rm', '--pid', 'host', 'busybox', 'sh', '-c', 'kill -9 $$').status).toBe(137)
  })

  test('what is typed is read with --interactive, and nothing without', () => {
    expect(engine.cofferWith('typed', 'run', '--rm', '-i', 'busybox', 'cat').stdout).toBe('typed')
    expect(engine.cofferWith('typed', 'run', '--rm', 'busybox', 'cat').stdout).toBe('')
  })

  test('a megabyte comes whole, whatever the sizes of the pieces', () => {
    const text = run('busybox', 'sh', '-c', 'dd if=/dev/zero bs=4096 count=256 2>/dev/null | tr "\\\\0" x')
    expect([text.length, /^x+$/.test(text)]).toEqual([1 << 20, true])
  })

  test('nothing is left of one that removes itself', () => {
    run('busybox', 'sh', '-c', 'echo written >/file')
    // The disk may take its time to give up its files. What another command finds of them, it removes.
    const records = listed('containers').filter((id) =>
      existsSync(join(engine.dataRoot, 'containers', id, 'container.json')),
    )
    const live = readdirSync(engine.runRoot).filter((name) => !name.startsWith('.'))
    expect([records, listed('names'), live]).toEqual([[], [], []])
    expect(engine.must('ps', '--all', '--quiet')).toBe('')
    expect(listed('containers')).toEqual([])
  })

  test('its root is that of the image, its processes and its name are its own', () => {
    const [hostname = '', ...rest] = run('busybox', 'sh', '-c', 'hostname; echo $$; ls /; id -u').split('\n')
    expect(hostname).toMatch(/^[0-9a-f]{12}$/)
    expect(rest).toEqual(['1', 'bin', 'dev', 'etc', 'proc', 'sys', 'tmp', '0'])
  })

  test('a user is looked up in the image, with the groups that list it', () => {
    expect(run('--user', 'guest', 'busybox', 'sh', '-c', 'id -u; id -G; echo $HOME')).toBe(
      '1000\n1000 2000\n/home/guest',
    )
  })

  test('what one container writes, no other sees, nor the image', () => {
    run('busybox', 'sh', '-c', 'echo mine > /written')
    expect(engine.coffer('run', '--rm', 'busybox', 'cat', '/written').status).toBe(1)
  })
})

describe('in the background', () => {
  test('a container prints into its log, is listed, and ends with its status', () => {
    const id = engine.must('run', '-d', '--name', 'job', 'busybox', 'sh', '-c', 'echo one; echo two >&2; exit 3')
    expect(id).toMatch(/^[0-9a-f]{64}$/)
    expect(engine.must('wait', 'job')).toBe('3')
    expect(engine.coffer('logs', 'job')).toEqual({ status: 0, stdout: 'one\n', stderr: 'two\n' })
    expect(engine.must('ps', '--quiet')).toBe('')
    expect(engine.must('ps', '--all', '--quiet')).toBe(id.slice(0, 12))
    engine.must('rm', 'job')
    expect(engine.must('ps', '--all', '--quiet')).toBe('')
  })

  test('it is found by the beginning of its id, and started again with what it wrote', () => {
    const id = engine.must('run', '-d', 'busybox', 'sh', '-c', 'echo turn >> /turns; cat /turns')
    engine.must('wait', id.slice(0, 8))
    engine.must('start', id)
    engine.must('wait', id)
    expect(engine.must('logs', id)).toBe('turn\nturn\nturn')
    engine.must('rm', id)
  })

  test('what is mounted has its places below the image, and nothing of them is in what it writes', () => {
    const id = engine.must('run', '-d', 'busybox', 'sh', '-c', 'echo written >/file; cat /etc/hostname; sleep 1000')
    engine.must('exec', id, 'sh', '-c', 'until test -s /file; do sleep 0.01; done')
    expect(readdirSync(join(engine.dataRoot, 'containers', id, 'upper'))).toEqual(['file'])
    const modes = engine.must('exec', id, 'stat', '-c', '%a %U %n', '/etc', '/etc/hosts', '/etc/hostname')
    expect(modes.split('\n').map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      '755 root',
      '644 root',
      '644 root',
    ])
    engine.must('rm', '--force', id)
  })

  test('a second process runs beside the first, in the same namespaces', () => {
    engine.must('run', '-d', '--name', 'host', 'busybox', 'sleep', '1000')
    expect(engine.must('exec', 'host', 'sh', '-c', 'ps | wc -l; hostname')).toMatch(/^[45]\n[0-9a-f]{12}$/)
    expect(engine.coffer('exec', 'host', 'sh', '-c', 'exit 9').status).toBe(9)
    engine.must('rm', '--force', 'host')
  })

  test('one that runs goes with all its files, although its monitor writes one more at its end', () => {
    for (let round = 0; round < 40; round++) {
      engine.must('run', '--detach', '--name', 'brief', 'busybox', 'sleep', '100')
      engine.must('rm', '--force', 'brief')
    }
    expect(listed('containers')).toEqual([])
  })

  test('a container may have the process ids of another', () => {
    engine.must('run', '-d', '--name', 'first', 'busybox', 'sleep', '1234')
    expect(run('--pid', 'container:first', 'busybox', 'ps')).toContain('sleep 1234')
    engine.must('rm', '--force', 'first')
  })

  test('who attaches types into it, and leaves it running with the detach keys or sees it end', async () => {
    engine.must('run', '-d', '-i', '--name', 'cat', 'busybox', 'cat')
    const attached = engine.spawn('attach', 'cat')
    attached.stdin.write('hello\n')
    const { value } = await attached.stdout.getReader().read()
    expect(Buffer.from(value ?? []).toString()).toBe('hello\n')
    attached.stdin.end()
    expect(await attached.exited).toBe(0)
    expect(engine.must('logs', 'cat')).toBe('hello')
    engine.must('rm', 'cat')
    engine.must('run', '-dit', '--name', 'cat', 'busybox', 'cat')
    const left = engine.cofferWith('\x10\x11', 'attach', 'cat')
    expect([left.status, left.stderr]).toEqual([1, 'read escape sequence\n'])
    expect(engine.must('inspect', '-f', '{{.State.Status}}', 'cat')).toBe('running')
    engine.must('rm', '-f', 'cat')
  })

  test('stop asks with a signal, and kills who does not listen', () => {
    engine.must(
      'run',
      '-d',
      '--name',
      'polite',
      'busybox',
      'sh',
      '-c',
      'trap "exit 5" TERM; while true; do sleep 0.05; done',
    )
    engine.must('run', '-d', '--name', 'deaf', 'busybox', 'sleep', '1000')
    engine.must('exec', 'polite', 'true')
    engine.must('stop', '--time', '10', 'polite')
    engine.must('stop', '--time', '0', 'deaf')
    expect([engine.must('wait', 'polite'), engine.must('wait', 'deaf')]).toEqual(['5', '137'])
    engine.must('rm', 'polite', 'deaf')
  })

  test('a caller that is killed takes nothing along', async () => {
    const caller = engine.spawn('run', '--name', 'stays', 'busybox', 'sh', '-c', 'echo ready; sleep 1000')
    await caller.stdout.getReader().read()
    caller.kill(9)
    await caller.exited
    expect(engine.must('exec', 'stays', 'echo', 'alive')).toBe('alive')
    engine.must('rm', '--force', 'stays')
  })
})

test.each([['bridge'], ['none']])(
  'a container like one before, with the network %s, is not planned again',
  (network) => {
    const plans = (): readonly string[] => {
      const directory = join(engine.runRoot, '.plans')
      return readdirSync(directory).map((name) => `${name} ${statSync(join(directory, name)).ino}`)
    }
    const start = (): string => engine.must('run', '-d', '--network', network, 'busybox', 'sleep', '1000')
    // The first one leaves a note, the second one a plan; all of them run, so that each has files and addresses of its own.
    const ids = [start(), start()]
    const kept = plans()
    ids.push(start(), start())
    expect(plans()).toEqual(kept)
    expect(engine.must('exec', ids[3] ?? '', 'hostname')).toBe(ids[3]?.slice(0, 12) ?? '')
    engine.must('rm', '--force', ...ids)
  },
)

describe('names', () => {
  test('one name is of one container, until that is removed', () => {
    engine.must('run', '--name', 'taken', 'busybox', 'true')
    const second = engine.coffer('run', '--name', 'taken', 'busybox', 'true')
    expect([second.status, second.stderr.split('\n')[0]]).toEqual([
      125,
      expect.stringContaining('Conflict. The container name "/taken" is already in use by container'),
    ])
    expect(listed('containers').length).toBe(1)
    engine.must('rm', 'taken')
    engine.must('run', '--rm', '--name', 'taken', 'busybox', 'true')
  })

  test('of many who want one at once, one gets it', async () => {
    const all = Array.from({ length: 8 }, () => engine.spawn('run', '-d', '--name', 'race', 'busybox', 'true'))
    const statuses = await Promise.all(all.map((one) => one.exited))
    expect(statuses.toSorted((a, b) => a - b)).toEqual([0, 125, 125, 125, 125, 125, 125, 125])
    expect(readlinkSync(join(engine.dataRoot, 'names', 'race'))).toBe(listed('containers')[0] ?? '')
    engine.must('wait', 'race')
    engine.must('rm', 'race')
  })

  test("an image that is not there is said so, with docker's words", () => {
    const { status, stderr } = engine.coffer('run', '--pull', 'never', 'absent', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining("Unable to find image 'absent' locally")])
  })
})

test('what a monitor keeps of a container that prints little is at most 100 KiB', () => {
  const id = engine.must('run', '-d', 'busybox', 'sh', '-c', 'echo little; sleep 1000')
  const monitor = readdirSync('/proc').find(
    (pid) => /^\d+$/.test(pid) && commandOf(pid).startsWith(`coffer-monitor ${id}`),
  )
  const pss = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${monitor}/smaps_rollup`, 'utf8'))?.[1]
  expect(Number(pss)).toBeLessThanOrEqual(100)
  engine.must('rm', '--force', id)
})

function commandOf(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
