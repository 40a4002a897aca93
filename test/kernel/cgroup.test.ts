import { afterEach, expect, test } from 'bun:test'
import { existsSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { buffer, slot } from '../../src/linux/call.ts'
import type { CgroupLayout } from '../../src/linux/cgroup.ts'
import { close, statx } from '../../src/linux/files.ts'
import { listCgroupsBelow, readCgroupLayout } from '../../src/observe/cgroup.ts'
import { nodeFiles } from '../../src/observe/files-node.ts'
import { parseResources } from '../../src/oci/resources.ts'
import { type CgroupPlan, planCgroup } from '../../src/plan/cgroup.ts'
import { planFreeze, planThaw } from '../../src/plan/cgroup-freeze.ts'
import { planCgroupJoin } from '../../src/plan/cgroup-join.ts'
import { planKillAll } from '../../src/plan/cgroup-kill.ts'
import { mountHierarchy } from '../../src/plan/cgroup-private.ts'
import { planCgroupRemove } from '../../src/plan/cgroup-remove.ts'
import { planCgroupUpdate } from '../../src/plan/cgroup-update.ts'
import type { Step } from '../../src/plan/plan.ts'
import { mountedLines } from '../cgroup-lines.ts'
import { inChild, runSteps, type StepsRun } from '../executor-run.ts'
import { until } from './leaks.ts'
import { hostMounts } from './machine.ts'

const files = nodeFiles()
const layout = readCgroupLayout(files)
const NAME = `coffer-test-${process.pid}`
const DENY_ALL = { devices: [{ allow: false, access: 'rwm' }] }

const planFor = (resources: object, cgroupsPath = `/${NAME}`, within: CgroupLayout = layout): CgroupPlan =>
  planCgroup({
    id: NAME,
    way: { root: tmpdir(), isThere: existsSync },
    cgroupsPath,
    layout: within,
    isRootless: false,
    resources: parseResources(resources, 'test'),
  })

/** Runs a script in a new cgroup, and removes it. */
const runIn = ({ create, open, join, cloneInto, remove }: CgroupPlan, script: string): StepsRun =>
  runSteps([...create, ...open, ...inChild(join, script, cloneInto), ...remove])

const directories = ({ paths }: CgroupPlan): readonly string[] => [...new Set(Object.values(paths))]
const make = (resources: object): CgroupPlan => {
  const plan = planFor(resources)
  expect(runSteps(plan.create).failures).toEqual([])
  return plan
}
/** The content of the first of these files of the cgroup that there is: its name in v1, then in v2. */
function setting({ paths }: CgroupPlan, controller: string, v1: string, v2: string): string | undefined {
  const inV1 = files.readText(`${paths[controller]}/${v1}`)
  return (inV1 ?? files.readText(`${paths['']}/${v2}`))?.trim()
}

afterEach(() => {
  for (const { mountPoint } of layout.hierarchies) {
    const path = `${mountPoint}/${NAME}`
    if (!existsSync(path)) continue
    for (const each of [...listCgroupsBelow(files, path), path]) rmdirSync(each)
  }
})

test('a container is in a cgroup of its own in every hierarchy, and leaves none behind', () => {
  const plan = planFor(DENY_ALL)
  const { stdout, failures } = runIn(plan, 'cat /proc/self/cgroup')
  expect(failures).toEqual([])
  const lines = mountedLines(stdout)
  expect(lines.filter((line) => !line.endsWith(`:/${NAME}`))).toEqual([])
  expect(lines).toHaveLength(layout.hierarchies.length)
  expect(directories(plan).filter(existsSync)).toEqual([])
})

test('limits are in the files of the kernel as they were asked for', () => {
  const plan = make({
    memory: { limit: 64 << 20 },
    pids: { limit: 17 },
    cpu: { quota: 20_000, period: 50_000, cpus: '0' },
  })
  expect(setting(plan, 'memory', 'memory.limit_in_bytes', 'memory.max')).toBe(`${64 << 20}`)
  expect(setting(plan, 'pids', 'pids.max', 'pids.max')).toBe('17')
  expect(setting(plan, 'cpuset', 'cpuset.cpus', 'cpuset.cpus')).toBe('0')
  expect(['20000', '20000 50000']).toContain(setting(plan, 'cpu', 'cpu.cfs_quota_us', 'cpu.max') ?? '')
})

test('a fork bomb meets the limit of tasks (S120)', () => {
  const { stdout } = runIn(
    planFor({ pids: { limit: 5 } }),
    '( i=0; while [ $i -lt 50 ]; do sleep 1 & i=$((i+1)); done ) 2>&1; wait',
  )
  expect(stdout).toMatch(/fork/i)
})

test('memory beyond the limit kills (S122)', () => {
  const hungry = 'exec dd if=/dev/zero of=/dev/null bs=64M count=1 2>/dev/null'
  expect(runIn(planFor({ memory: { limit: 16 << 20, swap: 16 << 20 } }), hungry).ending).toBe('signal 9')
  expect(runIn(planFor({ memory: { limit: 256 << 20 } }), hungry).ending).toBe('exit 0')
})

const probeDevices = `
opens() { if (: <"$1") 2>/dev/null; then echo yes; else echo no; fi; }
node=$(mktemp -u); mknod "$node" c 1 11
opens /dev/zero; opens "$node"; test -e "$node" && echo there
rm "$node"`

test('only devices of the list can be opened (S92)', () => {
  expect(runIn(planFor(DENY_ALL), probeDevices).stdout).toBe('yes\nno\nthere\n')
  const withLog = { devices: [...DENY_ALL.devices, { allow: true, type: 'c', major: 1, minor: 11, access: 'r' }] }
  expect(runIn(planFor(withLog), probeDevices).stdout).toBe('yes\nyes\nthere\n')
})

const onlyV2 = { ...layout, hierarchies: layout.hierarchies.filter(({ version }) => version === 2) }

test.skipIf(onlyV2.hierarchies.length === 0)(
  'a program of cgroup v2 opens the same devices as the files of v1 (S92)',
  () => {
    const plan = planFor(DENY_ALL, `/${NAME}`, onlyV2)
    expect(plan.create.some(({ call }) => call.name === 'bpf')).toBe(true)
    expect(runIn(plan, probeDevices).stdout).toBe('yes\nno\nthere\n')
  },
)

const hierarchyOf = (controller: string): string | undefined =>
  readFileSync('/proc/cgroups', 'utf8')
    .split('\n')
    .find((line) => line.startsWith(`${controller}\t`))
    ?.split('\t')[1]
const isHidden = layout.unmounted.some(([name, ...others]) => name === 'net_cls' && others.length === 0)

test.skipIf(!isHidden)('a controller that nobody mounted is lent to the container and given back', () => {
  const before = hierarchyOf('net_cls')
  const { stdout, failures } = runIn(planFor({ network: { classID: 0x10_0001 } }), 'cat /proc/self/cgroup')
  expect(failures).toEqual([])
  expect(stdout).toMatch(new RegExp(`:net_cls:/${NAME}\n`))
  // The last reference goes with the executor, and a worker of the kernel carries it out.
  until('the controller to be given back', () => hierarchyOf('net_cls') === before)
})

test.skipIf(!isHidden)('a controller that was just given back, and is not free yet, is waited for', () => {
  const mount = slot('hierarchy')
  const here: Step = { call: statx(mount, 'cgroup.procs', 0, 0, buffer('statx', 256)), why: 'find its files', see: [] }
  const lend = [...mountHierarchy(['net_cls'], mount), here, { call: close(mount), why: 'give it back', see: [] }]
  const mounts = hostMounts()
  expect(runSteps([...lend, ...lend, ...lend]).failures).toEqual([])
  expect(hostMounts().filter((line) => !mounts.includes(line))).toEqual([])
})

test('a start that fails leaves no cgroup, nor a directory on the way to it', () => {
  const plan = planFor({ pids: { limit: 5 } }, `/${NAME}/a/b`)
  const fail: Step = { call: { name: 'close', args: [-1] }, why: 'fail', see: [] }
  expect(runSteps([...plan.create, ...plan.open, fail]).failures).toEqual(['fail: EBADF'])
  expect(directories(planFor({})).filter(existsSync)).toEqual([])
})

/** A process in all cgroups of the plan. */
function populate(plan: CgroupPlan): ReturnType<typeof Bun.spawn> {
  const sleeper = Bun.spawn(['sleep', '100'])
  for (const path of directories(plan)) writeFileSync(`${path}/cgroup.procs`, `${sleeper.pid}`)
  return sleeper
}

test('a cgroup with a process in it is not taken for another container', async () => {
  const plan = make({})
  const sleeper = populate(plan)
  const { failures } = runSteps(plan.create)
  expect(failures).toHaveLength(1)
  expect(failures[0]).toEndWith('for itself: EBUSY')
  expect(directories(plan).every(existsSync)).toBe(true)
  sleeper.kill(9)
  await sleeper.exited
})

test('a frozen process stands still, can be killed, and its cgroup removed (S131)', async () => {
  const plan = make({})
  const sleeper = populate(plan)
  const state = (): string | undefined => /^State:\t(.)/m.exec(files.readText(`/proc/${sleeper.pid}/status`) ?? '')?.[1]
  expect(runSteps(planFreeze(plan)).failures).toEqual([])
  expect(setting(plan, 'freezer', 'freezer.state', 'cgroup.freeze')).toMatch(/FROZEN|1/)
  expect(runSteps(planThaw(plan)).failures).toEqual([])
  expect(state()).toBe('S')
  expect(runSteps(planFreeze(plan)).failures).toEqual([])
  expect(
    runSteps([...planKillAll({ cgroup: plan, signal: 9, pids: [sleeper.pid] }), ...planThaw(plan)]).failures,
  ).toEqual([])
  await sleeper.exited
  expect(runSteps(planCgroupRemove(plan, tmpdir())).failures).toEqual([])
  expect(directories(plan).filter(existsSync)).toEqual([])
})

test('an empty cgroup that is found frozen is thawed, and keeps the limits that it has', () => {
  const plan = make({ pids: { limit: 33 } })
  expect(runSteps(planFreeze(plan)).failures).toEqual([])
  const again = planFor({})
  expect(runSteps([...again.create, ...again.open, ...inChild(again.join, 'true', again.cloneInto)]).ending).toBe(
    'exit 0',
  )
  expect(setting(plan, 'pids', 'pids.max', 'pids.max')).toBe('33')
})

test('exec joins the cgroups of the container, and those below them that it names', () => {
  const plan = make({})
  const join = (subCgroups: readonly string[]): readonly string[] => {
    const { open, join: steps, cloneInto } = planCgroupJoin({ cgroup: plan, subCgroups })
    const { stdout, failures } = runSteps([...open, ...inChild(steps, 'cat /proc/self/cgroup', cloneInto)])
    expect(failures).toEqual([])
    return mountedLines(stdout)
  }
  expect(join([]).every((line) => line.endsWith(`:/${NAME}`))).toBe(true)
  const below = planFor({}, `/${NAME}/below`)
  expect(runSteps(below.create).failures).toEqual([])
  expect(join(['below']).every((line) => line.endsWith(`:/${NAME}/below`))).toBe(true)
})

test('an update raises and lowers memory and swap together', () => {
  const plan = make({ memory: { limit: 32 << 20, swap: 64 << 20 } })
  let current = parseResources({ memory: { limit: 32 << 20, swap: 64 << 20 } }, 'test')
  for (const [limit, swap] of [
    [128, 256],
    [16, 16],
    [64, -1],
    [8, 24],
    [-1, -1],
  ] as const) {
    const memory = { limit: limit < 0 ? limit : limit << 20, swap: swap < 0 ? swap : swap << 20 }
    const resources = parseResources({ memory }, 'test')
    const steps = planCgroupUpdate({ cgroup: plan, resources, current, layout, isRootless: false })
    expect(runSteps(steps).failures).toEqual([])
    const value = setting(plan, 'memory', 'memory.limit_in_bytes', 'memory.max')
    if (limit > 0) expect(value).toBe(`${limit << 20}`)
    else expect(['max', '9223372036854771712']).toContain(value ?? '')
    current = resources
  }
})
