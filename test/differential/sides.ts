/** The two sides of the comparison, each in a lab of its own, in which `docker` is the one or the other. */

import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { IMAGE, imageOf, startDocker } from '../clients/docker.ts'
import { ENVIRONMENT, type Environment, type Lab, startLab } from '../clients/lab.ts'

export interface Said {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

export interface Side {
  readonly lab: Lab
  /** A line for sh, in a directory of its own. */
  readonly call: (line: string) => Promise<Said>
}

const WORK = 'work'

export async function startDockerSide(): Promise<Side> {
  const lab = await startLab()
  await startDocker(lab, ['--default-runtime', 'runc'])
  return sideOf(lab, { DOCKER_HOST: 'unix:///run/docker.sock', DOCKER_CONFIG: '/run/docker-client' })
}

export async function startCofferSide(): Promise<Side> {
  const lab = await startLab()
  imageOf(lab)
  const programs = join(lab.directory, 'bin')
  mkdirSync(programs)
  symlinkSync(join(import.meta.dir, '..', '..', 'dist', 'coffer'), join(programs, 'docker'))
  const side = sideOf(lab, {
    PATH: `${programs}:${ENVIRONMENT.PATH}`,
    COFFER_DATA_ROOT: join(lab.directory, 'data'),
    COFFER_RUN_ROOT: join(lab.directory, 'run'),
  })
  const { status, stderr } = await side.call(`docker import ../image.tar ${IMAGE}`)
  if (status !== 0) throw new Error(stderr)
  return side
}

function sideOf(lab: Lab, env: Environment): Side {
  const work = join(lab.directory, WORK)
  mkdirSync(work)
  return {
    lab,
    call: async (line) => {
      const words = lab.entering(['sh', '-c', 'cd "$1" && eval "$2"', 'sh', work, line])
      const child = Bun.spawn([...words], {
        env: { ...ENVIRONMENT, ...env, HOME: '/root' },
        stdin: 'ignore',
        stdout: 'pipe',
        stderr: 'pipe',
        timeout: 60_000,
      })
      const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()])
      return { status: await child.exited, stdout, stderr }
    },
  }
}

/** Without what is another at each run: ids, moments, spans, addresses, and how wide they make a column. */
export function normalized(text: string, { lab: { directory } }: Side): string {
  return text
    .replaceAll(directory, 'LAB')
    .replace(/\b[0-9a-f]{64}\b/g, 'ID')
    .replace(/\b(?=[0-9a-f]*\d)[0-9a-f]{12}\b/g, 'SHORT')
    .replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g, 'MOMENT')
    .replace(/\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4} UTC/g, 'MOMENT')
    .replace(/(?:Less than a second|About (?:a|an) (?:minute|hour)|\d+ (?:second|minute)s?)/g, 'SPAN')
    .replace(/\b172\.\d+\.\d+\.\d+\b/g, 'ADDRESS')
    .replace(/\b02:42(?::[0-9a-f]{2}){4}\b/g, 'HARDWARE')
    .replace(/ {2,}/g, '  ')
}
