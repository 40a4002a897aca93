/** What is measured of engines. Sides take turns, and who begins a round changes. */

import { atLeast, atMost, compareTimes, type Goal, type Row } from '../row.ts'
import { median, ratioOfMedians } from '../statistics.ts'
import type { Side } from './sides.ts'

export interface Settings {
  readonly rounds: number
  /** Of the part with hundreds of containers. */
  readonly manyRounds: number
  /** How many containers that is. */
  readonly counts: readonly number[]
  /** An archive of a Debian root file system with iperf3 in it, if there is one. */
  readonly debian: string | undefined
  /** What senders of streams hold back by, one after the other. tcp(7), TCP_CONGESTION */
  readonly congestions: readonly string[]
}

export type Part = (sides: readonly Side[], settings: Settings) => readonly Row[]

/** Numbers by side, in order of rounds. */
type Taken = ReadonlyMap<Side['name'], readonly number[]>

function inTurns(sides: readonly Side[], rounds: number, measure: (side: Side, round: number) => number): Taken {
  const taken = new Map<Side['name'], number[]>(sides.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++)
    for (let step = 0; step < sides.length; step++) {
      const side = sides[(round + step) % sides.length]
      if (side !== undefined) taken.get(side.name)?.push(measure(side, round))
    }
  return taken
}

const PEERS = ['podman', 'docker'] as const

/** The goal is about the better peer; it is shown for both. */
function timesOf(measure: string, taken: Taken, goal: Goal): readonly Row[] {
  return PEERS.map((peer) =>
    compareTimes({ measure, peer, ours: taken.get('coffer') ?? [], theirs: taken.get(peer) ?? [], goal }),
  )
}

function ratesOf(measure: string, taken: Taken, unit: string, goal: Goal): readonly Row[] {
  const text = (name: Side['name']): string => `${median(taken.get(name) ?? []).toFixed(0)} ${unit}`
  return PEERS.map((peer) => ({
    measure,
    peer,
    ours: text('coffer'),
    theirs: text(peer),
    compared: ratioOfMedians(taken.get('coffer') ?? [], taken.get(peer) ?? []),
    goal,
  }))
}

export const runPart: Part = (sides, { rounds }) => {
  const time = (line: string): Taken => inTurns(sides, rounds, ({ time }) => time(line))
  const bridge = time('e run --rm busybox true')
  const none = time('e run --rm --network none busybox true')
  for (const { ask } of sides) ask('e run -d --name stays busybox sleep 100000')
  const exec = time('e exec stays true')
  for (const { ask } of sides) ask('e rm -f stays')
  return [
    ...timesOf('run --rm busybox true', bridge, atMost(0.15, 0.06)),
    ...timesOf('the same, --network none', none, atMost(0.15, 0.08)),
    ...timesOf('exec C true', exec, atMost(0.2, 0.1)),
  ]
}

const startMany = (count: number): string =>
  `for n in $(seq ${count}); do e run -d --name many-$n busybox sleep 100000 >/dev/null || exit; done`
const removeMany = (count: number): string => `e rm -f $(seq -f many-%g ${count}) >/dev/null`

export const manyPart: Part = (sides, { counts, manyRounds }) =>
  counts.flatMap((count) => {
    const removed = new Map<Side['name'], number[]>(sides.map(({ name }) => [name, []]))
    const started = inTurns(sides, manyRounds, ({ name, time }) => {
      const taken = time(startMany(count))
      removed.get(name)?.push(time(removeMany(count)))
      return taken
    })
    return [
      ...timesOf(`start ${count} detached on the bridge`, started, atMost(0.15, 0.06)),
      ...timesOf(`remove these ${count}`, removed, atMost(0.15, 0.06)),
    ]
  })

const RUNNING = 50

/** Of the processes that stay beside a container, by what they are called. */
const PSS = `for p in /proc/[0-9]*; do
  case "$(tr '\\0' ' ' <$p/cmdline 2>/dev/null)" in
    *coffer-monitor*|*conmon*|*containerd-shim*|*docker-proxy*) sed -n 's/^Pss: *\\([0-9]*\\) kB/\\1/p' $p/smaps_rollup;;
  esac
done | awk '{ sum += $1 } END { print sum }'`

export const listsPart: Part = (sides, { rounds }) => {
  for (const { time } of sides) time(startMany(RUNNING))
  const rows = [
    ['ps', 'e ps'],
    ['inspect', 'e inspect many-1'],
    ['stats --no-stream', 'e stats --no-stream'],
  ].flatMap(([name, line = '']) =>
    timesOf(
      `${name} with ${RUNNING} running`,
      inTurns(sides, rounds, ({ time }) => time(line)),
      atMost(0.5, 0.25),
    ),
  )
  const memory = new Map(sides.map(({ name, ask }) => [name, Number(ask(PSS)) / RUNNING]))
  const coffer = memory.get('coffer') ?? Number.NaN
  for (const { time } of sides) time(removeMany(RUNNING))
  return [
    ...rows,
    ...PEERS.map(
      (peer): Row => ({
        measure: 'memory for a detached container (PSS)',
        peer,
        ours: `${coffer.toFixed(0)} KiB`,
        theirs: `${(memory.get(peer) ?? Number.NaN).toFixed(0)} KiB`,
        compared: { value: coffer, unit: 'KiB' },
        goal: atMost(200, 100),
      }),
    ),
  ]
}

const STDOUT_MIB = 512
const LOG_MIB = 256

export const streamsPart: Part = (sides, { manyRounds: rounds }) => {
  const rate = (megabytes: number, line: string): Taken =>
    inTurns(sides, rounds, ({ time }) => megabytes / (time(line) / 1000))
  const out = rate(
    (STDOUT_MIB * 2 ** 20) / 1e6,
    `e run --rm --network none busybox dd if=/dev/zero bs=64k count=${STDOUT_MIB * 16} 2>/dev/null | cat >/dev/null`,
  )
  for (const { ask } of sides)
    ask(`e run --network none --name talks busybox sh -c 'yes "$(seq -s " " 20)" | head -c ${LOG_MIB}m' >/dev/null`)
  const logs = rate((LOG_MIB * 2 ** 20) / 1e6, 'e logs talks >/dev/null')
  for (const { ask } of sides) ask('e rm talks')
  return [
    ...ratesOf('attached standard output', out, 'MB/s', atLeast(3, 5)),
    ...ratesOf(`logs of ${LOG_MIB} MiB`, logs, 'MB/s', atLeast(20, 40)),
  ]
}

/** A registry for each round, so that nothing is there already. */
export const imagesPart: Part = (sides, { manyRounds, debian }) => {
  if (debian === undefined) return []
  const steps = ['load', 'push', 'pull', 'save'] as const
  const taken = new Map(steps.map((step) => [step, new Map<Side['name'], number[]>()]))
  for (const side of sides) makeArchive(side, debian)
  inTurns(sides, manyRounds, (side, round) => {
    const { name, ask, time, lab } = side
    const insecure = name === 'docker' ? '' : '--tls-verify=false '
    const registry = `127.0.0.1:${5000 + round}`
    // What was written and removed before is on the disk by then: nobody waits for what another one did.
    const note = (step: (typeof steps)[number], command: string): void => {
      ask('sync')
      const list = taken.get(step)?.get(name) ?? []
      taken.get(step)?.set(name, [...list, time(command)])
    }
    note('load', `e load -i ${lab.directory}/deb.tar`)
    startRegistry(side, registry, round)
    ask(`e tag deb:1 ${registry}/deb:1`)
    note('push', `e push -q ${insecure}${registry}/deb:1`)
    ask(`e rmi ${registry}/deb:1 deb:1`)
    note('pull', `e pull -q ${insecure}${registry}/deb:1`)
    note('save', `e save -o ${lab.directory}/saved.tar ${registry}/deb:1`)
    ask(`e rmi ${registry}/deb:1; rm ${lab.directory}/saved.tar`)
    return 0
  })
  return steps.flatMap((step) => timesOf(`${step} of a Debian image`, taken.get(step) ?? new Map(), atMost(0.7, 0.4)))
}

/** As docker saves it, for all. */
function makeArchive({ ask, lab }: Side, debian: string): void {
  ask(`e import ${debian} deb:1`)
  ask(`e save -o ${lab.directory}/deb.tar deb:1`)
  ask('e rmi deb:1')
}

function startRegistry({ lab, ask }: Side, address: string, round: number): void {
  const directory = `${lab.directory}/registry-${round}`
  const config = `version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: ${directory}}}
http: {addr: "${address}"}
`
  ask(`cat >${directory}.yml <<'END'\n${config}END\n`)
  lab.daemon(`registry-${round}`, ['docker-registry', 'serve', `${directory}.yml`], { OTEL_TRACES_EXPORTER: 'none' })
  ask(`until busybox wget -q -O /dev/null http://${address}/v2/; do sleep 0.05; done`)
}

export const CONGESTION_SETTING = '/proc/sys/net/ipv4/tcp_congestion_control'

/** Of the same engine one second differs from the next by a factor of two: many short rounds tell more than a few long ones. */
const SECONDS = 1

export const networkPart: Part = (sides, settings) => {
  const { debian, congestions } = settings
  if (debian === undefined) return []
  for (const { ask } of sides) ask(`e import ${debian} deb:1`)
  const rows = congestions.flatMap((congestion) => streamsUnder(congestion, sides, settings))
  for (const { ask } of sides) ask('e rmi deb:1')
  return rows
}

function streamsUnder(congestion: string, sides: readonly Side[], { rounds }: Settings): readonly Row[] {
  for (const { ask } of sides) {
    // Before containers are made: how coffer connects them hangs on it.
    ask(`echo ${congestion} >${CONGESTION_SETTING}`)
    ask('e run -d --name iperf -p 5201:5201 deb:1 iperf3 -s')
    ask(OUTSIDE)
    ask(`ip netns exec outside sh -c 'echo ${congestion} >${CONGESTION_SETTING}'`)
  }
  const rates = (where: string, to: (side: Side) => string, within = ''): readonly Row[] => {
    const speeds = inTurns(sides, rounds, (side) => {
      const result = JSON.parse(side.ask(`${within} iperf3 -J -t ${SECONDS} -c ${to(side)}`)) as IperfResult
      return result.end.sum_received.bits_per_second / 1e9
    })
    return ratesOf(`to a ${where}, ${congestion}`, speeds, 'Gbit/s', atLeast(1, 1.1))
  }
  const rows = [
    ...rates('container over the bridge', addressOf),
    ...rates('published port from outside', () => '10.123.0.1', 'ip netns exec outside'),
    ...rates('published port from 127.0.0.1', () => '127.0.0.1'),
  ]
  for (const { ask } of sides) ask('e rm -f iperf; ip netns del outside')
  return rows
}

const addressOf = ({ name, ask }: Side): string =>
  ask(
    name === 'podman'
      ? "e inspect -f '{{.NetworkSettings.IPAddress}}' iperf"
      : "e inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' iperf",
  )

const OUTSIDE = `ip netns add outside
ip link add cable type veth peer name eth0 netns outside
ip addr add 10.123.0.1/24 dev cable
ip link set cable up
ip -n outside addr add 10.123.0.2/24 dev eth0
ip -n outside link set eth0 up
ip -n outside route add default via 10.123.0.1
until iperf3 -t 1 -c 127.0.0.1 >/dev/null 2>&1; do sleep 0.1; done`

interface IperfResult {
  readonly end: { readonly sum_received: { readonly bits_per_second: number } }
}
