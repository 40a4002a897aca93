/** Volumes that show something else than a directory of their own: `volume create --opt`, and `--mount volume-opt`. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)
const inspected = (name: string): Record<string, unknown> => JSON.parse(engine.must('volume', 'inspect', name))[0]
const create = (name: string, ...options: readonly string[]): string =>
  engine.must('volume', 'create', ...options.flatMap((option) => ['-o', option]), name)
const directory = (name: string): string => {
  const path = join(engine.directory, name)
  mkdirSync(path)
  return path
}
const sleeper = (name: string, ...flags: readonly string[]): string =>
  engine.must('run', '-d', '--name', name, ...flags, 'ubuntu', 'sleep', '1000')
const MEMORY = ['type=tmpfs', 'device=tmpfs', 'o=size=64k,uid=1000,mode=750'] as const
/** What is mounted for volumes on this machine, as this process sees it. */
const mounts = (): readonly string[] =>
  readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(join(engine.dataRoot, 'mounted')))
const left = (): readonly string[] => {
  const path = join(engine.dataRoot, 'mounted')
  return existsSync(path) ? readdirSync(path) : []
}

describe('a directory of this machine', () => {
  test('is shown and written, says where it is, and stays when the volume goes (S190)', () => {
    const path = directory('shown')
    writeFileSync(join(path, 'file'), 'of the host')
    create('shown', 'type=none', 'o=bind', `device=${path}`)
    expect(run('-v', 'shown:/x', 'ubuntu', 'sh', '-c', 'cat /x/file; echo more >/x/made')).toBe('of the host')
    expect(readFileSync(join(path, 'made'), 'utf8')).toBe('more\n')
    expect(inspected('shown')).toMatchObject({
      Options: { type: 'none', o: 'bind', device: path },
      Mountpoint: path,
    })
    expect(mounts()).toEqual([])
    engine.must('volume', 'rm', 'shown')
    expect(readdirSync(path).sort()).toEqual(['file', 'made'])
  })

  test('has the attributes that o names, and with o=bind nothing that is mounted below', () => {
    const path = directory('attributes')
    create('attributes', 'type=none', 'o=bind,ro,nosuid', `device=${path}`)
    const line = run(
      '-v',
      'attributes:/x',
      'ubuntu',
      'sh',
      '-c',
      'grep " /x " /proc/self/mountinfo; touch /x/a || true',
    )
    expect(line).toMatch(/ \/x ro,nosuid/)
    create('flat', 'type=none', 'o=bind', 'device=/dev')
    create('deep', 'type=none', 'o=rbind', 'device=/dev')
    const below = (name: string): number =>
      Number(run('-v', `${name}:/x`, 'ubuntu', 'sh', '-c', 'grep -c " /x/" /proc/self/mountinfo || true'))
    expect([below('flat'), below('deep') > 0]).toEqual([0, true])
  })

  test('that is empty gets what the image has there, with owners and modes, and one that is not stays as it is', () => {
    const path = directory('filled')
    symlinkSync(path, join(engine.directory, 'link'))
    create('filled', 'type=none', 'o=bind', `device=${join(engine.directory, 'link')}`)
    run('-v', 'filled:/etc', 'ubuntu', 'true')
    expect(readdirSync(path)).toEqual(expect.arrayContaining(['passwd', 'group']))
    expect(statSync(path).mode & 0o7777).toBe(0o755)
    expect(engine.coffer('run', '--rm', '-v', 'filled:/bin', 'ubuntu', 'true').status).toBe(127)
    expect(readdirSync(path)).not.toContain('busybox')
  })

  test('that is not there is missed, and a path that is none is refused', () => {
    create('absent', 'type=none', 'o=bind', 'device=/no/such')
    const { status, stderr } = engine.coffer('run', '--rm', '-v', 'absent:/x', 'ubuntu', 'true')
    expect([status, stderr]).toEqual([125, expect.stringContaining('failed to mount local volume: /no/such')])
    expect(engine.must('ps', '-aq')).toBe('')
  })

  test('can be a part, read-only, copied on write, and come from another container', () => {
    const path = directory('parts')
    mkdirSync(join(path, 'sub'))
    writeFileSync(join(path, 'sub', 'file'), 'part')
    create('parts', 'type=none', 'o=bind', `device=${path}`)
    expect(run('--mount', 'src=parts,dst=/x,volume-subpath=sub', 'ubuntu', 'cat', '/x/file')).toBe('part')
    expect(engine.coffer('run', '--rm', '-v', 'parts:/x:ro', 'ubuntu', 'touch', '/x/a').stderr).toContain('Read-only')
    run('-v', 'parts:/x:cow', 'ubuntu', 'touch', '/x/cow')
    engine.must('create', '--name', 'first', '-v', 'parts:/x', 'ubuntu', 'true')
    run('--volumes-from', 'first', 'ubuntu', 'touch', '/x/second')
    expect(readdirSync(path).sort()).toEqual(['second', 'sub'])
    expect(engine.coffer('volume', 'rm', 'parts').stderr).toContain('volume is in use')
    engine.must('rm', 'first')
  })
})

describe('memory', () => {
  test('is one for all containers that use it, of its size and owner, and empty once the last has ended', () => {
    create('memory', ...MEMORY)
    expect(mounts()).toEqual([])
    const look = 'stat -c "%u %a" /x; grep " /x " /proc/self/mountinfo'
    sleeper('one', '-v', 'memory:/x')
    expect(run('-v', 'memory:/x', 'ubuntu', 'sh', '-c', `${look}; echo common >/x/file`)).toMatch(
      /^1000 750\n.* tmpfs .*size=64k/,
    )
    expect(engine.must('exec', 'one', 'cat', '/x/file')).toBe('common')
    expect(mounts().length).toBe(1)
    expect(inspected('memory')).toMatchObject({ Mountpoint: join(engine.dataRoot, 'mounted', 'memory', 'files') })
    sleeper('two', '-v', 'memory:/x')
    engine.must('rm', '-f', 'one')
    expect(engine.must('exec', 'two', 'cat', '/x/file')).toBe('common')
    engine.must('stop', '-t', '0', 'two')
    expect([mounts(), left()]).toEqual([[], []])
    engine.must('start', 'two')
    expect(engine.coffer('exec', 'two', 'cat', '/x/file').status).toBe(1)
    expect(engine.coffer('volume', 'rm', 'memory').stderr).toContain('volume is in use')
    engine.must('rm', '-f', 'two')
    engine.must('volume', 'rm', 'memory')
    expect([mounts(), left()]).toEqual([[], []])
  })

  test('goes with a container that is killed with its monitor, at the next command', () => {
    create('killed', ...MEMORY)
    sleeper('victim', '-v', 'killed:/x')
    const pid = Number(engine.must('inspect', '-f', '{{.State.Pid}}', 'victim'))
    const parent = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
    expect(mounts().length).toBe(1)
    process.kill(parent, 'SIGKILL')
    process.kill(pid, 'SIGKILL')
    while (existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
    engine.must('ps')
    expect([mounts(), left()]).toEqual([[], []])
    engine.must('rm', 'victim')
  })

  test('is not left mounted by a start that fails', () => {
    create('failing', ...MEMORY)
    expect(engine.coffer('run', '--rm', '-v', 'failing:/x', 'ubuntu', '/no/program').status).toBe(127)
    expect([mounts(), left()]).toEqual([[], []])
  })

  test('is of a new volume that --mount makes, and of one without a name', () => {
    const options =
      'volume-driver=local,volume-opt=type=tmpfs,volume-opt=device=tmpfs,"volume-opt=o=size=128k,mode=700"'
    const look = ['ubuntu', 'sh', '-c', 'grep " /x " /proc/self/mountinfo']
    expect(run('--mount', `type=volume,src=asked,dst=/x,${options}`, ...look)).toContain('size=128k')
    expect(inspected('asked')).toMatchObject({ Options: { type: 'tmpfs', device: 'tmpfs', o: 'size=128k,mode=700' } })
    expect(run('--mount', `type=volume,dst=/x,${options}`, ...look)).toContain('size=128k')
    expect(left()).toEqual([])
  })

  test('is reached by cp while the container runs, and is empty for one that does not', () => {
    create('copied', ...MEMORY)
    sleeper('copied', '-v', 'copied:/x')
    engine.cofferWith('', 'exec', 'copied', 'sh', '-c', 'echo text >/x/file')
    engine.must('cp', 'copied:/x/file', join(engine.directory, 'out'))
    expect(readFileSync(join(engine.directory, 'out'), 'utf8')).toBe('text\n')
    engine.must('stop', '-t', '0', 'copied')
    expect(engine.coffer('cp', 'copied:/x/file', '-').stderr).toContain('/x/file')
    expect([mounts(), left()]).toEqual([[], []])
    engine.must('rm', 'copied')
  })
})

test('another file system is mounted with its device and options, and gets what the image has', () => {
  const [lower, upper, work] = ['lower', 'upper', 'work'].map(directory)
  create('other', 'type=overlay', 'device=overlay', `o=lowerdir=${lower},upperdir=${upper},workdir=${work},nodev`)
  const seen = run('-v', 'other:/etc', 'ubuntu', 'sh', '-c', 'grep " /etc " /proc/self/mountinfo; touch /etc/made')
  expect(seen).toMatch(/nodev.* - overlay overlay/)
  expect(readdirSync(upper ?? '')).toEqual(expect.arrayContaining(['passwd', 'made']))
  expect([mounts(), left()]).toEqual([[], []])
  create('wrong', 'type=nosuchfs', 'device=x')
  const { status, stderr } = engine.coffer('run', '--rm', '-v', 'wrong:/x', 'ubuntu', 'true')
  expect([status, stderr]).toEqual([125, expect.stringContaining('cannot mount the volume wrong (nosuchfs of x)')])
  expect([left(), engine.must('ps', '-aq')]).toEqual([[], ''])
})

test('options that no volume has are refused when it is made', () => {
  const said = (...options: readonly string[]): string =>
    engine.coffer('volume', 'create', ...options.flatMap((one) => ['--opt', one]), 'refused').stderr
  expect(said('odd=1')).toContain('invalid option: "odd"')
  expect(said('device=/srv')).toContain('missing required option: "type"')
  expect(said('type=tmpfs')).toContain('missing required option: "device"')
  expect(said('size=1m')).toContain('no quota support')
  expect(said('type=none', 'o=bind', 'device=srv')).toContain('give the whole path')
  expect(said('type=none', 'o=bind,rshared', 'device=/srv')).toContain('how mounts spread')
  expect(said('type=nfs', 'o=addr=server.example', 'device=:/srv')).toContain('give the address itself')
  expect(engine.coffer('volume', 'inspect', 'refused').status).toBe(1)
})
