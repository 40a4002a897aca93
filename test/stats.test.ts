/** The account of a container beside the one that the installed runc prints of the same container. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nodeFiles } from '../src/observe/files-node.ts'
import { isEmpty, oomKills } from '../src/observe/oom.ts'
import { isAlive, readProcessIdentity } from '../src/observe/process.ts'
import { readStats } from '../src/observe/stats.ts'
import { statsEvent } from '../src/observe/stats-event.ts'

const id = `coffer-stats-${process.pid}`
const directory = mkdtempSync(join(tmpdir(), 'coffer-stats-'))
const files = nodeFiles()

/** Reads, writes, is throttled, has one process killed for want of memory, and meets the limit of processes. */
const program = `
  dd if=/dev/zero of=/f bs=1M count=4 conv=fsync
  dd if=/f of=/dev/null bs=1M iflag=direct
  (a=x; while :; do a=$a$a; done)
  (for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 600 & done)
  echo done > /done
  while :; do :; done`

function runc(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['runc', '--root', join(directory, 'run'), ...args], {
    stdin: 'ignore',
    stdout: args[0] === 'run' ? 'ignore' : 'pipe',
    stderr: args[0] === 'run' ? 'ignore' : 'pipe',
  })
  if (exitCode !== 0) throw new Error(`runc ${args.join(' ')}: ${stderr}`)
  return stdout?.toString().trimEnd() ?? ''
}

function writeBundle(): void {
  mkdirSync(join(directory, 'rootfs/bin'), { recursive: true })
  copyFileSync('/bin/busybox', join(directory, 'rootfs/bin/busybox'))
  runc('spec', '--bundle', directory)
  const path = join(directory, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8'))
  config.process.terminal = false
  config.process.args = ['/bin/busybox', 'sh', '-c', program]
  config.root.readonly = false
  config.linux.cgroupsPath = `/${id}`
  config.linux.resources.memory = { limit: 32 << 20 }
  config.linux.resources.cpu = { quota: 50_000, period: 100_000 }
  config.linux.resources.pids = { limit: 8 }
  writeFileSync(path, JSON.stringify(config))
}

let state: {
  readonly init_process_pid: number
  readonly init_process_start: number
  readonly cgroup_paths: Record<string, string>
}

/** cpu.stat of v1 or of v2, wherever the controller is mounted. */
const throttling = (): string =>
  ['cpu', 'cpu,cpuacct', '.'].map((name) => files.readText(`/sys/fs/cgroup/${name}/${id}/cpu.stat`) ?? '').join('\n')

beforeAll(async () => {
  writeBundle()
  runc('run', '--detach', '--bundle', directory, id)
  while (files.status(join(directory, 'rootfs/done')) === undefined) await Bun.sleep(20)
  // The quota of a period has to be used up once.
  while (!/^nr_throttled [1-9]/m.test(throttling())) await Bun.sleep(20)
  runc('pause', id)
  state = JSON.parse(files.readText(join(directory, 'run', id, 'state.json')) ?? '')
}, 300_000)

afterAll(() => {
  runc('delete', '--force', id)
  rmSync(directory, { recursive: true })
})

/** Without what runc 1.1 does not print: pressure, events of memory, and the peak of v2. */
const asOldRunc = (line: string): string =>
  line
    .replace(/,"event_count":\{[^}]*\}/, '')
    .replace(/,?"psi":\{"some":\{[^}]*\}(,"full":\{[^}]*\})?\}/g, '')
    .replace(/("memory":\{[^{]*"usage":\{"limit":\d+,"usage":\d+),"max":\d+/, '$1')

test('each number and each key is that of runc, in its order', async () => {
  // The last period of the CPU's quota ends after the processes have stopped.
  let before = ''
  for (let after = runc('events', '--stats', id); after !== before; after = runc('events', '--stats', id)) {
    before = after
    await Bun.sleep(200)
  }
  const line = statsEvent(id, readStats(state.cgroup_paths, files))
  expect(asOldRunc(line)).toBe(asOldRunc(before))
})

test('the container met each of its limits', () => {
  const stats = readStats(state.cgroup_paths, files)
  expect(Number(stats.cpu.throttling.throttledPeriods)).toBeGreaterThan(0)
  expect(Number(stats.memory.memory.maxUsageBytes)).toBeGreaterThan(30 << 20)
  expect(stats.pids.limit).toBe(8)
  expect(Number(stats.pids.current)).toBeGreaterThan(5)
  expect(oomKills(state.cgroup_paths, files)).toBe(1)
})

test('it is alive as long as pid and start time are those that runc wrote down', () => {
  const identity = { pid: state.init_process_pid, startTime: state.init_process_start }
  expect(readProcessIdentity(files, identity.pid)).toEqual(identity)
  expect(isAlive(files, identity)).toBe(true)
  expect(isEmpty(state.cgroup_paths, files)).toBe(false)
})
