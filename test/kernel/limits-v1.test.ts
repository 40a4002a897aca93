/**
 * Limits of cgroup v1, by what they do to a container. kernel:admin-guide/cgroup-v1
 *
 * Beside these: devices in devices.test.ts, pids and memory in cgroup.test.ts; net_prio, hugetlb, swap and disk weights in test/guest-v1, as they change the
 * machine. Not measured: memory.soft_limit_in_bytes, which acts only when the whole machine is short of memory; perf_event, which limits
 * nothing; rdma and misc, as no machine at hand has what they count.
 */

import { afterAll, afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync, statSync, truncateSync } from 'node:fs'
import { slot } from '../../src/linux/call.ts'
import { close } from '../../src/linux/files.ts'
import { readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { mountHierarchy } from '../../src/plan/cgroup-private.ts'
import type { Step } from '../../src/plan/plan.ts'
import { runSteps } from '../executor-run.ts'
import type { Changes } from './bundle.ts'
import { until } from './leaks.ts'
import { expectNothingLeft, makeSite, type Site } from './site.ts'

const { hierarchies, unmounted } = readCgroupLayout(nodeFiles())
const mountOf = (controller: string): string | undefined =>
  hierarchies.find(({ version, controllers }) => version === 1 && controllers.includes(controller))?.mountPoint

/** A file of the container's cgroup; its name begins with that of the controller, in most cases. */
const setting = ({ cgroup }: Pick<Site, 'cgroup'>, file: string, controller = file.split('.')[0] ?? ''): string =>
  readFileSync(`${mountOf(controller)}${cgroup}/${file}`, 'utf8').trim()

const limits = (resources: object): Changes => ({ 'linux.resources': resources })
const BUSY: Changes = { 'process.args': ['sh', '-c', 'while :; do :; done'] }
const MIB = 1 << 20

function host(...words: readonly string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync([...words])
  if (exitCode !== 0) throw new Error(`${words.join(' ')}: ${stderr}`)
  return stdout.toString().trim()
}

/** Nanoseconds of CPU time that each of the containers uses while `milliseconds` go by, and how many those were. */
function use(sites: readonly Site[], milliseconds: number): { readonly nanos: readonly number[]; readonly ns: number } {
  const usage = (): readonly number[] => sites.map((site) => Number(setting(site, 'cpuacct.usage')))
  const [before, begin] = [usage(), performance.now()]
  Bun.sleepSync(milliseconds)
  const after = usage()
  const ns = (performance.now() - begin) * 1_000_000
  return { nanos: after.map((value, index) => value - (before[index] ?? 0)), ns }
}

const lacks = (...controllers: readonly string[]): boolean => controllers.some((name) => mountOf(name) === undefined)

afterEach(expectNothingLeft)

test.skipIf(lacks('cpu', 'cpuacct'))(
  'cpu.cfs_quota_us of v1 holds a busy container to its share, and its stops are counted',
  () => {
    using site = makeSite()
    site.up({ ...BUSY, ...limits({ cpu: { quota: 5_000, period: 100_000 } }) })
    const { nanos, ns } = use([site], 1500)
    expect((nanos[0] ?? 0) / ns).toBeWithin(0.001, 0.1)
    until('stops', () => Number(/^nr_throttled (\d+)$/m.exec(setting(site, 'cpu.stat'))?.[1]) > 3)
    const { data } = JSON.parse(site.call(['events', '--stats', site.id]).stdout)
    expect(data.cpu.throttling.throttledPeriods).toBeGreaterThan(3)
    expect(data.cpu.usage.total).toBeGreaterThanOrEqual(nanos[0] ?? 0)
  },
)

test.skipIf(lacks('cpu', 'cpuacct', 'cpuset'))(
  'of two busy containers on one CPU each gets time by its shares of v1',
  () => {
    using heavy = makeSite()
    using light = makeSite()
    heavy.up({ ...BUSY, ...limits({ cpu: { shares: 4096, cpus: '1' } }) })
    light.up({ ...BUSY, ...limits({ cpu: { shares: 1024, cpus: '1' } }) })
    const [more = 0, less = 0] = use([heavy, light], 2500).nanos
    expect(more / less).toBeWithin(2.4, 6.4)
  },
)

test.skipIf(lacks('cpuset'))('a container runs on the CPUs and nodes of its cpuset of v1', () => {
  using site = makeSite()
  site.up({ ...BUSY, ...limits({ cpu: { cpus: '1', mems: '0' } }) })
  const script = 'grep -e Cpus_allowed_list -e Mems_allowed_list /proc/self/status; nproc'
  expect(site.exec(script).stdout).toBe('Cpus_allowed_list:\t1\nMems_allowed_list:\t0\n1\n')
})

const hasRealTime = existsSync(`${mountOf('cpu')}/cpu.rt_runtime_us`)

test.skipIf(!hasRealTime)('a real-time task runs only in a container that has real-time runtime of v1', () => {
  using site = makeSite()
  const scheduler = { policy: 'SCHED_FIFO', priority: 5 }
  const tried = (cpu: object): number | null =>
    site.run({ 'process.scheduler': scheduler, 'process.args': ['true'], ...limits({ cpu }) }).exitCode
  expect(tried({})).not.toBe(0)
  expect(tried({ realtimeRuntime: 10_000, realtimePeriod: 1_000_000 })).toBe(0)
})

test.skipIf(lacks('freezer', 'cpuacct'))('a paused container uses no CPU time of v1 until it is resumed', () => {
  using site = makeSite()
  site.up(BUSY)
  expect(site.call(['pause', site.id]).exitCode).toBe(0)
  expect(use([site], 300).nanos).toEqual([0])
  expect(site.call(['resume', site.id]).exitCode).toBe(0)
  expect(use([site], 300).nanos[0]).toBeGreaterThan(0)
})

test.skipIf(lacks('pids'))('pids.max of v1 refuses a fork, and pids.events counts it', () => {
  using site = makeSite()
  site.up(limits({ pids: { limit: 4 } }))
  expect(site.exec('( for i in 1 2 3 4 5 6; do sleep 2 & done; wait ) 2>&1').stdout).toMatch(/can't fork/)
  expect(setting(site, 'pids.events')).toMatch(/^max [1-9]/)
})

const eat = (megabytes: number): string => `dd if=/dev/zero of=/dev/null bs=${megabytes}M count=1 2>/dev/null`

test.skipIf(lacks('memory'))('a process beyond the memory limit of v1 is killed, and init lives on', () => {
  using site = makeSite()
  site.up(limits({ memory: { limit: 24 * MIB, swap: 24 * MIB } }))
  expect([site.exec(eat(12)).exitCode, site.exec(eat(64)).exitCode]).toEqual([0, 137])
  expect(setting(site, 'memory.oom_control')).toMatch(/^oom_kill 1$/m)
  expect(site.state().status).toBe('running')
})

test.skipIf(lacks('memory'))(
  'without the OOM killer of v1 a process waits for memory, and goes on when there is some',
  async () => {
    using site = makeSite()
    site.up(limits({ memory: { limit: 24 * MIB, swap: 24 * MIB, disableOOMKiller: true } }))
    // Who needs memory in a system call, as dd does, does not wait on all kernels: mm/memcontrol.c, mem_cgroup_oom.
    const waiting = site.spawn(['exec', site.id, 'awk', 'BEGIN { text = sprintf("%48000000s", "") }'])
    until('it to wait', () => setting(site, 'memory.oom_control').includes('under_oom 1'))
    expect(setting(site, 'memory.oom_control')).toContain('oom_kill 0')
    expect(site.call(['update', '--memory', '128m', '--memory-swap', '128m', site.id]).exitCode).toBe(0)
    expect((await waiting.outcome()).exitCode).toBe(0)
  },
)

test.skipIf(lacks('memory'))('kernelTCP of v1 limits what waits in a socket', () => {
  // Somebody listens and reads nothing; the 5th column of /proc/net/tcp is what waits to be sent, at last always as much. proc_pid_net(5)
  const send = `
    waiting() { sed -n 's/.* 0100007F:0007 01 \\([0-9A-F]*\\):.*/\\1/p' /proc/net/tcp | grep -v ^00000000; }
    nc -l -p 7 -e sleep 100 & until grep -q ':0007 0*:0000 0A' /proc/net/tcp*; do sleep 0.01; done
    (head -c 16000000 /dev/zero | nc 127.0.0.1 7) &
    same=0; last=; for look in $(seq 400); do
      sleep 0.05; now=$(waiting); if [ -n "$now" ] && [ "$now" = "$last" ]; then same=$((same + 1)); else same=0; fi; last=$now
      [ $same -lt 10 ] || break
    done
    waiting`
  const waiting = (memory: object): number => {
    using site = makeSite()
    site.up(limits({ memory }))
    return Number.parseInt(site.exec(send).stdout, 16)
  }
  const limited = waiting({ kernelTCP: 64 << 10 })
  expect(limited).toBeGreaterThan(0)
  expect(waiting({})).toBeGreaterThan(limited * 4)
})

const NO_DEVICES = { allow: false, access: 'rwm' }

/** A disk that is a file; it goes with the process. */
let disk: { readonly path: string; readonly file: string; readonly minor: number } | undefined
function loopDevice(): { readonly name: string; readonly minor: number } {
  if (disk === undefined) {
    const file = host('mktemp')
    truncateSync(file, 32 * MIB)
    // Where loop is a module nobody has needed yet.
    if (!existsSync('/dev/loop-control')) host('modprobe', 'loop')
    const path = host('losetup', '--find', '--show', file)
    disk = { path, file, minor: statSync(path).rdev & 0xff }
  }
  return { name: disk.path.slice('/dev/'.length), minor: disk.minor }
}

afterAll(() => {
  if (disk !== undefined) host('sh', '-c', `losetup --detach ${disk.path} && rm ${disk.file}`)
})

/** A container that may use the disk, within these limits. */
function withDisk(blockIO: (at: { readonly major: 7; readonly minor: number }) => object): Changes {
  const at = { major: 7, minor: loopDevice().minor } as const
  return {
    'linux.devices': [{ path: '/dev/disk', type: 'b', ...at, fileMode: 0o600 }],
    ...limits({ devices: [NO_DEVICES, { allow: true, type: 'b', ...at, access: 'rw' }], blockIO: blockIO(at) }),
  }
}

/** Seconds that the container's clock goes on while a command runs in it. */
function secondsFor(site: Site, command: string): number {
  const now = 'cut -d " " -f 1 /proc/uptime'
  const { exitCode, stdout } = site.exec(`${now} && ${command} 2>/dev/null && ${now}`)
  expect(exitCode).toBe(0)
  const [begin = 0, end = 0] = stdout.split('\n').map(Number)
  return end - begin
}

const READ = 'dd if=/dev/disk of=/dev/null iflag=direct'
const WRITE = 'dd if=/dev/zero of=/dev/disk oflag=direct'

for (const [field, rate, command, seconds] of [
  ['throttleReadBpsDevice', 2 * MIB, `${READ} bs=64k count=48`, 1.5],
  ['throttleWriteBpsDevice', 2 * MIB, `${WRITE} bs=64k count=48`, 1.5],
  ['throttleReadIOPSDevice', 20, `${READ} bs=4k count=20`, 1],
  ['throttleWriteIOPSDevice', 20, `${WRITE} bs=4k count=20`, 1],
] as const)
  test.skipIf(lacks('blkio'))(`blkio of v1 makes each transfer wait: ${field}`, () => {
    using site = makeSite()
    using free = makeSite()
    site.up(withDisk((at) => ({ [field]: [{ ...at, rate }] })))
    free.up(withDisk(() => ({})))
    // The kernel lets the first slice of 100 ms pass at once: block/blk-throttle.c, DFL_THROTL_SLICE_HD.
    const limited = secondsFor(site, command)
    expect(limited).toBeGreaterThan(seconds * 0.7)
    expect(secondsFor(free, command)).toBeLessThan(limited / 2)
  })

const canMark = unmounted.some((group) => group.includes('net_cls')) || !lacks('net_cls')

test.skipIf(!unmounted.some((group) => group.join() === 'net_cls'))(
  'a container has a controller that the host has not mounted, and that somebody else gives back all the time',
  async () => {
    const mount = slot('hierarchy')
    const giveBack: Step = { call: close(mount), why: 'give it back', see: [] }
    using site = makeSite()
    site.configure({ 'process.args': ['true'], ...limits({ network: { classID: 7 } }) })
    const beside = async (...words: readonly string[]): Promise<void> => {
      const command = site.spawn(words)
      let isOver = false
      const end = command.outcome().finally(() => {
        isOver = true
      })
      while (!isOver) {
        expect(runSteps([...mountHierarchy(['net_cls'], mount), giveBack]).failures).toEqual([])
        await Bun.sleep(0)
      }
      const { exitCode, stderr } = await end
      expect([words[0], exitCode, stderr]).toEqual([words[0], 0, ''])
    }
    for (let round = 0; round < 5; round++) await beside('run', '--bundle', site.bundle, site.id)
    await beside('create', '--bundle', site.bundle, site.id)
    await beside('delete', '--force', site.id)
  },
)

test.skipIf(!canMark)('packets of a container have the class of its net_cls cgroup', () => {
  using site = makeSite()
  const counted = (resources: object): readonly number[] => {
    const pid = site.up(limits(resources))
    const inside = ['nsenter', '--net', '--target', `${pid}`]
    for (const classid of ['0x100001', '0x100002'])
      host(...inside, 'iptables', '-A', 'OUTPUT', '-m', 'cgroup', '--cgroup', classid)
    expect(site.exec('ping -c 3 -i 0.1 127.0.0.1', '--cap', 'CAP_NET_RAW').exitCode).toBe(0)
    const rules = host(...inside, 'iptables', '-nvxL', 'OUTPUT')
      .split('\n')
      .slice(2)
    site.call(['delete', '--force', site.id])
    return rules.map((line) => Number(line.trim().split(/\s+/)[0]))
  }
  // Answers are of nobody.
  expect(counted({ network: { classID: 0x10_0001 } })).toEqual([3, 0])
  expect(counted({})).toEqual([0, 0])
})
