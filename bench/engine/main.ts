/**
 * make bench-engine: coffer beside podman and docker of Debian, in turns on this machine.
 *
 * | variable     | means                                                                          |
 * |--------------|--------------------------------------------------------------------------------|
 * | `ROUNDS`     | how many rounds of short commands, and of throughput; 20 if not given          |
 * | `MANY`       | how many rounds of what takes long; 3 if not given                             |
 * | `COUNTS`     | how many containers at once; `50 200` if not given                             |
 * | `DEBIAN`     | an archive of a Debian root file system with iperf3; it is made if not given   |
 * | `ONLY`       | of `run many lists streams images network`; all if not given                   |
 * | `CONGESTION` | of the streams of `network`, such as `bbr reno`; `reno`, which each kernel     |
 * |              | has and gives to all, and that of this machine if not given                    |
 *
 * A run of all parts is kept in bench/RESULTS-engine.md.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { compile } from '../compile.ts'
import { circumstancesText, loadNow, tableOf } from '../report.ts'
import type { Row } from '../row.ts'
import {
  CONGESTION_SETTING,
  imagesPart,
  listsPart,
  manyPart,
  networkPart,
  type Part,
  runPart,
  type Settings,
  streamsPart,
} from './parts.ts'
import { type Side, startSides } from './sides.ts'

const PARTS: Readonly<Record<string, Part>> = {
  run: runPart,
  lists: listsPart,
  streams: streamsPart,
  images: imagesPart,
  network: networkPart,
  many: manyPart,
}

function debianIn(directory: string): string {
  const { DEBIAN = '' } = process.env
  if (DEBIAN !== '') return DEBIAN
  const path = join(directory, 'debian.tar')
  const options = [
    ...['--variant=minbase', '--mode=root', '--include=iperf3', '--aptopt=Acquire::Languages "none"'],
    ...['doc', 'man', 'locale'].map((name) => `--dpkgopt=path-exclude=/usr/share/${name}/*`),
    '--customize-hook=rm -rf "$1"/var/lib/apt/lists/*',
  ]
  // Its mounts are in a namespace of its own.
  const command = ['unshare', '-m', '--propagation', 'private', 'mmdebstrap', ...options, 'bookworm', path]
  const { exitCode, stderr } = Bun.spawnSync(command, { stdout: 'ignore', stderr: 'pipe' })
  if (exitCode !== 0 || !existsSync(path)) throw new Error(`cannot make a Debian image: ${stderr}`)
  return path
}

const usualCongestions = (): readonly string[] => [
  ...new Set(['reno', readFileSync(CONGESTION_SETTING, 'utf8').trim()]),
]

async function main(): Promise<void> {
  const { ROUNDS = '20', MANY = '3', COUNTS = '50 200', ONLY = '', CONGESTION = '' } = process.env
  const names = ONLY === '' ? Object.keys(PARTS) : ONLY.split(/[\s,]+/)
  const directory = mkdtempSync(join(tmpdir(), 'coffer-bench-'))
  const load = loadNow()
  let sides: readonly Side[] = []
  try {
    const timer = join(directory, 'timer')
    compile(join(import.meta.dir, '..', 'timer.c'), timer)
    const settings: Settings = {
      rounds: Number(ROUNDS),
      manyRounds: Number(MANY),
      counts: COUNTS.split(' ').map(Number),
      debian: names.includes('images') || names.includes('network') ? debianIn(directory) : undefined,
      congestions: CONGESTION === '' ? usualCongestions() : CONGESTION.split(' '),
    }
    sides = await startSides(timer)
    const rows: Row[] = []
    for (const name of names) {
      const part = PARTS[name]
      if (part === undefined) throw new Error(`ONLY names "${name}"; the parts are ${Object.keys(PARTS).join(', ')}`)
      const measured = part(sides, settings)
      console.log(`${tableOf(measured)}\n`)
      rows.push(...measured)
    }
    const circumstances = circumstancesText({ programs: sides, rounds: settings.rounds, date: new Date(), load })
    console.log(circumstances)
    if (ONLY === '')
      writeFileSync(join(import.meta.dir, '..', 'RESULTS-engine.md'), page(circumstances, rows, settings))
  } finally {
    for (const { lab } of sides) for (const left of await lab.end()) console.error(`left behind: ${left}`)
    rmSync(directory, { recursive: true })
  }
}

const page = (
  circumstances: string,
  rows: readonly Row[],
  { manyRounds }: Settings,
): string => `# Results of \`make bench-engine\`

${circumstances}
- what takes long (many containers, images, streams): ${manyRounds} rounds

${tableOf(rows)}

"compared" is coffer divided by the peer, with the range in which it lies 95 of 100 times. The goals are about the better of the two.

- Each engine is in mount, network, pid, IPC and cgroup namespaces of its own, with the same image; times are taken inside of them.
- podman has crun, docker has runc, as Debian has them; before crun the v2 hierarchy is unmounted, which it does not take beside v1.
- Memory is the proportional set size of all processes that stay beside containers, divided by 50 of them.
- A registry is Debian's docker-registry on 127.0.0.1, a new one for each push.
`

await main()
