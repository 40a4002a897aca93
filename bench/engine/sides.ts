/** podman, docker and coffer, each in a machine of its own within this one: test/clients/lab.ts. */

import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { IMAGE, imageOf, startDocker } from '../../test/clients/docker.ts'
import { ENVIRONMENT, type Environment, HAS_V2_ONLY, type Lab, startLab } from '../../test/clients/lab.ts'

export interface Side {
  readonly name: 'coffer' | 'podman' | 'docker'
  readonly version: string
  readonly lab: Lab
  /** Milliseconds of a line for sh, in which `e` is the engine; timed inside of the machine. Throws if it fails. */
  readonly time: (line: string) => number
  /** What a line prints. */
  readonly ask: (line: string) => string
}

/** Hundreds of containers of docker take minutes. */
const LIMIT_MS = 1_200_000

const DIST = join(import.meta.dir, '..', '..', 'dist')

/** `timer` is the program of timer.c. */
export async function startSides(timer: string): Promise<readonly Side[]> {
  return Promise.all([cofferSide(timer), podmanSide(timer), dockerSide(timer)])
}

async function cofferSide(timer: string): Promise<Side> {
  const lab = await startLab()
  const env = { COFFER_DATA_ROOT: join(lab.directory, 'data'), COFFER_RUN_ROOT: '/run/coffer' }
  const side = sideOf({ name: 'coffer', lab, timer, env, program: join(DIST, 'coffer'), words: [] })
  side.ask(`e import ${imageOf(lab)} ${IMAGE}`)
  return side
}

async function podmanSide(timer: string): Promise<Side> {
  const lab = await startLab()
  // crun refuses the hybrid layout. This is the copy of the lab, which nobody else sees.
  if (!HAS_V2_ONLY) lab.call(['umount', '/sys/fs/cgroup/unified'])
  mkdirSync(join(lab.directory, 'home'))
  const words = [
    ...['--cgroup-manager', 'cgroupfs', '--events-backend', 'file', '--storage-driver', 'overlay'],
    ...['--root', join(lab.directory, 'podman'), '--runroot', '/run/podman'],
  ]
  const side = sideOf({ name: 'podman', lab, timer, env: { HOME: '/root' }, program: 'podman', words })
  side.ask(`e import ${imageOf(lab)} ${IMAGE}`)
  return side
}

async function dockerSide(timer: string): Promise<Side> {
  const lab = await startLab()
  await startDocker(lab, ['--default-runtime', 'runc'])
  const env = { DOCKER_HOST: 'unix:///run/docker.sock', DOCKER_CONFIG: '/run/docker-client' }
  return sideOf({ name: 'docker', lab, timer, env, program: 'docker', words: [] })
}

interface Making extends Pick<Side, 'name' | 'lab'> {
  readonly timer: string
  readonly env: Environment
  readonly program: string
  readonly words: readonly string[]
}

function sideOf({ name, lab, timer, env, program, words }: Making): Side {
  const programs = join(lab.directory, 'bin')
  mkdirSync(programs)
  const path = ENVIRONMENT.PATH ?? ''
  const whole = { ...env, PATH: `${programs}:${path}`, HOME: '/root' }
  const found = program.startsWith('/') ? program : (Bun.which(program, { PATH: path }) ?? program)
  // Without words a link: a shell between would be measured too.
  if (words.length === 0) symlinkSync(found, join(programs, 'e'))
  else writeFileSync(join(programs, 'e'), `#!/bin/sh\nexec ${found} ${words.join(' ')} "$@"\n`, { mode: 0o755 })
  const ask: Side['ask'] = (line) => lab.ask(['sh', '-c', line], whole)
  return {
    name,
    lab,
    version: ask('e --version').replace(/^\D*/, '').replace(/,.*/s, ''),
    ask,
    time: (line) => {
      // A plain one without a shell, which would be measured too.
      const isPlain = /^e [\w ./:=-]+$/.test(line)
      const action = isPlain ? [join(programs, 'e'), ...line.split(' ').slice(1)] : ['/bin/sh', '-c', line]
      const { exitCode, stdout, stderr } = Bun.spawnSync([...lab.entering([timer])], {
        env: whole,
        stdin: Buffer.from(['time', ...action].join('\t')),
        timeout: LIMIT_MS,
      })
      if (exitCode !== 0) throw new Error(`${name}: ${line}: ${stderr}`)
      return Number(stdout.toString()) / 1e6
    },
  }
}
