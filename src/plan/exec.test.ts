import { expect, test } from 'bun:test'
import { planHost } from '../../test/plan-host.ts'
import { parseConfig } from '../oci/config.ts'
import { planExec } from './exec.ts'
import type { Step } from './plan.ts'

const AGENT = {
  defaultAction: 'SCMP_ACT_ALLOW',
  listenerPath: '/run/agent',
  syscalls: [{ names: ['mkdir'], action: 'SCMP_ACT_NOTIFY' }],
}

/** The steps of the executor, of the stage, and of the process that is added, by their reasons. */
function planned(seccomp?: object): readonly (readonly string[])[] {
  const document = {
    ociVersion: '1.2.0',
    root: { path: '/' },
    process: { args: ['/bin/true'], cwd: '/', user: { uid: 7, gid: 7 }, noNewPrivileges: true },
    linux: { namespaces: [{ type: 'mount' }, { type: 'pid' }], ...(seccomp === undefined ? {} : { seccomp }) },
  }
  const config = parseConfig(document, 'config.json')
  const join: Step = { call: { name: 'write', args: ['procs'] }, why: 'join the cgroup', see: [] }
  const open: Step = { call: { name: 'openat', args: ['procs'] }, why: 'open the cgroup', see: [] }
  const { steps } = planExec(
    {
      id: 'c1',
      process: config.process,
      linux: config.linux,
      initPid: 4711,
      state: { bundle: '/b', annotations: {}, ociVersion: '1.2.0' },
      initPidfd: undefined,
      enters: ['mount', 'pid'],
      cgroup: { open: [open], join: [join] },
      wait: true,
      listenFds: 0,
      preserveFds: 0,
    },
    planHost(),
  )
  const stage = childOf(steps)
  return [steps, stage, childOf(stage)].map((list) => list.map(({ why }) => why))
}

const childOf = (steps: readonly Step[]): readonly Step[] =>
  steps.find(({ call, child }) => call.name === 'clone3' && child !== undefined)?.child ?? []

/** Which of these come, in the order in which they do. */
const orderOf = (whys: readonly string[], ...wanted: readonly string[]): readonly string[] =>
  whys.filter((why) => wanted.includes(why))

test('what is of this machine is opened before there is a process, and the stage joins the cgroup before a namespace', () => {
  const [executor = [], stage = []] = planned()
  const makes = executor.find((why) => why.startsWith('have a process from which')) ?? ''
  expect(orderOf(executor, 'reach c1', 'open the cgroup', makes)).toEqual(['reach c1', 'open the cgroup', makes])
  const child = stage.find((why) => why.startsWith('make the first process of')) ?? ''
  expect(orderOf(stage, 'join the cgroup', 'enter the namespaces of c1', child)).toEqual([
    'join the cgroup',
    'enter the namespaces of c1',
    child,
  ])
})

test('a process prepares itself before it is known, and says nothing until then', () => {
  const [, , process = []] = planned()
  const identity = process.find((why) => why.startsWith('run as user')) ?? ''
  const said = 'tell that only the program is missing'
  expect(orderOf(process, identity, 'be known to the executor', said, 'be started')).toEqual([
    identity,
    'be known to the executor',
    said,
    'be started',
  ])
})

test('one whose filter has an agent is known first, as it sends the descriptor of the filter while it prepares itself', () => {
  const [executor = [], , process = []] = planned(AGENT)
  const identity = process.find((why) => why.startsWith('run as user')) ?? ''
  expect(orderOf(process, identity, 'be known to the executor')).toEqual(['be known to the executor', identity])
  const goes = 'let init go on'
  const asked = executor.find((why) => /agent|listener/.test(why)) ?? ''
  expect(orderOf(executor, goes, asked)).toEqual([goes, asked])
})
