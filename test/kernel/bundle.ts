/** Bundles for tests: busybox as the root file system, and the configuration that `spec` prints, changed field by field. */

import { chmodSync, copyFileSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { defaultSpec } from '../../src/oci/spec.ts'

/**
 * Fields of config.json by their path, such as `process.args`; `+mounts` adds to the list `mounts`, and undefined removes the field.
 *
 * They are applied in the order in which they are written.
 */
export type Changes = Readonly<Record<string, unknown>>

export interface Mount {
  readonly destination: string
  readonly type?: string
  readonly source?: string
  readonly options?: readonly string[]
}

/** For `+mounts`: a bind mount. */
export const bind = (source: string, destination: string, ...options: readonly string[]): Mount => ({
  destination,
  type: 'bind',
  source,
  options: ['bind', ...options],
})

type Document = { [key: string]: unknown }

/**
 * What `spec` prints, without a terminal, and of a version that all runtimes take. A cgroup namespace is not among the defaults, so that tests
 * see the same on every host.
 */
export function configOf(changes: Changes): object {
  const config = JSON.parse(
    JSON.stringify(defaultSpec({ rootless: false, hostUid: 0, hostGid: 0, hasCgroupV2Only: false })),
  ) as Document
  change(config, { ociVersion: '1.0.2', 'process.terminal': false, ...changes })
  return config
}

function change(config: Document, changes: Changes): void {
  for (const [key, value] of Object.entries(changes)) {
    const adds = key.startsWith('+')
    const path = (adds ? key.slice(1) : key).split('.')
    const last = path.pop() ?? ''
    let at = config
    for (const name of path) {
      at[name] ??= {}
      at = at[name] as Document
    }
    if (adds) at[last] = [...((at[last] as readonly unknown[] | undefined) ?? []), ...(value as readonly unknown[])]
    else if (value === undefined) delete at[last]
    else at[last] = value
  }
}

export function writeConfig(bundle: string, changes: Changes): void {
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(configOf(changes), undefined, 2))
}

const BUSYBOX = ['/bin/busybox', '/usr/bin/busybox']
const DIRECTORIES = 'bin dev etc mnt proc root sys tmp'
const PASSWD = `root:x:0:0:root:/root:/bin/sh
user:x:1000:1000:a user:/home/user:/bin/sh
`

let applets: readonly string[] | undefined

/** A root file system in which every applet of busybox is a program. */
export function makeRootfs(rootfs: string): void {
  const busybox = BUSYBOX.find((path) => existsSync(path))
  if (busybox === undefined) throw new Error('there is no /bin/busybox: install busybox-static')
  for (const name of DIRECTORIES.split(' ')) mkdirSync(join(rootfs, name), { recursive: true })
  chmodSync(join(rootfs, 'tmp'), 0o1777)
  copyFileSync(busybox, join(rootfs, 'bin', 'busybox'))
  applets ??= Bun.spawnSync([busybox, '--list']).stdout.toString().trim().split('\n')
  for (const name of applets) if (name !== 'busybox') symlinkSync('busybox', join(rootfs, 'bin', name))
  writeFileSync(join(rootfs, 'etc', 'passwd'), PASSWD)
  writeFileSync(join(rootfs, 'etc', 'group'), 'root:x:0:\nuser:x:1000:\n')
}

/** Changes of a configuration: a process that may mount, and change owners. */
export const ADMIN: Changes = {
  'process.capabilities': Object.fromEntries(
    ['bounding', 'permitted', 'effective'].map((set) => [
      set,
      ['CAP_SYS_ADMIN', 'CAP_SETUID', 'CAP_SETGID', 'CAP_CHOWN', 'CAP_MKNOD', 'CAP_DAC_OVERRIDE'],
    ]),
  ),
}
