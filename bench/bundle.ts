/** The bundles that all programs are given: busybox in the default configuration. */

import { copyFileSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Bundles {
  /** Its program ends at once; each container has a cgroup of its own. */
  readonly brief: string
  /** Its program ends at once; one container at a time. */
  readonly placedBrief: string
  /** Its program stays; each container has a cgroup of its own. */
  readonly lasting: string
  /** Its program stays; one container at a time. */
  readonly placed: string
}

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox']

/** The configuration is what `spec` of coffer-runc prints, but for the version, the arguments and the terminal. */
export function makeBundles(directory: string, coffer: string, prefix: string): Bundles {
  const rootfs = join(directory, 'rootfs')
  const busybox = BUSYBOX.find((path) => existsSync(path))
  if (busybox === undefined) throw new Error('there is no /bin/busybox: install busybox-static')
  mkdirSync(join(rootfs, 'bin'), { recursive: true })
  copyFileSync(busybox, join(rootfs, 'bin', 'busybox'))
  for (const name of ['true', 'sleep']) symlinkSync('busybox', join(rootfs, 'bin', name))
  const bundle = (name: string, args: readonly string[], cgroupsPath?: string): string =>
    makeBundle(join(directory, name), rootfs, { coffer, args, cgroupsPath })
  return {
    brief: bundle('brief', ['true']),
    placedBrief: bundle('placed-brief', ['true'], `/${prefix}-brief`),
    lasting: bundle('lasting', ['sleep', '100000']),
    placed: bundle('placed', ['sleep', '100000'], `/${prefix}-placed`),
  }
}

interface Configuration {
  ociVersion: string
  readonly process: Record<string, unknown>
  readonly root: Record<string, unknown>
  readonly linux: Record<string, unknown>
}

function makeBundle(
  directory: string,
  rootfs: string,
  {
    coffer,
    args,
    cgroupsPath,
  }: { readonly coffer: string; readonly args: readonly string[]; readonly cgroupsPath: string | undefined },
): string {
  mkdirSync(directory)
  const { exitCode, stderr } = Bun.spawnSync([coffer, 'spec', '--bundle', directory], {
    stdout: 'ignore',
    stderr: 'pipe',
  })
  if (exitCode !== 0) throw new Error(`cannot make a configuration: ${stderr.toString()}`)
  const path = join(directory, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8')) as Configuration
  // The newest that crun 1.8 takes.
  config.ociVersion = '1.0.2'
  config.process.args = args
  config.process.terminal = false
  config.root.path = rootfs
  // Without one, runc puts containers into the cgroups of its caller, which may be limited, and are not ours to divide.
  if (cgroupsPath !== undefined) config.linux.cgroupsPath = cgroupsPath
  writeFileSync(path, JSON.stringify(config, undefined, 2))
  return directory
}
