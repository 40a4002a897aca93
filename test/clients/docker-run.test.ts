/** `docker run` with coffer-runc: what a container sees of its flags, and that runc shows it the same. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Docker, hasAllCapabilities, IMAGE, RUNTIMES, startDocker } from './docker.ts'
import { HAS_V2_ONLY, type Lab, startLab } from './lab.ts'

let lab: Lab
let docker: Docker

beforeAll(async () => {
  lab = await startLab()
  docker = await startDocker(lab)
})

afterAll(async () => {
  expect(await lab.end()).toEqual([])
})

type Seen = readonly [exitCode: number | null, stdout: string]

/** The same command with both runtimes. Standard error is not compared: each has words of its own. */
function expectBoth(flags: string, script: string, expected: Seen): void {
  for (const runtime of RUNTIMES) {
    const { exitCode, stdout, stderr } = docker.call(
      ...['run', '--rm', '--runtime', runtime, ...wordsOf(flags), IMAGE],
      ...['sh', '-c', script],
    )
    const seen = [exitCode, stdout.trim()]
    expect([runtime, flags, seen, stderr]).toEqual([runtime, flags, [...expected], exitCode === 0 ? '' : stderr])
  }
}

const wordsOf = (flags: string): readonly string[] => flags.split(' ').filter((word) => word !== '')

/** A file of the container's cgroup, by its names in v1 and v2. */
const setting = (v1: string, v2: string): string => `cat /sys/fs/cgroup/${HAS_V2_ONLY ? v2 : v1}`

const either = (v1: string, v2: string): string => (HAS_V2_ONLY ? v2 : v1)

/** What runs is a list of commands, each with the lines that it prints. Errors of commands count as what they print. */
function expectLines(
  flags: string,
  lines: readonly (readonly [command: string, ...printed: readonly string[]])[],
): void {
  const script = lines.map(([command]) => `( ${command} ) 2>&1`).join('\n')
  expectBoth(flags, `${script}\ntrue`, [0, lines.flatMap(([, ...printed]) => printed).join('\n')])
}

test('limits of memory, processors, tasks and files arrive', () => {
  expectLines(
    '-m 32m --memory-reservation 16m --cpus 0.5 --cpu-shares 300 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit 70',
    [
      [setting('memory/memory.limit_in_bytes', 'memory.max'), '33554432'],
      [setting('memory/memory.memsw.limit_in_bytes', 'memory.swap.max'), either('67108864', '33554432')],
      [setting('memory/memory.soft_limit_in_bytes', 'memory.low'), '16777216'],
      [setting('cpu/cpu.cfs_quota_us', 'cpu.max'), either('50000', '50000 100000')],
      // How shares become a weight of v2 has changed with runc 1.3.2; Debian's is older.
      [HAS_V2_ONLY ? 'echo 300' : 'cat /sys/fs/cgroup/cpu/cpu.shares', '300'],
      ['grep Cpus_allowed_list /proc/self/status', 'Cpus_allowed_list:\t0'],
      [setting('pids/pids.max', 'pids.max'), '70'],
    ],
  )
  const more = HAS_V2_ONLY ? '' : ' --memory-swappiness 10 --oom-kill-disable'
  expectLines(
    `-m 32m --memory-swap 32m --cpu-period 50000 --cpu-quota 20000 --ulimit nofile=100:200 --shm-size 3m --oom-score-adj 500${more}`,
    [
      [setting('memory/memory.memsw.limit_in_bytes', 'memory.swap.max'), either('33554432', '0')],
      [setting('cpu/cpu.cfs_period_us', 'cpu.max'), either('50000', '20000 50000')],
      ['ulimit -n; ulimit -Hn', '100', '200'],
      ['df /dev/shm | awk "NR == 2 { print \\$2 }"', '3072'],
      ['cat /proc/self/oom_score_adj', '500'],
      ...(HAS_V2_ONLY
        ? []
        : [
            ['cat /sys/fs/cgroup/memory/memory.swappiness', '10'] as const,
            ['grep -c "oom_kill_disable 1" /sys/fs/cgroup/memory/memory.oom_control', '1'] as const,
          ]),
    ],
  )
})

test('limits of disks arrive', () => {
  const disk = readdirSync('/sys/block').find((name) => /^(vda|sda|nvme0n1|loop0|nullb0)$/.test(name))
  if (disk === undefined) throw new Error('this machine has no disk')
  const seen = docker.ask(
    ...['run', '--rm', '--device-read-bps', `/dev/${disk}:1mb`, '--device-write-iops', `/dev/${disk}:10`, IMAGE],
    ...['sh', '-c', setting('blkio/blkio.throttle.*_device', 'io.max')],
  )
  expect(seen).toMatch(HAS_V2_ONLY ? /rbps=1048576 wbps=max riops=max wiops=10/ : / 1048576\n[0-9:]+ 10$/)
})

test('a process with too much memory is killed and docker told so, one with too many tasks is refused, one with too much work slowed', async () => {
  for (const runtime of RUNTIMES) {
    const start = (...words: readonly string[]): void => {
      docker.ask('run', '-d', '--name', 'greedy', '--runtime', runtime, ...words)
    }
    start('-m', '20m', '--memory-swap', '20m', IMAGE, 'sleep', '1000')
    // Not by its first process: the shim looks out for kills only once that runs.
    expect(docker.call('exec', 'greedy', 'tail', '/dev/zero').exitCode).toBe(137)
    await docker.untilEvent('oom', 'greedy')
    docker.ask('rm', '-f', 'greedy')
    start('--pids-limit', '3', IMAGE, 'sh', '-c', 'sleep 9 & sleep 9 & sleep 9 & true')
    expect(docker.ask('wait', 'greedy')).toBe('2')
    expect(docker.call('logs', 'greedy').stderr).toContain("can't fork")
    docker.ask('rm', 'greedy')
  }
  const stat = setting('cpu/cpu.stat', 'cpu.stat')
  expectLines('--cpus 0.05', [[`while ! ${stat} | grep -qE "nr_throttled [1-9]"; do :; done; echo slowed`, 'slowed']])
})

/** Permitted and effective ones, bounding set, ambient ones. */
const CAPABILITIES = 'grep -E "^Cap(Prm|Eff|Bnd|Amb)" /proc/self/status | cut -f2 | paste -s -d " "'
const NONE = '0000000000000000'
const USUAL = '00000000a80425fb'

test('capabilities are those of docker, more or fewer on demand, and none for a user', () => {
  expectLines('', [[CAPABILITIES, `${USUAL} ${USUAL} ${USUAL} ${NONE}`]])
  const [more, one] = ['00000000a82425fa', '0000000000002000']
  expectLines('--cap-add SYS_ADMIN --cap-drop CHOWN', [[CAPABILITIES, `${more} ${more} ${more} ${NONE}`]])
  expectLines('--cap-drop ALL --cap-add NET_RAW', [[CAPABILITIES, `${one} ${one} ${one} ${NONE}`]])
  expectLines('-u user:5 --group-add 7', [
    [CAPABILITIES, `${NONE} ${NONE} ${USUAL} ${NONE}`],
    ['id', 'uid=1000(user) gid=5 groups=5,7'],
  ])
  expectBoth('-u nobody-knows', 'true', [125, ''])
})

// dockerd gives all that the kernel knows, so a machine that lacks one cannot have such a container: runc is refused as well.
test.skipIf(!hasAllCapabilities())(
  'a privileged container has all capabilities and devices, and may change sysctls and mounts',
  () => {
    expectLines('--privileged', [
      ['grep -E "^(Seccomp|NoNewPrivs):" /proc/self/status | cut -f2 | paste -s', '0\t0'],
      ['test -e /dev/mem -o -e /dev/kmsg && echo devices', 'devices'],
      ['mkdir /m; mount -t tmpfs m /m && echo mounts', 'mounts'],
      ['cat /proc/sys/vm/swappiness >/proc/sys/vm/swappiness && echo sysctls', 'sysctls'],
      ['mknod /dev/k c 1 5 && head -c 1 /dev/k | wc -c', '1'],
    ])
  },
)

test('what keeps a process from more is there, and goes where it is told to', () => {
  const profile = join(lab.directory, 'seccomp.json')
  const rule = { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 95 }
  writeFileSync(profile, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }))
  const status = 'grep -E "^(NoNewPrivs|Seccomp):" /proc/self/status | cut -f2 | paste -s'
  expectLines('', [
    [status, '0\t2'],
    ['unshare -m true', 'unshare: unshare(0x20000): Operation not permitted'],
    ['head -c 1 /proc/keys | wc -c', '0'],
    ['echo 1 >/proc/sys/vm/drop_caches', "sh: can't create /proc/sys/vm/drop_caches: Read-only file system"],
  ])
  expectLines(`--security-opt seccomp=${profile} --security-opt no-new-privileges`, [
    [status, '1\t2'],
    ['mkdir /x', "mkdir: can't create directory '/x': Operation not supported"],
  ])
  expectLines('--security-opt seccomp=unconfined --security-opt systempaths=unconfined --cap-add SYS_ADMIN', [
    [status, '0\t0'],
    ['unshare -m echo may', 'may'],
    ['head -c 1 /proc/keys | wc -c', '1'],
  ])
})

test('devices are those that are given, with the access that is given', () => {
  expectLines('', [
    [
      'ls /dev | grep -v core | paste -s',
      'fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero'.replaceAll(' ', '\t'),
    ],
    ['mknod /dev/k c 1 2 && cat /dev/k', "cat: can't open '/dev/k': Operation not permitted"],
  ])
  expectLines('--device /dev/kmsg:/dev/messages:r --device /dev/null:/dev/sink', [
    ['echo >/dev/messages', "sh: can't create /dev/messages: Operation not permitted"],
    ['stat -c %t:%T /dev/messages', '1:b'],
    ['echo >/dev/sink; stat -c %t:%T /dev/sink', '1:3'],
  ])
})

test('files are mounted as they are asked for', () => {
  const shared = lab.ask(['mktemp', '-d', '-p', lab.directory])
  writeFileSync(join(shared, 'file'), 'there\n')
  expectLines(
    `-v ${shared}:/rw -v ${shared}:/made/up:ro --mount type=bind,src=${shared},dst=/m,bind-propagation=rshared -v data:/data`,
    [
      ['cat /rw/file; echo >/rw/new; ls /made/up | paste -s', 'there', 'file\tnew'],
      ['echo >/made/up/x', "sh: can't create /made/up/x: Read-only file system"],
      ['grep " /m " /proc/self/mountinfo | grep -c shared:', '1'],
      ['echo kept >/data/f'],
    ],
  )
  expectLines('--read-only --tmpfs /x:size=1m,mode=700,uid=3 -v data:/data:ro -w /data', [
    ['echo >/x', "sh: can't create /x: Is a directory"],
    ['echo >/y', "sh: can't create /y: Read-only file system"],
    ['stat -c "%a %u" /x; df /x | awk "NR == 2 { print \\$2 }"', '700 3', '1024'],
    ['pwd; cat f', '/data', 'kept'],
  ])
  expectLines('--mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=0711 -w /made/for/it', [
    ['stat -c %a /t; pwd', '711', '/made/for/it'],
  ])
})

test('names, sysctls and the environment are those of the flags', () => {
  expectLines(
    '-h box --domainname d.example --sysctl net.ipv4.ip_forward=0 --sysctl kernel.msgmax=1000 -e A=1 --add-host x:1.2.3.4 --dns 1.1.1.1',
    [
      ['hostname; cat /proc/sys/kernel/domainname', 'box', 'd.example'],
      ['cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax', '0', '1000'],
      [
        'env | grep -v PWD= | sort | paste -s',
        'A=1\tHOME=/root\tHOSTNAME=box\tPATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\tSHLVL=1',
      ],
      ['cat /etc/resolv.conf; grep -c 1.2.3.4 /etc/hosts', 'nameserver 1.1.1.1', '1'],
    ],
  )
})

test('namespaces are those of the container, of another container, or of the host', () => {
  const ids = (...names: readonly string[]): string => names.map((name) => `readlink /proc/self/ns/${name}`).join(';')
  for (const runtime of RUNTIMES) {
    docker.ask('run', '-d', '--runtime', runtime, '--name', 'other', '--ipc', 'shareable', IMAGE, 'sleep', '1000')
    const others = docker.ask('exec', 'other', 'sh', '-c', ids('pid', 'ipc', 'net'))
    const joining = ['pid', 'ipc', 'network'].map((kind) => `--${kind}=container:other`)
    const run = (...words: readonly string[]): string => docker.ask('run', '--rm', '--runtime', runtime, ...words)
    expect(run(...joining, IMAGE, 'sh', '-c', ids('pid', 'ipc', 'net'))).toBe(others)
    docker.ask('rm', '-f', 'other')
    const hosts = lab.ask(['sh', '-c', ids('pid', 'ipc', 'net', 'uts', 'user')])
    const host = ['pid', 'ipc', 'network', 'uts', 'userns'].map((kind) => `--${kind}=host`)
    expect(run(...host, IMAGE, 'sh', '-c', ids('pid', 'ipc', 'net', 'uts', 'user'))).toBe(hosts)
  }
  expectLines('--network none --ipc none', [
    ['ls /sys/class/net; ls /dev/shm', 'lo', 'ls: /dev/shm: No such file or directory'],
    ['echo $$', '1'],
  ])
  expectLines('--cgroupns private', [['grep -vE ":/$" /proc/self/cgroup | wc -l', '0']])
  expectLines('--cgroup-parent /docker/parent', [['true']])
})

test('a program starts as that of runc does, or is refused with the same status', () => {
  expectBoth('', 'exit 7', [7, ''])
  expectBoth('--init', 'kill -9 $$', [137, ''])
  expectLines('--init', [['cat /proc/1/comm', 'docker-init']])
  for (const runtime of RUNTIMES) {
    const status = (...words: readonly string[]): number | null =>
      docker.call('run', '--rm', '--runtime', runtime, IMAGE, ...words).exitCode
    expect([runtime, status('missing'), status('/etc/passwd'), status('/tmp')]).toEqual([runtime, 127, 126, 126])
    const { stdout } = docker.withInput('typed', 'run', '--rm', '-i', '--runtime', runtime, IMAGE, 'cat')
    expect([runtime, stdout]).toEqual([runtime, 'typed'])
  }
})
