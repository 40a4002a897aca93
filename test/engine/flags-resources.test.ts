/** Limits and devices by flags, and what the kernel says of them, asked from inside and of the cgroup. */

import { afterAll, beforeAll, describe, expect, test } from 'bun:test'
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { busyboxArchive, openTestEngine, type TestEngine } from './engine.ts'

let engine: TestEngine
beforeAll(() => {
  engine = openTestEngine()
  engine.must('import', busyboxArchive(engine.directory), 'ubuntu')
})
afterAll(() => engine[Symbol.dispose]())

const run = (...words: readonly string[]): string => engine.must('run', '--rm', ...words)

/** The files of the cgroup of a container, of v1 by controller or of v2. */
function cgroupFile(id: string, controller: string, v1: string, v2: string): string {
  const own = readFileSync(`/proc/${pidOf(id)}/cgroup`, 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
  const entry = own.find(([, controllers = '']) => controllers.split(',').includes(controller))
  const unified = own.find(([, controllers]) => controllers === '')
  const [, , path = ''] = entry ?? unified ?? []
  const hierarchy = entry === undefined ? (existsSync('/sys/fs/cgroup/unified') ? 'unified' : '') : controller
  return readFileSync(join('/sys/fs/cgroup', hierarchy, path, entry === undefined ? v2 : v1), 'utf8').trim()
}

const pidOf = (id: string): number => {
  const state = readFileSync(join(engine.runRoot, id, 'init'), 'utf8')
  return Number(state.split(' ')[0])
}

/** Starts one that sleeps, asks, and removes it. */
function with_<Result>(flags: readonly string[], ask: (id: string) => Result): Result {
  const id = engine.must('run', '-d', ...flags, 'ubuntu', 'sleep', '1000')
  try {
    return ask(id)
  } finally {
    engine.must('rm', '--force', id)
  }
}

const isV1 = existsSync('/sys/fs/cgroup/memory')

describe('limits', () => {
  const QUOTA = ['cpu', 'cpu.cfs_quota_us', 'cpu.max'] as const
  test.each<readonly [string, readonly string[], readonly [string, string, string], string, string]>([
    ['--cpus', ['--cpus', '0.5'], QUOTA, '50000', '50000 100000'],
    ['--cpu-quota', ['--cpu-quota=50000', '--cpu-period=100000'], QUOTA, '50000', '50000 100000'],
    [
      '--cpu-period',
      ['--cpu-quota=20000', '--cpu-period=50000'],
      ['cpu', 'cpu.cfs_period_us', 'cpu.max'],
      '50000',
      '20000 50000',
    ],
    ['--cpu-shares', ['--cpu-shares=512'], ['cpu', 'cpu.shares', 'cpu.weight'], '512', '20'],
    ['--cpuset-cpus', ['--cpuset-cpus', '1'], ['cpuset', 'cpuset.cpus', 'cpuset.cpus'], '1', '1'],
    ['--cpuset-mems', ['--cpuset-mems', '0'], ['cpuset', 'cpuset.mems', 'cpuset.mems'], '0', '0'],
    ['--memory', ['--memory', '64m'], ['memory', 'memory.limit_in_bytes', 'memory.max'], '67108864', '67108864'],
    [
      '--memory-reservation',
      ['--memory-reservation', '32m'],
      ['memory', 'memory.soft_limit_in_bytes', 'memory.low'],
      '33554432',
      '33554432',
    ],
    ['--pids-limit', ['--pids-limit=50'], ['pids', 'pids.max', 'pids.max'], '50', '50'],
  ])('%s is in the cgroup', (_, flags, [controller, v1, v2], inV1, inV2) => {
    with_(flags, (id) => expect(cgroupFile(id, controller, v1, v2)).toBe(isV1 ? inV1 : inV2))
  })

  test('--memory-swap and --memory-swappiness are, where the kernel has them', () => {
    const swappiness = engine.coffer('run', '--rm', '--memory-swappiness', '10', 'ubuntu', 'true')
    if (!isV1) return expect(swappiness.stderr).toContain('swappiness')
    with_(['--memory', '64m', '--memory-swappiness', '10'], (id) =>
      expect(cgroupFile(id, 'memory', 'memory.swappiness', '')).toBe('10'),
    )
  })

  test('--oom-kill-disable turns the killer off, or is refused where there is no such switch', () => {
    if (!isV1) return expect(engine.coffer('run', '--rm', '--oom-kill-disable', 'ubuntu', 'true').status).toBe(125)
    with_(['--oom-kill-disable', '-m', '64m'], (id) =>
      expect(cgroupFile(id, 'memory', 'memory.oom_control', '')).toContain('oom_kill_disable 1'),
    )
  })

  test('a fork beyond --pids-limit fails', () => {
    const { stderr } = engine.coffer(
      'run',
      '--rm',
      '--pids-limit',
      '3',
      'ubuntu',
      'sh',
      '-c',
      'sleep 1 & sleep 1 & sleep 1 & sleep 1 & wait',
    )
    expect(stderr).toContain("can't fork")
  })

  test('a container gets the CPU time of --cpus, measured by the kernel', () => {
    const spent = with_(['--cpus', '0.2'], (id) => {
      engine.must('exec', '-d', id, 'sh', '-c', 'while true; do :; done')
      engine.must('exec', id, 'sleep', '1')
      return cgroupFile(id, 'cpu', 'cpu.stat', 'cpu.stat')
    })
    expect(Number(/^nr_throttled (\d+)/m.exec(spent)?.[1])).toBeGreaterThan(0)
  })

  test('--memory-high and --cgroup-conf are files of cgroup v2, and refused where its controllers are not', () => {
    const { status, stderr } = engine.coffer('run', '--rm', '--memory-high', '32m', 'ubuntu', 'true')
    if (isV1) expect([status, stderr]).toEqual([125, expect.stringContaining('unified["memory.high"]')])
    else expect(status).toBe(0)
    expect(engine.coffer('run', '--rm', '--cgroup-conf', 'memory', 'ubuntu', 'true').stderr).toContain(
      '--cgroup-conf is "memory"',
    )
  })

  test('what docker has no flag for is limited too, in hierarchies that the host need not have mounted', () => {
    const flags = ['--hugetlb', '2MB=4m', '--net-class', '10:1', '--net-priority', 'lo=5']
    const plan = engine.must('explain', 'run', ...(isV1 ? flags : flags.slice(0, 2)), 'ubuntu', 'true')
    expect(plan).toMatch(/write\(.*"4194304"/)
    if (!isV1) return
    for (const text of ['"1048577"', '"lo 5"']) expect(plan).toContain(text)
    const kernel = readFileSync('/proc/cgroups', 'utf8')
    for (const [flag, value, controller] of [
      ['--hugetlb', '2MB=4m', 'hugetlb'],
      ['--net-class', '10:1', 'net_cls'],
      ['--net-priority', 'lo=5', 'net_prio'],
    ] as const) {
      const { stdout, stderr } = engine.coffer('run', '--rm', flag, value, 'ubuntu', 'cat', '/proc/self/cgroup')
      if (kernel.includes(controller)) expect(stdout).toMatch(new RegExp(`[:,]${controller}[^:]*:/$`, 'm'))
      else expect(stderr).toContain(`this kernel has no ${controller} controller`)
    }
  })

  test('--cgroup-parent is the cgroup above its own', () => {
    const parent = `coffer-flags-${process.pid}`
    with_(['--cgroup-parent', parent], (id) =>
      expect(readFileSync(`/proc/${pidOf(id)}/cgroup`, 'utf8')).toContain(`/${parent}/${id}\n`),
    )
    for (const name of isV1
      ? ['blkio', 'cpu', 'cpuset', 'devices', 'freezer', 'memory', 'pids', 'systemd', 'unified', 'cpuacct']
      : [''])
      if (existsSync(join('/sys/fs/cgroup', name, parent))) rmdirSync(join('/sys/fs/cgroup', name, parent))
  })

  test('rates of a device are in the cgroup, by its number', () => {
    const { stdout } = Bun.spawnSync(['stat', '-c', '%Hr:%Lr', '/dev/vda'])
    const device = stdout.toString().trim()
    if (device === '')
      return expect(engine.coffer('run', '--device-read-bps', '/dev/vda:1mb', 'ubuntu', 'true').status).toBe(125)
    const flags = ['--device-read-bps', '/dev/vda:1mb', '--device-write-iops', '/dev/vda:100']
    with_(flags, (id) => {
      if (!isV1) return expect(cgroupFile(id, 'io', '', 'io.max')).toContain('rbps=1048576')
      expect(cgroupFile(id, 'blkio', 'blkio.throttle.read_bps_device', '')).toBe(`${device} 1048576`)
      expect(cgroupFile(id, 'blkio', 'blkio.throttle.write_iops_device', '')).toBe(`${device} 100`)
    })
  })
})

describe('limits of processes', () => {
  test('--ulimit, soft and hard, and without a limit', () => {
    const limits = run('--ulimit', 'nofile=100:200', '--ulimit', 'core=-1', 'ubuntu', 'cat', '/proc/self/limits')
    expect(limits).toMatch(/^Max open files +100 +200 /m)
    expect(limits).toMatch(/^Max core file size +unlimited +unlimited /m)
    expect(engine.coffer('run', '--ulimit', 'nofile=2:1', 'ubuntu', 'true').stderr).toContain(
      'must be less than or equal to hard limit',
    )
  })

  test('--oom-score-adj and --sysctl', () => {
    expect(run('--oom-score-adj', '300', 'ubuntu', 'cat', '/proc/self/oom_score_adj')).toBe('300')
    expect(run('--sysctl', 'net.ipv4.ip_default_ttl=77', 'ubuntu', 'cat', '/proc/sys/net/ipv4/ip_default_ttl')).toBe(
      '77',
    )
  })

  test('--shm-size', () => {
    expect(run('--shm-size', '1m', 'ubuntu', 'mount')).toMatch(/ on \/dev\/shm .*size=1024k/)
    expect(run('ubuntu', 'mount')).toMatch(/ on \/dev\/shm .*size=65536k/)
  })
})

describe('devices', () => {
  test('--device gives a node, under another name and with fewer rights', () => {
    expect(
      run(
        '--device',
        '/dev/kmsg:/dev/log-of-host:r',
        'ubuntu',
        'sh',
        '-c',
        'ls /dev/log-of-host; echo x >/dev/log-of-host || echo no',
      ),
    ).toContain('no')
    expect(engine.coffer('run', '--rm', 'ubuntu', 'ls', '/dev/kmsg').status).toBe(1)
  })

  test('--device-cgroup-rule lets a node be used that the container makes', () => {
    const use = 'rm -f /t; busybox mknod /t c 10 229 && (: </t) 2>/dev/null && echo opened'
    expect(run('--device-cgroup-rule', 'c 10:229 rwm', 'ubuntu', 'sh', '-c', use)).toBe('opened')
    expect(engine.coffer('run', '--rm', 'ubuntu', 'sh', '-c', use).stdout).toBe('')
  })

  test('--privileged has the devices of the host', () => {
    expect(run('--privileged', 'ubuntu', 'ls', '/dev')).toContain('kmsg')
  })

  test('--gpus is refused, and so is what belongs to another system', () => {
    for (const flag of [
      '--gpus=all',
      '--cpu-count=1',
      '--isolation=hyperv',
      '--kernel-memory=1g',
      '--storage-opt=size=1g',
    ])
      expect(engine.coffer('run', flag, 'ubuntu', 'true').status).toBe(125)
    expect(engine.coffer('run', '--gpus', 'all', 'ubuntu', 'true').stderr).toContain('coffer knows no GPUs')
  })
})

describe('update', () => {
  test('changes the limits of a container that runs, and keeps them for its next start', () => {
    const id = engine.must('run', '-d', '-m', '64m', '--pids-limit', '50', 'ubuntu', 'sleep', '1000')
    engine.must('update', '--memory', '32m', '--cpus', '0.5', id)
    const seen = (): readonly string[] => [
      cgroupFile(id, 'memory', 'memory.limit_in_bytes', 'memory.max'),
      cgroupFile(id, 'pids', 'pids.max', 'pids.max'),
      cgroupFile(id, 'cpu', 'cpu.cfs_quota_us', 'cpu.max').split(' ')[0] ?? '',
    ]
    expect(seen()).toEqual(['33554432', '50', '50000'])
    engine.must('stop', '--time', '0', id)
    engine.must('start', id)
    expect(seen()).toEqual(['33554432', '50', '50000'])
    engine.must('rm', '--force', id)
  })

  test('says what is missing, and what is wrong', () => {
    const id = engine.must('create', 'ubuntu', 'true')
    expect(engine.coffer('update', id).stderr).toContain('you must provide one or more flags')
    expect(engine.coffer('update', '--memory', '1m', id).stderr).toContain('Minimum memory limit allowed is 6MB')
    engine.must('update', '--restart', 'on-failure:3', id)
    expect(JSON.parse(readFileSync(join(engine.dataRoot, 'containers', id, 'container.json'), 'utf8')).restart).toEqual(
      {
        when: 'on-failure',
        maxRetries: 3,
      },
    )
    engine.must('rm', id)
  })
})

test('an environment file is read line by line', () => {
  const file = join(engine.directory, 'env')
  writeFileSync(file, '# comment\nA=1\n\nB=two words\n')
  expect(run('--env-file', file, '-e', 'A=2', 'ubuntu', 'sh', '-c', 'echo $A $B')).toBe('2 two words')
})
