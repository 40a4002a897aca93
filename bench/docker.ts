/** dockerd with a container that runs, in namespaces of its own: test/clients/lab.ts. */

import { IMAGE, startDocker } from '../test/clients/docker.ts'
import { startLab } from '../test/clients/lab.ts'

const NAME = 'bench'

/** `command` runs `true` in the container; undefined where docker is not installed. */
export async function withDocker<Result>(
  work: (command: readonly string[] | undefined) => Promise<Result>,
): Promise<Result> {
  const docker = Bun.which('docker')
  if (docker === null || ['dockerd', 'containerd', 'tini'].some((name) => Bun.which(name) === null))
    return work(undefined)
  const lab = await startLab()
  try {
    const daemon = await startDocker(lab)
    daemon.ask('run', '--detach', '--runtime', 'runc', '--network', 'none', '--name', NAME, IMAGE, 'sleep', '1000000')
    // Without the lab's own commands, which would be measured as well.
    const socket = `unix:///proc/${lab.pid}/root/run/docker.sock`
    return await work([docker, '--host', socket, 'exec', NAME, 'true'])
  } finally {
    const left = await lab.end()
    if (left.length > 0) console.error(`the lab of docker left ${left.join(', ')}`)
  }
}
