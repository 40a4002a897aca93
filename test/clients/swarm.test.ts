/** A Swarm of two nodes, each a lab with a dockerd of its own, joined by a cable between their network namespaces. */

import { afterAll, beforeAll, expect, test } from 'bun:test'
import { type Docker, IMAGE, startDocker } from './docker.ts'
import { type Lab, startLab, until } from './lab.ts'

let labs: readonly [Lab, Lab]
let first: Docker
let second: Docker

beforeAll(async () => {
  labs = [await startLab(), await startLab()]
  const [one, two] = labs
  lay(one, two)
  // Two nodes on one machine are told apart by their names.
  one.ask(['hostname', 'node-1'])
  two.ask(['hostname', 'node-2'])
  first = await startDocker(one)
  second = await startDocker(two)
  first.ask('swarm', 'init', '--advertise-addr', '10.90.0.1')
  const token = first.ask('swarm', 'join-token', '-q', 'worker')
  second.ask('swarm', 'join', '--token', token, '--advertise-addr', '10.90.0.2', '10.90.0.1:2377')
})

afterAll(async () => {
  expect(await Promise.all(labs.map((lab) => lab.end()))).toEqual([[], []])
})

/** Made in the first lab, so that no end of it is ever on this machine. */
function lay(one: Lab, two: Lab): void {
  const link = `ip link add cable type veth peer name cable netns ${two.pid}`
  const { exitCode, stderr } = Bun.spawnSync(['nsenter', '-t', `${one.pid}`, '-n', 'sh', '-c', link])
  if (exitCode !== 0) throw new Error(stderr.toString())
  one.ask(['sh', '-c', 'ip addr add 10.90.0.1/24 dev cable && ip link set cable up'])
  two.ask(['sh', '-c', 'ip addr add 10.90.0.2/24 dev cable && ip link set cable up'])
}

/** Nodes of the tasks that run. */
const placed = (): readonly string[] =>
  first
    .ask('service', 'ps', '--filter', 'desired-state=running', '--format', '{{.Node}} {{.CurrentState}}', 'web')
    .split('\n')
    .filter((line) => / Running /.test(line))
    .map((line) => line.split(' ')[0] ?? '')
    .sort()

const untilPlaced = (what: string, fits: (nodes: readonly string[]) => boolean): Promise<void> =>
  until(
    what,
    () => fits(placed()),
    () => first.call('service', 'ps', '--no-trunc', 'web').stdout,
  )

const runtimes = (docker: Docker): readonly string[] => {
  const ids = docker.ask('ps', '-q').split('\n')
  return docker.ask('inspect', '-f', '{{.HostConfig.Runtime}}', ...ids).split('\n')
}

test('a service of three is spread over two nodes, scaled to five, updated one by one, and drained from a node', async () => {
  const script = 'trap "exit 0" TERM; while :; do sleep 0.1; done'
  first.ask(
    'service',
    'create',
    '--detach',
    '--no-resolve-image',
    '--name',
    'web',
    '--replicas',
    '3',
    '--limit-memory',
    '64m',
    IMAGE,
    'sh',
    '-c',
    script,
  )
  await untilPlaced('three tasks', (nodes) => nodes.length === 3 && new Set(nodes).size === 2)
  expect([...runtimes(first), ...runtimes(second)]).toEqual(['coffer', 'coffer', 'coffer'])
  first.ask('service', 'scale', '--detach', 'web=5')
  await untilPlaced('five tasks', (nodes) => nodes.length === 5 && new Set(nodes).size === 2)
  first.ask(
    'service',
    'update',
    '--detach',
    '--no-resolve-image',
    '--env-add',
    'NEW=1',
    '--update-parallelism',
    '2',
    'web',
  )
  const isNew = (docker: Docker): readonly boolean[] =>
    docker
      .ask('inspect', '-f', '{{.Config.Env}}', ...docker.ask('ps', '-q').split('\n'))
      .split('\n')
      .map((env) => env.includes('NEW=1'))
  await untilPlaced(
    'the update',
    (nodes) => nodes.length === 5 && [...isNew(first), ...isNew(second)].every((each) => each),
  )
  first.ask('node', 'update', '--availability', 'drain', 'node-2')
  await untilPlaced('the drain', (nodes) => nodes.length === 5 && nodes.every((node) => node === 'node-1'))
  expect(second.ask('ps', '-q')).toBe('')
  first.ask('service', 'rm', 'web')
})
