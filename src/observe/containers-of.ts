/** Which container a process is in, by the cgroup that its engine put it into; and what that engine calls it. */

import type { Files } from '../base/files.ts'

export interface ContainerOf {
  readonly engine: 'docker' | 'podman' | 'kubernetes' | 'containerd'
  readonly id: string
}

const ID = '([0-9a-f]{64})'
/** cgroupfs and systemd drivers: `/docker/ID`, `/system.slice/docker-ID.scope`, `/kubepods/besteffort/podUID/ID`. */
const PATTERNS: readonly (readonly [ContainerOf['engine'], RegExp])[] = [
  ['podman', new RegExp(`/libpod-(?:conmon-)?${ID}`)],
  ['kubernetes', new RegExp(`/kubepods[^:]*/(?:cri-containerd-|crio-)?${ID}`)],
  ['docker', new RegExp(`/docker[-/]${ID}`)],
  ['containerd', new RegExp(`/(?:default|moby|k8s.io)[/:]${ID}`)],
]

/** `text` is /proc/PID/cgroup. The monitor of podman is in a cgroup of its own, and in no container. */
export function containerOfCgroup(text: string): ContainerOf | undefined {
  for (const line of text.split('\n')) {
    if (line.includes('/libpod-conmon-')) continue
    for (const [engine, pattern] of PATTERNS) {
      const id = pattern.exec(line)?.[1]
      if (id !== undefined) return { engine, id }
    }
  }
  return undefined
}

/** The name that people use; the first twelve digits of the id where the engine's own files do not say. */
export function containerName(files: Files, { engine, id }: ContainerOf): string {
  const short = id.slice(0, 12)
  if (engine === 'docker') {
    const text = files.readText(`/var/lib/docker/containers/${id}/config.v2.json`)
    return text === undefined ? short : (nameIn(text, /"Name":"\/?([^"]+)"/) ?? short)
  }
  if (engine === 'podman') {
    const text = files.readText('/var/lib/containers/storage/overlay-containers/containers.json') ?? ''
    const at = text.indexOf(`"id":"${id}"`)
    return (at < 0 ? undefined : nameIn(text.slice(at), /"names":\["([^"]+)"/)) ?? short
  }
  return short
}

const nameIn = (text: string, pattern: RegExp): string | undefined => pattern.exec(text)?.[1]
