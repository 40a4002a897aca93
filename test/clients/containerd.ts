/** containerd of Debian in a lab. */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Lab, until } from './lab.ts'

export const CONTAINERD = '/run/containerd.sock'

/** Starts it, without CRI, which looks for a network of its own, and waits until it answers. */
export async function startContainerd(lab: Lab): Promise<void> {
  const config = join(lab.directory, 'containerd.toml')
  const lines = [
    'version = 2',
    `root = "${lab.directory}/containerd"`,
    'state = "/run/containerd-state"',
    'disabled_plugins = ["io.containerd.grpc.v1.cri"]',
    '[grpc]',
    `address = "${CONTAINERD}"`,
  ]
  writeFileSync(config, lines.join('\n'))
  const log = lab.daemon('containerd', ['containerd', '--config', config])
  await until('containerd', () => lab.call(['ctr', '--address', CONTAINERD, 'version']).exitCode === 0, log)
}
