/** What tests in the guest of scripts/guest share: files of cgroup v2 as the guest's host sees them. */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { defaultSpec } from '../../src/oci/spec.ts'
import type { Changes } from '../kernel/bundle.ts'
import type { Site } from '../kernel/site.ts'

// They change mounts, devices and memory of the machine that they run on.
if (hostname() !== 'guest') throw new Error('these tests are for the guest: make test-guest')

export const CGROUPS = '/sys/fs/cgroup'
export const MIB: number = 1 << 20

/** A file of the container's cgroup, or of one below it. */
export const setting = ({ cgroup }: Pick<Site, 'cgroup'>, file: string): string =>
  readFileSync(`${CGROUPS}${cgroup}/${file}`, 'utf8').trim()

/** A number of a file such as memory.events, in which each line is a name and a number. */
export function counter(site: Pick<Site, 'cgroup'>, file: string, name: string): number {
  const line = setting(site, file)
    .split('\n')
    .find((each) => each.startsWith(`${name} `))
  if (line === undefined) throw new Error(`${file} has no ${name}`)
  return Number(line.slice(name.length + 1))
}

/** Microseconds that some task of the container has waited for it: the total of its PSI file. kernel:accounting/psi.rst */
export function pressure(site: Pick<Site, 'cgroup'>, resource: 'cpu' | 'io' | 'memory'): number {
  return Number(/^some .*total=(\d+)$/m.exec(setting(site, `${resource}.pressure`))?.[1])
}

export const limits = (resources: object): Changes => ({ 'linux.resources': resources })

export const ALL_DEVICES: readonly object[] = [{ allow: true, access: 'rwm' }]
export const NO_DEVICES: readonly object[] = [{ allow: false, access: 'rwm' }]

/** For `+linux.namespaces`. */
export const OWN_CGROUP_NAMESPACE: Changes = { '+linux.namespaces': [{ type: 'cgroup' }] }

/** A container that may divide its cgroup: with such a namespace, and cgroups mounted writable. */
export const DIVIDES_ITS_CGROUP: Changes = {
  ...OWN_CGROUP_NAMESPACE,
  mounts: defaultSpec({ rootless: false, hostUid: 0, hostGid: 0, hasCgroupV2Only: true }).mounts.map((mount) =>
    mount.type === 'cgroup' ? { ...mount, options: ['nosuid', 'noexec', 'nodev'] } : mount,
  ),
}

/** Runs a script on the guest's host; throws what it says if it fails. */
export function host(script: string): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(['bash', '-c', script])
  if (exitCode !== 0) throw new Error(`${script}: ${stderr}`)
  return stdout.toString().trim()
}

/** The disk of scripts/guest that nobody uses. */
export const SPARE_DISK: { readonly name: string; readonly major: number; readonly minor: number } = (() => {
  const [major = 0, minor = 0] = readFileSync('/sys/block/vdb/dev', 'utf8').split(':').map(Number)
  return { name: 'vdb', major, minor }
})()

/** A disk in memory, made with these attributes of null_blk; answers its node. kernel:block/null_blk.rst */
export function makeDisk(name: string, attributes: Readonly<Record<string, number>>): string {
  host(
    'modprobe null_blk nr_devices=0; mountpoint -q /sys/kernel/config || mount -t configfs config /sys/kernel/config',
  )
  const directory = `/sys/kernel/config/nullb/${name}`
  mkdirSync(directory)
  for (const [attribute, value] of Object.entries(attributes)) writeFileSync(`${directory}/${attribute}`, `${value}`)
  writeFileSync(`${directory}/power`, '1')
  return `/dev/${name}`
}
